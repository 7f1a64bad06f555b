"""Scenes through networks: tiled = patch by patch, whatever the size of scene and tile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from nets import BANDS, K, Net, keep, net, scene
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Encoder
from hyperseg.backbone.spec import Padding
from hyperseg.core import Scene, SceneError, SettingError, tiles
from hyperseg.core.tiles import PerAxis
from hyperseg.data.patches import PatchSource
from hyperseg.engine import predict_scene, predict_tiles, window_features
from hyperseg.engine.blend import starts, weights
from hyperseg.engine.forward import class_probabilities
from hyperseg.engine.lanes import in_order


def mapped(model: Any, where: Scene, **options: Any) -> np.ndarray:
    return predict_scene(model, where, keep, made_by="x", **options).probs


def patch_by_patch(model: Any, where: Scene) -> np.ndarray:
    source = PatchSource(np.asarray(where.cube[:]), radius=model.margin, layout=model.layout)
    pixels = torch.cartesian_prod(*map(torch.arange, where.shape)).reshape(-1, len(where.shape))
    with torch.no_grad():
        probs = model(source.gather(pixels)).softmax(1)
    assert set(probs.shape[2:]) == {1}
    return probs.reshape(*where.shape, K).numpy()


FLAT = [(11, 13), (7, 4), (2, 2), (1, 9), (9, 1), (1, 1), (3, 40)]
SOLID = [(5, 7, 6), (1, 4, 9), (3, 1, 2), (1, 1, 1), (2, 3, 21)]
CASES = [(2, "depth", FLAT), (3, "depth", FLAT), (2, "channels", FLAT), (3, "channels", SOLID)]


@pytest.mark.parametrize(("ndim", "layout", "shape"), [(n, x, shape) for n, x, all_ in CASES for shape in all_])
def test_scene_equals_patch_by_patch_at_every_pixel(ndim: int, layout: str, shape: tuple[int, ...]) -> None:
    model, where = net(ndim, layout=layout), scene(shape)
    expected = patch_by_patch(model, where)
    assert np.ptp(expected) > 0.05 or set(shape) == {1}
    for tile in (*range(1, max(shape) + 2), tuple(range(2, 2 + len(shape))), None):
        got = mapped(model, where, tile=tile)
        np.testing.assert_allclose(got, expected, atol=1e-4, err_msg=f"tile {tile}")


@pytest.mark.parametrize(("padding", "tile"), [("valid", 4), ("valid", (1, 5, 3)), ("same", (1, 6, 6))])
def test_a_network_that_looks_at_single_slices_maps_a_volume_slice_by_slice(padding: Padding, tile: PerAxis) -> None:
    conv = ConvSpec(3, padding=padding, residual=True)
    flat, solid = net(2, padding, "channels"), Net(3, padding, "channels")
    spec = BackboneSpec(BANDS, (8,), (1,), ((1, 3, 3),), (1,), conv)
    solid.encoder, solid.head, solid.margin = Encoder(spec), ClassHead(spec, K), spec.margin
    given, ours = flat.state_dict(), solid.state_dict()
    solid.load_state_dict({name: given[name].reshape(of.shape) for name, of in ours.items()})
    where = scene((4, 9, 8))
    got = mapped(solid.eval(), where, tile=tile)
    side = tile if isinstance(tile, int) else tile[1:]
    for values, cube in zip(got, np.asarray(where.cube), strict=True):
        image = mapped(flat, where.with_(cube=cube), tile=side)
        np.testing.assert_allclose(values, image, atol=1e-5)


def test_every_pixel_is_in_exactly_one_tile_and_tiles_are_even() -> None:
    for shape, tile in (((17, 10), 6), ((5, 5), 99), ((13, 1), 4), ((9, 4, 7), 4)):
        count = np.zeros(shape, int)
        model = net(len(shape), layout="depth" if len(shape) == 2 else "channels")
        for part, values in predict_tiles(model, scene(shape), keep, tile=tile):
            assert values.shape == (*(b - a for a, b in part.core), K)
            assert max(values.shape[:-1]) <= tile
            count[part.core_slices] += 1
        assert (count == 1).all()
    sizes = {p.core[0][1] - p.core[0][0] for p, _ in predict_tiles(net(2), scene((33, 5)), keep, tile=32)}
    assert sizes == {17, 16}  # not 32 and a sliver of 1


class Middle(nn.Module):
    """Centre weights only: what comes out is what went in, without the margin."""

    padded = False

    def __init__(self, margin: tuple[int, ...], layout: str) -> None:
        super().__init__()
        self.margin, self.layout = margin, layout
        conv = nn.Conv2d if len(margin) == 2 else nn.Conv3d
        self.features = conv(BANDS, BANDS, [2 * m + 1 for m in margin], bias=False)
        nn.init.zeros_(self.features.weight)
        for band in range(BANDS):
            self.features.weight.data[band, band, *margin] = 1.0
        if layout == "depth":
            self.features = nn.Sequential(nn.Flatten(1, 2), self.features)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


@pytest.mark.parametrize(
    ("margin", "layout"),
    [((0, 0), "depth"), ((1, 1), "depth"), ((5, 5), "depth"), ((3, 1), "channels"), ((0, 2, 1), "channels")],
)
def test_a_network_that_looks_at_the_centre_returns_its_input(margin: tuple[int, ...], layout: str) -> None:
    where = scene((12, 7, 5)[: len(margin)]).with_(classes=tuple("abcdef"), colours=((0, 0, 0),) * BANDS)
    model = Middle(margin, layout).eval()
    expected = torch.from_numpy(np.asarray(where.cube)).softmax(-1).numpy()
    for tile in (1, 3, 5, None):
        got = mapped(model, where, tile=tile)
        np.testing.assert_allclose(got, expected, atol=1e-6)
    for part in tiles(where.shape, size=5, halo=margin):
        found = window_features(model, where, keep, part).movedim(0, -1).numpy()
        np.testing.assert_allclose(found, where.cube[part.core_slices], atol=1e-6)


class Lazy:
    """A cube on disk, as it were: notes the largest window asked for, refuses anything but windows."""

    def __init__(self, cube: np.ndarray) -> None:
        self._cube, self.shape, self.dtype, self.largest = cube, cube.shape, cube.dtype, 0

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        window = self._cube[key]
        self.largest = max(self.largest, window[..., 0].size)
        return window

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("the whole cube was read")


def test_a_lazy_cube_is_read_in_windows_only() -> None:
    flat, solid, tile = scene((40, 30)), scene((11, 20, 9)), 8
    for where, model, most in (
        (flat, net(2), (tile + 4) ** 2),
        (flat, net(2, "same"), tile**2),
        (solid, net(3, layout="channels"), (tile + 2) * (tile + 4) ** 2),
        (solid, net(3, "same", "channels"), tile**3),
    ):
        lazy = Lazy(np.asarray(where.cube))
        got = mapped(model, where.with_(cube=lazy), tile=tile)
        assert 0 < lazy.largest <= most
        np.testing.assert_array_equal(got, mapped(model, where, tile=tile))


def test_the_stream_is_lazy_too() -> None:
    reads: list[Any] = []

    def noted(x: Any) -> np.ndarray:
        reads.append(x)
        return keep(x)

    next(predict_tiles(net(2), scene((40, 30)), noted, tile=8))
    assert len(reads) <= 2 * (torch.get_num_threads() + 1) < 20  # pairs of the 20 tiles


Turn = Callable[[np.ndarray], np.ndarray]


def symmetries(ndim: int) -> list[tuple[Turn, Turn]]:
    """Flips and quarter turns of an image, reflections of a volume, each with its inverse."""
    if ndim == 3:
        axes = [a for n in range(4) for a in combinations(range(3), n)]
        return [(partial(np.flip, axis=a), partial(np.flip, axis=a)) for a in axes]
    turns: list[tuple[Turn, Turn]] = [(partial(np.rot90, k=k), partial(np.rot90, k=-k)) for k in range(4)]
    flipped: list[tuple[Turn, Turn]] = [(lambda x, t=t: t(x)[::-1], lambda x, b=b: b(x[::-1])) for t, b in turns]
    return turns + flipped


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("layout", "shape"), [("depth", (9, 6)), ("channels", (5, 7, 6))])
def test_flips_average_eight_symmetries_and_make_prediction_equivariant(
    layout: str, shape: tuple[int, ...], padding: Padding
) -> None:
    model, where, every = net(3, padding, layout), scene(shape), symmetries(len(shape))

    def seen(turn: Turn, back: Turn, **options: Any) -> np.ndarray:
        return back(mapped(model, where.with_(cube=turn(np.asarray(where.cube)).copy()), **options))

    averaged = mapped(model, where, flips=True)
    np.testing.assert_allclose(averaged, np.mean([seen(*s) for s in every], axis=0), atol=1e-5)
    assert np.abs(averaged - mapped(model, where)).max() > 1e-3
    for s in every:
        np.testing.assert_allclose(seen(*s, flips=True), averaged, atol=1e-5)


class Own(nn.Module):
    """A padded network whose answer is the pixel's own first K bands: all windows agree."""

    margin, padded = 0, True

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :K]


