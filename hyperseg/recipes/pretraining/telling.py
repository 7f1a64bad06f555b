"""A file of weights in a sentence."""

from __future__ import annotations

from pathlib import Path

from hyperseg.backbone.pretrained import read_pretrained
from hyperseg.core.words import counted, listed


def told(file: Path) -> str:
    """Which parts of a network a file holds, and from how many images they were learnt."""
    given = read_pretrained(file)
    levels = [part.rpartition(".")[2] for part in given.parts if part.startswith("decoder.")]
    parts = [part for part in given.parts if not part.startswith("decoder.")]
    if levels:
        parts.append(f"{counted(len(levels), 'level')} of the decoder ({listed(levels)})")
    n, kind = len(given.about.get("cases", ())), "image" if given.about.get("kind") == "folder" else "scene"
    return f"{file}: {listed(parts)}, learnt from {counted(n, kind)} without labels"
