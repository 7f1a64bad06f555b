"""Splits: which labelled pixels train, validate and test.

Families that must never share one table column: random pixels (training and test patches overlap), spatial splits
(test pixels keep a guard distance), and pixels as far from labels as those of the map: each estimates something else
(`Splitter.estimates`). `hyperseg.data.leak` measures what a split gives away. `folds` divides
training pixels once more, for cross-fitting.

Every maker depends on the labels only through the *sets* of equally labelled pixels: renumbering the classes
returns the same masks. The generator of a class is seeded by (seed, its first pixel), so what happens to one
class does not disturb the draw of another.
"""

from hyperseg.core.parts import Entry, Parts
from hyperseg.data.splits.drawing import Draw
from hyperseg.data.splits.folds import folds, without
from hyperseg.data.splits.spelling import Splitter, make_split, parse_split, splits_help

# name: (where the splitter is, in this package; what it does)
_TABLE = {
    "parcels": ("components:PARCELS", "Connected fields, or drawn polygons, go whole to training or to test."),
    "blocks": ("squares:BLOCKS", "Square blocks of the scene go whole to training or to test."),
    "nalepa": ("rectangles:NALEPA", "Patches at random places train whole, all other ground tests."),
    "knndm": ("nearest:KNNDM", "Test pixels as far from training pixels as the pixels of the map are from labels."),
    "random_fraction": ("pixels:RANDOM_FRACTION", "A share of the pixels of every class, at random."),
    "random_per_class": ("pixels:RANDOM_PER_CLASS", "n pixels of every class, at random."),
    "random_total": ("pixels:RANDOM_TOTAL", "n pixels in all, at random, in proportion to the area of the classes."),
    "fixed": ("published:FIXED", "Masks that somebody published: training pixels, and test pixels or all the rest."),
}
SPLITS = Parts("split", {name: Entry(f"{__name__}.{place}", text) for name, (place, text) in _TABLE.items()})

__all__ = ["SPLITS", "Draw", "Splitter", "folds", "make_split", "parse_split", "splits_help", "without"]
