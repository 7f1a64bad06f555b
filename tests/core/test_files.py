"""A file is replaced whole or left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperseg.core import replaced


def test_success_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replaced(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "new"}


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_any_failure_keeps_what_stood_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with replaced(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "old"}
