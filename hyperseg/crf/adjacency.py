"""Which classes lie beside each other: what a pairwise model learnt, beside what the ground truth holds.

Tables are (K, K) per direction, index [first, second]: the first of a pair is the left one in "right", the upper
one in "below". Diagonals are left out throughout: nearly all neighbours are equal, and that says nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import UNLABELLED, LabelError, SettingError
from hyperseg.core.words import one_line
from hyperseg.crf.grid import direction, offsets
from hyperseg.report.charts import blank, png
from hyperseg.report.sheet import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

DIRECTIONS = {"right": "row left of column", "below": "row above column"}
LEAST = 5.0  # pairs, counted or expected, below which the ground truth says nothing of two classes (our choice)
FEWEST = 3  # entries below which a correlation is not given
LIMIT = 3  # the colours end at 2 ** LIMIT times as often as by chance
ROUNDS, CLOSE = 1000, 1e-12  # of the fit of `expected_pairs`
UNKNOWN, SAME = "#c4c4c4", "#ffffff"  # too few pairs; the diagonal

CAPTION = (
    "Which classes lie beside each other: what the deep CRF expects, on average over the scene (left), and pairs of "
    "labelled pixels (right). Red: oftener, blue: less often than if unequal classes met by chance. What the network "
    "cannot tell apart looks to the CRF like classes that meet; one border counts with all its pixels."
)

Floats = NDArray[np.float64]
Tables = Mapping[str, ArrayLike]


def count_pairs(labels: NDArray[np.integer[Any]], n_classes: int, *, within: int = 1) -> dict[str, NDArray[np.int64]]:
    """Pairs of labelled pixels by class and direction, (K, K) each.

    Where fields are labelled apart from each other, hardly any unequal classes touch: count farther.

    Args:
        labels: (H, W), -1 = unlabelled.
        n_classes: K.
        within: largest distance, as rows plus columns; 1 is the four neighbours. Directions as in `hyperseg.crf.grid`.

    Raises:
        LabelError: labels that are not (H, W) classes -1..K-1.
        SettingError: a distance below 1.
    """
    if within < 1:
        raise SettingError(f"pairs are counted within 1 pixel or more, got {within}.")
    if labels.ndim != 2 or (labels.size and not UNLABELLED <= labels.min() <= labels.max() < n_classes):
        raise LabelError(
            f"pairs are counted on (rows, columns) labels from -1 to {n_classes - 1}, got shape {labels.shape}."
        )
    padded = np.pad(labels.astype(np.int64), within, constant_values=UNLABELLED)
    flat, width = padded.ravel(), padded.shape[1]
    places = np.flatnonzero(flat != UNLABELLED)
    rows = n_classes * flat[places]
    found = {name: np.zeros(n_classes**2, np.int64) for name in DIRECTIONS}
    for dy, dx in offsets(within):
        second = flat[places + dy * width + dx]
        pairs = (rows + second)[second != UNLABELLED]
        found[direction((dy, dx))] += np.bincount(pairs, minlength=n_classes**2)
    return {name: counts.reshape(n_classes, n_classes) for name, counts in found.items()}


def expected_pairs(table: ArrayLike) -> Floats:
    """How often unequal classes would meet if they met, in either order, in proportion to a factor per class.

    E(a, b) = f_a f_b for a != b and 0 on the diagonal, with the factors for which every class has as many unequal
    neighbours as in the table. The product of the margins would not do: they know that no class of an unequal
    pair meets itself, and so call every pair more frequent than by chance, most of all those of large classes.

    Args:
        table: (K, K) counts or probabilities; the diagonal is not looked at.

    Returns:
        (K, K), symmetric, of the table's sum off the diagonal.

    Source: Goodman, "The Analysis of Cross-Classified Data", JASA 1968: quasi-independence.
    Differs: one factor per class and not two, so that what expects no side leaves every asymmetry in the table.
    """
    pairs = _off_diagonal(table)
    border = (pairs.sum(0) + pairs.sum(1)) / 2
    known = border > 0
    fit = np.outer(known, known).astype(np.float64)
    np.fill_diagonal(fit, 0)
    for _ in range(ROUNDS):
        sums = fit.sum(1)
        scale = np.sqrt(np.divide(border, sums, out=np.zeros_like(sums), where=sums > 0))
        fit *= np.outer(scale, scale)
        if np.abs(scale[known] - 1).max(initial=0) < CLOSE:
            break
    return fit


def preference(table: ArrayLike) -> Floats:
    """(K, K) log2 of how many times as often as by chance two unequal classes meet, see `expected_pairs`.

    -inf where they never do; NaN on the diagonal and for a class without any unequal neighbour.
    """
    pairs, expected = _off_diagonal(table), expected_pairs(table)
    times = np.divide(pairs, expected, out=np.full_like(pairs, np.nan), where=expected > 0)
    return np.log2(times, out=np.where(times == 0, -np.inf, np.nan), where=times > 0)


def agreement(learnt: Tables, seen: Tables) -> dict[str, float]:
    """How far learnt tables agree with the counts of the ground truth, over both directions.

    Args:
        learnt: "right" and "below" -> (K, K) probabilities.
        seen: likewise, counts.

    Returns:
        "rank": Spearman's correlation of how much oftener than by chance two classes meet (`preference`).
        "asymmetry": correlation about zero of (T - T') / (T + T'), by how much a class is rather the left or
        upper one of two; one number per pair of classes. "entries" and "pairs": how many each rests on. Only what
        was counted, or expected, at least 5 times is compared; NaN where fewer than 3 are, or all are alike.

    Raises:
        LabelError: tables that do not fit each other.
    """
    from scipy.stats import rankdata

    learnt, seen = _checked(learnt, seen)
    liked, sides = [], []
    for name in DIRECTIONS:
        model, counts = learnt[name], seen[name]
        both = np.stack([preference(model), preference(counts)])
        liked.append(both[:, _told(counts) & ~np.isnan(both[0])])
        often = np.triu(counts + counts.T >= LEAST, 1) & (model + model.T > 0)
        sides.append([(t - t.T)[often] / (t + t.T)[often] for t in (model, counts)])
    entries, lean = np.hstack(liked), np.hstack(sides)
    n, pairs = entries.shape[1], lean.shape[1]
    ranks = np.stack([rankdata(row) for row in entries]) - (n + 1) / 2
    return {"rank": _cosine(*ranks), "asymmetry": _cosine(*lean), "entries": float(n), "pairs": float(pairs)}


def adjacency_figure(
    learnt: Tables, seen: Tables, classes: Sequence[str], colours: Sequence[Colour], *, within: int = 1
) -> bytes:
    """Learnt tables beside the ground truth's: which classes meet oftener (red) or less (blue) than by chance.

    One row of charts per direction, one scale for all; grey where the ground truth holds too few pairs to tell, a 0
    where two classes never meet although some pairs were to be expected. Returns a PNG file.

    Args:
        learnt, seen: as for `agreement`.
        classes, colours: K names and the sRGB triples that stand beside them.
        within: distance up to which pairs were counted, for the title.

    Raises:
        LabelError: tables, names and colours that do not fit each other.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    learnt, seen = _checked(learnt, seen)
    k = len(classes)
    if learnt["right"].shape != (k, k) or len(colours) != k:
        raise LabelError(
            f"tables of {len(learnt['right'])} classes come with as many names and colours, got {k} and {len(colours)}."
        )
    side = float(np.clip(0.27 * k, 2.5, 8))
    figure = blank(2.9 + 2 * side, 2.1 + 2 * side)
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    shades = ScalarMappable(Normalize(-LIMIT, LIMIT), colormaps["RdBu_r"])  # apart for colour-blind viewers too
    counted = "ground truth" if within == 1 else f"ground truth, up to {within} px apart"
    for (left, right), (name, order) in zip(grid, DIRECTIONS.items(), strict=True):
        told = _told(seen[name])
        _draw_table(left, preference(learnt[name]), shades)
        _draw_table(right, np.where(told, preference(seen[name]), np.nan), shades)
        for i, j in np.argwhere(told & (seen[name] == 0)):
            right.text(j, i, "0", ha="center", va="center", fontsize=_lettering(side, k), color="white")
        left.set_title(f"learnt: {order}", fontsize=10, loc="left")
        right.set_title(f"{counted}: {order}", fontsize=10, loc="left")
    for axes in grid[:, 0]:
        _name(axes, classes, colours, side=side, down=True)
    for axes in grid[1]:
        _name(axes, classes, colours, side=side, down=False)
    bar = figure.colorbar(shades, ax=grid, extend="both", shrink=0.6, aspect=30)
    levels = range(-LIMIT, LIMIT + 1)
    bar.set_ticks(list(levels), labels=[f"{2**n}" if n >= 0 else f"1/{2**-n}" for n in levels])
    bar.set_label("times as often as by chance", fontsize=10)
    figure.supxlabel("grey: too few labelled pairs to tell; 0: never", fontsize=9, color="#444444")
    return png(figure)


