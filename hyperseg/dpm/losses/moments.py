"""What a network says besides its prediction, each extra on its own: the prediction itself gets no gradient.

| extra    | what is right                                                      | paper                        |
|----------|--------------------------------------------------------------------|------------------------------|
| share    | the variance of a reverse step that the variational bound asks for | Nichol & Dhariwal, ICML 2021 |
| squared  | the expected square of the noise, given the state                  | Bao et al., ICML 2022 (SN)   |
| residual | the expected square of the noise less the noise that is predicted  | Bao et al., ICML 2022 (NPR)  |
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from hyperseg.dpm.adapters import Extra, Network
from hyperseg.dpm.losses.hybrid import bound_terms
from hyperseg.dpm.losses.loss import Loss, MakeLoss, each, noised
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule


def moments_of(extras: tuple[Extra, ...]) -> MakeLoss:
    """The loss of a network that says these extras after its prediction, one term for each."""
    return partial(moments, extras=extras)


def moments(
    schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA, extras: tuple[Extra, ...]
) -> Loss:
    """See `MakeLoss`.

    Raises:
        SettingError: "share" in a schedule without steps.
    """
    form = parameterisation(predicts, sigma_data=sigma_data)
    if "share" in extras:
        schedule.step_times()  # or raise

    def loss(network: Network, x0: Tensor, t: Tensor, noise: Tensor) -> Mapping[str, Tensor]:
        state, alpha, std, place = noised(schedule, x0, t, noise)
        answer, *others = network(form.input(state, alpha, std), place).to(x0.dtype).chunk(1 + len(extras), 1)
        said = form.x0(state, answer.detach(), alpha, std)
        terms: dict[str, Tensor] = {}
        for extra, other in zip(extras, others, strict=True):
            match extra:
                case "share":
                    terms[extra] = bound_terms(schedule, x0, said, other, t)
                case "squared":
                    terms[extra] = each((other - noise**2) ** 2)
                case "residual":
                    terms[extra] = each((other - (noise - (state - alpha * said) / std) ** 2) ** 2)
        return terms

    return loss
