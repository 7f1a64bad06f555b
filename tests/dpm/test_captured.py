"""A network played from its recording says what it says itself."""

from __future__ import annotations

import pytest
import torch
from taped import Tapes

from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.captured import captured
from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES


@pytest.fixture
def network() -> Denoiser:
    torch.manual_seed(0)
    made = Denoiser(denoiser_spec(2, 1, widths=(8, 8), cond_dim=16, n_classes=3)).eval()
    torch.nn.init.normal_(made.last.layer.weight)  # type: ignore[arg-type]
    return made


def test_a_trajectory_is_the_same_and_mostly_played(network: Denoiser) -> None:
    tapes, linear = Tapes(), SCHEDULES["linear"]
    grid = make_grid(linear, 10)
    x = start(grid, (3, 2, 9), torch.Generator().manual_seed(1))
    ask = captured(network, graphs=tapes)
    with torch.no_grad():
        for _ in range(2):
            found, plain = (
                SAMPLERS["dpmpp-2m"].sample(denoiser(one, linear), x, grid, generator=torch.Generator()).x
                for one in (ask, network)
            )
            assert torch.equal(found, plain)
    assert tapes.done == ["warm"] * 3 + ["record"] + ["play"] * 17
    assert not tapes.refused


def test_each_shape_has_a_recording_and_labels_are_told(network: Denoiser) -> None:
    tapes = Tapes()
    ask = captured(network, graphs=tapes)
    with torch.no_grad():
        for turn in range(6):
            for n in (2, 5):
                x, place = torch.randn(n, 2, 9), torch.full((n,), 100.0 * turn)
                assert torch.equal(ask(x, place), network(x, place))
                labels = torch.arange(n) % 3 - turn % 2
                assert torch.equal(ask(x, place, labels), network(x, place, labels))
    assert tapes.done.count("record") == 4
    assert tapes.done.count("play") == 4 * 3


def test_weights_changed_in_place_are_heard_and_gradients_flow(network: Denoiser) -> None:
    tapes = Tapes()
    ask, x, place = captured(network, graphs=tapes), torch.randn(2, 2, 9), torch.tensor([5.0, 500.0])
    with torch.no_grad():
        for _ in range(5):
            ask(x, place)
        network.last.layer.weight.mul_(2)  # type: ignore[operator]
        assert torch.equal(ask(x, place), network(x, place))
    played = tapes.done.count("play")
    wanted = x.clone().requires_grad_()
    ask(wanted, place).sum().backward()
    assert wanted.grad is not None
    assert tapes.done.count("play") == played


def test_what_cannot_be_recorded_is_done(network: Denoiser) -> None:
    tapes = Tapes(fails=True)
    ask, x, place = captured(network, graphs=tapes), torch.randn(2, 2, 9), torch.tensor([5.0, 500.0])
    with torch.no_grad():
        for _ in range(6):
            assert torch.equal(ask(x, place), network(x, place))
    assert "play" not in tapes.done


def test_nothing_is_recorded_on_the_cpu(network: Denoiser) -> None:
    assert captured(network) is network
