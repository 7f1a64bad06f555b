"""What a classification run leaves in its folder: maps, model, metrics, report."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from importlib.metadata import PackageNotFoundError, version
from operator import or_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg import __version__
from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.sections import Section
from hyperseg.core.task import Task
from hyperseg.data.applicability import OUTSIDE
from hyperseg.data.fingerprint import fingerprint
from hyperseg.data.preprocess import gather_spectra
from hyperseg.data.splits import parse_split
from hyperseg.io.write import (
    CALIBRATED,
    MEANINGS,
    replacing,
    share_of_largest,
    write_json,
    write_map,
    write_raster,
    write_text,
)
from hyperseg.io.write.groups import groups_tag
from hyperseg.io.write.style import Measure, measure_qml
from hyperseg.metrics import mean_and_std
from hyperseg.metrics.calibration import pooled
from hyperseg.recipes.mapping.applicability import APPLICABILITY, LAYER
from hyperseg.recipes.run.answers import draw_answers, write_answers
from hyperseg.recipes.run.folder import METRICS, RunFolder
from hyperseg.recipes.run.record import save_model
from hyperseg.recipes.run.repeat import DISAGREEMENT, MAP, RepeatResult
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.scoring.areas import Reference, describe_areas, write_areas
from hyperseg.recipes.scoring.groups import fallback_of
from hyperseg.report.charts import confusion_figure, spectra_figure, training_figure
from hyperseg.report.page import write_report
from hyperseg.report.pictures import applicability_figure, confidence_figure, error_figure, map_figure

ACCURACIES = ("OA", "AA", "kappa")


def finish_run(
    folder: RunFolder,
    task: Task,
    settings: RunSettings,
    results: Sequence[RepeatResult],
    *,
    inputs: Mapping[str, Any],
    device: str,
    began: float,
    pictures: bool = True,
) -> dict[str, Any]:
    """Write everything and remove the unfinished state; returns the content of metrics.json.

    The map, the model and the pictures are those of the first repeat; the accuracies are over all repeats.
    metrics.json is written last: a folder that holds it is whole.
    """
    scene, split, first = task.scene, task.split, results[0]
    tensors = dict(first.tensors)
    chain = tuple(first.summary["chain"])
    final = SegmentationMap(tensors.pop(MAP), scene.classes, scene.colours, scene.grid, chain, scene.valid, scene.codes)
    write_map(folder / "map.tif", final, tags=groups_tag(scene.groups, scene.classes))
    layer = tensors.pop(LAYER, None)
    measures: dict[Measure, Any] = {
        "confidence": final.confidence(),
        "entropy": share_of_largest(final.entropy(), scene.n_classes),
        "disagreement": tensors.pop(DISAGREEMENT, None),
        "applicability": layer,
    }
    meanings = MEANINGS if not first.summary["calibrated"] else {**MEANINGS, "confidence": CALIBRATED}
    for name, values in measures.items():
        if values is None:
            continue
        known = values if scene.valid is None else np.where(scene.valid, values, np.float32(np.nan))
        write_raster(folder / f"{name}.tif", known, scene.grid, names=(meanings[name],))
        write_text(folder / f"{name}.qml", measure_qml(name))
    save_model(
        folder, tensors, _record(scene, split, settings, first, inputs) | {"device": device, "threads": threads()}
    )
    metrics = summarise(task, settings, [r.summary for r in results], first.sections, device=device)
    table = np.asarray(first.summary["steps"][metrics["final"]]["confusion"])
    assert scene.labels is not None
    if (fallback := fallback_of(scene, settings.sure)) is not None:
        metrics["groups"] = write_answers(folder, final, fallback, scene, split)
    alone = parse_split(settings.split)[0].single_pixels
    metrics["areas"] = describe_areas(
        final.labels(), table, scene.classes, scene.grid, sample="test", codes=scene.codes,
        reference=None if alone else Reference.of(scene.labels, scene.parcels, split.test),
    )  # fmt: skip
    write_areas(folder / "areas.csv", metrics["areas"])
    shown = draw_figures(scene, split, final, metrics, layer) if pictures else {}
    if fallback is not None and pictures:
        shown["groups"] = draw_answers(final, fallback, scene, title=f"{title_of(scene, final)}, with groups")
    if pictures:
        with replacing(folder / "map.png") as temporary:
            temporary.write_bytes(shown["map"])
    metrics["times_s"]["all"] = round(time.monotonic() - began, 2)
    write_report(folder / "report.html", metrics, figures=shown, sections=first.sections, title=title_of(scene, final))
    write_json(folder / METRICS, metrics)
    shutil.rmtree(folder.unfinished, ignore_errors=True)
    return metrics


def summarise(
    task: Task, settings: RunSettings, summaries: Sequence[dict[str, Any]], sections: Sequence[Section], *, device: str
) -> dict[str, Any]:
    """metrics.json: every accuracy as mean, spread and values over the repeats."""
    scene, split, first = task.scene, task.split, summaries[0]
    steps = {name: step_over_repeats(name, summaries) for name in first["steps"]}
    areas = [s.get(APPLICABILITY, {}) for s in summaries]  # one may have too few training pixels to tell
    last, kept = steps[first["final"]], len(settings.chain)
    assert scene.labels is not None
    counts = split.counts(scene.labels, scene.n_classes)
    return {
        "scene": fingerprint(scene, split) | {"source": scene.source},
        "split": {
            "how": split.how,
            "estimates": parse_split(settings.split)[0].estimates,
            "seed": split.seed,
            "guard_px": split.guard_px,
            "note": with_names(split.note, scene.classes),
            **{part: int(n) for part, n in zip(("train", "val", "test"), counts.sum(1), strict=True)},
            "per_class": {
                c: dict(zip(("train", "val", "test"), map(int, counts[:, k]), strict=True))
                for k, c in enumerate(scene.classes)
            },
            "untestable": [scene.classes[k] for k in split.untestable],
            "untrainable": [scene.classes[k] for k in split.untrainable],
            "leak": last["leak"],
        },
        "method": settings.method,
        "tricks": list(settings.tricks),
        "chain": first["chain"],
        "final": first["final"],
        "calibrated": first["calibrated"],
        "repeats": len(summaries),
        **{name: last[name] for name in ACCURACIES},
        "map": {"repeat": 0, **{name: last[name]["values"][0] for name in ACCURACIES}},
        "steps": steps,
        "confusion": np.sum([s["steps"][first["final"]]["confusion"] for s in summaries], axis=0).tolist(),
        "refiners": [section.numbers for section in sections[len(sections) - kept :]],
        "model": reduce(or_, [section.numbers for section in sections[: len(sections) - kept]], {}) or None,
        "cautions": [caution for section in sections for caution in section.cautions],
        "training": first["training"],
        APPLICABILITY: merge([told for told in areas if told.keys() == areas[0].keys()]),
        "times_s": {k: round(sum(s["seconds"].get(k, 0.0) for s in summaries), 2) for k in first["seconds"]},
        "peak_rss_mb": peak_rss_mb(),
        "device": device,
        "threads": threads(),
        "versions": versions(),
    }


def step_over_repeats(name: str, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A step's scores over the repeats, what it took in each, and where its refiner left the map alone."""
    found = [s["steps"][name] for s in summaries]
    out = merge(found) | {"seconds": [taken(s["seconds"], name) for s in summaries]}
    out["reliability"] = pooled(f["reliability"] for f in found)
    return out | ({"left_alone": [bool(f["left_alone"]) for f in found]} if "left_alone" in out else {})


