"""Pictures keep the colours of classes to the pixel, and say what is data and what is not."""

from __future__ import annotations

import sys
from typing import Any

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from pixels import BLUE, CLASSES, COLOURS, GREEN, RED, decode
from scipy import ndimage

from hyperseg.core import LabelError, Scene, SceneError
from hyperseg.report import charts, pictures
from hyperseg.report.pictures import false_colours


def boxes(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> list[tuple[int, int, int, bool]]:
    """(pixels, height, width, filled) of every connected area of exactly that colour, largest first."""
    areas, _ = ndimage.label((picture == colour).all(-1))
    found = []
    for i, place in enumerate(ndimage.find_objects(areas), start=1):
        inside = areas[place] == i
        found.append((int(inside.sum()), *inside.shape, bool(inside.all())))
    return sorted(found, reverse=True)


class OnlyBands:
    """A cube that records which bands are read and refuses to be read whole."""

    dtype = np.dtype(np.float32)

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values, self.shape, self.read = values, values.shape, set[int]()

    def __getitem__(self, key: Any) -> Any:
        assert isinstance(key, tuple), "the whole cube was asked for"
        assert len(key) == len(self.shape), "the whole cube was asked for"
        bands = np.atleast_1d(np.arange(self.shape[-1])[key[-1]])
        self.read |= set(bands.tolist())
        return self.values[key]

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the whole cube was asked for")


def ramp(bands: int = 9) -> NDArray[np.float32]:
    """(4, 5, bands) values that grow over the pixels, with another slope in every band."""
    return np.arange(20, dtype=np.float32).reshape(4, 5, 1) * np.arange(1, bands + 1, dtype=np.float32)


def test_a_map_of_four_pixels_is_four_squares_of_exactly_the_class_colours() -> None:
    picture = decode(pictures.map_figure(np.array([[0, 1], [2, 0]]), CLASSES, COLOURS, title="Four"))
    side = boxes(picture, GREEN)[0][1]
    assert side >= 100
    assert boxes(picture, GREEN)[0] == boxes(picture, BLUE)[0] == (side * side, side, side, True)
    # the two red pixels touch at a corner only; the third red area is the legend's
    assert [box[0] for box in boxes(picture, RED)[:2]] == [side * side] * 2
    assert len(boxes(picture, RED)) == 3


def test_every_picture_of_the_triptych_shows_its_own_labels() -> None:
    labels, truth, scene = np.ones((2, 2), int), np.array([[0, 0], [-1, 0]]), Scene(ramp()[:2, :2])
    picture = decode(pictures.map_figure(labels, CLASSES, COLOURS, title="x", scene=scene, ground_truth=truth))
    side = boxes(picture, GREEN)[0][1] // 2
    assert boxes(picture, GREEN)[0] == (4 * side * side, 2 * side, 2 * side, True)
    assert boxes(picture, RED)[0][0] == 3 * side * side
    # unlabelled ground is black (the false-colour panel has a darkest pixel of its own), its legend too
    assert side * side in [box[0] for box in boxes(picture, (0, 0, 0))]


def test_pixels_without_data_get_no_class_colour() -> None:
    valid = np.array([[True, False], [True, True]])
    scene = Scene(ramp()[:2, :2], valid=valid)
    labels = np.array([[0, 1], [0, 0]])  # a prediction at the invalid pixel must not show, nor count
    picture = decode(pictures.map_figure(labels, CLASSES, COLOURS, title="x", scene=scene))
    side = boxes(picture, RED)[0][1] // 2
    assert boxes(picture, RED)[0][0] == 3 * side * side
    assert boxes(picture, GREEN)[0][0] < side * side  # the legend alone


def test_an_undefined_class_is_not_coloured() -> None:
    labels = np.array([[0, 1], [1, 0]])
    picture = decode(pictures.map_figure(labels, ("Undefined", "Woods"), (RED, GREEN), title="x"))
    assert boxes(picture, GREEN)
    assert not boxes(picture, RED)


def test_a_class_name_is_text_and_never_a_formula() -> None:
    names = ("$x^{2$", "a\nb", "n" * 300)
    picture = decode(pictures.map_figure(np.array([[0, 1], [2, 2]]), names, COLOURS, title="$\\frac$"))
    assert picture.shape[1] < 1500  # a name of any length does not blow the sheet up
    decode(charts.confusion_figure(np.eye(3), names))
    decode(charts.spectra_figure(np.ones((3, 4)), np.arange(3), names, COLOURS))


@pytest.mark.parametrize("shape", [(145, 145), (610, 340), (349, 1905), (1, 7), (4100, 3)])
def test_sheets_of_every_shape_stay_of_a_size_to_look_at(shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.int16)
    picture = decode(pictures.map_figure(labels, CLASSES, COLOURS, title="x", ground_truth=labels))
    assert max(picture.shape) <= 4200
    assert min(picture.shape[:2]) >= 60


def test_labels_without_a_colour_are_refused() -> None:
    with pytest.raises(LabelError, match="do not fit 3 class names"):
        pictures.map_figure(np.array([[0, 3]]), CLASSES, COLOURS, title="x")
    with pytest.raises(LabelError, match="one grid"):
        pictures.map_figure(np.zeros((2, 2), int), CLASSES, COLOURS, title="x", ground_truth=np.zeros((2, 3), int))


NM = np.linspace(400, 2400, 201)  # 10 nm apart: 650 is band 25, 550 band 15, 470 band 7


@pytest.mark.parametrize(
    ("bands", "known", "read"),
    [
        (40, {"rgb_bands": (30, 20, 10)}, {30, 20, 10}),
        (201, {"wavelengths_nm": NM}, {25, 15, 7}),
        (201, {"wavelengths_nm": NM, "good_bands": ~np.isin(range(201), [25, 26])}, {24, 15, 7}),
        (13, {"wavelengths_nm": np.linspace(1000, 2500, 13)}, {2, 6, 10}),  # nothing visible: evenly spread
    ],
)
def test_false_colour_reads_the_bands_named_or_nearest_to_red_green_and_blue_only(
    bands: int, known: dict[str, Any], read: set[int]
) -> None:
    cube = OnlyBands(ramp(bands))
    pictures.false_colour(Scene(cube, **known))
    assert cube.read == read


def test_false_colour_stretches_from_black_to_white_and_greys_what_is_no_data() -> None:
    values = ramp()
    values[0, 0, 4] = np.nan
    valid = np.ones((4, 5), bool)
    valid[3, 4] = False
    values[3, 4] = 1e9  # must not push everything else into the dark
    picture = pictures.false_colour(Scene(values, valid=valid, rgb_bands=(4, 1, 0)))
    assert picture.dtype == np.uint8
    for (row, column), shade in {(0, 0): 128, (3, 4): 128, (0, 1): 0, (3, 3): 255}.items():
        assert (picture[row, column] == shade).all()
    # all bands are the same ramp on another scale: the stretch makes them equal
    assert (np.ptp(picture.astype(int), axis=-1) <= 1).all()


@pytest.mark.parametrize("bands", [1, 2])
def test_a_scene_of_one_or_two_channels_is_grey(bands: int) -> None:
    scene = Scene(ramp(bands) * [1, -1][:bands], wavelengths_nm=np.array([600.0, 470.0][:bands]))
    picture = pictures.false_colour(scene)
    assert (picture == picture[..., :1]).all()
    assert (picture.shape, picture[0, 0, 0], picture[-1, -1, 0]) == ((4, 5, 3), 0, 255)
    assert np.abs(255 * false_colours(np.asarray(scene.cube[:]), scene) - picture).max() <= 0.51


def test_of_a_volume_the_middle_slice_is_drawn_and_the_whole_is_counted() -> None:
    cube = np.random.default_rng(0).normal(size=(5, 4, 5, 1)).astype(np.float32)
    valid = np.ones(cube.shape[:3], bool)
    valid[2, 0, 0] = False
    scene = Scene(OnlyBands(cube), valid=valid)
    flat = Scene(cube[2], valid=valid[2])
    np.testing.assert_array_equal(pictures.false_colour(scene), pictures.false_colour(flat))
    np.testing.assert_array_equal(false_colours(cube, scene), false_colours(cube, flat))
    labels = np.zeros(cube.shape[:3], np.int16)
    labels[2] = 1
    pages = (
        pictures.map_figure(labels, CLASSES, COLOURS, title="x", scene=scene, ground_truth=labels),
        pictures.error_figure(labels, labels, labels == 1, scene=scene, train=labels == 0),
        pictures.confidence_figure(np.where(labels == 1, 0.95, 0.5), valid=valid),
    )
    shown, right, sure = (decode(page) for page in pages)
    side = boxes(shown, GREEN)[0][1]
    assert [box[1:3] for box in boxes(shown, GREEN)[:2]] == [(side, side * 5 // 4)] * 2  # map, ground truth
    assert boxes(shown, RED)[0][0] < (side // 4) ** 2  # no pixel of it; the legend tells its share of the volume
    assert boxes(right, (0, 114, 178))[0][0] == 20 * (side // 4) ** 2
    assert not boxes(right, (230, 90, 0))[1:]  # the legend alone
    # the heading of a panel names the slice, so a volume's sheet is taller than that of its slice
    alone = decode(pictures.confidence_figure(np.where(labels == 1, 0.95, 0.5)[2], valid=valid[2]))
    assert sure.shape[0] > alone.shape[0]
    with pytest.raises(LabelError, match="rows and columns"):
        pictures.confidence_figure(np.ones((2, 2, 2, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("known", [{"rgb_bands": (4, 1, 0)}, {"wavelengths_nm": np.linspace(400, 800, 9)}, {}])
def test_spectra_of_a_scene_have_the_colours_of_its_picture(dtype: Any, known: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    values = (rng.gamma(2.0, 300.0, (14, 15, 9)) * np.arange(1, 10)).astype(dtype)
    valid = np.ones((14, 15), bool)
    valid[3:5] = False
    values[3:5] = 60000
    if dtype is np.float32:
        values[0, 0] = np.nan
    scene = Scene(values, valid=valid, **known)
    picture = pictures.false_colour(scene).astype(float)
    shown = valid & np.isfinite(values.astype(float)).all(-1)
    found = false_colours(values, scene)
    assert found.shape == (14, 15, 3)
    assert np.abs(255 * found - picture)[shown].max() <= 0.51
    assert (picture[shown].max(0) - picture[shown].min(0) == 255).all()
    patches = false_colours(values[shown][:20].reshape(4, 5, 9), scene)  # of any shape, one stretch for all
    np.testing.assert_array_equal(patches, found[shown][:20].reshape(4, 5, 3))


def test_colours_of_spectra_a_scene_does_not_have() -> None:
    """Generated ones: clipped to the scene's range, and not known where a band is not."""
    scene = Scene(ramp(), rgb_bands=(4, 1, 0))
    made = np.stack([np.full(9, -1e6), np.full(9, 1e6), np.where(np.arange(9) == 1, np.nan, -1e6)])
    np.testing.assert_array_equal(false_colours(made, scene), [[0, 0, 0], [1, 1, 1], [0, np.nan, 0]])


def test_errors_are_drawn_where_they_are() -> None:
    truth = np.array([[0, 1], [-1, 1]])
    labels = np.array([[0, 0], [0, 0]])
    test = np.array([[True, True], [True, False]])  # the unlabelled test pixel is not scored
    picture = decode(pictures.error_figure(labels, truth, test))
    right, wrong = boxes(picture, (0, 114, 178)), boxes(picture, (230, 90, 0))
    assert right[0] == wrong[0] == (300 * 300, 300, 300, True)
    assert len(right) == len(wrong) == 2  # the pixel and the legend


def test_confidence_runs_from_dark_to_bright() -> None:
    picture = decode(pictures.confidence_figure(np.array([[0.5, 1.0]]))).astype(int).sum(-1)
    frame = np.argwhere(picture == 3 * 150)
    (top, left), (bottom, right) = frame.min(0), frame.max(0)
    row = picture[(top + bottom) // 3, left + 1 : right]
    assert row[: len(row) // 3].max() < row[-len(row) // 3 :].min()


def test_confusion_is_dark_on_the_diagonal_of_a_right_map_and_leaves_empty_rows_grey() -> None:
    def blue_and_grey(matrix: NDArray[Any]) -> tuple[int, int]:
        picture = decode(charts.confusion_figure(matrix, CLASSES)).astype(int)
        return int((picture[..., 2] - picture[..., 0] > 60).sum()), int((picture == 238).all(-1).sum())

    every = blue_and_grey(np.diag([10, 20, 30]))
    missing = blue_and_grey(np.diag([10, 20, 0]))
    assert missing[0] < 0.75 * every[0]
    assert every[1] < 100 < 1000 < missing[1]


def test_confusion_ignores_the_scale_of_a_row_and_an_empty_column_of_missing_predictions() -> None:
    square = np.array([[8, 2, 0], [0, 5, 5], [1, 0, 9]])
    wide = np.hstack([square, np.zeros((3, 1), int)])
    assert charts.confusion_figure(square, CLASSES) == charts.confusion_figure(wide, CLASSES)
    wide[0, 3] = 4
    assert charts.confusion_figure(square, CLASSES) != charts.confusion_figure(wide, CLASSES)
    with pytest.raises(LabelError, match="confusion matrix of 3 classes"):
        charts.confusion_figure(np.eye(2), CLASSES)


def test_training_is_drawn_with_and_without_validation() -> None:
    steps = list(range(1, 301))
    terms = {"cross-entropy": (2 / np.sqrt(steps)).tolist(), "late": [0.5] * 100}
    training, scores = {"steps": steps, "terms": terms}, {"validated": [100, 200, 300], "scores": [70.0, None, 80.0]}
    alone, both = (decode(charts.training_figure(x)) for x in (training, training | scores))
    assert both.shape[0] > alone.shape[0]
    assert boxes(both, (0, 114, 178))  # the first term's colour


def test_spectra_skip_gaps_bad_bands_and_classes_without_pixels() -> None:
    rng = np.random.default_rng(0)
    spectra, labels = rng.random((30, 12)), np.repeat([0, 1], 15)
    spectra[:, 3] = 1e6  # a bad band must not set the scale
    good = np.arange(12) != 3
    nm = np.r_[np.linspace(400, 900, 6), np.linspace(1500, 2000, 6)]
    picture = decode(charts.spectra_figure(spectra, labels, CLASSES, COLOURS, wavelengths_nm=nm, good_bands=good))
    assert [bool(boxes(picture, colour)) for colour in (RED, GREEN, BLUE)] == [True, True, False]
    with pytest.raises(SceneError, match="a label each"):
        charts.spectra_figure(spectra, labels[:3], CLASSES, COLOURS)


def test_figures_leave_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    pictures.map_figure(np.array([[0, 1]]), CLASSES, COLOURS, title="x")
    charts.confusion_figure(np.eye(3), CLASSES)
    assert (dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules) == before
