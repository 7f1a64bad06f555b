"""`hyperseg WORDS...` in a child process that dies, runs out of disk, or runs beside others."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

KILLED = 99
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked: not on this system")


# loaded before children are forked, which would each load them anew
HEAVY = (
    "hyperseg.cli.main", "hyperseg.cli.classify", "hyperseg.recipes.export", "hyperseg.recipes.mapping.apply",
    "hyperseg.recipes.run.outputs", "hyperseg.recipes.scoring.score", "sklearn.discriminant_analysis", "rasterio",
    "rasterio.shutil", "pyogrio", "shapely", "zarr", "matplotlib.image", "jinja2", "rich.table", "safetensors.numpy",
)  # fmt: skip


def load_all() -> None:
    """Load what children will need."""
    for name in HEAVY:
        importlib.import_module(name)


@dataclass
class Child:
    """A child at work; `wait` gives its exit code and all it said."""

    pid: int
    said: int

    def wait(self) -> tuple[int, str]:
        with os.fdopen(self.said, "rb") as pipe:
            text = pipe.read().decode(errors="replace")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), text


def start(folder: Path, words: Sequence[str], before: Callable[[], None] = lambda: None) -> Child:
    """Start `hyperseg WORDS...` in `folder`; `before` prepares the child."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(out)
            for stream in (1, 2):
                os.dup2(into, stream)
            os.close(into)
            sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
            os.chdir(folder)
            code = _main(words, before)
        finally:
            os._exit(code)
    os.close(into)
    return Child(pid, out)


def run(folder: Path, words: Sequence[str], before: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """`start` and `wait`."""
    return start(folder, words, before).wait()


def dying(at: int, *, of: Sequence[str] = ("replace", "rename")) -> Callable[[], None]:
    """What makes a child die, as by kill -9, instead of its `at`-th call (from 1) of these functions of `os`."""

    def prepare() -> None:
        calls = [0]

        def deadly(real: Any) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                calls[0] += 1
                if calls[0] == at:
                    os._exit(KILLED)
                return real(*args, **more)

            return call

        for name in of:
            setattr(os, name, deadly(getattr(os, name)))

    return prepare


def without_room(largest: int) -> Callable[[], None]:
    """What makes every file of a child end at `largest` bytes, as on a disk that is full then."""

    def prepare() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    return prepare


def _main(words: Sequence[str], before: Callable[[], None]) -> int:
    from hyperseg.cli import main

    before()
    sys.argv = ["hyperseg", *words]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    return 0
