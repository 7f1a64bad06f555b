"""Refiners one after the other, fitted in a run; `rebuild` takes up again what they leave."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SegmentationMap, SettingError
from hyperseg.core.settings import to_json
from hyperseg.crf.deep import class_tables
from hyperseg.crf.piecewise import Pairwise
from hyperseg.crf.tune import Tuned, changes
from hyperseg.data.leak import leak
from hyperseg.data.splits import folds, without
from hyperseg.hsi.classical import SpectralClassifier
from hyperseg.hsi.networks import for_inference
from hyperseg.recipes.refiners.deconv import fit_deconv
from hyperseg.recipes.refiners.deep_crf import (
    Encoder,
    learn_pairwise,
    live_nodes,
    node_features,
    node_logs,
    weigh_and_apply,
    whole_features,
)
from hyperseg.recipes.refiners.dense_crf import refine_with_crf
from hyperseg.recipes.run.make import Job, Made, make_map, map_scene
from hyperseg.recipes.run.record import network_arrays, prefixed, weights_of
from hyperseg.recipes.run.settings import NETWORKS, UNARY, Refiner
from hyperseg.recipes.training.joint import train_jointly
from hyperseg.recipes.training.network import Trained
from hyperseg.recipes.training.one_cycle import Where


@dataclass(frozen=True)
class Link:
    """A refiner fitted in a run.

    Attributes:
        name: of the refiner.
        map: what it made of the map before it.
        window: side of the square of pixels that a decision rests on now.
        report: JSON for metrics.json: settings, what was tried on validation pixels, what changed.
        record: JSON to rebuild it from; `tensors`: the arrays that go with it.
        seconds: it took.
    """

    name: Refiner
    map: SegmentationMap
    window: int
    report: dict[str, Any]
    record: dict[str, Any]
    tensors: dict[str, NDArray[Any]]
    seconds: float = 0.0


def refine(job: Job, base: Made, names: Sequence[Refiner]) -> list[Link]:
    """Fit the refiners in order, each on the map of the one before."""
    links: list[Link] = []
    for i, name in enumerate(names):
        started = time.monotonic()
        before = links[-1].map if links else base.map
        window = links[-1].window if links else base.window
        match name:
            case "dense-crf":
                link = _dense(job, before, window)
            case "deep-crf":
                link = _deep(job, base, before, window)
            case "deconv":
                link = _deconv(job, base, before, window, names[:i])
            case _:
                raise SettingError(f"unknown refiner {name!r}.")
        links.append(replace(link, seconds=time.monotonic() - started))
    return links


def cross_fitted(
    job: Job, base: Made, names: Sequence[Refiner], *, parts: int
) -> list[tuple[NDArray[np.bool_], SegmentationMap]]:
    """(training pixels, map made by method and refiners without them); together all training pixels.

    A method knows its training pixels better than any others: what learns from its map has to learn from pixels it
    did not know. Where most test pixels lie among training pixels (a leak above one half), so do those held out.
    """
    assert job.scene.labels is not None
    found = []
    apart = leak(job.split, window=base.window).a < 0.5
    for i, part in enumerate(
        folds(job.split, job.scene.labels, parts, apart=apart, parcels=job.scene.parcels)
    ):
        if not part.any():
            continue
        rest = replace(
            job,
            split=without(job.split, part),
            tag=f"{job.tag}, without part {i + 1}/{parts}",
            checkpoints=job.checkpoints.with_name(f"{job.checkpoints.name}-without{i}"),
        )
        made = make_map(rest, base.name)
        links = refine(rest, made, names)
        found.append((part, links[-1].map if links else made.map))
    return found


def _report(
    name: str, tuned: Tuned[Any], job: Job, before: SegmentationMap, after: SegmentationMap
) -> dict[str, Any]:
    """What every refiner says; percent, like every accuracy of a report."""
    assert job.scene.labels is not None
    return {
        "name": name,
        "settings": None if tuned.settings is None else asdict(tuned.settings),
        "validation_pixels": tuned.n_pixels,
        "table": [asdict(c) | {"score": 100 * c.score, "changed": 100 * c.changed} for c in tuned.table],
        "changes": [asdict(c) for c in changes(before, after, job.scene.labels, job.split.test)],
    }


def _where(job: Job, file: str, title: str) -> Where:
    return Where(
        job.seed, job.device, job.checkpoints.with_name(f"{job.checkpoints.name}-{file}.pt"), job.quiet,
        f"{job.tag}: {title}",
    )  # fmt: skip


def _dense(job: Job, before: SegmentationMap, window: int) -> Link:
    engine = job.settings.crf_engine
    found = refine_with_crf(before, job.scene, job.split, engine=engine, device=job.device)
    report = _report("dense-crf", found.tuned, job, before, found.map) | {"engine": engine}
    record = {
        "name": "dense-crf", "settings": report["settings"], "engine": engine, "guide_range": found.guide_range,
    }  # fmt: skip
    return Link("dense-crf", found.map, window, report, record, prefixed("guide", found.guide.to_arrays()))


def _deep(job: Job, base: Made, before: SegmentationMap, window: int) -> Link:
    settings, scene, split = job.settings.deep, job.scene, job.split
    encoder, record, tensors = _encoder(job, base)
    features = whole_features(encoder, scene, device=job.device)
    pairwise, learnt = learn_pairwise(
        before, scene, split, features, settings, where=_where(job, "deep-crf", "deep CRF")
    )
    unary = before
    if settings.joint.steps:
        trained = _jointly(job, base, before, pairwise)
        encoder = Encoder(*for_inference(trained.network, trained.preprocess))
        features = whole_features(encoder, scene, device=job.device)
        unary = map_scene(trained, scene, made_by=base.name, device=job.device, flips=job.settings.flips)
        record = {"network": to_json(trained.network.spec), "unary": True, "flips": job.settings.flips}
        tensors = network_arrays(trained.network, trained.preprocess)
    after, tuned = weigh_and_apply(
        unary, scene, split, pairwise, features, settings, device=job.device, trusted=learnt["heads_trusted"],
        before=before,
    )  # fmt: skip
    report = _report("deep-crf", tuned, job, before, after) | learnt | {"usual": True}
    stride, applied = settings.crf.stride, tuned.settings or settings.crf
    tables = class_tables(
        node_logs(unary, stride, features.device), node_features(features, scene, stride), pairwise, applied,
        valid=live_nodes(scene, stride, features.device),
    )  # fmt: skip
    report["class_table"] = {towards: table.tolist() for towards, table in tables.items()}
    record |= {
        "name": "deep-crf", "settings": report["settings"], "hidden": settings.crf.hidden,
        "width": int(features.shape[0]),
    }  # fmt: skip
    window = max(window, 2 * encoder.network.margin + 1)  # after a classical method the features look further
    return Link("deep-crf", after, window, report, record, tensors | weights_of("pairwise", pairwise))


def _jointly(job: Job, base: Made, before: SegmentationMap, pairwise: Pairwise) -> Trained:
    """A copy of the run's network, trained through the inference together with the heads (in place)."""
    model, settings = base.model, job.settings.deep
    if not isinstance(model, Trained) or before is not base.map:
        raise SettingError(
            f"joint training changes the unary network, so the deep CRF must come first after a network trained on the "
            f"labels alone ({', '.join(NETWORKS)}), not after {' + '.join(before.made_by)}."
        )
    network = deepcopy(model.network)
    history = train_jointly(
        network, pairwise, job.scene, job.split, model.preprocess, settings.crf, settings.joint,
        where=_where(job, "joint", "joint training"),
    )  # fmt: skip
    return Trained(network, model.preprocess, history)