@pytest.mark.parametrize(("shape", "tile"), [((20, 13), 8), ((20, 13), 7), ((5, 31), 16), ((9, 9), 1), ((1, 6), 4)])
def test_blending_windows_that_agree_changes_nothing(shape: tuple[int, int], tile: int) -> None:
    where = scene(shape)
    expected = torch.from_numpy(np.asarray(where.cube)[..., :K]).softmax(-1).numpy()
    np.testing.assert_allclose(mapped(Own().eval(), where, tile=tile), expected, atol=1e-6)


@pytest.mark.parametrize(("shape", "layout"), [((21, 18), "depth"), ((21, 18), "channels"), ((13, 9, 11), "channels")])
def test_blend_equals_the_weighted_mean_over_whole_windows(shape: tuple[int, ...], layout: str) -> None:
    model, where, side = net(len(shape), "same", layout), scene(shape), 8
    cube, total, mass = np.asarray(where.cube), np.zeros((*shape, K)), np.zeros((*shape, 1))
    weight = weights((side,) * len(shape)).astype(float)
    for origin in product(*(starts(n, side) for n in shape)):
        window = tuple(slice(a, a + side) for a in origin)
        probs = class_probabilities(model, torch.from_numpy(cube[window][None].copy()))
        total[window] += weight * probs[0].numpy()
        mass[window] += weight
    slabs = list(predict_tiles(model, where, keep, tile=side))
    assert [p.core[0][0] for p, _ in slabs] == starts(shape[0], side)  # yielded in order, as soon as closed
    assert all(p.core[1:] == tuple((0, n) for n in shape[1:]) for p, _ in slabs)
    np.testing.assert_allclose(np.concatenate([v for _, v in slabs]), total / mass, atol=1e-5)
    whole = class_probabilities(model, torch.from_numpy(cube)[None])[0].numpy()  # no larger than a usual window
    np.testing.assert_allclose(mapped(model, where), whole, atol=1e-6)


