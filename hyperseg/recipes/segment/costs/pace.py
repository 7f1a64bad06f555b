"""`measure_pace`: how fast this machine trains and predicts one planned network, tried for a few seconds on a case."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from statistics import median_low
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.core.runtime import Runtime
from hyperseg.engine.fit import fit
from hyperseg.engine.meter import counters, held_bytes, metered
from hyperseg.io.cases import Case, CaseFolder, read_case
from hyperseg.io.paths import split_key
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import UNet
from hyperseg.medical.patches import StoredCase, draw_batch, make_batch, store
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare
from hyperseg.medical.v2 import FIRST_WIDTH
from hyperseg.recipes.segment.choosing import case_dice
from hyperseg.recipes.segment.learning import TIMED, phase_of, start_net
from hyperseg.recipes.segment.predicting import predict_case
from hyperseg.recipes.segment.sliding import TOGETHER, averaged, slide

LONG_S = 5.0  # a trial that would take longer is not repeated, and a whole batch is reckoned from one patch
CORE_WATTS, CARD_WATTS = 10.0, 300.0  # assumed of each busy thread, and of a card
WattsFrom = Literal["given", "measured", "assumed"]


@dataclass(frozen=True)
class Pace:
    """How fast a machine is with one network of a plan.

    Attributes:
        device, threads, half: of the machine; whether convolutions of a training run in 16 bits.
        prepare_s: seconds to read, prepare and store a middling case.
        step_s: of a training step with the plan's batch.
        window_s: of one window through the network, windows going through it in groups.
        around_s: of all else that predicting and scoring that case takes: reading, preparing, blending, its own grid.
        together: windows in a group.
        base_bytes: what the process, or the card, held before.
        watts: while steps were done; see `watts_from`.
        watts_from: "given" by the user, "measured" by the machine's counters, or "assumed".
    """

    device: str
    threads: int
    half: bool
    prepare_s: float
    step_s: float
    window_s: float
    around_s: float
    together: int
    base_bytes: int
    watts: float
    watts_from: WattsFrom


def measure_pace(
    folder: CaseFolder, plan: Plan, one: Configuration, runtime: Runtime, *, watts: float | None = None
) -> Pace:
    """Prepare a middling case, train a network for some steps on it, and predict it: each the fastest of a few trials.

    The fastest, since other work on the machine makes trials slower and none of them faster. Nothing is left behind.
    Of the second network of a cascade its twin that reads images alone is tried.

    Args:
        folder: of cases.
        plan, one: the plan and its configuration.
        runtime: seed, device and precision.
        watts: of the machine, where the user states them.
    """
    base = held_bytes(runtime.device) or 0
    case, one = middling(folder), alone(plan, one)
    with TemporaryDirectory(prefix="hyperseg-") as place:
        stored, prepare_s = _prepared(folder, case, plan, one, Path(place))
        net = start_net(plan, one, runtime)
        with metered(runtime.device) as used:
            step_s = _step_seconds(net, plan, one, stored, runtime)
    window_s, together = _window_seconds(net, plan, one, runtime)
    around_s = _around_seconds(folder, case, plan, one, runtime.device)
    found, source = watts, "given"
    if found is None and used.joules is not None and counters(runtime.device):
        found, source = used.joules / used.seconds, "measured"
    if found is None:
        found, source = assumed_watts(runtime.device), "assumed"
    return Pace(
        runtime.device, torch.get_num_threads(), runtime.precision == "bf16", prepare_s, step_s, window_s, around_s,
        together, base, found, source,  # type: ignore[arg-type]
    )  # fmt: skip


def values_pace(folder: CaseFolder, plan: Plan, one: Configuration, runtime: Runtime) -> float:
    """Feature values a second that this machine gets through in steps of this very network.

    As `networks.measure_pace`, of a network as wide as usual: one with half the channels takes half the time a value.
    """
    with TemporaryDirectory(prefix="hyperseg-") as place:
        stored, _ = _prepared(folder, middling(folder), plan, one, Path(place))

        seconds = _step_seconds(start_net(plan, one, runtime), plan, one, stored, runtime)
    pace = one.batch * one.values / seconds * one.backbone.widths[0] / FIRST_WIDTH
    return float(f"{pace:.2g}")


def alone(plan: Plan, one: Configuration) -> Configuration:
    """The configuration itself, or the one of the same patch that reads no other one's answer."""
    twins = [c for c in plan.configurations if not c.after and c.patch == one.patch]
    return twins[0] if one.after and twins else one


