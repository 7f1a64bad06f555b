"""The `datasets` commands as a user sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hyperseg.cli.known.datasets import datasets
from hyperseg.core import DataFileError, SettingError
from hyperseg.io.catalog import cards


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")


def _run(*words: str) -> Result:
    return CliRunner().invoke(datasets, list(words), catch_exceptions=False)


def test_bare_command_lists_every_card_with_its_numbers() -> None:
    result = _run()
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()[1:] if line.strip()}
    assert set(lines) == set(cards())
    for word in ("610x340", "103", "9", "42 776", "not here"):
        assert word in lines["pavia-university"]


def test_list_names_what_lies_in_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "ksc"
    folder.mkdir(parents=True)
    (folder / "KSC.mat").touch()
    assert "incomplete" in next(line for line in _run().output.splitlines() if line.startswith("ksc"))
    (folder / "KSC_gt.mat").touch()
    assert "in cache" in next(line for line in _run().output.splitlines() if line.startswith("ksc"))


@pytest.mark.parametrize("name", sorted(cards()))
def test_info_shows_everything_on_the_card(name: str) -> None:
    card = cards()[name]
    result = _run("info", name)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for entry in card.classes:
        assert f"{entry.code} {entry.name} {entry.count}" in text
    for words in (card.licence, *card.sources, *card.remarks, *card.certainty):
        assert words in text
    for split in card.splits:
        assert split.name in text
        assert ", ".join(map(str, split.train)) in text
        assert split.file in text


def test_info_takes_an_alias_and_tells_where_to_get_missing_files(tmp_path: Path) -> None:
    result = _run("info", "paviau")
    assert "Pavia University" in result.output
    assert "datasets fetch pavia-university" in result.output
    assert str(tmp_path / "cache" / "pavia-university") in result.output


@pytest.mark.parametrize("command", ["info", "fetch"])
def test_unknown_name_gives_the_nearest_and_no_traceback(command: str) -> None:
    with pytest.raises(SettingError, match=r"Did you mean salinas\? Known: botswana"):  # `main` makes one line of it
        _run(command, "salinos")


def test_fetch_without_network_ends_with_the_way_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pooch = pytest.importorskip("pooch")

    def unplugged(**options: Any) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", unplugged)
    monkeypatch.setattr("hyperseg.io.fetch.time.sleep", lambda seconds: None)
    with pytest.raises(DataFileError) as caught:
        _run("fetch", "salinas", "--folder", str(tmp_path))
    for words in ("no route to host", "Salinas_corrected.mat, Salinas_gt.mat by hand", str(tmp_path)):
        assert words in str(caught.value)


def test_fetch_of_the_built_in_scene_has_nothing_to_do() -> None:
    pytest.importorskip("tensorly", reason="carries the scene")
    result = _run("fetch", "ip")
    assert result.exit_code == 0
    assert "built in" in result.output


def test_folder_before_a_command_is_refused_not_ignored(tmp_path: Path) -> None:
    result = _run("--folder", str(tmp_path), "info", "ip")
    assert result.exit_code == 2
    assert "info --folder" in result.output


def test_every_help_has_an_example_on_its_own_line() -> None:
    for words in ((), ("info",), ("fetch",)):
        lines = _run(*words, "--help").output.splitlines()
        assert any(line.strip().startswith("hyperseg datasets") for line in lines)


def test_import_pulls_in_nothing_heavy() -> None:
    heavy = ("numpy", "torch", "rich", "pooch")
    code = f"import sys, hyperseg.cli.known.datasets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