def taken(seconds: Mapping[str, float], name: str) -> float | None:
    """Seconds of a step, its training counted; None where they are not known."""
    return seconds[name] + seconds.get(f"{name}, training", 0.0) if name in seconds else None


def merge(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Numbers become {"mean", "std", "values"} over the repeats, dicts are merged, the rest is the first's."""
    out: dict[str, Any] = {}
    for key, value in values[0].items():
        found = [v[key] for v in values]
        if isinstance(value, dict):
            out[key] = merge(found)
        elif isinstance(value, float) or value is None:
            out[key] = over_repeats(found)
        elif not isinstance(value, list):
            out[key] = value
    return out


def with_names(note: str, classes: Sequence[str]) -> str:
    """A split's note with class names for the numbers it knows."""
    return re.sub(
        r"classes (\d+(?:, \d+)*)", lambda m: ", ".join(classes[int(k)] for k in m.group(1).split(", ")), note
    )


def over_repeats(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and spread of the repeats that have a value; a class without test pixels has none."""
    numbers = [float("nan") if v is None else float(v) for v in values]
    finite = [v for v in numbers if np.isfinite(v)]
    if not finite:
        return {"mean": None, "std": None, "values": [None] * len(numbers)}
    return {**mean_and_std(finite), "values": [v if np.isfinite(v) else None for v in numbers]}


def title_of(scene: Scene, final: SegmentationMap) -> str:
    """Heading of the report and of the map's picture."""
    return f"{scene.name}: {' + '.join(final.made_by)}"


def draw_figures(
    scene: Scene, split: Split, final: SegmentationMap, metrics: dict[str, Any], layer: NDArray[np.float32] | None
) -> dict[str, bytes]:
    """Every picture of the report, by name; `layer` (H, W) is the applicability."""
    assert scene.labels is not None
    labels = final.labels()
    spectra = gather_spectra(scene, split.train)
    shown = {
        "map": map_figure(
            labels, scene.classes, scene.colours, title=title_of(scene, final), scene=scene, ground_truth=scene.labels
        ),
        "errors": error_figure(labels, scene.labels, split.test, scene=scene, train=split.train),
        "confidence": confidence_figure(final.confidence(), valid=scene.valid),
        "confusion": confusion_figure(metrics["confusion"], scene.classes),
        "spectra": spectra_figure(
            spectra, scene.labels[split.train], scene.classes, scene.colours,
            wavelengths_nm=scene.wavelengths_nm, good_bands=scene.good_bands,
        ),
    }  # fmt: skip
    if layer is not None:
        shown[APPLICABILITY] = applicability_figure(
            labels, scene.classes, scene.colours, layer > OUTSIDE, valid=scene.valid
        )
    if metrics["training"] is not None:
        shown["training"] = training_figure(metrics["training"])
    return shown


def peak_rss_mb() -> int | None:
    """Most memory this process has held, in MiB; None where the system does not tell (Windows)."""
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    return round(getrusage(RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10)))


def threads() -> int:
    """Threads that share the sums of a network's training on the CPU: another number rounds them otherwise."""
    import torch

    return torch.get_num_threads()


def versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    found = {"hyperseg": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy", "scikit-learn", "rasterio"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _record(
    scene: Scene, split: Split, settings: RunSettings, first: RepeatResult, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "inputs": dict(inputs),
        "settings": settings.to_json(),
        "scene": {"name": scene.name, "shape": list(scene.shape), "bands": scene.n_bands, "source": scene.source}
        | {"nodata": scene.nodata, "nodata_by": scene.nodata_by},
        "split": {"how": split.how, "seed": split.seed, "guard_px": split.guard_px},
        "classes": list(scene.classes),
        "codes": None if scene.codes is None else list(scene.codes),
        "colours": [list(c) for c in scene.colours],
        "grid": asdict(scene.grid),
        "wavelengths_nm": None if scene.wavelengths_nm is None else [float(w) for w in scene.wavelengths_nm],
        "scale": scene.scale,
        "groups": None if (fallback := fallback_of(scene, settings.sure)) is None else fallback.to_json(),
        "model": first.record,
        APPLICABILITY: first.summary[APPLICABILITY] if LAYER in first.tensors else None,
        "chain": first.summary["chain"],
        "versions": versions(),
    }
