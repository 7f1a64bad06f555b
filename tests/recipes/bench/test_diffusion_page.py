"""docs/diffusion.md: its table is the code's, its links lead somewhere, its examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hyperseg.dpm.faster import FASTER
from hyperseg.recipes.bench.showing.taxonomy import as_markdown, taxonomy

PAGE = Path(__file__).parents[3] / "docs" / "diffusion.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the package is tested without its documents")


def test_the_table_is_that_of_the_code() -> None:
    assert as_markdown(taxonomy(FASTER)) in PAGE.read_text(encoding="utf-8")


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE.read_text(encoding="utf-8"))
    assert len(links) > 40
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    text = PAGE.read_text(encoding="utf-8").partition("## Masks of images")[0]
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        short = re.sub(r"steps=\d+(, batch=\d+)?", "steps=2, batch=4", code).replace("Runtime()", "Runtime(quiet=True)")
        exec(short.replace("(64, 1, 200)", "(2, 1, 200)"), names)
    assert (*names["made"].x.shape, names["made"].nfe) == (16, 1, 8, 8, 10)
    assert names["spectra"].shape == (145 * 145, 1, 200)
    assert names["made_spectra"].shape == (2, 1, 200)
    assert names["more"].extras == ("share", "residual")
    assert names["made_more"].x.isfinite().all()


def test_the_example_of_masks_stands_alone() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Masks of images")[2]
    (code, *_), names = re.findall(r"```python\n(.*?)```", text, re.DOTALL), dict[str, Any]()
    exec(code, names)
    assert (names["fused"].scores.argmax(0) == names["labels"][-1]).float().mean() > 0.9


def test_samplers_of_the_page_find_the_spread_that_it_tells(capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    first, own, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(re.sub(r"(?m)^(?!import|from).*$", "", first) + own, {})
    for line in capsys.readouterr().out.splitlines():
        spread = re.search(r"deviation ([0-9.]+)", line)
        assert spread is not None
        assert f"{spread[1]} for `{line.split()[0]}`" in text, line
