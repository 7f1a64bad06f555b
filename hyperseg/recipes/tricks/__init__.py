"""Tricks, one file each; this is their table, in the order they are done: phase by phase of the work on a network.

Source: the phases are those of Zhang et al., "Understanding the Tricks of Deep Learning in Medical Image Segmentation",
arXiv 2209.10307.
"""

from hyperseg.core.parts import Entry, Parts

_HERE = "hyperseg.recipes.tricks"
TRICKS = Parts(
    "trick",
    {
        "self-supervised": Entry(
            f"{_HERE}.pretraining.self_supervised:SELF_SUPERVISED",
            "the network first learns to restore disturbed patches, without labels",
        ),
        "given-weights": Entry(
            f"{_HERE}.pretraining.given_weights:GIVEN_WEIGHTS",
            "the network begins with the weights of a file, as hyperseg pretrain writes it",
        ),
        "patching": Entry(f"{_HERE}.preprocessing.patching:PATCHING", "training patches of another size"),
        "oversampling": Entry(
            f"{_HERE}.preprocessing.oversampling:OVERSAMPLING",
            "a share of the patches is laid around a voxel of a foreground class",
        ),
        "resampling": Entry(
            f"{_HERE}.preprocessing.resampling:RESAMPLING", "all images on one grid of the same spacing"
        ),
        "normalisation": Entry(
            f"{_HERE}.preprocessing.normalisation:NORMALISATION",
            "intensities cut to what the foreground has, then scaled",
        ),
        "pixel-augmentation": Entry(
            f"{_HERE}.augmentation.pixel:PIXEL_AUGMENTATION",
            "brightness, contrast, gamma and noise are changed at random",
        ),
        "spatial-augmentation": Entry(
            f"{_HERE}.augmentation.spatial:SPATIAL_AUGMENTATION", "patches are turned, scaled and mirrored at random"
        ),
        "gan-augmentation": Entry(
            f"{_HERE}.augmentation.gan:GAN_AUGMENTATION", "a share of the images is made by a GAN from their labels"
        ),
        "mixup": Entry(f"{_HERE}.augmentation.mixup:MIXUP", "images are mixed in pairs, and so are their losses"),
        "deep-supervision": Entry(
            f"{_HERE}.model.deep_supervision:DEEP_SUPERVISION", "the loss is taken at every level of the decoder"
        ),
        "instance-norm": Entry(
            f"{_HERE}.model.instance_norm:INSTANCE_NORM", "every image is normalised by itself within the network"
        ),
        "dice-loss": Entry(f"{_HERE}.model.dice_loss:DICE_LOSS", "Dice of every class instead of cross-entropy"),
        "tversky-loss": Entry(
            f"{_HERE}.model.tversky_loss:TVERSKY_LOSS", "Dice that weighs what is missed and what is too much apart"
        ),
        "focal-loss": Entry(f"{_HERE}.model.focal_loss:FOCAL_LOSS", "cross-entropy that counts what is hard more"),
        "weighted-ce": Entry(f"{_HERE}.model.weighted_ce:WEIGHTED_CE", "cross-entropy that counts foreground more"),
        "ohem": Entry(f"{_HERE}.model.ohem:OHEM", "cross-entropy of the hardest pixels of a batch alone"),
        "tta": Entry(f"{_HERE}.inference.tta:TTA", "the mean answer to an image, its mirror images and turns"),
        "ensemble-average": Entry(
            f"{_HERE}.inference.ensemble:ENSEMBLE_AVERAGE", "the mean answer of networks of other seeds"
        ),
        "ensemble-vote": Entry(f"{_HERE}.inference.ensemble:ENSEMBLE_VOTE", "what most networks of other seeds say"),
        "largest-component": Entry(
            f"{_HERE}.postprocessing.largest_component:LARGEST_COMPONENT",
            "of each class the largest piece alone is kept",
        ),
        "small-areas": Entry(
            f"{_HERE}.postprocessing.small_areas:SMALL_AREAS", "pieces smaller than a limit are given to what is around"
        ),
    },
)
