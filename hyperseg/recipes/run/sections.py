"""What the parts of a run show in its report, and what its steps are to a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.core.parts import Figure, Role, Section
from hyperseg.crf import adjacency
from hyperseg.crf.section import deconv_sentences, deep_crf_sentences, refiner_section
from hyperseg.gan.section import PATCHES_CAPTION, SPECTRA_CAPTION, gan_section
from hyperseg.recipes.run.settings import TWIN

TITLES = {"dense-crf": "The dense CRF", "deep-crf": "The deep CRF", "deconv": "The deconvolution refiner"}
SENTENCES = {"deep-crf": deep_crf_sentences, "deconv": deconv_sentences}


def sections_of(metrics: Mapping[str, Any], pictures: dict[str, bytes]) -> list[Section]:
    """The sections of the generator and of the refiners; they take their pictures out of the given ones."""
    captions = {"generated_spectra": SPECTRA_CAPTION, "generated_patches": PATCHES_CAPTION}
    made = [Figure(pictures.pop(name), caption) for name, caption in captions.items() if name in pictures]
    found = [gan_section(metrics["gan"], figures=made)] if metrics["gan"] else []
    for numbers in metrics["refiners"]:
        name = numbers["name"]
        said = SENTENCES[name](numbers) if name in SENTENCES else []
        learnt = "adjacency" if name == "deep-crf" else ""
        figures = [Figure(pictures.pop(learnt), adjacency.CAPTION)] if learnt in pictures else []
        found.append(refiner_section(numbers, title=TITLES[name], sentences=said, figures=figures))
    return found


def mark_steps(metrics: dict[str, Any]) -> None:
    """Add to every step its role and what made it, and the name of the step whose map was written."""
    method, *_ = metrics["chain"]
    final = " + ".join([method, *(r["name"] for r in metrics["refiners"])])
    metrics["final"] = final
    for name, scores in metrics["steps"].items():
        scores["role"] = _role(name, method, final)
        if name.rpartition(" + ")[2] in TITLES:
            scores["by"] = TITLES[name.rpartition(" + ")[2]]


def _role(name: str, method: str, final: str) -> Role:
    if name == method:
        return "network"
    if method != TWIN and (name == TWIN or name.startswith(f"{TWIN} + ")):
        return "twin"
    if not name.startswith(f"{method} + "):
        return "baseline"
    return "refined" if f"{final} + ".startswith(f"{name} + ") else "control"
