"""`measure_pace`: how fast this machine trains and predicts one planned network, tried for a few seconds on a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.core.runtime import Runtime
from hyperseg.engine.fit import fit
from hyperseg.engine.meter import metered, quiet_clock
from hyperseg.engine.step.drawn import sent
from hyperseg.io.cases import Case, CaseFolder, read_case
from hyperseg.io.paths import split_key
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import UNet
from hyperseg.medical.patches import StoredCase, draw_batch, make_batch, store
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare
from hyperseg.medical.v2 import FIRST_WIDTH
from hyperseg.recipes.segment.choosing import case_dice
from hyperseg.recipes.segment.learning import TIMED, checked_patches, phase_of, start_net
from hyperseg.recipes.segment.predicting import predict_case
from hyperseg.recipes.segment.sliding import TOGETHER, averaged, n_windows, slide

LONG_S = 5.0  # a trial that would take longer is not repeated, and a whole batch is reckoned from one patch
MOST_CASES = 9  # that are tried, as many as fit into `LONG_S`, one at least
CORE_WATTS, CARD_WATTS = 10.0, 300.0  # assumed of each busy thread, and of a card
WattsFrom = Literal["given", "measured", "assumed"]


@dataclass(frozen=True)
class Pace:
    """How fast a machine is with one network of a plan, and what it held meanwhile.

    Attributes:
        device, threads, half: of the machine; whether convolutions of a training run in 16 bits.
        waiting: share of the trials' time in which they waited for a processor that other work had: seconds below are
            without it.
        prepare_s: seconds to read, prepare and store a case; the mean of some, as of all that follows.
        step_s: of a training step with the plan's batch.
        look_s: of a patch of validation cases while training looks at them.
        window_s: of one window through the network, windows going through it in groups.
        around_s: of all else that predicting and scoring a case takes: reading, preparing, blending, its own grid.
        windows: of a case.
        patches, training_bytes: in a step that was tried, and most memory of the process (of the card) then.
        prediction_bytes: most memory while windows and cases were tried.
        watts: while steps were done; see `watts_from`.
        watts_from: "given" by the user, "measured" by the machine's counters, or "assumed".
    """

    device: str
    threads: int
    half: bool
    waiting: float
    prepare_s: float
    step_s: float
    look_s: float
    window_s: float
    around_s: float
    windows: float
    patches: int
    training_bytes: int
    prediction_bytes: int
    watts: float
    watts_from: WattsFrom


class Steps(NamedTuple):
    """Attributes: seconds of a step with the plan's batch; patches in the largest step that was tried."""

    seconds: float
    patches: int


def measure_pace(
    folder: CaseFolder, plan: Plan, one: Configuration, runtime: Runtime, *, watts: float | None = None
) -> Pace:
    """Prepare some cases, train a network for some steps on the first, predict with it: the fastest of a few trials.

    The fastest, and without the time that other work had: that makes trials slower and none faster. Nothing is left
    behind.
    Of the second network of a cascade its twin that reads images alone is tried.

    Args:
        folder: of cases.
        plan, one: the plan and its configuration.
        runtime: seed, device and precision.
        watts: of the machine, where the user states them.
    """
    one = alone(plan, one)
    net = start_net(plan, one, runtime)
    with TemporaryDirectory(prefix="hyperseg-") as place:
        stored, prepare_s = _prepared(folder, plan, one, Path(place))
        with metered(runtime.device) as trained:
            steps = _try_steps(net, plan, one, stored[0], runtime)
            look_s = _look_seconds(net, one, stored[0], runtime, steps.patches)
    with metered(runtime.device) as predicted:
        window_s = _window_seconds(net, plan, one, runtime)
        around_s = _around_seconds(folder, [case.name for case in stored], plan, one, runtime.device)
    windows = fmean(n_windows(case.shape, one.patch) for case in stored)
    drawn: tuple[float, WattsFrom] = (assumed_watts(runtime.device), "assumed")
    if watts is not None:
        drawn = watts, "given"
    elif trained.joules:
        drawn = trained.joules / trained.seconds, "measured"
    return Pace(
        runtime.device, torch.get_num_threads(), runtime.precision == "bf16", trained.waited_s / trained.seconds,
        prepare_s, steps.seconds, look_s, window_s, around_s, windows, steps.patches, trained.peak_bytes or 0,
        predicted.peak_bytes or 0, *drawn,
    )  # fmt: skip


def values_pace(folder: CaseFolder, plan: Plan, one: Configuration, runtime: Runtime) -> float:
    """Feature values a second that this machine gets through in steps of this very network.

    As `networks.measure_pace`, of a network as wide as usual: one with half the channels takes half the time a value.
    """
    with TemporaryDirectory(prefix="hyperseg-") as place:
        stored, _ = _prepared(folder, plan, one, Path(place), most=1)
        with metered(runtime.device) as used:
            steps = _try_steps(start_net(plan, one, runtime), plan, one, stored[0], runtime)
    free = max(1 - used.waited_s / used.seconds, 0.01)  # if other work goes on, planned steps have to wait as well
    pace = free * one.batch * one.values / steps.seconds * one.backbone.widths[0] / FIRST_WIDTH
    return float(f"{pace:.2g}")


def alone(plan: Plan, one: Configuration) -> Configuration:
    """The configuration itself, or the one of the same patch that reads no other one's answer."""
    twins = [c for c in plan.configurations if not c.after and c.patch == one.patch]
    return twins[0] if one.after and twins else one


