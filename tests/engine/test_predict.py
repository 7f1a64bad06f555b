"""Scenes through networks: tiled = patch by patch, whatever the size of scene and tile."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Encoder, seeded
from hyperseg.core import Scene, SceneError, SettingError
from hyperseg.data.patches import PatchSource
from hyperseg.engine import blend_windows, class_probabilities, predict_scene, predict_tiles
from hyperseg.engine.blend import starts, weights
from hyperseg.engine.lanes import in_order

BANDS, K = 6, 3


class Net(nn.Module):
    """Spectral stage, then spatial ones, as a classifier of patches or scenes; margin 2."""

    def __init__(self, ndim: int, padding: str) -> None:
        super().__init__()
        self.ndim, self.padded = ndim, padding == "same"
        if ndim == 3:
            conv = ConvSpec(3, padding=("valid", padding, padding))  # type: ignore[arg-type]
            spec = BackboneSpec(1, (4, 8), ((2, 1, 1), 1), ((3, 3, 3), (2, 3, 3)), (1, 1), conv)
        else:
            conv = ConvSpec(2, padding=padding, residual=True)  # type: ignore[arg-type]
            spec = BackboneSpec(BANDS, (8,), (1,), (3,), (1,), conv)
        self.encoder, self.head = Encoder(spec), ClassHead(spec, K, level=-1)
        self.margin = spec.margin[-1]

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.encoder(x if self.ndim == 3 else x.squeeze(1)))
        return y.squeeze(2) if self.ndim == 3 else y


def net(ndim: int = 3, padding: str = "valid") -> Any:
    with seeded(4):
        made = Net(ndim, padding)
        for _ in range(3):  # batch statistics that are not those of a new layer
            made(torch.randn(4, 1, BANDS, 9, 9))
    return made.eval()


def scene(shape: tuple[int, ...], *, seed: int = 0, **more: Any) -> Scene:
    cube = np.random.default_rng(seed).normal(size=(*shape, BANDS)).astype(np.float32)
    return Scene(cube, classes=tuple("abc"), colours=((0, 0, 0),) * K, **more)


def keep(x: Any) -> np.ndarray:
    return np.asarray(x, np.float32)


def patch_by_patch(model: Any, where: Scene) -> np.ndarray:
    source = PatchSource(np.asarray(where.cube[:]), radius=model.margin)
    pixels = torch.cartesian_prod(*map(torch.arange, where.shape)).reshape(-1, 2)
    with torch.no_grad():
        probs = model(source.gather(pixels)).softmax(1)
    assert probs.shape[2:] == (1, 1)
    return probs.reshape(*where.shape, K).numpy()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("shape", [(11, 13), (7, 4), (2, 2), (1, 9), (9, 1), (1, 1), (3, 40)])
def test_scene_equals_patch_by_patch_at_every_pixel(ndim: int, shape: tuple[int, int]) -> None:
    model, where = net(ndim), scene(shape)
    expected = patch_by_patch(model, where)
    assert np.ptp(expected) > 0.05 or shape == (1, 1)
    for tile in (*range(1, max(shape) + 2), None):
        got = predict_scene(model, where, keep, made_by="net", tile=tile).probs
        np.testing.assert_allclose(got, expected, atol=1e-4, err_msg=f"tile {tile}")


def test_every_pixel_is_in_exactly_one_tile_and_tiles_are_even() -> None:
    for shape, tile in (((17, 10), 6), ((5, 5), 99), ((13, 1), 4)):
        count = np.zeros(shape, int)
        for part, values in predict_tiles(net(2), scene(shape), keep, tile=tile):
            assert values.shape == (*(b - a for a, b in part.core), K)
            assert max(values.shape[:2]) <= tile
            count[part.core_slices] += 1
        assert (count == 1).all()
    sizes = {p.core[0][1] - p.core[0][0] for p, _ in predict_tiles(net(2), scene((33, 5)), keep, tile=32)}
    assert sizes == {17, 16}  # not 32 and a sliver of 1


class Middle(nn.Module):
    """Centre weights only: what comes out is what went in, without the margin."""

    padded = False

    def __init__(self, margin: int) -> None:
        super().__init__()
        self.margin = margin
        self.layer = nn.Conv2d(BANDS, BANDS, 2 * margin + 1, bias=False)
        nn.init.zeros_(self.layer.weight)
        for band in range(BANDS):
            self.layer.weight.data[band, band, margin, margin] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.squeeze(1))


@pytest.mark.parametrize("margin", [0, 1, 5])
def test_a_network_that_looks_at_the_centre_returns_its_input(margin: int) -> None:
    where = scene((12, 7)).with_(classes=tuple("abcdef"), colours=((0, 0, 0),) * BANDS)
    expected = torch.from_numpy(np.asarray(where.cube)).softmax(-1).numpy()
    for tile in (1, 3, 5, None):
        got = predict_scene(Middle(margin).eval(), where, keep, made_by="x", tile=tile).probs
        np.testing.assert_allclose(got, expected, atol=1e-6)


class Lazy:
    """A cube on disk, as it were: notes the largest window asked for, refuses anything but windows."""

    def __init__(self, cube: np.ndarray) -> None:
        self._cube, self.shape, self.dtype, self.largest = cube, cube.shape, cube.dtype, 0

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        window = self._cube[key]
        self.largest = max(self.largest, window.shape[0] * window.shape[1])
        return window

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("the whole cube was read")


def test_a_lazy_cube_is_read_in_windows_only() -> None:
    where, tile = scene((40, 30)), 8
    for model, most in ((net(2), (tile + 4) ** 2), (net(2, "same"), tile**2)):
        lazy = Lazy(np.asarray(where.cube))
        got = predict_scene(model, where.with_(cube=lazy), keep, made_by="x", tile=tile).probs
        assert 0 < lazy.largest <= most
        np.testing.assert_array_equal(got, predict_scene(model, where, keep, made_by="x", tile=tile).probs)


def test_the_stream_is_lazy_too() -> None:
    lazy = Lazy(np.asarray(scene((40, 30)).cube))
    reads: list[int] = []

    def counted(x: Any) -> np.ndarray:
        reads.append(1)
        return keep(x)

    next(iter(predict_tiles(net(2), scene((40, 30)).with_(cube=lazy), counted, tile=8)))
    assert len(reads) <= 2 * (torch.get_num_threads() + 1) < 20  # pairs of the 20 tiles


SYMMETRIES = [(k, flip) for k in range(4) for flip in (False, True)]


def turn(x: np.ndarray, k: int, flip: bool) -> np.ndarray:
    x = np.rot90(x, k, (0, 1))
    return np.ascontiguousarray(x[::-1] if flip else x)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_flips_average_the_eight_symmetries_and_make_prediction_equivariant(padding: str) -> None:
    model, where = net(3, padding), scene((9, 6))
    cube = np.asarray(where.cube)
    plain = {
        s: predict_scene(model, where.with_(cube=turn(cube, *s)), keep, made_by="x").probs for s in SYMMETRIES
    }
    back = [np.rot90(p[::-1] if flip else p, -k, (0, 1)) for (k, flip), p in plain.items()]
    averaged = predict_scene(model, where, keep, made_by="x", flips=True).probs
    np.testing.assert_allclose(averaged, np.mean(back, axis=0), atol=1e-5)
    assert np.abs(averaged - plain[0, False]).max() > 1e-3
    for s in SYMMETRIES:
        turned = predict_scene(model, where.with_(cube=turn(cube, *s)), keep, made_by="x", flips=True).probs
        np.testing.assert_allclose(turned, turn(averaged, *s), atol=1e-5)


class Padded(nn.Module):
    """A padded network whose answer is the same everywhere, or the pixel's own first K bands."""

    margin, padded = 0, True

    def __init__(self, constant: bool) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, x: Tensor) -> Tensor:
        logits = x[:, 0, :K]
        return torch.zeros_like(logits) + torch.arange(K)[:, None, None] if self.constant else logits