def _encoder(job: Job, base: Made) -> tuple[Encoder, dict[str, Any], dict[str, NDArray[Any]]]:
    """The run's own network; after a classical method one of its own, which is stored with the refiner."""
    model = base.model
    if not isinstance(model, SpectralClassifier):
        return Encoder(*for_inference(model.network, model.preprocess)), {}, {}
    own = make_map(replace(job, tag=f"{job.tag}, features"), UNARY).model
    assert not isinstance(own, SpectralClassifier)
    tensors = network_arrays(own.network, own.preprocess)
    return (
        Encoder(*for_inference(own.network, own.preprocess)),
        {"network": to_json(own.network.spec)},
        tensors,
    )


def _deconv(job: Job, base: Made, before: SegmentationMap, window: int, names: Sequence[Refiner]) -> Link:
    settings = job.settings.deconv
    held_out = (
        [(job.split.train, before)]
        if settings.parts == 1
        else cross_fitted(job, base, names, parts=settings.parts)
    )
    after, fitted = fit_deconv(
        before, job.scene, job.split, held_out, settings, where=_where(job, "deconv", "deconvolution")
    )
    report = _report("deconv", fitted.tuned, job, before, after) | fitted.report
    record = {"name": "deconv", "settings": report["settings"], "network": to_json(fitted.network.spec)}
    tensors = network_arrays(fitted.network, fitted.preprocess)
    return Link("deconv", after, window + 2 * fitted.network.reach, report, record, tensors)
