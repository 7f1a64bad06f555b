"""ReNet: lines read from both ends."""

from __future__ import annotations

import copy

import pytest
import torch
from test_zoo_contract import body, image
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.zoo import parse_network
from hyperseg.zoo.recurrent.reseg import Sweep


def turned(sweep: Sweep) -> Sweep:
    """The same layer with the weights of its two ways exchanged."""
    other = copy.deepcopy(sweep)
    weights = sweep.units.state_dict()
    other.units.load_state_dict(
        {name: weights[name.removesuffix("_reverse") if "reverse" in name else name + "_reverse"] for name in weights}
    )
    return other


@pytest.mark.parametrize(("size", "axis"), [((4, 5), 0), ((4, 5), 1), ((3, 4, 5), 0), ((3, 4, 5), 2)])
def test_a_flipped_map_with_both_ways_exchanged_gives_the_flipped_answer(size: tuple[int, ...], axis: int) -> None:
    sweep, x = Sweep(6, 3, axis), torch.randn(2, 6, *size)
    found = turned(sweep)(x.flip(axis + 2)).flip(axis + 2)
    assert torch.allclose(found, sweep(x).roll(3, 1), atol=1e-6)
    assert not torch.allclose(sweep(x.flip(axis + 2)).flip(axis + 2), sweep(x).roll(3, 1), atol=1e-3)


def dependence(layer: object, size: tuple[int, ...], here: tuple[int, ...], channels: slice) -> Tensor:
    x = torch.randn(1, 4, *size, requires_grad=True)
    y: Tensor = layer(x)  # type: ignore[operator]
    y[(0, channels, *here)].sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0) > 0


def test_a_sweep_reads_its_line_alone_one_way_up_to_the_position() -> None:
    forward = dependence(Sweep(4, 2, 1), (3, 5), (1, 2), slice(2))
    assert forward.nonzero().tolist() == [[1, 0], [1, 1], [1, 2]]
    backward = dependence(Sweep(4, 2, 1), (3, 5), (1, 2), slice(2, 4))
    assert backward.nonzero().tolist() == [[1, 2], [1, 3], [1, 4]]


def test_sweeps_along_all_axes_read_everything() -> None:
    plane = torch.nn.Sequential(Sweep(4, 2, 0), Sweep(4, 2, 1))
    assert dependence(plane, (3, 5), (1, 2), slice(None)).all()
    volume = torch.nn.Sequential(Sweep(4, 2, 0), Sweep(4, 2, 1), Sweep(4, 2, 2))
    assert dependence(volume, (3, 4, 5), (1, 2, 0), slice(None)).all()


def test_every_line_is_read_by_itself() -> None:
    sweep, x = Sweep(4, 2, 0), torch.randn(2, 4, 3, 5)
    whole = sweep(x)
    for column in range(5):
        assert torch.allclose(sweep(x[..., column : column + 1]), whole[..., column : column + 1], atol=1e-6)


def test_layers_and_hidden_features_are_as_many_as_asked() -> None:
    member, chosen = parse_network("reseg:layers=2,hidden=5")
    net = member.build(body(3), 3, chosen)
    sweeps = [m for m in net.modules() if isinstance(m, Sweep)]
    assert [s.axis for s in sweeps] == [0, 1, 0, 1]
    assert [s.units.input_size for s in sweeps] == [16, 10, 10, 10]
    assert net(image(3, (9, 10))).shape == (2, 3, 9, 10)


def test_no_finer_map_reaches_the_scores_but_through_the_coarsest() -> None:
    member, chosen = parse_network("reseg")
    net = member.build(body(3), 3, chosen).eval()
    x = image(3, (9, 10))
    net.sweeps.register_forward_hook(lambda _, __, y: torch.zeros_like(y))  # type: ignore[union-attr]
    with torch.no_grad():
        assert torch.equal(net(x), net(x.roll(1, 3) * 2))


def test_at_the_start_nothing_is_read_as_nothing_and_gates_keep_lengths() -> None:
    sweep = Sweep(12, 5, 1)
    assert torch.equal(sweep(torch.zeros(1, 12, 3, 4)), torch.zeros(1, 10, 3, 4))
    for name, weight in sweep.units.named_parameters():
        if "weight_hh" in name:
            for gate in weight.chunk(3):
                assert torch.allclose(gate @ gate.T, torch.eye(5), atol=1e-5)


def test_a_signal_is_as_strong_after_many_sweeps() -> None:
    """Differences between positions, of a map with mean 0 and variance 1."""
    with seeded(0):
        sweeps = torch.nn.Sequential(*(Sweep(64, 32, i % 2) for i in range(4)))
    with torch.no_grad():
        found = sweeps(torch.randn(2, 64, 12, 12, generator=torch.Generator().manual_seed(0)))
    assert float(found.std(dim=(2, 3)).mean()) > 0.25
