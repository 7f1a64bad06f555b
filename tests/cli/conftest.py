"""The command line as a user meets it, in this process: words in; exit code, output and errors out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperseg.cli import main
from hyperseg.core import Scene
from hyperseg.simulated.scenes import toy_scene


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error a user can act on."""
        lines = [line for line in self.err.splitlines() if not line.startswith("Note: ")]
        assert self.code == 2, (self.code, self.out, self.err)
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: ")
        assert "Traceback" not in self.err
        assert self.out == ""
        return lines[0].removeprefix("Error: ")


Hyperseg = Callable[..., Answer]


@pytest.fixture
def hyperseg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hyperseg:
    """Run `hyperseg WORDS...` in tmp_path."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)

    def hyperseg(*words: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["hyperseg", *map(str, words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return hyperseg


@pytest.fixture
def scene() -> Scene:
    """24 x 21 pixels, 16 bands, 3 classes."""
    return toy_scene(shape=(24, 21), n_bands=16)


@pytest.fixture
def files(scene: Scene, tmp_path: Path) -> tuple[str, ...]:
    """cube.npy and gt.npy in the working folder: the words that name them."""
    assert scene.labels is not None
    np.save(tmp_path / "cube.npy", np.asarray(scene.cube))
    np.save(tmp_path / "gt.npy", scene.labels + 1)
    return ("cube.npy", "--labels", "gt.npy")
