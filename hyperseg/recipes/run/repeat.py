"""One repeat of a run: its scores, and its state on disk so that an interrupted run goes on after it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, RunError, Scene, Split
from hyperseg.core.maps import Step
from hyperseg.core.parts import Arrays, prefixed
from hyperseg.core.sections import Figure, Section
from hyperseg.core.settings import from_json, to_json
from hyperseg.data.leak import leak
from hyperseg.io.write import as_json, replacing, write_json
from hyperseg.metrics import boundary_accuracy, confusion, scores
from hyperseg.metrics.calibration import reliability
from hyperseg.metrics.ensembles import error_auroc
from hyperseg.recipes.mapping.applicability import APPLICABILITY, judge_applicability
from hyperseg.recipes.run.folder import RunFolder
from hyperseg.recipes.run.steps import Outcome
from hyperseg.recipes.scoring.groups import group_scores

MODEL, MAP = "model", "map.probs"  # prefix of the model's arrays, name of the final map's
DISAGREEMENT = "map.disagreement"  # of the same, where the method answers more than once


@dataclass(frozen=True)
class RepeatResult:
    """What a repeat leaves behind.

    Attributes:
        summary: JSON: scores per step, the final step and its chain, training history, seconds.
        tensors: named arrays: the final map's probabilities and disagreement, and those of the parts.
        record: JSON: what is needed to take the parts up again with their arrays.
        sections: what the parts show in the report; of the first repeat only.
    """

    summary: dict[str, Any]
    tensors: Arrays
    record: dict[str, Any]
    sections: tuple[Section, ...] = ()

    @staticmethod
    def of(made: Outcome, scene: Scene, split: Split, sections: Sequence[Section] = ()) -> RepeatResult:
        """What is kept of a repeat; with what the model saw, for scenes mapped later."""
        history = made.base.model.history
        seconds: dict[str, float] = {}
        for step in made.steps:
            if step.training_s is not None:
                seconds[f"{step.name}, training"] = step.training_s
            seconds[step.name] = step.seconds - (step.training_s or 0.0)
        summary: dict[str, Any] = {
            "steps": {s.name: told(s) | score_step(s, scene, split) for s in made.steps},
            "final": made.final.name,
            "calibrated": made.final.calibrated,
            "chain": list(made.final.map.made_by),
            "training": None if history is None else asdict(history),
            "seconds": seconds,
        }
        model = made.base.model.saved()
        record: dict[str, Any] = {"model": model.record, "refiners": []}
        tensors = {MAP: made.final.map.probs} | prefixed(MODEL, model.arrays)
        if (disagreement := made.final.map.disagreement) is not None:
            tensors[DISAGREEMENT] = disagreement
        known, summary[APPLICABILITY] = judge_applicability(scene, split, made.final.map.labels())
        tensors |= known
        for i, link in enumerate(made.links):
            saved = link.fitted.saved()
            record["refiners"].append({"name": link.fitted.name, "record": saved.record})
            tensors |= prefixed(f"refiner{i}", saved.arrays)
        return RepeatResult(summary, tensors, record, tuple(sections))


def told(step: Step) -> dict[str, Any]:
    """What a step is to a reader, and what made it, if anything."""
    by = {"by": step.by, "left_alone": step.left_alone} if step.by else {}
    title = {"title": step.title} if step.title else {}
    return {"role": step.role} | title | by | ({"why": step.why} if step.left_alone and step.why else {})


def score_step(step: Step, scene: Scene, split: Split) -> dict[str, Any]:
    """Accuracies of a map on the test pixels of a split, in percent, and the leak for the window it looks at."""
    assert scene.labels is not None
    truth = np.where(split.test, scene.labels, np.int16(UNLABELLED))
    predicted = step.map.labels()
    table = confusion(truth, predicted, scene.n_classes)
    found = scores(table)
    given = leak(split, window=step.window_px)
    by_region = None if step.joined is None else 100 * float(step.joined[split.test].mean())
    sure = reliability(step.map.probs[split.test], truth[split.test])
    doubts = {"confidence": -step.map.confidence(), "disagreement": step.map.disagreement}
    return {
        "OA": found.oa,
        "AA": found.aa,
        "kappa": found.kappa,
        "per_class": {name: found.per_class[k] for k, name in enumerate(scene.classes)},
        "boundary_OA": boundary_accuracy(truth, predicted),
        "ece": 100 * sure.ece,
        "reliability": sure.rows(),
        "error_auroc": {of: 100 * error_auroc(d, predicted, truth) for of, d in doubts.items() if d is not None},
        "leak": {"window": step.window_px, "a": 100 * given.a, "b": 100 * given.b, "region": by_region},
        "confusion": table.tolist(),
    } | ({} if scene.groups is None else {"groups": group_scores(table, scene.groups)})


def save_repeat(folder: RunFolder, repeat: int, result: RepeatResult) -> None:
    """Keep a finished repeat until the run ends; the JSON is written last and makes it count."""
    sections, pictures = [], {}
    for i, section in enumerate(result.sections):
        sections.append(to_json(section) | {"figures": [figure.caption for figure in section.figures]})
        for j, figure in enumerate(section.figures):
            pictures[_picture(i, j)] = np.frombuffer(figure.png, np.uint8)
    arrays = folder.unfinished / f"repeat{repeat}.npz"
    with replacing(arrays) as temporary, temporary.open("wb") as file:
        np.savez(file, **result.tensors, **pictures)  # type: ignore[arg-type]
    state = json.loads(as_json({"summary": result.summary, "record": result.record, "sections": sections}))
    write_json(arrays.with_suffix(".json"), {**state, "seal": _seal(arrays, state)})
    for trained in folder.unfinished.glob(f"train{repeat}-*.pt"):
        trained.unlink()


def load_repeat(folder: RunFolder, repeat: int) -> RepeatResult | None:
    """A finished repeat of an interrupted run, or None.

    Raises:
        RunError: its files are damaged.
    """
    file = folder.unfinished / f"repeat{repeat}.json"
    if not file.exists():
        return None
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        if state.pop("seal") != _seal(file.with_suffix(".npz"), state):
            raise ValueError("the two do not belong together, or were edited")
        with np.load(file.with_suffix(".npz"), allow_pickle=False) as arrays:
            tensors = dict(arrays)
        sections = tuple(_section(s, i, tensors) for i, s in enumerate(state["sections"]))
        return RepeatResult(state["summary"], tensors, state["record"], sections)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        BadZipFile,
        zlib.error,
        RecursionError,
    ) as error:
        raise RunError(
            f"{file} and its .npz: damaged ({error}). Remove both to do this repeat again, then resume."
        ) from error


def _seal(arrays: Path, state: Mapping[str, Any]) -> str:
    """A checksum (SHA-256) of both files of a repeat."""
    with arrays.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
    found.update(json.dumps(state, sort_keys=True).encode())
    return found.hexdigest()


def _section(data: Mapping[str, Any], i: int, tensors: dict[str, NDArray[Any]]) -> Section:
    figures = tuple(Figure(tensors.pop(_picture(i, j)).tobytes(), text) for j, text in enumerate(data["figures"]))
    plain = {k: v for k, v in data.items() if k != "figures"}
    return Section(**{**vars(from_json(Section, plain)), "figures": figures})


def _picture(section: int, figure: int) -> str:
    return f"section{section}.figure{figure}"
