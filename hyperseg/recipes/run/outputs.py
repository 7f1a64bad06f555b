"""What a classification run leaves in its folder: maps, model, metrics, report."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperseg import __version__
from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.crf import adjacency
from hyperseg.data.fingerprint import fingerprint
from hyperseg.data.preprocess import Preprocess, gather_spectra
from hyperseg.hsi.classical import gather_features
from hyperseg.io.write import (
    CONFIDENCE,
    ENTROPY,
    replacing,
    share_of_largest,
    write_json,
    write_map,
    write_raster,
)
from hyperseg.metrics import mean_and_std
from hyperseg.recipes.mapping.prepare import drift_arrays
from hyperseg.recipes.methods.look_at_gan import generated_figures, load_gan
from hyperseg.recipes.run.folder import METRICS, RunFolder
from hyperseg.recipes.run.record import prefixed, save_model, unprefixed
from hyperseg.recipes.run.repeat import RepeatResult
from hyperseg.recipes.run.sections import mark_steps, sections_of
from hyperseg.recipes.scoring.areas import describe_areas, write_areas
from hyperseg.report import charts as figures
from hyperseg.report import page as report
from hyperseg.report import pictures

if TYPE_CHECKING:
    from hyperseg.recipes.run.settings import ClassifySettings

BESIDE_PX = 3  # labelled pixels up to here lie beside each other: fields have unlabelled rims
TRAINING = "training"  # prefix of the features and labels a classical run is refitted from when applied again


def finish_run(
    folder: RunFolder,
    scene: Scene,
    split: Split,
    settings: ClassifySettings,
    summaries: Sequence[dict[str, Any]],
    first: RepeatResult,
    *,
    inputs: Mapping[str, Any],
    device: str,
    began: float,
) -> dict[str, Any]:
    """Write everything and remove the unfinished state; returns the content of metrics.json.

    The map, the model and the pictures are those of the first repeat; the accuracies are over all repeats.
    metrics.json is written last: a folder that holds it is whole.
    """
    final = SegmentationMap(
        first.tensors["map.probs"],
        scene.classes,
        scene.colours,
        scene.grid,
        tuple(first.summary["chain"]),
        scene.valid,
    )
    write_map(folder / "map.tif", final)
    entropy = share_of_largest(final.entropy(), scene.n_classes)
    for name, values, meaning in (
        ("confidence.tif", final.confidence(), CONFIDENCE),
        ("entropy.tif", entropy, ENTROPY),
    ):
        known = values if scene.valid is None else np.where(scene.valid, values, np.float32(np.nan))
        write_raster(folder / name, known, scene.grid, names=(meaning,))
    tensors = {name: array for name, array in first.tensors.items() if name != "map.probs"}
    if "classical" in first.record:
        tensors |= prefixed(TRAINING, _classical_features(scene, split, first))
    tensors |= drift_arrays(scene, split, Preprocess.from_arrays(unprefixed("preprocess", tensors)))
    save_model(folder, tensors, _record(scene, split, settings, first, inputs))
    metrics = summarise(scene, split, settings, summaries, device=device)
    table = np.asarray(list(summaries[0]["steps"].values())[-1]["confusion"])
    metrics["areas"] = describe_areas(final.labels(), table, scene.classes, scene.grid, sample="test")
    write_areas(folder / "areas.csv", metrics["areas"])
    shown = draw_figures(scene, split, final, metrics)
    if metrics["gan"] is not None:
        shown |= generated_figures(load_gan(tensors, first.record), scene, split, seed=split.seed)
    with replacing(folder / "map.png") as temporary:
        temporary.write_bytes(shown["map"])
    mark_steps(metrics)
    sections = sections_of(metrics, shown)
    metrics["cautions"] = [sentence for section in sections for sentence in section.cautions]
    metrics["times_s"]["all"] = round(time.monotonic() - began, 2)
    report.write_report(
        folder / "report.html", metrics, figures=shown, sections=sections,
        title=f"{scene.name}: {' + '.join(final.made_by)}",
    )  # fmt: skip
    write_json(folder / METRICS, metrics)
    shutil.rmtree(folder.unfinished, ignore_errors=True)
    return metrics


def summarise(
    scene: Scene,
    split: Split,
    settings: ClassifySettings,
    summaries: Sequence[dict[str, Any]],
    *,
    device: str,
) -> dict[str, Any]:
    """metrics.json: every accuracy as mean, spread and values over the repeats."""
    names = list(summaries[0]["steps"])
    steps = {
        name: merge([s["steps"][name] for s in summaries])
        | {"seconds": [s["seconds"].get(name) for s in summaries]}
        for name in names
    }
    last = steps[names[-1]]
    assert scene.labels is not None
    counts = split.counts(scene.labels, scene.n_classes)
    return {
        "scene": fingerprint(scene, split) | {"source": scene.source},
        "split": {
            "how": split.how,
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
        "chain": summaries[0]["chain"],
        "repeats": len(summaries),
        **{name: last[name] for name in ("OA", "AA", "kappa")},
        "steps": steps,
        "confusion": np.sum([s["steps"][names[-1]]["confusion"] for s in summaries], axis=0).tolist(),
        "refiners": summaries[0]["refiners"],
        "training": summaries[0]["training"],
        "gan": summaries[0]["gan"],
        "times_s": {
            k: round(sum(s["seconds"].get(k, 0.0) for s in summaries), 2) for k in summaries[0]["seconds"]
        },
        "peak_rss_mb": peak_rss_mb(),
        "device": device,
        "versions": versions(),
    }


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


def draw_figures(
    scene: Scene, split: Split, final: SegmentationMap, metrics: dict[str, Any]
) -> dict[str, bytes]:
    """Every picture of the report, by name."""
    assert scene.labels is not None
    labels = final.labels()
    title = f"{scene.name}: {' + '.join(final.made_by)}"
    spectra = gather_spectra(scene, split.train)
    shown = {
        "map": pictures.map_figure(
            labels, scene.classes, scene.colours, title=title, scene=scene, ground_truth=scene.labels
        ),
        "errors": pictures.error_figure(labels, scene.labels, split.test, scene=scene, train=split.train),
        "confidence": pictures.confidence_figure(final.confidence(), valid=scene.valid),
        "confusion": figures.confusion_figure(metrics["confusion"], scene.classes),
        "spectra": figures.spectra_figure(
            spectra, scene.labels[split.train], scene.classes, scene.colours,
            wavelengths_nm=scene.wavelengths_nm, good_bands=scene.good_bands,
        ),
    }  # fmt: skip
    deep = next((r for r in metrics["refiners"] if r["name"] == "deep-crf"), None)
    if deep is not None:
        seen = adjacency.count_pairs(scene.labels, scene.n_classes, within=BESIDE_PX)
        learnt = {towards: np.asarray(table) for towards, table in deep["class_table"].items()}
        deep["agreement"] = adjacency.agreement(learnt, seen)
        shown["adjacency"] = adjacency.adjacency_figure(
            learnt, seen, scene.classes, scene.colours, within=BESIDE_PX
        )
    if metrics["training"] is not None:
        shown["training"] = figures.training_figure(metrics["training"])
    return shown


def peak_rss_mb() -> int | None:
    """Most memory this process has held, in MiB; None where the system does not tell (Windows)."""
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    return round(getrusage(RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10)))


def versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    found = {"hyperseg": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy", "scikit-learn", "rasterio"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _classical_features(scene: Scene, split: Split, first: RepeatResult) -> dict[str, Any]:
    assert scene.labels is not None
    preprocess = Preprocess.from_arrays(unprefixed("preprocess", first.tensors))
    window = int(first.record["classical"]["window"])
    features = gather_features(scene, split.train, preprocess=preprocess, window=window)
    return {"features": features, "labels": scene.labels[split.train]}


def _record(
    scene: Scene, split: Split, settings: ClassifySettings, first: RepeatResult, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "inputs": dict(inputs),
        "settings": settings.to_json(),
        "scene": {
            "name": scene.name,
            "shape": list(scene.shape),
            "bands": scene.n_bands,
            "source": scene.source,
        },
        "split": {"how": split.how, "seed": split.seed, "guard_px": split.guard_px},
        "classes": list(scene.classes),
        "colours": [list(c) for c in scene.colours],
        "grid": asdict(scene.grid),
        "wavelengths_nm": None if scene.wavelengths_nm is None else [float(w) for w in scene.wavelengths_nm],
        "scale": scene.scale,
        "model": first.record,
        "chain": first.summary["chain"],
        "versions": versions(),
    }