def middling(folder: CaseFolder, most: int = MOST_CASES) -> list[Case]:
    """Labelled cases at even places of their order by the size of their files, the one in the middle first."""

    def size(case: Case) -> int:
        return sum(Path(split_key(file)[0]).stat().st_size for file in case.images)

    ranked = sorted(folder.cases, key=lambda case: (size(case), case.name))
    n = min(most, len(ranked))
    found = [ranked[(2 * i + 1) * len(ranked) // (2 * n)] for i in range(n)]
    return [found[n // 2], *found[: n // 2], *found[n // 2 + 1 :]]


def assumed_watts(device: str) -> float:
    """What a machine draws at work, where nobody says: a guess."""
    return CARD_WATTS if device.startswith("cuda") else CORE_WATTS * torch.get_num_threads()


def _prepared(
    folder: CaseFolder, plan: Plan, one: Configuration, place: Path, most: int = MOST_CASES
) -> tuple[list[StoredCase], float]:  # fmt: skip
    """Some cases, and mean seconds of each."""
    began, found = quiet_clock(), []
    for i, case in enumerate(middling(folder, most)):
        made = prepare(read_case(folder, case), plan, one, labels=True)
        assert made.labels is not None
        found.append(store(place / f"case{i}", case.name, made.image, made.labels, len(plan.facts.classes)))
        if quiet_clock() - began > LONG_S:
            break
    return found, (quiet_clock() - began) / len(found)


def _try_steps(net: UNet, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime) -> Steps:
    """One patch is tried first; where a batch would take long its time follows from that."""
    single = replace(one, batch=1)
    times = _steps(net, plan, single, stored, runtime, 1)
    if times[0] < LONG_S:
        times += _steps(net, plan, single, stored, runtime, 2)
    if one.batch == 1 or min(times) * one.batch > LONG_S:
        return Steps(min(times) * one.batch, 1)
    return Steps(min(_steps(net, plan, one, stored, runtime, TIMED - 1)), one.batch)


def _steps(
    net: UNet, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime, n: int
) -> list[float]:  # fmt: skip
    """Seconds of each of `n` steps; the weights change."""
    times = [quiet_clock()]
    fit(
        [phase_of(net, plan, one, TIMED)],
        lambda step: draw_batch([stored], one, plan.training, seed=runtime.seed, step=step), n, modules={"net": net},
        seed=runtime.seed, make=partial(make_batch, configuration=one), device=runtime.device,
        precision=runtime.precision, report=lambda done, values: times.append(quiet_clock()), read_every=1,
        graphs=None,
    )  # fmt: skip
    return [float(seconds) for seconds in np.diff(times)]


def _look_seconds(net: UNet, one: Configuration, stored: StoredCase, runtime: Runtime, patches: int) -> float:
    """Seconds of a patch, so many of them at a time, through the network as `learning.validation` does it."""
    drawn = checked_patches([stored], one, runtime.seed)[:patches]
    image, _ = make_batch(sent(drawn, torch.device(runtime.device)), one)
    net.eval()

    def trial() -> float:
        began = quiet_clock()
        with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=runtime.precision == "bf16"):
            net(image).argmax(1).cpu()
        return quiet_clock() - began

    return min(trial() for _ in range(TIMED - 1)) / len(drawn)


def _window_seconds(net: UNet, plan: Plan, one: Configuration, runtime: Runtime) -> float:
    """Seconds of a window in a group as large as groups are."""
    kind = torch.device(runtime.device).type
    many = max(1, TOGETHER.get(kind, TOGETHER["cpu"]) // prod(one.patch))
    axes = len(plan.axes)
    size = one.patch if axes == one.n_axes else (1,) * (axes - one.n_axes) + one.patch
    # as many windows along the first axis as there are in a group
    first = many if axes > one.n_axes else size[0] + (many - 1) * (size[0] // 2)
    image = np.random.default_rng(runtime.seed).normal(size=(one.backbone.in_channels, first, *size[1:]))
    score = averaged([net.eval()], plan.training.inference, mirror=False)

    def trial() -> float:
        began = quiet_clock()
        for part in slide(
            score, image.astype(np.float32), one.patch, n_classes=len(plan.facts.classes), device=runtime.device
        ):  # fmt: skip
            part.cpu()
        return quiet_clock() - began

    times = [trial()]
    if times[0] < LONG_S:
        times += [trial(), trial()]
    return min(times) / many


class Nothing(nn.Module):
    """A network that says background everywhere, at once: what is left of a prediction's time is not the network's."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *S)."""
        return x.new_zeros((len(x), self.n_classes, *x.shape[2:]))


def _around_seconds(folder: CaseFolder, names: Sequence[str], plan: Plan, one: Configuration, device: str) -> float:
    """Mean of some cases."""
    n_classes = len(plan.facts.classes)
    name: str = one.name
    nothing = {name: [Nothing(n_classes)]}
    began = quiet_clock()
    for done, case in enumerate(names, start=1):  # noqa: B007
        scene = read_case(folder, folder.case(case))
        labels = predict_case(scene, plan, nothing, [name], mirror=False, device=device)
        case_dice(labels, np.asarray(scene.labels), n_classes)
        if quiet_clock() - began > LONG_S:
            break
    return (quiet_clock() - began) / done
