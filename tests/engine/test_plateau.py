"""The rate on a plateau: against the rule written out, and over an interruption."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyperseg.engine.step.plateau import PlateauOfEpochs

RULE = {"average": 0.5, "gain": 0.1, "patience": 3, "factor": 0.2, "least": 1e-3}


def made(steps: int = 2) -> tuple[torch.optim.Optimizer, PlateauOfEpochs]:
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return optimiser, PlateauOfEpochs(optimiser, steps=steps, **RULE)


def rates(losses: np.ndarray, steps: int) -> list[float]:
    """The rule written out: the rate after each step."""
    rate, mean, best, idle, found = 1.0, None, np.inf, 0, []
    for at, _ in enumerate(losses, start=1):
        if at % steps == 0:
            epoch = losses[at - steps : at].mean()
            mean = epoch if mean is None else 0.5 * mean + 0.5 * epoch
            best, idle = (mean, 0) if mean < best - 0.1 else (best, idle + 1)
            if idle == 3:
                rate, idle = max(rate * 0.2, 1e-3), 0
        found.append(rate)
    return found


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_it_is_the_rule(steps: int) -> None:
    losses = np.concatenate([np.linspace(3, 0, 20), np.zeros(60)]) + 0.2 * np.random.default_rng(0).normal(size=80)
    expected, (optimiser, plateau), found = rates(losses, steps), made(steps), []
    for loss in losses:
        plateau.note(torch.tensor(loss))
        plateau.step()
        found.append(optimiser.param_groups[0]["lr"])
    assert found == pytest.approx(expected)
    assert len(set(expected)) > 2


def test_the_rate_stays_while_the_loss_falls() -> None:
    optimiser, plateau = made()
    for loss in np.linspace(30, 0, 100):
        plateau.note(torch.tensor(loss))
        plateau.step()
    assert optimiser.param_groups[0]["lr"] == 1.0


def test_it_goes_on_in_the_middle_of_an_epoch() -> None:
    losses = torch.from_numpy(np.random.default_rng(1).normal(size=50)).float()
    whole, first, second = made(4), made(4), made(4)
    for loss in losses:
        whole[1].note(loss)
        whole[1].step()
    for loss in losses[:23]:
        first[1].note(loss)
        first[1].step()
    state = first[1].state_dict()
    assert all(not isinstance(value, torch.Tensor) for value in state.values())
    second[0].load_state_dict(first[0].state_dict())
    second[1].load_state_dict(state)
    for loss in losses[23:]:
        second[1].note(loss)
        second[1].step()
    assert second[1].state_dict() == whole[1].state_dict()
    assert second[0].param_groups[0]["lr"] == whole[0].param_groups[0]["lr"] < 1
