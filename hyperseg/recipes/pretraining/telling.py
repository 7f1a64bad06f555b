"""What a file of weights says of itself, and the same in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.backbone.pretrained import read_pretrained
from hyperseg.core.words import counted, listed
from hyperseg.io.cases import CaseFolder

NAME = "2d"  # the configuration of a plan that is learnt
METHOD = "global and local contrast of slices (Chaitanya et al. 2020)"


def about_of(
    folder: CaseFolder, begun: Mapping[str, Any], *, stages: Sequence[str], pairs: str, steps: Mapping[str, int]
) -> dict[str, Any]:  # fmt: skip
    """The metadata of weights of a folder.

    Args:
        folder: whose images were seen.
        begun: as `Unfinished.begin` gives it: settings, seed, fold, images and plan.
        stages, pairs, steps: what was done.
    """
    from hyperseg.recipes.run.outputs import versions

    return {
        "made": "+".join(stages), "pairs": pairs, "steps": dict(steps), "seed": begun["seed"],
        "from": folder.root.resolve().name, "cases": list(begun["images"]), "prints": begun["images"],
        "fold": begun["fold"], "kind": "folder",
        "plan": begun["plan"], "configuration": NAME, "network": {}, "method": METHOD, "settings": begun["settings"],
        "versions": versions(),
    }  # fmt: skip


def told(file: Path) -> str:
    """Which parts of a network a file holds, and from how many images they were learnt."""
    given = read_pretrained(file)
    levels = [part.rpartition(".")[2] for part in given.parts if part.startswith("decoder.")]
    parts = [part for part in given.parts if not part.startswith("decoder.")]
    if levels:
        parts.append(f"{counted(len(levels), 'level')} of the decoder ({listed(levels)})")
    n, kind = len(given.about.get("cases", ())), "image" if given.about.get("kind") == "folder" else "scene"
    return f"{file}: {listed(parts)}, learnt from {counted(n, kind)} without labels"
