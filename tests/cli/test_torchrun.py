"""`torchrun -m hyperseg classify`: two processes train one model, one of them talks, and all end together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hyperseg.cli.several import refuse_several, talks
from hyperseg.core import Scene, SettingError
from hyperseg.io.write import read_map
from hyperseg.recipes.run.record import load_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the loopback device is called lo on Linux only")

# The command line as it is, but with layers that treat a patch alike in any batch, in full precision: then the result
# is the same. MISHAP makes process 1 stumble in training.
COMMAND = """
import os, signal
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from hyperseg.core import DataFileError

nn.BatchNorm2d.train = lambda self, mode=True: nn.Module.train(self, False)
nn.Dropout2d.forward = lambda self, x: x
torch.cpu._is_avx512_bf16_supported = torch.cpu._is_amx_tile_supported = lambda: False
mishap, steps = os.environ.get("MISHAP") if os.environ.get("RANK") == "1" else None, []

def stumble(*given):
    steps.append(given)
    if len(steps) == 7 and mishap == "ctrl-c":
        os.kill(os.getpid(), signal.SIGINT)
    if len(steps) == 7 and mishap == "error":
        raise DataFileError("the disk of process 1 is gone.")

register_optimizer_step_post_hook(stumble)
from hyperseg.cli import main
main()
"""
OPTIONS = [
    "--split", "random_per_class:10", "--repeats", "2", "--epochs", "40", "--baseline", "lda", "--refine", "none",
    "--device", "cpu", "--no-pictures",
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, toy: Scene) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    assert toy.labels is not None
    np.save(folder / "toy.npy", np.asarray(toy.cube))
    np.save(folder / "gt.npy", toy.labels + 1)
    (folder / "command.py").write_text(COMMAND)
    return folder


def start(desk: Path, *words: str, processes: int = 2, script: bool = True, mishap: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line under torchrun, or alone."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, *(["command.py"] if script else ["-m", "hyperseg"]), *words]
    known = {k: v for k, v in os.environ.items() if k not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    env = {**known, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "MISHAP": mishap}
    done = subprocess.run(command, cwd=desk, env=env, capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, done.stdout, done.stderr


def classify(desk: Path, out: str, *more: str, **options: object) -> tuple[int, str, str]:
    return start(desk, "classify", "toy.npy", "--labels", "gt.npy", *OPTIONS, "--out", out, *more, **options)  # type: ignore[arg-type]


def told(errors: str) -> list[str]:
    """The lines that are ours; torchrun adds its own account of who ended how."""
    return [line for line in errors.splitlines() if line.startswith("Error:")]


@pytest.fixture(scope="module")
def together(desk: Path) -> Path:
    """A run of two processes, never interrupted."""
    code, shown, errors = classify(desk, "together")
    assert code == 0, errors
    assert shown.count("Map:") == 1  # one of them talks
    assert "Traceback" not in errors
    return desk / "together"


def test_two_processes_make_the_map_of_one(desk: Path, together: Path) -> None:
    code, _, errors = classify(desk, "alone", processes=1)
    assert code == 0, errors
    one, two = desk / "alone", together
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    np.testing.assert_array_equal(read_map(one / "map.tif")[0], read_map(two / "map.tif")[0])
    weights = [load_model(folder)[0] for folder in (one, two)]
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, atol=1e-3, err_msg=name)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    for name in ("OA", "AA", "kappa"):
        assert metrics[0][name]["mean"] == pytest.approx(metrics[1][name]["mean"], abs=0.5)
    assert metrics[0]["OA"]["mean"] > 80
    assert metrics[0]["split"] == metrics[1]["split"]


def test_interrupted_in_one_process_and_resumed_by_both(desk: Path, together: Path) -> None:
    code, _, errors = classify(desk, "stopped", mishap="ctrl-c")
    assert code != 0
    assert errors.count("Interrupted.") == 1, errors
    assert "--out stopped --resume" in errors
    assert sorted(p.name for p in (desk / "stopped").rglob("*")) == ["started.json", "train0-cnn3d.pt", "unfinished"]
    code, _, errors = classify(desk, "stopped", "--resume")
    assert code == 0, errors
    for name in ("map.tif", "model.safetensors", "run.json"):
        assert (desk / "stopped" / name).read_bytes() == (together / name).read_bytes()


def test_an_error_in_one_process_ends_both(desk: Path) -> None:
    code, shown, errors = classify(desk, "failed", mishap="error")
    assert code != 0
    assert shown == ""
    assert told(errors) == ["Error: the disk of process 1 is gone."]
    assert not (desk / "failed").exists()


def test_an_error_of_all_is_told_once(desk: Path) -> None:
    """As the module itself, without the script; the second one fails in process 0 while the other waits for it."""
    code, _, errors = start(desk, "classify", "toy.npy", "--out", "x", script=False)
    assert code != 0
    (line,) = told(errors)
    assert line.startswith("Error: toy.npy: a scene of your own needs labels")
    (desk / "full").mkdir()
    (desk / "full" / "something").touch()
    code, _, errors = classify(desk, "full", script=False)
    assert code != 0
    assert told(errors) == [
        "Error: full: exists and is not empty; a run never overwrites another. Choose another --out, or continue an "
        "interrupted run with --resume."
    ]


def test_what_several_processes_do_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "1")
    refuse_several("map")
    assert talks()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not talks()
    refuse_several("classify")
    with pytest.raises(SettingError, match=r"hyperseg map is for one process, torchrun started 2.*--workers"):
        refuse_several("map")
