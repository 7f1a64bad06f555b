"""Generated cubes stand beside the real ones of their class, in their own colours and in a common scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pixels import BLUE, CLASSES, COLOURS, GREEN, RED, decode
from scipy import ndimage

from hyperseg.core import LabelError, SceneError
from hyperseg.gan.pictures import generated_patches_figure, generated_spectra_figure

LABELS = np.repeat([0, 1], 15)
NONE = np.zeros(0, np.int64)


def places(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    """(pixels, row, column, height) of every connected area of exactly that colour, from the top left on."""
    areas, _ = ndimage.label((picture == colour).all(-1))
    return [
        (int((areas[place] == i).sum()), place[0].start, place[1].start, place[0].stop - place[0].start)
        for i, place in enumerate(ndimage.find_objects(areas), start=1)
    ]


def spectra(seed: int = 0) -> NDArray[np.float64]:
    """(30, 12) spectra of two classes."""
    return np.random.default_rng(seed).random((30, 12)) + LABELS[:, None]


def drawn(*given: Any) -> Figure:
    """The matplotlib figure that the chart of spectra is made from."""
    kept: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        kept.append(figure)
        return b""

    generated_spectra_figure(*given, write=keep)
    return kept[0]


def shown(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def flat(colour: tuple[float, float, float], n: int) -> NDArray[np.float64]:
    """(n, 3, 3, 3) patches of one colour."""
    return np.tile(np.asarray(colour, np.float64), (n, 3, 3, 1))


def test_the_dashed_line_is_the_generated_mean_and_the_solid_one_the_real() -> None:
    x, g = spectra(0), spectra(1)
    charts = shown(drawn(x, LABELS, g, LABELS, CLASSES, COLOURS))
    assert len(charts) == 2  # Water has neither
    for k, axes in enumerate(charts):
        solid = [line for line in axes.lines if line.get_linestyle() == "-"]
        dashed = [line for line in axes.lines if line.get_linestyle() != "-"]
        np.testing.assert_allclose(solid[0].get_ydata(), x[k == LABELS].mean(0))
        np.testing.assert_allclose(dashed[-1].get_ydata(), g[k == LABELS].mean(0))
        lower, upper = (np.asarray(line.get_ydata()) for line in dashed[:2])
        np.testing.assert_allclose((upper - lower) / 2, g[k == LABELS].std(0))


def test_titles_count_both_and_say_where_none_was_generated() -> None:
    figure = drawn(spectra(), LABELS, spectra()[:4], np.array([0, 0, 2, -1]), CLASSES, COLOURS)
    titles = [axes.get_title(loc="left") for axes in shown(figure)]
    assert titles == ["Corn\n15 real, 2 generated", "Woods\n15 real, none generated", "Water\nno real, 1 generated"]


def test_generated_spectra_far_off_leave_the_real_ones_readable() -> None:
    x = spectra()
    figure = drawn(x, LABELS, 1e3 + x, LABELS, CLASSES, COLOURS)
    low, high = figure.axes[0].get_ylim()
    assert low < x.mean() < high
    assert high - low < 5 * np.ptp(x)
    near = drawn(x, LABELS, x + 0.1, LABELS, CLASSES, COLOURS).axes[0].get_ylim()
    means = np.stack([x[k == LABELS].mean(0) + x[k == LABELS].std(0) for k in (0, 1)])
    assert near[1] > means.max() + 0.1  # what is near is not cut off


def test_colours_are_those_of_the_classes_that_are_there_and_bad_bands_set_no_scale() -> None:
    x, g = spectra(0), spectra(1)
    x[:, 3] = g[:, 3] = 1e6
    options: dict[str, Any] = {
        "wavelengths_nm": np.r_[np.linspace(400, 900, 6), np.linspace(1500, 2000, 6)],
        "good_bands": np.arange(12) != 3,
    }
    png = generated_spectra_figure(x, LABELS, g, LABELS, CLASSES, COLOURS, **options)
    picture = decode(png)
    for colour, there in ((RED, True), (GREEN, True), (BLUE, False)):
        assert bool(places(picture, colour)) == there
    x[:, 3] = g[:, 3] = -1e9
    assert generated_spectra_figure(x, LABELS, g, LABELS, CLASSES, COLOURS, **options) == png


def test_only_the_largest_of_very_many_classes_are_drawn() -> None:
    k = 25
    labels = np.repeat(np.arange(k), np.arange(1, k + 1))
    names, colours = [f"class {i}" for i in range(k)], [(8 * i, 100, 255 - 8 * i) for i in range(k)]
    x = np.random.default_rng(0).random((len(labels), 4))
    figure = drawn(x, labels, x[:0], NONE, names, colours)
    titles = [axes.get_title(loc="left").split("\n")[0] for axes in shown(figure)]
    assert titles == names[5:]
    assert figure.get_supxlabel() == "band    (5 smaller classes not drawn)"
    black = flat((0, 0, 0), len(labels))
    sheet = decode(generated_patches_figure(black, black[:0], labels, NONE, names, colours))
    assert [bool(places(sheet, colour)) for colour in colours] == [False] * 5 + [True] * 20


def test_patches_stand_in_the_row_of_their_class_on_their_side() -> None:
    real, made = (51, 102, 204), (204, 153, 51)
    patches = flat(real, 3) / 255, flat(made, 10) / 255
    labels = np.array([0, 0, 1]), np.array([1] * 9 + [-1])
    picture = decode(generated_patches_figure(*patches, *labels, CLASSES, COLOURS))
    left, right = places(picture, real), places(picture, made)
    assert {pixels for pixels, *_ in left + right} == {left[0][3] ** 2}  # squares, all of one size
    rows = sorted({row for _, row, _, _ in left})
    assert [row for _, row, _, _ in left] == [rows[0], rows[0], rows[1]]
    assert [row for _, row, _, _ in right] == [rows[1]] * 8  # no more than eight, and none without a class
    assert max(column for _, _, column, _ in left) < min(column for _, _, column, _ in right)
    for colour, row in zip((RED, GREEN), rows, strict=True):
        ((_, top, _, height),) = places(picture, colour)
        assert row <= top < top + height <= row + left[0][3]  # the class's colour stands beside its patches
    assert not places(picture, BLUE)
    beside = picture[rows[0] : rows[0] + left[0][3], min(column for _, _, column, _ in right) :]
    assert (beside < 100).all(-1).any()  # "none generated"


def test_a_patch_is_not_interpolated_clipped_to_its_range_and_grey_where_unknown() -> None:
    patch = np.zeros((1, 3, 3, 3))
    patch[0, 0, 0], patch[0, 1, 1], patch[0, 2, 2] = (1.7, -0.3, 0.0), np.nan, (0, 0.6, 0.6)
    picture = decode(generated_patches_figure(patch, patch[:0], np.array([0]), NONE, CLASSES, COLOURS))
    corner, middle, last = (places(picture, c) for c in ((255, 0, 0), (128, 128, 128), (0, 153, 153)))
    ((pixels, row, column, side),) = corner
    assert pixels == side * side > 100
    assert [(p, r, c) for p, r, c, _ in middle if p == pixels] == [(pixels, row + side, column + side)]
    assert last == [(pixels, row + 2 * side, column + 2 * side, side)]


def test_names_are_text_and_never_formulas() -> None:
    names = ("$x^{2$", "a\nb", "n" * 300)
    x = np.tile(np.arange(4.0), (3, 1))
    labels = np.arange(3)
    assert decode(generated_spectra_figure(x, labels, x, labels, names, COLOURS)).shape[1] < 1500
    patches = flat((0.1, 0.2, 0.3), 3)
    assert decode(generated_patches_figure(patches, patches, labels, labels, names, COLOURS)).shape[1] < 1500


def test_what_cannot_be_drawn_is_refused() -> None:
    x, p = spectra(), flat((0, 0, 0), 2)
    two = np.array([0, 1])
    for message, labels, made in (("same L bands", LABELS, x[:, 1:]), ("a label each", LABELS[:3], x)):
        with pytest.raises(SceneError, match=message):
            generated_spectra_figure(x, labels, made, LABELS, CLASSES, COLOURS)
    for error, message, made, labels in (
        (SceneError, "of one size", p[:, 1:], two),
        (SceneError, "2 patches need a class each", p, two[:1]),
        (LabelError, "labels from 0 to 3 do not fit 3 class names", p, np.array([0, 3])),
    ):
        with pytest.raises(error, match=message):
            generated_patches_figure(p, made, two, labels, CLASSES, COLOURS)
    for nothing in (NONE, np.array([-1, -1])):
        with pytest.raises(SceneError, match="neither a real nor a generated"):
            generated_patches_figure(p[: len(nothing)], p[:0], nothing, NONE, CLASSES, COLOURS)
