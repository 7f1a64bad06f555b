"""End to end on discs, some of them with a truth that the image does not tell: trained, drawn, and drawn again.

Not asserted, as it did not hold here with five or ten calls after as many steps: that the mean of drawn masks is better
calibrated than the answer of the feed-forward twin.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.learning import diffusion_loss
from hyperseg.dpm.masks.model import MaskModel
from hyperseg.dpm.masks.network import MaskDenoiser, mask_denoiser_spec
from hyperseg.dpm.masks.sampling import draw_masks, normal_noise
from hyperseg.dpm.masks.settings import DrawSettings, MaskNetworkSettings
from hyperseg.dpm.network import denoiser_spec
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, step_generator, train
from hyperseg.metrics.calibration import expected_calibration_error

COSINE, CODE, SIDE = SCHEDULES["cosine"], MaskCode(2), 32
N_TRAIN, N_TEST, BATCH = 128, 12, 8


@cache
def discs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """(n, 1, 32, 32) noisy discs and (n, 32, 32) masks; of every fourth the border is blurred, its place a coin's."""
    draw = torch.Generator().manual_seed(seed)
    row, column = 8 + 16 * torch.rand(2, n, 1, 1, generator=draw)
    radius = 5 + 5 * torch.rand(n, 1, 1, generator=draw)
    vague = (torch.arange(n) % 4 == 0).view(n, 1, 1)
    side = 2 * torch.randint(2, (n, 1, 1), generator=draw) - 1
    at = torch.arange(SIDE)
    beyond = ((at.view(-1, 1) - row) ** 2 + (at - column) ** 2).sqrt() - radius
    image = torch.sigmoid(-beyond / torch.where(vague, 2.0, 0.3)) + 0.15 * torch.randn(n, SIDE, SIDE, generator=draw)
    return image.unsqueeze(1), (beyond < 2 * side * vague).long()


@cache
def trained(steps: int, seed: int = 0) -> MaskModel:
    spec = mask_denoiser_spec(
        denoiser_spec(1, 2, widths=(8, 16, 32)).backbone, channels=1, size=(SIDE, SIDE), image_channels=1,
        chosen=MaskNetworkSettings(), cond_dim=32,
    )  # fmt: skip
    with seeded(seed):
        net = MaskDenoiser(spec)
    images, labels = discs(N_TRAIN, 1)

    def batches(step: int) -> tuple[Tensor, Tensor]:
        which = torch.randint(N_TRAIN, (BATCH,), generator=step_generator(seed, step))
        return images[which], labels[which]

    phase = one_cycle(
        "net", diffusion_loss(net, CODE, COSINE, "x0"), net.parameters(), steps=steps, lr=1e-2, weight_decay=1e-2
    )
    train(
        [phase], batches, steps, modules={"net": net}, averages={"net": Ema(net, decay=0.95)},
        runtime=Runtime(quiet=True, seed=seed), name="net", title="net",
    )  # fmt: skip
    return MaskModel([net], CODE, COSINE, "x0")


def drawn(model: MaskModel, calls: int, *, n: int = N_TEST, samples: int = 4) -> Tensor:
    """(n, R, *S) probabilities of the disc in every sample of every image."""
    how, size = DrawSettings(samples=samples, calls=calls), (SIDE, SIDE)
    return torch.stack([
        torch.stack([*draw_masks(model, one, size, how, noise=normal_noise(i, 1, size), device="cpu")])[:, 1]
        for i, one in enumerate(discs(N_TEST, 99)[0][:n])
    ])  # fmt: skip


def dice(probabilities: Tensor, masks: Tensor) -> float:
    """Mean over images."""
    found = (probabilities > 0.5).long()
    both, sizes = (found * masks).sum((1, 2)), (found + masks).sum((1, 2))
    return float((2 * both / sizes).mean())


def ece(probabilities: Tensor, masks: Tensor) -> float:
    both = torch.stack([1 - probabilities, probabilities], -1)
    return expected_calibration_error(both.reshape(-1, 2).numpy(), masks.flatten().numpy())


def test_masks_of_three_and_of_ten_calls_are_right_and_disagree_where_the_image_does_not_tell() -> None:
    masks = discs(N_TEST, 99)[1]
    vague = torch.arange(N_TEST) % 4 == 0
    for calls in (3, 10):
        found = drawn(trained(120), calls)
        assert dice(found.mean(1)[~vague], masks[~vague]) > 0.95
        assert dice(found[:, 0][~vague], masks[~vague]) > 0.9  # a single one
        assert ece(found.mean(1), masks) < ece(found[:, 0], masks)
        spread = found.var(1).sum((1, 2))
        assert float(spread[vague].mean()) > 1.3 * float(spread[~vague].mean())


def test_the_same_seed_gives_the_same_masks() -> None:
    first, again = (drawn(trained.__wrapped__(4, seed), 3, n=1, samples=2) for seed in (0, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, drawn(trained.__wrapped__(4, 1), 3, n=1, samples=2))
