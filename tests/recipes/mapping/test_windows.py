"""A map made in windows is the map of the whole scene; what is interrupted goes on to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import EAGER, Watched, line

from hyperseg.core import UNLABELLED, DataFileError, RunError, Scene, SettingError
from hyperseg.io.read import read_array, read_scene
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping import windows
from hyperseg.recipes.mapping.apply import Cluster, apply_run, map_here
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.run.load import load_run

SIDE = 32


@pytest.fixture(scope="module")
def large(toy: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """(90, 77, 16) float32 in a file: the toy scene many times over, every copy a little different; a hole in it."""
    cube = np.tile(np.asarray(toy.cube), (4, 4, 1))[:90, :77].astype(np.float32)
    cube += np.random.default_rng(0).normal(0, 0.05 * cube.std(), cube.shape).astype(np.float32)
    cube[40:70, 30:70] = np.nan
    path = tmp_path_factory.mktemp("large") / "large.npy"
    np.save(path, cube)
    return path


@pytest.fixture(scope="module")
def folders(toy: Scene, quick: Any, run: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    made = {"cnn3d": run(toy, quick(steps=12), root / "cnn3d")}
    made["svm"] = run(toy, quick(method="svm"), root / "svm")
    with line(REFINERS, "dense-crf", EAGER):
        made["dense"] = run(toy, quick(refine=("dense-crf",), steps=12), root / "dense")
    short = {
        "crf.weight": 0.5, "deep-crf.steps": 60, "deconv.parts": 1, "deconv.steps": 4, "deconv.crop": 16,
        "deconv.forced": True,
    }  # fmt: skip
    settings = quick(refine=("deep-crf", "deconv"), steps=12, changes=short)
    made["chain"] = run(toy, settings, root / "chain")
    return made


def ctrl_c(after: int) -> Callable[[int], None]:
    """For `on_window`: Ctrl-C once so many windows are kept."""
    left = list(range(after))

    def on_window(number: int) -> None:
        left.pop()
        if not left:
            raise KeyboardInterrupt

    return on_window


def layers(out: Path) -> tuple[np.ndarray, np.ndarray]:
    confidence = read_array(out.with_name(out.stem + "-confidence.tif"), ndim=2)
    return read_map(out)[0], np.asarray(confidence[...])


def mapped(run: Path, scene: Scene, out: Path, **options: Any) -> Path:
    return apply_run(run, scene, out=out, device="cpu", quiet=True, **options)


@pytest.mark.parametrize(("name", "refined"), [("cnn3d", False), ("svm", False), ("chain", True)])
def test_windows_give_the_map_of_the_whole(
    folders: dict[str, Path], large: Path, tmp_path: Path, name: str, refined: bool
) -> None:
    scene = read_scene(large)
    whole = layers(mapped(folders[name], scene, tmp_path / "whole.tif", refine=refined))
    parts = layers(mapped(folders[name], scene, tmp_path / "parts.tif", refine=refined, side=SIDE))
    mapper = make_mapper(load_run(folders[name]), refine=refined, probabilities=False, device="cpu")
    assert mapper.refine == refined
    assert len(plan_windows(scene, halo_px=mapper.halo_px, side=SIDE, refined=refined)) == 9
    np.testing.assert_allclose(whole[1], parts[1], atol=2e-5)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[0] == UNLABELLED, np.isnan(np.load(large)).any(-1))
    assert len(np.unique(whole[0])) > 2


def test_after_a_dense_crf_windows_are_nearly_the_map_of_the_whole_and_that_is_said(
    folders: dict[str, Path], large: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = read_scene(large)
    whole = layers(mapped(folders["dense"], scene, tmp_path / "whole.tif", refine=True))[0]
    rough = layers(mapped(folders["dense"], scene, tmp_path / "rough.tif", refine=False))[0]
    assert "can differ" not in caplog.text
    with caplog.at_level("INFO", logger="hyperseg"):
        parts = layers(mapped(folders["dense"], scene, tmp_path / "p.tif", refine=True, side=SIDE))[0]
    assert "can differ a little" in caplog.text
    changed = (whole != rough).mean()
    assert (whole != parts).mean() < 0.05 * changed + 1e-3 < changed


def test_windows_follow_from_the_memory_of_a_pixel() -> None:
    class Endless:
        shape, dtype = (40_000, 30_000, 285), np.dtype("float32")

        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("planning reads nothing")

    scene = Scene(Endless())
    plain = plan_windows(scene, halo_px=4)
    refined = plan_windows(scene, halo_px=48, refined=True)
    for found, budget in ((plain, windows.WINDOW_BYTES), (refined, windows.REFINED_BYTES)):
        largest = max(int(np.prod([b - a for a, b in w.read])) for w in found)
        assert 0.6 * budget < largest * 285 * 4 <= budget
        assert sum(int(np.prod([b - a for a, b in w.core])) for w in found) == 40_000 * 30_000
    assert all(a % windows.ALIGNED_PX == 0 for w in refined for a, _ in w.read)
    assert len(plan_windows(Scene(np.zeros((50, 60, 9))), halo_px=4)) == 1


def test_interrupted_and_resumed_to_the_same_bytes(folders: dict[str, Path], large: Path, tmp_path: Path) -> None:
    scene, run = read_scene(large), folders["cnn3d"]
    expected = mapped(run, scene, tmp_path / "expected.tif", side=SIDE, entropy=True)
    out, done = tmp_path / "m.tif", []
    for n in range(4):
        with pytest.raises(Interrupted) as stop:
            mapped(run, scene, out, side=SIDE, entropy=True, resume=n > 0, on_window=ctrl_c(after=2))
        assert stop.value.folder == out
        assert not out.exists()
    with pytest.raises(RunError, match=r"m\.unfinished: an unfinished map lies here. Go on with --resume"):
        mapped(run, scene, out, side=SIDE, entropy=True)
    for changed in ({"side": 48}, {"entropy": False}):
        with pytest.raises(RunError, match="begun with another"):
            mapped(run, scene, out, **{"side": SIDE, "entropy": True, **changed}, resume=True)
    with pytest.raises(RunError, match="begun with another run"):
        mapped(folders["svm"], scene, out, side=SIDE, entropy=True, resume=True)
    mapped(run, scene, out, side=SIDE, entropy=True, resume=True, on_window=done.append)
    assert done == [8]  # of nine windows two were stored each time
    for ending in (".tif", "-confidence.tif", "-entropy.tif", ".qml", ".tif.aux.xml"):
        assert (tmp_path / f"m{ending}").read_bytes() == (tmp_path / f"expected{ending}").read_bytes()
    assert not (tmp_path / "m.unfinished").exists()
    assert expected.exists()


def test_an_error_keeps_what_is_there_and_says_how_to_go_on(
    folders: dict[str, Path], large: Path, tmp_path: Path
) -> None:
    scene, run, reads = read_scene(large), folders["cnn3d"], []
    watched = scene.with_(cube=Watched(scene.cube, reads.append))
    mapped(run, watched, tmp_path / "whole.tif", side=SIDE)
    first = len(reads) - 9  # of nine windows

    def failing(nth: int) -> Scene:
        left = reads[:nth]

        def fails(key: Any) -> None:
            if not left:
                raise DataFileError("the disk went away")
            left.pop()

        return scene.with_(cube=Watched(scene.cube, fails))

    with pytest.raises(DataFileError, match="went away") as error:
        mapped(run, failing(first + 3), tmp_path / "m.tif", side=SIDE)
    assert "--resume" in error.value.__notes__[0]
    assert (tmp_path / "m.unfinished").exists()
    with pytest.raises(DataFileError):  # nothing is there yet: nothing is kept
        mapped(run, failing(first), tmp_path / "other.tif", side=SIDE)
    assert not list(tmp_path.glob("other*"))


def test_a_damaged_plan_is_named(folders: dict[str, Path], large: Path, tmp_path: Path) -> None:
    (tmp_path / "m.unfinished").mkdir()
    (tmp_path / "m.unfinished" / "plan.json").write_text("{")
    with pytest.raises(RunError, match=r"plan\.json: damaged"):
        mapped(folders["svm"], read_scene(large), tmp_path / "m.tif", resume=True)
    (tmp_path / "m.unfinished" / "plan.json").unlink()  # killed before anything was planned
    mapped(folders["svm"], read_scene(large), tmp_path / "m.tif", resume=True)
    assert not (tmp_path / "m.unfinished").exists()


def test_a_full_disk_is_told_before_the_work_starts(
    folders: dict[str, Path], large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DataFileError, match=r"m\.unfinished: .*No space left on device.*takes 0 MB.*Make room"):
        mapped(
            folders["svm"], read_scene(large), tmp_path / "m.tif",
            on_window=lambda n: pytest.fail("the work started"),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
from hyperseg.io.read import read_scene
from hyperseg.recipes.mapping.apply import apply_run
run, scene, out = Path(sys.argv[1]), read_scene(sys.argv[2]), Path(sys.argv[3])
apply_run(
    run, scene, out=out, side=16, resume=True, device="cpu", quiet=True, on_window=lambda n: time.sleep(0.05)
)
"""


