"""`measure_pace`: how fast this machine trains and predicts one planned network, tried for a few seconds on cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from hyperseg.core.runtime import Runtime
from hyperseg.engine.meter import metered
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.medical.v2 import FIRST_WIDTH
from hyperseg.recipes.segment.costs.trials import around_seconds, look_seconds, prepare_some, try_steps, window_seconds
from hyperseg.recipes.segment.learning import start_net
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method
from hyperseg.recipes.segment.sliding import n_windows

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


def measure_pace(
    folder: CaseFolder, plan: Plan, one: Configuration, runtime: Runtime, *, watts: float | None = None,
    method: CaseMethod | None = None,
) -> Pace:  # fmt: skip
    """Prepare some cases, train a network for some steps on the first, predict with it: the fastest of a few trials.

    The fastest, and without the time that other work had: that makes trials slower and none faster. Nothing is left
    behind.
    Of the second network of a cascade its twin that reads images alone is tried.

    Args:
        folder: of cases.
        plan, one: the plan and its configuration.
        runtime: seed, device and precision.
        watts: of the machine, where the user states them.
        method: whose networks; `methods.ON_FOLDERS` by default.
    """
    one = alone(plan, one)
    method = case_method() if method is None else method
    net = start_net(method, plan, one, runtime)
    with TemporaryDirectory(prefix="hyperseg-") as place:
        stored, prepare_s = prepare_some(folder, plan, one, Path(place))
        with metered(runtime.device) as trained:
            steps = try_steps(net, method, plan, one, stored[0], runtime)
            look_s = look_seconds(net, method, plan, one, stored[0], runtime, steps.patches)
    with metered(runtime.device) as predicted:
        window_s = window_seconds(net, method, plan, one, runtime)
        around_s = around_seconds(folder, [case.name for case in stored], plan, one, runtime.device)
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


def values_pace(
    folder: CaseFolder, plan: Plan, one: Configuration, runtime: Runtime, *, method: CaseMethod | None = None
) -> float:  # fmt: skip
    """Feature values a second that this machine gets through in steps of this very network.

    As `networks.measure_pace`, of a network as wide as usual: one with half the channels takes half the time a value.
    Values are those of the planned U-Net: another method, which takes longer for its own, has a slower pace.

    Args:
        folder, plan, one, runtime: as of `measure_pace`.
        method: whose network and loss; `methods.ON_FOLDERS` by default.
    """
    method = case_method() if method is None else method
    with TemporaryDirectory(prefix="hyperseg-") as place:
        stored, _ = prepare_some(folder, plan, one, Path(place), most=1)
        with metered(runtime.device) as used:
            net = start_net(method, plan, one, runtime)
            steps = try_steps(net, method, plan, one, stored[0], runtime)
    free = max(1 - used.waited_s / used.seconds, 0.01)  # if other work goes on, planned steps have to wait as well
    pace = free * one.batch * one.values / steps.seconds * one.backbone.widths[0] / FIRST_WIDTH
    return float(f"{pace:.2g}")


def alone(plan: Plan, one: Configuration) -> Configuration:
    """The configuration itself, or the one of the same patch that reads no other one's answer."""
    twins = [c for c in plan.configurations if not c.after and c.patch == one.patch]
    return twins[0] if one.after and twins else one


def assumed_watts(device: str) -> float:
    """What a machine draws at work, where nobody says: a guess."""
    return CARD_WATTS if device.startswith("cuda") else CORE_WATTS * torch.get_num_threads()
