"""What the report shows of a denoiser that learnt without labels, and of the head on it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, Split
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Figure, Section
from hyperseg.core.words import listed, percent, thousands
from hyperseg.engine import History
from hyperseg.recipes.training.model import NetworkModel

CURVE = "The denoiser's loss: mean square of what it says of windows with noise, less what would be right."


def tell_tapped(
    model: NetworkModel, scene: Scene, split: Split, runtime: Runtime, *, pool: NDArray[np.bool_] | None,
    learnt: History | None,
) -> Section:  # fmt: skip
    """What the denoiser learnt from, for how long, and when it is read.

    `numbers` has "pool" (in words), "weights" of denoiser and head, "times", and "denoiser": its history, or None.
    """
    from hyperseg.report.charts import training_figure

    network, spec = model.network, model.spec
    denoiser, head = (sum(w.numel() for w in part.parameters()) for part in (network.denoiser, network.head))
    where = scene.usable if pool is None else pool
    looked = pool_in_words(where, split, given=pool is not None)
    times = listed([f"{time:g}" for time in spec.times])
    sentences = (
        f"A denoiser of {thousands(denoiser)} weights learnt to take noise off windows of "
        f"{spec.window}x{spec.window} pixels in {model.preprocess.n_out} components of the spectra, without labels."
        if learnt is not None
        else f"The denoiser of {thousands(denoiser)} weights learnt nothing: its weights are those it was drawn with.",
        f"It looked at: {looked}." if learnt is not None else f"The components come from: {looked}.",
        f"Then it was frozen, and a head of {thousands(head)} weights learnt the classes of the training pixels from "
        f"its features. Maps are means of what the head says at the times {times} of the schedule {spec.schedule!r}, "
        "without noise.",
    )
    history = None if learnt is None else asdict(learnt)
    figures = () if history is None else (Figure(training_figure(history), CURVE),)
    numbers = {
        "pool": looked, "weights": {"denoiser": denoiser, "head": head}, "times": list(spec.times), "denoiser": history,
    }  # fmt: skip
    return Section("The denoiser and its head", sentences, figures=figures, numbers=numbers)


def pool_in_words(where: NDArray[np.bool_], split: Split, *, given: bool) -> str:
    """Which pixels were looked at without their labels, and how many test pixels are among them."""
    tested = 100 * int((where & split.test).sum()) / max(int(split.test.sum()), 1)
    share = f"{percent(tested)} of the test pixels among them, without their labels"
    n = f"{thousands(int(where.sum()))} pixels"
    if not given:
        return f"the whole scene (transductive), {n}, {share}"
    return f"the pool mask, {n}, " + (f"{share} (transductive)" if tested else "no test pixel among them")