def test_windows_cover_the_axis_with_half_overlap() -> None:
    for n in range(1, 40):
        for side in range(1, n + 1):
            at = starts(n, side)
            assert (at[0], at[-1]) == (0, n - side)
            assert all(0 < b - a <= max(side // 2, 1) for a, b in pairwise(at))


def test_no_data_goes_with_the_map_and_broken_values_reach_no_farther_than_the_margin() -> None:
    valid = np.ones((12, 12), bool)
    valid[5, 5] = False
    where = scene((12, 12), valid=valid)
    holed = np.array(where.cube)
    holed[5, 5] = np.nan
    clean = predict_scene(net(), where, keep, made_by="x")
    got = predict_scene(net(), where.with_(cube=holed), lambda x: np.nan_to_num(keep(x)), made_by="x")
    assert got.valid is valid
    assert np.array_equal(got.labels() == -1, ~valid)
    np.testing.assert_array_equal(got.probs, clean.probs)  # of pixels known to hold no data nothing is seen
    unknown = where.with_(valid=None)
    clean = predict_scene(net(), unknown, keep, made_by="x")
    got = predict_scene(net(), unknown.with_(cube=holed), lambda x: np.nan_to_num(keep(x)), made_by="x")
    changed = np.abs(got.probs - clean.probs).max(-1) > 1e-6
    assert changed[3:8, 3:8].any()
    changed[3:8, 3:8] = False
    assert not changed.any()


@pytest.mark.parametrize(("ndim", "layout", "shape"), [(2, "depth", (10, 11)), (3, "channels", (4, 5, 6))])
def test_map_carries_the_scene_and_progress_ends_at_all_pixels(ndim: int, layout: str, shape: tuple[int, ...]) -> None:
    where, calls = scene(shape), []
    model, report = net(ndim, layout=layout), lambda *of: calls.append(of)
    made = predict_scene(model, where, keep, made_by="cnn", tile=4, progress=report)
    assert (made.made_by, made.classes, made.grid) == (("cnn",), where.classes, where.grid)
    assert made.shape == shape
    np.testing.assert_allclose(made.probs.sum(-1), 1, atol=1e-5)
    assert calls[-1] == (np.prod(shape),) * 2
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_bf16_is_close_and_probabilities_are_float32() -> None:
    model, where = net(3), scene((9, 9))
    low = mapped(model, where, precision="bf16")
    assert low.dtype == np.float32
    assert 0 < np.abs(low - mapped(model, where)).max() < 0.05


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_tiles_in_several_threads_are_the_same_tiles(padding: Padding) -> None:
    model, where, before = net(3, padding), scene((23, 21)), torch.get_num_threads()
    maps = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps.append(mapped(model, where, tile=6, flips=True))
            assert torch.get_num_threads() == threads
            with ThreadPoolExecutor(1) as later:  # nor is the setting of the lanes left to others
                assert later.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)


def test_lanes_keep_the_order_and_do_not_run_ahead() -> None:
    def work(i: int) -> tuple[int, int]:
        time.sleep(0.01 * (i % 3 == 0))  # later jobs overtake
        return i, torch.get_num_threads()

    jobs = iter(range(12))
    stream = in_order(work, jobs, lanes=3)
    assert next(stream) == (0, 1)
    assert next(jobs) == 4
    assert list(stream) == [(i, 1) for i in range(1, 12) if i != 4]


def test_an_error_in_a_lane_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // (2 - i), range(9), lanes=2))


def test_a_lone_tile_is_not_sent_alone_unless_it_is_large() -> None:
    seen: list[int] = []
    for model, shape, tile in (
        (net(3), (5, 5), None),
        (net(3), (5, 25), 5),
        (net(3, layout="channels"), (5, 5, 15), 5),
        (net(3, "same", "channels"), (64, 64, 64), None),
    ):
        handle = model.register_forward_pre_hook(lambda _m, x: seen.append(len(x[0])))
        mapped(model, scene(shape), tile=tile)
        handle.remove()
    assert seen == [2, *[2, 2, 2], *[2, 2], 1]  # one tile; five; three of a volume; one large window


def test_mistakes_are_named() -> None:
    model, where = net(), scene((6, 6))
    with pytest.raises(SettingError, match="1 pixel or more, got 0"):
        mapped(model, where, tile=0)
    with pytest.raises(SettingError, match="scores 3 classes, but scene names 0"):
        mapped(model, where.with_(classes=(), colours=()))
    with pytest.raises(SceneError, match="rows, columns, bands"):
        mapped(model, scene((4, 4, 4)))
    for wrong, message in (
        ({"layout": "bands"}, "depth or channels, got 'bands'"),
        ({"margin": 1}, r"maps of \(4, 4\) pixels .* of \(8, 8\), but by its margin of 1 they would be \(6, 6\)"),
        ({"margin": (2, 2, 2)}, "one for each of 2 axes"),
    ):
        liar = net()
        vars(liar).update(wrong)
        with pytest.raises(SettingError, match=message):
            mapped(liar, where, tile=6)
    with pytest.raises(SettingError, match=r"need one margin, not \(3, 1\)"):
        mapped(Middle((3, 1), "channels").eval(), where, flips=True)
    next(m for m in model.modules() if isinstance(m, nn.BatchNorm3d)).train()
    with pytest.raises(SettingError, match="training mode"):
        mapped(model, where)
