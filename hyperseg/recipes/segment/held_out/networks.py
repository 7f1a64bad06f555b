"""The networks of one fold, those that they need before them, and what they are worth on the fold's cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hyperseg.core import Scene
from hyperseg.core.runtime import Runtime
from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import CaseFolder, read_case
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.choosing import CaseDice, case_dice
from hyperseg.recipes.segment.folder import SegmentRun, load_networks
from hyperseg.recipes.segment.predicting import predict_case

Seen = Callable[[str, Sequence[float], Scene, NDArray[np.int16]], None]
"""Told the name of a case, Dice of its classes, the case, and the classes that were found."""


def networks_of(
    run: SegmentRun, names: Sequence[str], fold: int, runtime: Runtime
) -> dict[str, list[nn.Module]]:  # fmt: skip
    """Of each configuration, and of the first ones of cascades, the network that did not see the fold's cases.

    Raises:
        RunError: one that is not there, or is damaged.
    """
    every = dict.fromkeys(part for name in names for part in (run.plan.configuration(name).after, name) if part)
    return {name: [net.to(runtime.device) for net in load_networks(run, name, [fold])] for name in every}


def mirrored(plan: Plan, runtime: Runtime, asked: bool | None = None) -> bool:
    """Whether whole cases are seen in mirror images too: as asked for, else as the plan says, but not on a CPU.

    There they take 8 times as long (pictures: 4), often longer than the training itself.
    """
    if asked is not None:
        return asked
    return plan.training.inference.mirror and not runtime.device.startswith("cpu")


def evaluate(
    run: SegmentRun, folder: CaseFolder, chosen: Sequence[str], networks: Mapping[str, Sequence[nn.Module]],
    names: Sequence[str], *, mirror: bool, runtime: Runtime, title: str, seen: Seen | None = None,
) -> dict[str, CaseDice]:  # fmt: skip
    """Dice of whole cases as `predict_case` gives them, one in memory at a time; each is shown to `seen`."""
    found = {}
    with counted_progress(f"{title}: validation cases", unit="cases", quiet=runtime.quiet) as progress:
        for done, name in enumerate(names, start=1):
            scene = read_case(folder, folder.case(name))
            labels = predict_case(
                scene, run.plan, networks, chosen, mirror=mirror, device=runtime.device, method=run.method,
                seed=run.record.seed,
            )  # fmt: skip
            found[name] = case_dice(labels, np.asarray(scene.labels), len(run.plan.facts.classes))
            if seen is not None:
                seen(name, found[name].raw, scene, labels)
            progress(done, len(names))
    return found
