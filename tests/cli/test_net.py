"""The last net: one line and a documented exit code, whatever ends a command."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from running import Hyperseg

from hyperseg.cli.net import BUG, INPUT, explained

MAIN = "from hyperseg.cli import main; main()"


def foreign(module: str, name: str = "SomeError") -> Exception:
    """An exception of a class that a library defines."""
    return type(name, (Exception,), {"__module__": module})("reason")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out.tif"), "out.tif: No space left on device.", INPUT),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied.", INPUT),
        (BrokenPipeError(), "has closed it", INPUT),
        (MemoryError(), "there is not enough memory", INPUT),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "--set batch=32", INPUT),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "--side", INPUT),
        (foreign("torch", "OutOfMemoryError"), "--device cpu", INPUT),
        (RecursionError("maximum"), "nested too deeply", INPUT),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), "UTF-8", INPUT),
        (foreign("shapely.errors", "GEOSException"), "shapely says: reason.", INPUT),
        (foreign("rasterio.errors"), "rasterio says: reason.", INPUT),
        (foreign("pyogrio.errors"), "pyogrio says: reason.", INPUT),
        (
            ValueError("shapes (2,) and (3,)\nnot aligned"),
            "a bug of hyperseg: ValueError: shapes (2,) and (3,) not",
            BUG,
        ),
    ],
)
def test_every_kind_of_error_has_its_line_and_its_code(error: Exception, said: str, code: int) -> None:
    line, found = explained(error)
    assert said in line
    assert "\n" not in line
    assert found == code


def test_remedies_of_segment_are_options_that_it_has() -> None:
    line, code = explained(MemoryError(), "segment")
    assert code == INPUT
    assert "--side" not in line
    assert "--set" not in line
    assert "--minutes" in line


def test_a_bug_ends_with_1_and_its_traceback_only_when_asked(
    hyperseg: Hyperseg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperseg.recipes.inspect_kinds.inspect_kind", lambda text: 1 / 0)
    answer = hyperseg("info", "indian-pines")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines() == [
        "Error: a bug of hyperseg: ZeroDivisionError: division by zero. The same command with -v shows where; "
        "please report it."
    ]
    verbose = hyperseg("info", "indian-pines", "-v")
    assert verbose.code == 1
    assert "Traceback" in verbose.err


def test_messages_are_no_commands_to_the_terminal(hyperseg: Hyperseg, tmp_path: Path) -> None:
    name = "a\x1b[31m\x07.hdr"
    (tmp_path / name).write_text("ENVI\nlines = \x1b[2J\n")
    answer = hyperseg("info", name)
    assert answer.code == 2
    assert "\x1b[31m" not in answer.err.replace("\x1b[31m\x1b[1mError", "")
    assert "\x07" not in answer.err
    assert "[2J" not in answer.err or "\x1b[2J" not in answer.err


def test_a_misspelt_command_is_told_the_nearest(hyperseg: Hyperseg) -> None:
    answer = hyperseg("clasify")
    assert answer.code == 2
    assert "No such command 'clasify'. Did you mean classify?" in answer.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", ["datasets", "datasets info indian-pines", "--help"])
def test_output_that_cannot_be_written_ends_in_one_line(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("Error: ")
