"""Refiners, one file each; this is their table. They are imported when they are chosen, and need no torch for that."""

from hyperseg.core.parts import Entry, Parts

REFINERS = Parts(
    "refiner",
    {
        "trees": Entry(
            "hyperseg.recipes.refiners.trees:TREES",
            "fields and other ground in patches: regions from the spectra of all pixels, cut where the map says, in "
            "which it is averaged; seconds, nothing to train",
        ),
        "dense-crf": Entry(
            "hyperseg.recipes.refiners.dense_crf:DENSE_CRF",
            "classes that spectra separate and noise speckles: it averages over look-alike pixels far and near; "
            "seconds, nothing to train",
        ),
        "deep-crf": Entry(
            "hyperseg.recipes.refiners.deep_crf:DEEP_CRF",
            "fields and borders: how often classes meet is learnt from the map itself, what borders look like from "
            "labelled neighbours where there are some; it keeps small classes that the dense CRF wipes out, and now "
            "and then paints one along a border",
        ),
        "deconv": Entry(
            "hyperseg.recipes.refiners.deconv:DECONV",
            "after either, where labels are many: it learns the map's typical mistakes from maps made without the "
            "pixels it learns from; slowest, gains least",
        ),
        "temperature": Entry(
            "hyperseg.recipes.refiners.temperature:TEMPERATURE",
            "last of those that learn: the map stays, its confidence is calibrated on parcels held out from training",
        ),
        "sieve": Entry(
            "hyperseg.recipes.refiners.sieve:SIEVE",
            "after all others, a minimum mapping unit: pieces smaller than a limit get the class around them; it "
            "tidies, and loses what is truly small",
        ),
    },
)
USUAL = ("trees", "temperature")  # the chain after methods that have none of their own
