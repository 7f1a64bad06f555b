"""What a diffusion model over masks, and its twin, do with a folder of images or volumes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperseg.core.maps import Fused
from hyperseg.core.parts import OnCases
from hyperseg.dpm.masks.settings import DrawSettings, FeedForwardSettings, MaskNetworkSettings, MedSegDiffSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyperseg.dpm.masks.codes import MaskCode
    from hyperseg.dpm.masks.learning import Loss
    from hyperseg.dpm.masks.network import MaskDenoiser, MaskDenoiserSpec
    from hyperseg.dpm.masks.sampling import MaskModel
    from hyperseg.engine.ema import Ema
    from hyperseg.engine.training import Phase
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan
    from hyperseg.medical.training import Inference
    from hyperseg.recipes.segment.sliding import Done, Score

Chosen = MedSegDiffSettings | FeedForwardSettings
NOISE_CALLS = 3  # of a glance by a network that says the noise: of noise alone it tells nothing at once


def code_of(n_classes: int, network: MaskNetworkSettings) -> MaskCode:
    from hyperseg.dpm.masks.codes import MaskCode

    return MaskCode(n_classes, network.codes)


def spec_of(configuration: Configuration, n_classes: int, chosen: Chosen) -> MaskDenoiserSpec:
    from hyperseg.dpm.masks.network import mask_denoiser_spec

    return mask_denoiser_spec(
        configuration.backbone, channels=code_of(n_classes, chosen.network).channels, size=configuration.patch,
        image_channels=configuration.backbone.in_channels, chosen=chosen.network,
    )  # fmt: skip


def build(configuration: Configuration, n_classes: int, chosen: Chosen) -> MaskDenoiser:
    """The network with the widths, strides and patch of a planned U-Net."""
    from hyperseg.dpm.masks.network import MaskDenoiser

    return MaskDenoiser(spec_of(configuration, n_classes, chosen))


def lesson(
    net: MaskDenoiser, plan: Plan, configuration: Configuration, steps: int, chosen: MedSegDiffSettings, _: None
) -> tuple[list[Phase], dict[str, Ema]]:
    """Noise at random times."""
    from hyperseg.dpm.masks.learning import diffusion_loss
    from hyperseg.dpm.schedules import SCHEDULES

    code = code_of(len(plan.facts.classes), chosen.network)
    schedule = SCHEDULES[chosen.schedule]
    loss = diffusion_loss(net, code, schedule, chosen.says, batch_dice=configuration.batch_dice, pure=chosen.pure)
    return _taught(net, loss, steps, chosen)


def twin_lesson(
    net: MaskDenoiser, plan: Plan, configuration: Configuration, steps: int, chosen: FeedForwardSettings, _: None
) -> tuple[list[Phase], dict[str, Ema]]:
    """A blank mask at the most noise."""
    from hyperseg.dpm.masks.learning import twin_loss
    from hyperseg.recipes.training.masks.scene import MOST_NOISE

    code = code_of(len(plan.facts.classes), chosen.network)
    return _taught(net, twin_loss(net, code, MOST_NOISE, batch_dice=configuration.batch_dice), steps, chosen)


def _taught(net: MaskDenoiser, loss: Loss, steps: int, chosen: Chosen) -> tuple[list[Phase], dict[str, Ema]]:
    from hyperseg.engine.ema import Ema
    from hyperseg.engine.one_cycle import one_cycle

    how = chosen.train
    phase = one_cycle(
        "masks", loss, net.parameters(), steps=steps, lr=how.lr, weight_decay=how.weight_decay, rise=how.rise
    )  # fmt: skip
    return [phase], {"net": Ema(net, decay=how.ema)}


def model_of(networks: Sequence[MaskDenoiser], n_classes: int, chosen: MedSegDiffSettings) -> MaskModel:
    from hyperseg.dpm.masks.sampling import MaskModel
    from hyperseg.dpm.schedules import SCHEDULES

    return MaskModel(networks, code_of(n_classes, chosen.network), SCHEDULES[chosen.schedule], chosen.says)


def score(
    networks: Sequence[MaskDenoiser], n_classes: int, _: Inference, mirror: bool, chosen: MedSegDiffSettings
) -> Score:
    """What trainings are validated by and a first look sees: a mask by one call, from the same noise each time.

    Ten validations by three calls take a sixth of a training of 200 steps; what is seen of noise alone is the mean of
    all masks, whose classes are no worse than those of one.
    """
    from hyperseg.dpm.masks.sampling import draw_masks, normal_noise

    model = model_of(networks, n_classes, chosen)
    how = DrawSettings(samples=1, calls=NOISE_CALLS if chosen.says == "eps" else 1, fusion="mean")

    def glance(x: Tensor) -> Tensor:
        planes = x.movedim(0, 1)  # every image of the batch is a window of its own
        noise = normal_noise(0, model.code.channels, planes.shape[1:])
        (one,) = draw_masks(model, planes, x.shape[2:], how, noise=noise, device=x.device, mirror=mirror)
        return one.movedim(1, 0)

    return glance


def twin_score(
    networks: Sequence[MaskDenoiser], n_classes: int, how: Inference, mirror: bool, chosen: FeedForwardSettings
) -> Score:
    """What the networks say of a blank mask, averaged as a U-Net's logits are."""
    from hyperseg.recipes.segment.sliding import averaged
    from hyperseg.recipes.training.masks.scene import FeedForward

    return averaged([FeedForward(net, n_classes) for net in networks], how, mirror=mirror)


