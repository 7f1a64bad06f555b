"""The zoo in words: families with their members, told by their own docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any


def paragraphs_of(thing: Any) -> dict[str, tuple[str, ...]]:
    """The paragraphs of a docstring by the word they begin with ("Use", "Source"); "" has those without one.

    A line that begins with such a word begins a paragraph, also without an empty line before it.
    """
    found: dict[str, list[str]] = {"": []}
    for block in re.split(r"\n\s*\n|\n(?=[A-Z]\w+(?: \w+)?:\s)", inspect.getdoc(thing) or ""):
        text = " ".join(block.split())
        head = re.match(r"([A-Z]\w+(?: by)?):\s", text)
        found.setdefault(head[1] if head else "", []).append(text[head.end() :] if head else text)
    return {word: tuple(texts) for word, texts in found.items()}
