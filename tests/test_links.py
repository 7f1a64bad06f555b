"""README.md and the pages of docs: every link into a page leads to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
pytestmark = pytest.mark.skipif(not PAGES[-1].is_file(), reason="the package is tested without its documents")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them: lower case, no punctuation, hyphens for spaces, numbers for repeats."""
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(plain if plain not in found else f"{plain}-{sum(a.startswith(plain) for a in found)}")
    return set(found)


def links(page: Path) -> list[tuple[Path, str]]:
    """(page, anchor) of what a page links to; addresses on the web are left out."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^()#\s]*)#([^()\s]+)\)", text)
    return [((page.parent / to).resolve() if to else page, of) for to, of in found if "://" not in to]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    pages = [(to, of) for to, of in links(page) if to.suffix == ".md"]
    assert [f"{to.name}#{of}" for to, of in pages if not to.is_file() or of not in anchors(to)] == []


def test_there_are_links_to_look_at_and_headings_are_read() -> None:
    assert (ROOT / "docs" / "benchmarks.md", "medsegdiff") in links(ROOT / "README.md")
    assert {"medsegdiff", "medsegdiff-on-a-scene"} <= anchors(ROOT / "docs" / "benchmarks.md")
