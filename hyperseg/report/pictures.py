"""Pictures of scenes and maps, drawn pixel by pixel: a class colour in a PNG is exactly that class's colour.

A small scene is enlarged by repeating its pixels and a very large one thinned, never interpolated; everything
but the lettering is painted into one array. Of a volume (D, H, W) the middle slice along the first axis is drawn,
which is said above it; shares and counts are those of the whole volume. Figures are the bytes of a PNG file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import UNLABELLED, LabelError, Scene
from hyperseg.core.words import one_line, percent, thousands
from hyperseg.report.sheet import Colour, Key, Picture, chequer, enlarge, sheet, zoom

Labels = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]

NO_DATA: Colour = (128, 128, 128)  # in a picture of the scene; maps show a chequer, which no class can have
UNLABELLED_COLOUR: Colour = (0, 0, 0)
RIGHT, WRONG, TRAINED = (0, 114, 178), (230, 90, 0), (245, 220, 60)  # apart for colour-blind viewers too
HATCH, HATCH_PX = ((20, 20, 20), (250, 250, 250)), 7
MOST_KEYS = 60  # classes in the legend of a map
NOT_A_CLASS = frozenset({"undefined", "unlabelled", "unlabeled", "unclassified"})

RED_GREEN_BLUE_NM = (650.0, 550.0, 470.0)
NEAREST_NM = 60.0  # a band farther from the wanted wavelength would be natural colour in name only


def false_colour(scene: Scene, *, step: int = 1) -> Picture:
    """A picture of the scene from three bands, stretched between the 2nd and 98th percentile of each.

    The bands are the scene's `rgb_bands`; else those nearest to 650, 550 and 470 nm; else three evenly spaced
    good ones, the last one red; of two or fewer one, in grey. Nothing but these bands is read, and of them every
    `step`-th row and column; the cube may be lazy.

    Returns:
        (H, W, 3) sRGB, pixels without data grey (128).
    """
    places: tuple[Any, ...] = (*_middle(scene.shape), *[slice(None, None, step)] * 2)
    bands = {b: np.asarray(scene.cube[(*places, b)], np.float32) for b in set(_three_bands(scene))}
    shown = np.isfinite(np.stack(list(bands.values()))).all(0)
    if scene.valid is not None:
        shown &= scene.valid[places]
    out = np.full((*shown.shape, 3), NO_DATA, np.uint8)
    if shown.any():
        for channel, band in enumerate(_three_bands(scene)):
            values = bands[band][shown]
            out[shown, channel] = np.rint(255 * _stretched(values, values)).astype(np.uint8)
    return out


def false_colours(spectra: ArrayLike, scene: Scene) -> NDArray[np.float64]:
    """(..., C) spectra -> (..., 3) red, green and blue in 0..1, in the bands and the stretch of `false_colour`."""
    x, middle = np.asarray(spectra), _middle(scene.shape)
    shown = slice(None) if scene.valid is None else scene.valid[middle]
    bands = [(b, scene.cube[(*middle, slice(None), slice(None), b)][shown]) for b in _three_bands(scene)]
    return np.stack([_stretched(x[..., b], band) for b, band in bands], -1)


def _middle(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Index of the slice to draw: the middle one of a volume, and nothing to choose from in an image."""
    return (shape[0] // 2,) if len(shape) == 3 else ()


def _drawn(shape: tuple[int, ...]) -> tuple[tuple[Any, ...], int, int]:
    """Index of the pixels to draw, the step between them, and how often each is repeated."""
    middle = _middle(shape)
    step, factor = zoom(shape[len(middle) :])
    return (*middle, *[slice(None, None, step)] * 2), step, factor


def _named(panel: str, shape: tuple[int, ...]) -> str:
    """The name of a panel, with the slice it shows of a volume."""
    which = [f"slice {i + 1} of {shape[0]}" for i in _middle(shape)]
    return ", ".join(filter(None, [panel, *which]))


def _stretched(values: NDArray[Any], like: NDArray[Any]) -> NDArray[np.float64]:
    """0..1 between the 2nd and 98th percentile of `like`."""
    known = like[np.isfinite(like)]
    low, high = np.percentile(known[:: max(1, known.size // 1_000_000)], (2, 98))
    return ((values - low) / max(float(high - low), 1e-12)).clip(0, 1)


def _three_bands(scene: Scene) -> tuple[int, int, int]:
    if scene.rgb_bands is not None:
        return scene.rgb_bands
    good = np.arange(scene.n_bands) if scene.good_bands is None else np.flatnonzero(scene.good_bands)
    if scene.n_bands <= 2:
        return (int(good[0]),) * 3
    found = np.rint(np.array([5, 3, 1]) / 6 * (len(good) - 1)).astype(int)
    if scene.wavelengths_nm is not None:
        distance = np.abs(np.asarray(scene.wavelengths_nm)[good, None] - RED_GREEN_BLUE_NM)
        if (distance.min(0) <= NEAREST_NM).all():
            found = distance.argmin(0)
    red, green, blue = map(int, good[found])
    return red, green, blue


def map_figure(
    labels: Labels,
    classes: Sequence[str],
    colours: Sequence[Colour],
    *,
    title: str,
    scene: Scene | None = None,
    ground_truth: Labels | None = None,
) -> bytes:
    """The map with its legend; beside it, where given, the scene in false colour and the ground truth.

    Args:
        labels: (H, W) or (D, H, W), the map, classes 0..K-1, -1 = no data.
        classes: K names; one called "undefined" and the like is drawn as unlabelled.
        colours: K sRGB triples.
        title: heading; the legend below the panels gives every class's share of the mapped pixels.
        scene: for the false-colour picture and its no-data pixels.
        ground_truth: like the map, -1 = unlabelled.
    """
    valid = np.ones(labels.shape, bool) if scene is None or scene.valid is None else scene.valid
    for what, other in (("ground truth", ground_truth), ("scene", valid)):
        if other is not None and other.shape != labels.shape:
            raise LabelError(f"the {what} has shape {other.shape}, the map {labels.shape}: use one grid.")
    _check(labels, classes, colours)
    places, step, factor = _drawn(labels.shape)
    panels = []
    if scene is not None:
        panels.append((_named("false colour", labels.shape), enlarge(false_colour(scene, step=step), factor)))
    nothing = ~valid | (labels == UNLABELLED)
    pictures = [(f"map (shares {'of all slices ' if labels.ndim == 3 else ''}below)", labels, nothing)]
    if ground_truth is not None:
        _check(ground_truth, classes, colours)
        pictures.insert(0, ("ground truth", ground_truth, ~valid))
    for name, array, empty in pictures:
        painted = enlarge(_paint(array[places], classes, colours), factor)
        panels.append((_named(name, labels.shape), chequer(painted, enlarge(empty[places], factor))))
    without = np.isin(labels, [k for k, name in enumerate(classes) if _is_nothing(name)])
    mapped = labels[~nothing & ~without]
    share = np.bincount(mapped, minlength=len(classes)) / max(mapped.size, 1)
    named = [k for k, name in enumerate(classes) if not _is_nothing(name)]
    largest = sorted(sorted(named, key=lambda k: -share[k])[:MOST_KEYS])
    keys = [Key(colours[k], f"{one_line(classes[k], 48)} ({percent(100 * float(share[k]))})") for k in largest]
    if len(largest) < len(named):
        title = f"{title} (legend: the {len(largest)} largest of {len(named)} classes)"
    unlabelled = ground_truth is not None and bool((valid & (ground_truth == UNLABELLED)).any())
    keys += [Key(UNLABELLED_COLOUR, "unlabelled")] if unlabelled or without.any() else []
    keys += [Key(None, "no data")] if nothing.any() else []
    return sheet(panels, keys, title=title)


def confidence_figure(confidence: ArrayLike, *, valid: Mask | None = None) -> bytes:
    """The (*S) probability (0..1) of the mapped class, dark where the map is unsure.

    The scale ends at the 2nd percentile, rounded down to 10 %, so that differences between sure pixels show.
    """
    from matplotlib import colormaps

    values = np.asarray(confidence, np.float64)
    shown = np.isfinite(values) if valid is None else np.isfinite(values) & valid
    low = float(np.percentile(values[shown], 2)) if shown.any() else 0.0
    start = min(math.floor(low * 10 + 1e-6) / 10, 0.9)
    colour = colormaps["cividis"]

    def painted(share: NDArray[np.float64]) -> Picture:
        return np.asarray(colour(((share - start) / (1 - start)).clip(0, 1), bytes=True))[..., :3]

    places, _, factor = _drawn(values.shape)
    thin = np.where(shown, values, 1.0)[places]
    picture = chequer(enlarge(painted(thin), factor), enlarge(~shown[places], factor))
    levels = np.linspace(start, 1, round((1 - start) * 10) + 1)
    keys = [
        Key(_triple(painted(np.array(level))), f"{'≤ ' if i == 0 and start > 0 else ''}{100 * level:.0f} %")
        for i, level in enumerate(levels)
    ]
    keys += [] if shown.all() else [Key(None, "no data")]
    return sheet([(_named("", values.shape), picture)], keys, title="Confidence of the map")


def applicability_figure(
    labels: Labels, classes: Sequence[str], colours: Sequence[Colour], outside: Mask, *, valid: Mask | None = None
) -> bytes:
    """The map with what lies outside its area of applicability hatched in white and black.

    Args:
        labels: (H, W), the map, -1 = no data.
        classes, colours: of the map.
        outside: (H, W) pixels unlike anything trained on.
        valid: (H, W) pixels that hold data, or None for all.
    """
    _check(labels, classes, colours)
    places, _, factor = _drawn(labels.shape)
    nothing = labels == UNLABELLED if valid is None else (labels == UNLABELLED) | ~valid
    painted, marked = enlarge(_paint(labels[places], classes, colours), factor), enlarge(outside[places], factor)
    rows, columns = np.indices(marked.shape)
    line = (rows + columns) % HATCH_PX
    for at, colour in ((line < 2, HATCH[0]), (line == 2, HATCH[1])):
        painted[marked & at] = colour
    picture = chequer(painted, enlarge(nothing[places], factor))
    share = 100 * float((outside & ~nothing).sum()) / max(int((~nothing).sum()), 1)
    keys = [Key(HATCH[0], f"hatched: outside ({percent(share)})")] + ([Key(None, "no data")] if nothing.any() else [])
    return sheet([(_named("", labels.shape), picture)], keys, title="Area of applicability")


def error_figure(
    labels: Labels, ground_truth: Labels, test: Mask, *, scene: Scene | None = None, train: Mask | None = None
) -> bytes:
    """Test pixels in blue (right) and orange (wrong) over a grey picture of the scene.

    Args:
        labels: (H, W) or (D, H, W), the map.
        ground_truth: like it, -1 = unlabelled.
        test: pixels that were scored.
        scene: for the grey picture; plain grey without it.
        train: training pixels, shown in yellow: how near they are is what the leak measures.
    """
    if not labels.shape == ground_truth.shape == test.shape:
        raise LabelError(f"map {labels.shape}, ground truth {ground_truth.shape}, test {test.shape}: use one grid.")
    places, step, factor = _drawn(labels.shape)
    scored = test & (ground_truth != UNLABELLED)
    right = scored & (labels == ground_truth)
    grey = np.full((*labels[places].shape, 3), 235, np.uint8)
    if scene is not None:
        bright = false_colour(scene, step=step).mean(-1, keepdims=True)
        grey[:] = np.rint(90 + 0.6 * bright)  # pale, so that the colours stand out
    keys, total = [], max(int(scored.sum()), 1)
    for mask, colour, name in ((right, RIGHT, "right"), (scored & ~right, WRONG, "wrong")):
        grey[mask[places]] = colour
        count = int(mask.sum())
        keys.append(Key(colour, f"{name}: {thousands(count)} ({percent(100 * (count / total))})"))
    if train is not None:
        grey[train[places]] = TRAINED
        keys.append(Key(TRAINED, f"training: {thousands(int(train.sum()))}"))
    return sheet([(_named("", labels.shape), enlarge(grey, factor))], keys, title="Test pixels, right and wrong")


def _check(labels: Labels, classes: Sequence[str], colours: Sequence[Colour]) -> None:
    if labels.ndim not in (2, 3) or labels.size == 0 or labels.dtype.kind not in "iu":
        raise LabelError(
            "a map to draw is (rows, columns) or (slices, rows, columns) of whole numbers, got "
            f"{labels.shape} {labels.dtype}."
        )
    if len(classes) != len(colours) or labels.min() < UNLABELLED or labels.max() >= len(classes):
        raise LabelError(
            f"labels from {labels.min()} to {labels.max()} do not fit {len(classes)} class names and "
            f"{len(colours)} colours: expected -1 or 0..K-1 and K of both."
        )


def _is_nothing(name: str) -> bool:
    return name.strip().casefold() in NOT_A_CLASS


def _triple(colour: Picture) -> Colour:
    return int(colour[0]), int(colour[1]), int(colour[2])


def _paint(labels: Labels, classes: Sequence[str], colours: Sequence[Colour]) -> Picture:
    shown = [UNLABELLED_COLOUR if _is_nothing(n) else c for n, c in zip(classes, colours, strict=True)]
    return np.asarray([UNLABELLED_COLOUR, *shown], np.uint8)[labels.astype(np.int64) - UNLABELLED]
