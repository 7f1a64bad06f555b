"""Features are a return value that changes nothing; gradients are equal, whether all is kept or worked out again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.tapped.frozen import frozen
from hyperseg.dpm.tapped.tap import STRONG, WEAK, blocks_at, check_unlike

SHAPES = [(1, 12), (3, 8, 6), (1, 6, 5, 7)]


def model(shape: tuple[int, ...], **options: Any) -> DiffusionModel:
    """An untrained network whose last layer, zero at first, says something."""
    spec = denoiser_spec(shape[0], len(shape) - 1, **{"widths": (4, 8), "cond_dim": 8, **options})
    with seeded(0):
        network = Denoiser(spec).eval()
        torch.nn.init.normal_(network.last.layer.weight, std=0.2)  # type: ignore[arg-type]
    return DiffusionModel(network, spec, SCHEDULES["linear"], "eps")


def asked(shape: tuple[int, ...], n: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, *shape, generator=generator, dtype=torch.float64), torch.tensor([0.1, 1.0, 7.0]).double()[:n]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("extras", [(), ("share",)])
def test_features_change_no_bit_of_a_prediction(shape: tuple[int, ...], extras: tuple[str, ...]) -> None:
    whole, (x, sigma) = model(shape, extras=extras), asked(shape)
    plain = whole.denoise()(x, sigma)
    assert plain.features is None
    for sparing in (False, True):
        told = whole.tapped(sparing=sparing)(x, sigma)
        assert torch.equal(told.x0, plain.x0)
        assert (told.share is None) == (plain.share is None) == (not extras)
        if told.share is not None and plain.share is not None:
            assert torch.equal(told.share, plain.share)
        assert told.features is not None
        levels, _ = whole.network.features(
            (x * (1 + sigma**2).rsqrt().reshape(-1, *(1,) * len(shape))).float(), told.features.place
        )
        assert [level.shape for level in levels] == [level.shape for level in told.features.levels]
        for level, other in zip(levels, told.features.levels, strict=True):
            torch.testing.assert_close(level, other)


@pytest.mark.parametrize("sampler", ["ddim", "heun"])
def test_features_change_no_bit_of_a_sample(sampler: str) -> None:
    """Also where the network is asked twice a step, which would undo features that are kept in the network."""
    whole = model((3, 8, 6))
    chosen = SAMPLERS[sampler]
    grid, start = chosen.grid(whole.schedule, 6), asked((3, 8, 6))[0]
    samples = [
        chosen.sample(denoise, start, grid, generator=torch.Generator().manual_seed(0)).x.detach()
        for denoise in (whole.denoise(), whole.tapped(), whole.tapped(sparing=True))
    ]
    assert torch.equal(samples[0], samples[1])
    assert torch.equal(samples[0], samples[2])


def test_features_of_a_call_are_its_own() -> None:
    whole, (x, sigma) = model((3, 8, 6)), asked((3, 8, 6))
    denoise = whole.tapped()
    first = denoise(x, sigma).features
    assert first is not None
    before = [level.clone() for level in first.levels]
    denoise(-x, 2 * sigma)
    assert all(torch.equal(a, b) for a, b in zip(before, first.levels, strict=True))


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that were made within it and are still there, at every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.held = {key: kept for key, kept in self.held.items() if not kept[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.held.values()))
        return out


def slope(whole: DiffusionModel, x: Tensor, sigma: Tensor, *, sparing: bool) -> tuple[Tensor, int]:
    """The gradient of some loss of levels and prediction, and the largest number of bytes on the way."""
    with Live() as live:
        at = x.clone().requires_grad_()
        told = whole.tapped(sparing=sparing)(at, sigma)
        assert told.features is not None
        loss = told.x0.square().sum() + sum(level.square().sum() for level in told.features.levels)
        (found,) = torch.autograd.grad(loss, at)
        del told, loss
    return found, live.peak


@pytest.mark.parametrize("shape", SHAPES)
def test_sparing_gives_equal_gradients(shape: tuple[int, ...]) -> None:
    whole, (x, sigma) = model(shape, heads=(0, 2)), asked(shape)
    usual, _ = slope(whole, x, sigma, sparing=False)
    spared, _ = slope(whole, x, sigma, sparing=True)
    assert float(usual.abs().max()) > 0.01
    assert float((usual - spared).abs().max()) <= 1e-6 * float(usual.abs().max())


def test_sparing_has_a_lower_peak() -> None:
    whole = model((3, 16, 16), widths=(8, 8, 16), depth=2)
    x, sigma = asked((3, 16, 16))
    usual, spared = (slope(whole, x, sigma, sparing=sparing)[1] for sparing in (False, True))
    with torch.no_grad(), Live() as live:
        whole.tapped()(x, sigma)
    assert live.peak < spared < 0.6 * usual


def flags(network: torch.nn.Module) -> list[bool]:
    return [p.requires_grad for p in network.parameters()] + [m.training for m in network.modules()]


def test_a_frozen_network_is_put_back_as_it_was() -> None:
    whole, (x, sigma) = model((3, 8, 6)), asked((3, 8, 6))
    network = whole.network.train()
    network.last.requires_grad_(False)
    network.encoder.eval()
    before, weights = flags(network), [p.clone() for p in network.parameters()]
    with frozen(network):
        assert not any(flags(network))
        at = x.clone().requires_grad_()
        whole.tapped(sparing=True)(at, sigma).x0.square().sum().backward()
        assert at.grad is not None
        assert float(at.grad.abs().max()) > 0
    assert flags(network) == before
    with pytest.raises(KeyError), frozen(network):
        raise KeyError
    assert flags(network) == before
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("n", "strong", "weak"), [(18, (2, 4, 5, 6, 7), (6,)), (9, (1, 2, 3), (3,)), (6, (1, 2), (2,))]
)
def test_blocks_by_fractions_of_the_depth(n: int, strong: tuple[int, ...], weak: tuple[int, ...]) -> None:
    assert blocks_at(STRONG, n) == strong
    assert blocks_at(WEAK, n) == weak
    check_unlike(strong, weak)


def test_taps_that_say_nothing_are_refused() -> None:
    for fractions in ((), (0.5, 1.2), (-0.1,), (float("nan"),)):
        with pytest.raises(SettingError, match="fractions of a decoder's depth"):
            blocks_at(fractions, 3)
    with pytest.raises(SettingError, match="different taps"):
        check_unlike((1, 2), (2, 1))
    with pytest.raises(SettingError, match="different taps"):
        check_unlike(blocks_at(STRONG, 2), blocks_at(WEAK, 2))