def test_killed_and_resumed_to_the_same_bytes(folders: dict[str, Path], large: Path, tmp_path: Path) -> None:
    """The system's own kill, twice, after some of 30 windows."""
    expected = mapped(folders["cnn3d"], read_scene(large), tmp_path / "expected.tif", side=16)
    out, store = tmp_path / "m.tif", tmp_path / "m.unfinished" / "windows.done"
    seen = 0
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(folders["cnn3d"]), str(large), str(out)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if store.exists() and (done := store.read_bytes().count(1)) > seen + 3:
                seen = done
                break
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not out.exists()
    assert 4 <= seen < 30
    mapped(folders["cnn3d"], read_scene(large), out, side=16, resume=True)
    assert out.read_bytes() == expected.read_bytes()
    one, other = (tmp_path / f"{name}-confidence.tif" for name in ("m", "expected"))
    assert one.read_bytes() == other.read_bytes()


def test_probabilities_in_a_zarr_store(folders: dict[str, Path], large: Path, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    store = tmp_path / "new" / "p.zarr"
    out = mapped(folders["cnn3d"], read_scene(large), tmp_path / "m.tif", side=SIDE, probabilities=store, entropy=True)
    array = zarr.open_array(store, mode="r")
    probs, (labels, confidence) = np.asarray(array[...]), layers(out)
    assert array.chunks == (SIDE, SIDE, 3)
    gaps = np.isnan(probs).any(-1)
    np.testing.assert_array_equal(gaps, labels == UNLABELLED)
    np.testing.assert_allclose(probs[~gaps].sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(probs[~gaps].argmax(-1), labels[~gaps])
    np.testing.assert_array_equal(probs[~gaps].max(-1), confidence[~gaps])
    p = np.clip(probs[~gaps].astype(float), 1e-30, 1)
    entropy = np.asarray(read_array(tmp_path / "m-entropy.tif", ndim=2)[...])
    np.testing.assert_allclose(entropy[~gaps], -(p * np.log(p)).sum(-1) / np.log(3), atol=1e-5)
    assert array.attrs["classes"] == list(load_run(folders["cnn3d"]).classes)
    with pytest.raises(DataFileError, match=r"p\.zarr: exists"):
        mapped(folders["cnn3d"], read_scene(large), tmp_path / "again.tif", probabilities=store)
    assert not (tmp_path / "again.tif").exists()


def test_two_workers_give_the_same_bytes_also_when_one_dies(
    folders: dict[str, Path], large: Path, tmp_path: Path
) -> None:
    """A Dask worker that is killed in the middle loses no window and makes none wrong."""
    distributed = pytest.importorskip("distributed")
    run, scene = folders["cnn3d"], read_scene(large)
    expected = mapped(run, scene, tmp_path / "expected.tif", side=16)
    out = mapped(run, scene, tmp_path / "two.tif", side=16, cluster=Cluster(workers=2))
    assert out.read_bytes() == expected.read_bytes()
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as workers:
        written: list[int] = []

        def killing(number: int) -> None:
            written.append(number)
            if len(written) == 5:
                os.kill(next(iter(workers.workers.values())).pid, signal.SIGKILL)

        there = Cluster(workers.scheduler_address)
        out = mapped(run, scene, tmp_path / "killed.tif", side=16, cluster=there, on_window=killing)
        assert sorted(written) == list(range(30))
        assert out.read_bytes() == expected.read_bytes()


def test_no_scheduler_at_the_address(folders: dict[str, Path], large: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    scene, nowhere = read_scene(large), Cluster("tcp://127.0.0.1:9", patience_s=0.5)
    with pytest.raises(SettingError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        mapped(folders["svm"], scene, tmp_path / "m.tif", cluster=nowhere)
    assert not list(tmp_path.glob("m*"))


def test_the_next_window_is_read_while_one_is_computed(large: Path) -> None:
    """Reading and computing take equally long here; in turn they would take twice as long as side by side."""
    scene, pause = read_scene(large), 0.05
    slow: Any = lambda *given: time.sleep(pause)  # noqa: E731  reads and maps
    plan = list(enumerate(plan_windows(scene, halo_px=0, side=16)))
    began = time.monotonic()
    made = map_here(slow, scene.with_(cube=Watched(scene.cube, slow)), plan)
    assert [n for n, _ in made] == list(range(len(plan)))
    assert time.monotonic() - began < 1.6 * pause * len(plan)


def test_what_a_plan_holds_tells_one_scene_from_another(folders: dict[str, Path], large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.npy"
    copy.write_bytes(large.read_bytes())
    with pytest.raises(Interrupted):
        mapped(folders["svm"], read_scene(copy), tmp_path / "m.tif", side=SIDE, on_window=ctrl_c(after=1))
    before, when = copy.read_bytes(), copy.stat().st_mtime_ns
    copy.write_bytes(before[:-4] + bytes(4))  # one value changed in between: neither size nor time tells
    os.utime(copy, ns=(when, when))
    with pytest.raises(RunError, match="begun with another scene"):
        mapped(folders["svm"], read_scene(copy), tmp_path / "m.tif", side=SIDE, resume=True)
    copy.write_bytes(before)  # copied anew, the same values
    assert mapped(folders["svm"], read_scene(copy), tmp_path / "m.tif", side=SIDE, resume=True).exists()