def samples(
    networks: Sequence[MaskDenoiser], image: Tensor, patch: Sequence[int], chosen: MedSegDiffSettings, *,
    n_classes: int, mirror: bool, seed: int, device: torch.device, done: Done | None,
) -> Iterator[Tensor]:  # fmt: skip
    """Masks of an image, each from its own noise: the same for a seed and an image, whatever the device.

    An image that is smaller than the patch is padded with zeros on both sides, as in training.
    """
    from torch.nn.functional import pad

    from hyperseg.dpm.masks.sampling import draw_masks, normal_noise

    model = model_of(networks, n_classes, chosen)
    axes = tuple(image.shape[-len(patch) :])
    lead = [max(p - n, 0) // 2 for n, p in zip(axes, patch, strict=True)]
    after = [max(p - n, 0) - a for n, p, a in zip(axes, patch, lead, strict=True)]
    wide = pad(image, [side for both in zip(reversed(lead), reversed(after), strict=True) for side in both])
    inside: tuple[Any, ...] = (..., *(slice(a, a + n) for n, a in zip(axes, lead, strict=True)))
    # by image too, or a stray piece would be at the same place of all images
    own = zlib.crc32(np.ascontiguousarray(image).tobytes(), seed)
    noise = normal_noise(own, model.code.channels, wide.shape[1:])
    drawn = draw_masks(model, wide, patch, chosen.draw, noise=noise, device=device, mirror=mirror, done=done)
    return (one[inside] for one in drawn)


def fused(drawn: Iterator[Tensor], chosen: MedSegDiffSettings) -> Fused:
    from hyperseg.dpm.masks.fusion import fuse

    return fuse(drawn, chosen.draw.fusion)


def looks(chosen: MedSegDiffSettings, axes: int, mirror: bool) -> int:
    """Network calls of all masks: some samplers do with fewer than they are given."""
    from hyperseg.dpm.masks.sampling import check_draw
    from hyperseg.dpm.schedules import SCHEDULES

    _, _, calls = check_draw(chosen.draw, SCHEDULES[chosen.schedule])
    return chosen.draw.samples * calls * (2**axes if mirror else 1)


def check(plan: Plan, chosen: MedSegDiffSettings) -> None:
    from hyperseg.dpm.masks.sampling import check_draw
    from hyperseg.dpm.schedules import SCHEDULES

    check_draw(chosen.draw, SCHEDULES[chosen.schedule])
    twin_check(plan, chosen)


def twin_check(plan: Plan, chosen: Chosen) -> None:
    for one in plan.configurations:
        spec_of(one, len(plan.facts.classes), chosen)


def beside(chosen: MedSegDiffSettings) -> tuple[tuple[str, Any], ...]:
    """The twin with the same network and training."""
    from hyperseg.recipes.methods.diffusion.feed_forward import FEED_FORWARD

    return ((FEED_FORWARD.name, FeedForwardSettings(network=chosen.network, train=chosen.train)),)


ON_CASES = OnCases(
    MedSegDiffSettings, build, lesson, score, samples, fused, looks, check, beside, changeable="draw"
)  # fmt: skip
TWIN_ON_CASES = OnCases(FeedForwardSettings, build, twin_lesson, twin_score, check=twin_check)