@pytest.mark.parametrize(
    ("shape", "tile"), [((20, 13), 8), ((20, 13), 7), ((5, 31), 16), ((9, 9), 1), ((1, 6), 4)]
)
def test_blending_windows_that_agree_changes_nothing(shape: tuple[int, int], tile: int) -> None:
    where = scene(shape)
    constant = predict_scene(Padded(True).eval(), where, keep, made_by="x", tile=tile).probs
    expected = torch.arange(K).float().softmax(0).numpy()
    np.testing.assert_allclose(constant, np.broadcast_to(expected, constant.shape), atol=1e-6)
    own = predict_scene(Padded(False).eval(), where, keep, made_by="x", tile=tile).probs
    softmax = torch.from_numpy(np.asarray(where.cube)[..., :K]).softmax(-1).numpy()
    np.testing.assert_allclose(own, softmax, atol=1e-6)


def test_blend_equals_the_weighted_mean_over_whole_windows() -> None:
    model, where, side = net(2, "same"), scene((21, 18)), 8
    cube, total, mass = np.asarray(where.cube), np.zeros((21, 18, K)), np.zeros((21, 18, 1))
    weight = weights((side, side)).astype(float)
    for r in starts(21, side):
        for c in starts(18, side):
            window = (slice(r, r + side), slice(c, c + side))
            total[window] += (
                weight * class_probabilities(model, torch.from_numpy(cube[window][None].copy()))[0].numpy()
            )
            mass[window] += weight
    bands = list(blend_windows(model, where, keep, tile=side))
    assert [p.core[0][0] for p, _ in bands] == starts(21, side)  # yielded row by row, as soon as closed
    np.testing.assert_allclose(np.concatenate([v for _, v in bands]), total / mass, atol=1e-5)


