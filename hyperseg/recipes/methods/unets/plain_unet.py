"""The planned U-Net with nothing but what a network needs: what tricks are measured against; folders only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, NoSettings
from hyperseg.core.settings import settings
from hyperseg.losses import PLAIN
from hyperseg.recipes.methods.unet import UNET
from hyperseg.recipes.training.settings import loss_option, respell_loss

if TYPE_CHECKING:
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan

FEWEST = 2  # patches in a batch: batch norm of one would be instance norm


@settings
class PlainSettings:
    """Of folders: the loss; all else is of the plan, or left out."""

    loss: str = loss_option(PLAIN)

    def __post_init__(self) -> None:
        respell_loss(self)


def plain(plan: Plan, chosen: Any = None) -> Plan:
    """The plan without what tricks bring back, one by one; of a plain plan the same plan.

    Left out are: a common spacing (the spacing of each case is changed by the same factor, so that the median is the
    planned one), rules for intensities (each image is brought to 0..1), every random change of patches, patches around
    foreground voxels, instance norm (batch norm instead), losses at coarser levels, mirror images in prediction,
    largest pieces alone, and cascades. Patches, widths, strides, batches (two patches at least) and the course of the
    training are the plan's. Images whose files tell no spacing have a common one: their grid is the plan's.

    Source: the baseline of Zhang et al., arXiv 2209.10307, as of its published code: a U-Net with batch norm, trained
    by cross-entropy on images scaled to 0..1, without augmentation.
    Differs: its networks have a fixed shape (2-D: ResNet-50 as encoder; 3-D: 64 to 512 maps, max pooling) and fixed
    inputs (256 x 256; 96^3 at 1 mm, with CT clipped to -124..276); pictures are scaled by the mean and deviation of
    ImageNet. Every picture becomes 256 x 256 there, whatever its size; here all are made smaller by the same factor,
    where the plan has too little time for all pixels. Ours is nnU-Net's planned network, so that there is a baseline of
    any data set. Its optimiser is Adam (2-D) or SGD (3-D) for 200 epochs; ours is that of the method `unet`. Here the
    last weights count; there the best on validation cases. Windows are blended with Gaussian weights, there all alike.
    """
    from hyperseg.medical.plan import Normalisation
    from hyperseg.medical.training import unchanged

    training = plan.training
    return replace(
        plan,
        normalisations=tuple(Normalisation("min-max") for _ in plan.normalisations),
        configurations=tuple(_plain(one, plan) for one in plan.configurations if one.name in ("2d", "3d")),
        training=replace(
            training,
            loss=replace(training.loss, supervised=False, forced=0.0),
            augmentation=unchanged(training.augmentation),
            resampling=replace(training.resampling, keep=plan.facts.unit != "px"),
            inference=replace(training.inference, mirror=False, keep_largest="never"),
        ),
    )


def _plain(one: Configuration, plan: Plan) -> Configuration:
    from hyperseg.medical.topology import parameters_of, training_bytes

    spec, batch = replace(one.backbone, conv=replace(one.backbone.conv, norm="batch")), max(FEWEST, one.batch)
    parameters = parameters_of(spec, len(plan.facts.classes), heads=1)
    return replace(
        one, backbone=spec, batch=batch, supervision=(1.0,), parameters=parameters,
        training_bytes=training_bytes(one.values, batch, parameters),
    )  # fmt: skip


def refused(*given: Any) -> NoReturn:
    """Of scenes there is nothing to fit, check or load."""
    raise SettingError("the method plain-unet takes folders of images or volumes, no scenes: hyperseg segment train.")


assert UNET.on_cases is not None
PLAIN_UNET = Method(
    "plain-unet", NoSettings, refused, refused, refused, takes=frozenset(), has_features=False,
    on_cases=replace(UNET.on_cases, settings=PlainSettings, plan=plain),
)  # fmt: skip
