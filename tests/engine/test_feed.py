"""Windows sent to a device as they are become the features that `Scene.features` gives; results come back in order."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nets import BANDS, K, net, scene

from hyperseg.core import Scene, SettingError
from hyperseg.data.preprocess import Preprocess, fit_preprocess
from hyperseg.engine import decide_scene, full_float32, predict_scene
from hyperseg.engine import feed as feeding
from hyperseg.engine.blocks import BUDGET_BYTES, FEWEST_PX, block_sides, pixels_that_fit, usual_sides
from hyperseg.engine.feed import CudaBus, Feed

KINDS = ("uint8", "uint16", ">u2", "int16", ">i4", "float32", ">f4", "float64")


def raw_scene(dtype: str, shape: tuple[int, ...] = (9, 7), *, holes: bool = False, seed: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    cube = rng.uniform(10, 240, (*shape, BANDS)).astype(dtype)
    valid = rng.random(shape) < 0.7 if holes else None
    if holes and cube.dtype.kind == "f":
        cube[~valid] = np.nan
    return Scene(cube, valid=valid, classes=tuple("abc"), colours=((0, 0, 0),) * K)


def fitted(where: Scene) -> Preprocess:
    return fit_preprocess(np.nan_to_num(np.asarray(where.cube).reshape(-1, BANDS).astype(np.float64), nan=99.0))


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
def test_features_are_those_of_the_scene_grown_by_reflection(dtype: str, holes: bool) -> None:
    for shape in ((9, 7), (1, 11), (4, 3, 5), (2, 2)):
        where = raw_scene(dtype, shape, holes=holes)
        preprocess = fitted(where)
        feed = Feed(where, preprocess, "cpu")
        at = tuple(slice(n // 3, n) for n in shape)
        pads = tuple((2 + axis, 3) for axis in range(len(shape)))
        expected = np.pad(where.features(preprocess, at), (*pads, (0, 0)), mode="reflect")
        np.testing.assert_allclose(feed.features(feed.send(at, pads)).numpy(), expected, atol=1e-6)
        np.testing.assert_allclose(feed.features(feed.send(at)).numpy(), where.features(preprocess, at), atol=1e-6)


def test_files_and_turned_arrays_are_taken_without_a_word(tmp_path: Path) -> None:
    where = raw_scene(">u2")
    np.save(tmp_path / "cube.npy", np.asarray(where.cube))
    preprocess, cube = fitted(where), np.asarray(where.cube)
    expected = where.features(preprocess)
    for same in (
        np.load(tmp_path / "cube.npy", mmap_mode="r"),
        np.ascontiguousarray(cube.transpose(0, 2, 1)).transpose(0, 2, 1),  # lines interleaved by band
        cube[::-1].copy()[::-1],
        cube.astype("<u2"),
    ):
        feed = Feed(where.with_(cube=same), preprocess, "cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(feed.features(feed.send((slice(None),) * 2)).numpy(), expected)
    read_only = np.load(tmp_path / "cube.npy", mmap_mode="r")
    assert not read_only.flags.writeable  # and stays so


@pytest.mark.parametrize("kind", ["longdouble", "askew"])
def test_arrays_that_torch_does_not_know_are_brought_to_what_it_knows(kind: str) -> None:
    where = raw_scene("float32")
    cube = np.asarray(where.cube)
    if kind == "askew":  # steps from value to value that are no multiple of a value's size
        record = np.zeros(len(cube), dtype=[("flag", "u1"), ("row", "f4", cube.shape[1:])])
        record["row"] = cube
        odd = record["row"]
    else:
        odd = cube.astype(np.longdouble)
    preprocess = fitted(where)
    feed = Feed(where.with_(cube=odd), preprocess, "cpu")
    np.testing.assert_array_equal(feed.features(feed.send((slice(None),) * 2)).numpy(), where.features(preprocess))


def test_a_network_in_training_mode_is_refused_before_it_is_run() -> None:
    where, model = raw_scene("float32"), net(2)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(SettingError, match="training mode"):
        predict_scene(model.train(), where, fitted(where), made_by="x")
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("padding", "layout"), [("valid", "depth"), ("same", "channels")])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint8", "float32", "float64"])
def test_a_map_does_not_depend_on_who_preprocesses(dtype: str, padding: Any, layout: str) -> None:
    where = raw_scene(dtype, (21, 17), holes=True)
    preprocess, model = fitted(where), net(2, padding, layout)
    expected = predict_scene(
        model, where, preprocess.__call__, made_by="x", tile=8
    ).probs  # a function knows no tensors
    np.testing.assert_allclose(predict_scene(model, where, preprocess, made_by="x", tile=8).probs, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("ndim", "padding", "shape"), [(2, "valid", (21, 17)), (2, "same", (21, 17)), (3, "valid", (4, 6, 5))]
)
@pytest.mark.parametrize("holes", [False, True])
def test_decisions_are_those_of_the_map(ndim: int, padding: Any, shape: tuple[int, ...], holes: bool) -> None:
    where = raw_scene("uint16", shape, holes=holes)
    preprocess, model = fitted(where), net(ndim, padding, "channels")
    made = predict_scene(model, where, preprocess, made_by="x", tile=8)
    found = decide_scene(model, where, preprocess, entropy=True, tile=8)
    assert found.entropy is not None
    inside = slice(None) if where.valid is None else where.valid
    np.testing.assert_array_equal(found.labels, made.labels())
    assert (found.labels.dtype, found.confidence.dtype) == (np.int16, np.float32)
    np.testing.assert_array_equal(found.confidence[inside], made.confidence()[inside])
    np.testing.assert_allclose(found.entropy[inside], made.entropy()[inside] / np.log(K), atol=1e-6)
    if where.valid is not None:
        assert (found.labels[~where.valid] == -1).all()
        assert np.isnan(np.stack([found.confidence, found.entropy])[:, ~where.valid]).all()
    assert decide_scene(model, where, preprocess, tile=8).entropy is None


def test_blocks_fit_the_memory_and_are_whole_rows_where_they_can_be() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        shape = tuple(int(n) for n in np.exp(rng.uniform(0, np.log(40_000), 2)))
        margin, pixels = (int(rng.integers(0, 9)),) * 2, int(np.exp(rng.uniform(np.log(2_000), np.log(10**7))))
        sides = block_sides(shape, margin, pixels)
        grown = [side + 2 * m for side, m in zip(sides, margin, strict=True)]
        assert np.prod(grown) <= max(pixels, 2304)  # 2304: no smaller than 16 pixels and their halo
        assert min(sides) >= 1
        if shape[1] * 64 < min(pixels, FEWEST_PX):
            assert sides[1] == shape[1]
    assert block_sides((145, 145), (4, 4), 10**6) == (145, 145)  # a small scene goes as a whole
    assert block_sides((610, 340), (4, 4), 10**6)[0] < 610 / 3  # a larger one in several pieces


def test_a_wider_network_gets_smaller_blocks() -> None:
    where = raw_scene("uint16", (400, 300))
    feed, narrow, wide = (
        Feed(where, fitted(where), "cpu"),
        torch.nn.Conv2d(BANDS, 8, 3),
        torch.nn.Conv2d(BANDS, 4000, 3),
    )

    def probe() -> torch.Tensor:
        return torch.zeros(1, BANDS, 18, 18)

    fits = [pixels_that_fit(model, probe, 12, free_bytes=None) for model in (narrow, wide)]
    assert fits[0] > 20 * fits[1]
    assert fits[1] * 4000 * 4 <= BUDGET_BYTES
    assert pixels_that_fit(wide, probe, 12, free_bytes=2**20) < 60
    assert usual_sides(net(2), feed, (2, 2)) == (48, 80)  # of a CPU


def test_float32_is_float32_within_and_what_it_was_after() -> None:
    def switches() -> list[Any]:
        return [torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision]

    def broken_off() -> None:
        with full_float32("cuda"):
            assert switches() == ["ieee", "ieee"]
            with full_float32("cuda"):
                pass
            assert switches() == ["ieee", "ieee"]
            raise KeyError

    before = switches()
    with pytest.raises(KeyError):
        broken_off()
    assert switches() == before
    with full_float32("cpu"):
        assert switches() == before


class Event:
    """Stands for a CUDA event: knows whether what was recorded has been waited for."""

    waited = 0

    def record(self, stream: Any = None) -> None: ...
    def synchronize(self) -> None:
        Event.waited += 1


class Stream:
    def __init__(self, device: Any = None) -> None: ...
    def wait_event(self, event: Event) -> None: ...
    def wait_stream(self, stream: Any) -> None: ...


@pytest.fixture
def cuda_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's streams, events and page-locked memory as stand-ins, the device being this CPU."""

    @contextmanager
    def within(stream: Any) -> Iterator[None]:
        yield

    empty, to = torch.empty, torch.Tensor.to
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(torch, "empty", lambda *a, pin_memory=False, **k: empty(*a, **k))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None, raising=False)
    # a device has memory of its own
    monkeypatch.setattr(
        torch.Tensor, "to", lambda x, *a, non_blocking=False, **k: to(x.clone() if non_blocking else x, *a, **k)
    )
    monkeypatch.setattr(feeding, "bus_to", CudaBus)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_way_to_a_gpu_gives_the_same_map(
    dtype: str, padding: Any, cuda_calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = raw_scene(dtype, (33, 21), holes=True)
    preprocess, model, waited = fitted(where), net(2, padding), Event.waited
    made = predict_scene(model, where, preprocess, made_by="x", tile=8).probs
    assert Event.waited > waited
    monkeypatch.undo()
    np.testing.assert_array_equal(made, predict_scene(model, where, preprocess, made_by="x", tile=8).probs)


def test_results_under_way_come_back_in_order(cuda_calls: None) -> None:
    where = raw_scene("uint16")
    drawn: list[int] = []

    def made() -> Iterator[tuple[int, tuple[torch.Tensor, ...]]]:
        for n in range(5):
            drawn.append(n)
            yield n, (torch.full((2,), float(n)), torch.tensor([n], dtype=torch.uint8))

    for n, (floats, byte) in Feed(where, fitted(where), "cpu").results(made()):
        assert [*floats.tolist(), *byte.tolist()] == [n, n, n]
        assert len(drawn) <= n + CudaBus.late
    assert drawn == list(range(5))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_a_map_made_on_cuda_is_the_cpus(dtype: str, padding: Any) -> None:
    for shape in ((300, 170), (1, 40), (33, 1)):
        where = raw_scene(dtype, shape, holes=True)
        preprocess, model = fitted(where), net(2, padding)
        ours = predict_scene(model, where, preprocess, made_by="x")
        model = model.cuda()
        theirs = predict_scene(model, where, preprocess, made_by="x", device="cuda")
        np.testing.assert_allclose(theirs.probs, ours.probs, atol=1e-4)
        top = np.sort(ours.probs, -1)
        decided = top[..., -1] - top[..., -2] > 2e-4
        np.testing.assert_array_equal(theirs.labels()[decided], ours.labels()[decided])
        found = decide_scene(model, where, preprocess, entropy=True, device="cuda")
        np.testing.assert_array_equal(found.labels, theirs.labels())
        model.cpu()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_large_scene_needs_no_more_than_two_gib_on_the_device() -> None:
    where = scene((1500, 2000))
    model = net(2).cuda()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    decide_scene(model, where, fitted(where), device="cuda")
    assert torch.cuda.max_memory_reserved() <= 2 * 2**30
