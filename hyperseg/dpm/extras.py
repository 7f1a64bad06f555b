"""A second training: a trained network learns to say more, and its prediction stays as it is, byte for byte."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.adapters import Extra
from hyperseg.dpm.batches import Batch, check_data, draw, make_batch, terms_of
from hyperseg.dpm.losses.moments import moments
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser
from hyperseg.dpm.objectives.times import even, even_ratio
from hyperseg.dpm.training import AVERAGED
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, train


@settings
class ExtrasSettings:
    """How what a network says besides its prediction is trained."""

    steps: int = option(1000, "Training steps.", low=1)
    batch: int = option(128, "Samples of a step.", low=1)
    lr: float = option(5e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    ema: float = option(AVERAGED, "Decay of the moving average of the weights.", low=0, below=1)


def add_extras(
    model: DiffusionModel,
    data: Tensor,
    runtime: Runtime,
    extras: tuple[Extra, ...],
    *,
    settings: ExtrasSettings | None = None,
    labels: Tensor | None = None,
    name: str = "extras",
    title: str = "variance of the denoiser",
) -> DiffusionModel:
    """The model with heads for `extras`, trained on frozen features; raw weights are left behind.

    Args:
        model: without extras.
        data: (n, C, *S) float32 that it was trained on.
        runtime: where.
        extras: what it shall say, see `hyperseg.dpm.losses.moments`.
        settings: how.
        labels: (n,) classes, where it can be told them.
        name: of the training state's file.
        title: text of the progress bar.

    Raises:
        SettingError: a model that says extras already, none asked for, or data that do not fit.
        TrainingError: a loss that is not finite.

    Source: Bao et al., "Estimating the Optimal Covariance with Imperfect Mean in Diffusion Probabilistic Models",
        ICML 2022 (a second head on a trained network).
    """
    settings = ExtrasSettings() if settings is None else settings
    if model.extras or not extras:
        raise SettingError(
            f"this model says {list(model.extras) or 'no extras'} and {list(extras) or 'none'} shall be added: name "
            "at least one, for a model that has none, all of them at once."
        )
    check_data(data, model.spec, labels)
    spec = replace(model.spec, extras=extras)
    loss = moments(model.schedule, model.predicts, sigma_data=model.sigma_data, extras=extras)
    data = data.to(runtime.device)
    with seeded(runtime.seed):
        network = Denoiser(spec)
    own = {key: value for key, value in network.state_dict().items() if key.startswith("more.")}
    network.load_state_dict({**model.network.state_dict(), **own})
    network.to(runtime.device).requires_grad_(False)
    assert network.more is not None
    network.more.requires_grad_(True)
    lost = terms_of(network, loss)

    def mean(batch: Batch) -> dict[str, Tensor]:
        return {extra: term.mean() for extra, term in lost(batch).items()}

    phase = one_cycle(
        "extras", mean, network.more.parameters(), steps=settings.steps, lr=settings.lr,
        weight_decay=0.0, rise=0.1,
    )  # fmt: skip
    train(
        [phase], draw(len(data), settings.batch, runtime.seed), settings.steps, modules={"extras": network},
        averages={"extras": Ema(network, decay=settings.ema)}, runtime=runtime, name=name, title=title,
        make=make_batch(data, labels, model.schedule, even if model.schedule.steps else even_ratio),
    )  # fmt: skip
    return replace(model, network=network.requires_grad_(True), spec=spec, raw=None)