def test_windows_cover_the_axis_with_half_overlap() -> None:
    for n in range(1, 40):
        for side in range(1, n + 1):
            at = starts(n, side)
            assert at[0] == 0
            assert at[-1] == n - side
            assert all(0 < b - a <= max(side // 2, 1) for a, b in pairwise(at))


def test_a_scene_smaller_than_a_window_is_one_window() -> None:
    model, where = net(2, "same"), scene((6, 5))
    whole = class_probabilities(model, torch.from_numpy(np.asarray(where.cube))[None])[0].numpy()
    np.testing.assert_allclose(predict_scene(model, where, keep, made_by="x").probs, whole, atol=1e-6)


def test_no_data_goes_with_the_map_and_broken_values_reach_no_farther_than_the_margin() -> None:
    valid = np.ones((12, 12), bool)
    valid[5, 5] = False
    where = scene((12, 12), valid=valid)
    holed = np.array(where.cube)
    holed[5, 5] = np.nan
    clean = predict_scene(net(), where, keep, made_by="x")
    got = predict_scene(net(), where.with_(cube=holed), lambda x: np.nan_to_num(keep(x)), made_by="x")
    assert got.valid is valid
    assert got.labels()[5, 5] == -1
    assert (got.labels() != -1).sum() == 143
    changed = np.abs(got.probs - clean.probs).max(-1) > 1e-6
    assert changed[3:8, 3:8].any()
    changed[3:8, 3:8] = False
    assert not changed.any()


def test_map_carries_the_scene_and_progress_ends_at_all_pixels() -> None:
    where, calls = scene((10, 11)), []
    made = predict_scene(
        net(2), where, keep, made_by="cnn", tile=4, progress=lambda done, total: calls.append((done, total))
    )
    assert (made.made_by, made.classes, made.grid) == (("cnn",), where.classes, where.grid)
    np.testing.assert_allclose(made.probs.sum(-1), 1, atol=1e-5)
    assert calls[-1] == (110, 110)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_bf16_is_close_and_probabilities_are_float32() -> None:
    model, where = net(3), scene((9, 9))
    low = predict_scene(model, where, keep, made_by="x", precision="bf16").probs
    full = predict_scene(model, where, keep, made_by="x").probs
    assert low.dtype == np.float32
    assert 0 < np.abs(low - full).max() < 0.05


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_tiles_in_several_threads_are_the_same_tiles(padding: str) -> None:
    model, where, before = net(3, padding), scene((23, 21)), torch.get_num_threads()
    maps = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps.append(predict_scene(model, where, keep, made_by="x", tile=6, flips=True).probs)
            assert torch.get_num_threads() == threads
            with ThreadPoolExecutor(1) as later:  # nor is the setting of the lanes left to others
                assert later.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)


def test_lanes_keep_the_order_and_do_not_run_ahead() -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[int]:
        for i in range(12):
            drawn.append(i)
            yield i

    def work(i: int) -> tuple[int, int]:
        time.sleep(0.01 * (i % 3 == 0))  # later jobs overtake
        return i, torch.get_num_threads()

    stream = in_order(work, jobs(), lanes=3)
    assert next(stream) == (0, 1)
    assert len(drawn) == 4
    assert list(stream) == [(i, 1) for i in range(1, 12)]


def test_an_error_in_a_lane_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // (2 - i), range(9), lanes=2))


def test_a_lone_tile_is_not_sent_alone() -> None:
    seen: list[int] = []
    model = net(3)
    model.register_forward_pre_hook(lambda _m, x: seen.append(len(x[0])))
    predict_scene(model, scene((5, 5)), keep, made_by="x")
    predict_scene(model, scene((5, 25)), keep, made_by="x", tile=5)
    assert seen == [2, 2, 2, 2]  # one tile; then five


def test_mistakes_are_named() -> None:
    model, where = net(), scene((6, 6))
    with pytest.raises(SettingError, match="padded network"):
        next(predict_tiles(net(2, "same"), where, keep))
    with pytest.raises(SettingError, match="1 pixel or more, got 0"):
        predict_scene(model, where, keep, made_by="x", tile=0)
    with pytest.raises(SettingError, match="scores 3 classes, but scene names 0"):
        predict_scene(model, where.with_(classes=(), colours=()), keep, made_by="x")
    with pytest.raises(SceneError, match="rows, columns, bands"):
        predict_scene(model, scene((4, 4, 4)), keep, made_by="x")
    next(m for m in model.modules() if isinstance(m, nn.BatchNorm3d)).train()
    with pytest.raises(SettingError, match="training mode"):
        predict_scene(model, where, keep, made_by="x")