def middling(folder: CaseFolder) -> Case:
    """The labelled case whose files have the median size."""

    def size(case: Case) -> int:
        return sum(Path(split_key(file)[0]).stat().st_size for file in case.images)

    sizes = {case.name: size(case) for case in folder.cases}
    return next(case for case in folder.cases if sizes[case.name] == median_low(sizes.values()))


def assumed_watts(device: str) -> float:
    """What a machine draws at work, where nobody says: a guess."""
    return CARD_WATTS if device.startswith("cuda") else CORE_WATTS * torch.get_num_threads()


def _prepared(
    folder: CaseFolder, case: Case, plan: Plan, one: Configuration, place: Path
) -> tuple[StoredCase, float]:  # fmt: skip
    began = time.perf_counter()
    made = prepare(read_case(folder, case), plan, one, labels=True)
    assert made.labels is not None
    stored = store(place / "case", case.name, made.image, made.labels, len(plan.facts.classes))
    return stored, time.perf_counter() - began


def _step_seconds(net: UNet, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime) -> float:
    """Of a whole batch; one patch is tried first, and where a batch would take long its time follows from that."""
    single = replace(one, batch=1)
    times = _steps(net, plan, single, stored, runtime, 1)
    if times[0] < LONG_S:
        times += _steps(net, plan, single, stored, runtime, 2)
    if one.batch == 1 or min(times) * one.batch > LONG_S:
        return min(times) * one.batch
    return min(_steps(net, plan, one, stored, runtime, TIMED - 1))


def _steps(
    net: UNet, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime, n: int
) -> list[float]:  # fmt: skip
    """Seconds of each of `n` steps; the weights change."""
    times = [time.perf_counter()]
    fit(
        [phase_of(net, plan, one, TIMED)],
        lambda step: draw_batch([stored], one, plan.training, seed=runtime.seed, step=step), n, modules={"net": net},
        seed=runtime.seed, make=partial(make_batch, configuration=one), device=runtime.device,
        precision=runtime.precision, report=lambda done, values: times.append(time.perf_counter()), read_every=1,
        graphs=None,
    )  # fmt: skip
    return [float(seconds) for seconds in np.diff(times)]


def _window_seconds(net: UNet, plan: Plan, one: Configuration, runtime: Runtime) -> tuple[float, int]:
    """Seconds of a window in a group as large as groups are, and how many that is."""
    kind = torch.device(runtime.device).type
    many = max(1, TOGETHER.get(kind, TOGETHER["cpu"]) // prod(one.patch))
    axes = len(plan.axes)
    size = one.patch if axes == one.n_axes else (1,) * (axes - one.n_axes) + one.patch
    # as many windows along the first axis as there are in a group
    first = many if axes > one.n_axes else size[0] + (many - 1) * (size[0] // 2)
    image = np.random.default_rng(runtime.seed).normal(size=(one.backbone.in_channels, first, *size[1:]))
    score = averaged([net.eval()], plan.training.inference, mirror=False)

    def trial() -> float:
        began = time.perf_counter()
        for part in slide(
            score, image.astype(np.float32), one.patch, n_classes=len(plan.facts.classes), device=runtime.device
        ):  # fmt: skip
            part.cpu()
        return time.perf_counter() - began

    times = [trial()]
    if times[0] < LONG_S:
        times += [trial(), trial()]
    return min(times) / many, many


class Nothing(nn.Module):
    """A network that says background everywhere, at once: what is left of a prediction's time is not the network's."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *S)."""
        return x.new_zeros((len(x), self.n_classes, *x.shape[2:]))


def _around_seconds(folder: CaseFolder, case: Case, plan: Plan, one: Configuration, device: str) -> float:
    n_classes = len(plan.facts.classes)
    began = time.perf_counter()
    scene = read_case(folder, case)
    labels = predict_case(
        scene, plan, {one.name: [Nothing(n_classes)]}, [one.name], mirror=False, device=device
    )  # fmt: skip
    case_dice(labels, np.asarray(scene.labels), n_classes)
    return time.perf_counter() - began