def _draw_table(axes: Axes, values: Floats, shades: ScalarMappable) -> None:
    from matplotlib.colors import to_rgba

    k = len(values)
    known = ~np.isnan(values)
    picture = np.asarray(shades.to_rgba(np.clip(np.where(known, values, 0), -LIMIT, LIMIT)))
    picture[~known] = to_rgba(UNKNOWN)
    picture[np.diag_indices(k)] = to_rgba(SAME)
    axes.imshow(picture, interpolation="nearest")
    axes.plot([-0.5, k - 0.5], [-0.5, k - 0.5], color=UNKNOWN, linewidth=0.8)
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelleft=False, labelbottom=False)
    axes.spines[:].set_color("#8a8a8a")


def _name(axes: Axes, classes: Sequence[str], colours: Sequence[Colour], *, side: float, down: bool) -> None:
    """Names of the classes down the side or along the foot, each with its colour between name and chart."""
    k, size = len(classes), _lettering(side, len(classes))
    places, beside = np.arange(k), np.full(k, -0.07 / side)
    names = [one_line(name, 26) for name in classes]
    if down:
        axes.set_yticks(places, names, fontsize=size)
        x, y, transform = beside, places, axes.get_yaxis_transform()
    else:
        axes.set_xticks(places, names, rotation=55, ha="right", rotation_mode="anchor", fontsize=size)
        x, y, transform = places, beside, axes.get_xaxis_transform()
    axes.tick_params(axis="y" if down else "x", pad=11, **{"labelleft" if down else "labelbottom": True})
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    swatches = [tuple(c / 255 for c in colour) for colour in colours]
    axes.autoscale(False)
    axes.scatter(x, y, s=0.6 * size**2, c=swatches, marker="s", transform=transform, clip_on=False)


