"""docs/diffusion.md: its table is the code's, its links lead somewhere, its example runs."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(code.replace("steps=200", "steps=2").replace("Runtime()", "Runtime(quiet=True)"), names)
    made = names["made"]
    assert (*made.x.shape, made.nfe) == (16, 1, 8, 8, 10)  # type: ignore[attr-defined]