def _lettering(side: float, k: int) -> float:
    return float(np.clip(72 * side / k * 0.6, 4, 9.5))


def _off_diagonal(table: ArrayLike) -> Floats:
    found = np.array(table, np.float64)
    np.fill_diagonal(found, 0)
    return found


def _told(counts: Floats) -> NDArray[np.bool_]:
    """Unequal pairs of classes of which the ground truth says something: counted or expected often enough."""
    enough: NDArray[np.bool_] = np.maximum(_off_diagonal(counts), expected_pairs(counts)) >= LEAST
    return enough


def _cosine(first: Floats, second: Floats) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if len(first) >= FEWEST and size > 1e-9 else float("nan")


def _checked(learnt: Tables, seen: Tables) -> tuple[dict[str, Floats], dict[str, Floats]]:
    found = [{name: np.asarray(t[name], np.float64) for name in DIRECTIONS if name in t} for t in (learnt, seen)]
    tables = [table for both in found for table in both.values()]
    shapes = {table.shape for table in tables}
    if len(tables) != 4 or [len(s) == 2 and s[0] == s[1] >= 2 for s in shapes] != [True]:
        raise LabelError(
            f'learnt and counted tables are both "right" and "below" of (K, K) with K of 2 or more, got '
            f"{list(learnt)} and {list(seen)} of {sorted(shapes)}."
        )
    if any(not np.isfinite(table).all() or (table < 0).any() for table in tables):
        raise LabelError("probabilities and counts of pairs are finite and not negative, these are not.")
    return found[0], found[1]
