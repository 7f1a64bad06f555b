"""Split makers: which labelled pixels train, validate and test.

Two families that must never share one table column: random pixels (`random_fraction`, `random_per_class`,
`random_total`: train and test patches overlap) and spatial ones (`blocks`, `parcels`: test pixels keep a
guard distance). `fixed` takes masks somebody else published; `hyperseg.data.leak` measures what any of them
gives away. `folds` divides training pixels once more, for cross-fitting.

Every maker depends on the labels only through the *sets* of equally labelled pixels: renumbering the classes
returns the same masks. The generator of a class is seeded by (seed, its first pixel), so what happens to one
class does not disturb the draw of another.
"""

from hyperseg.data.splits.components import parcels
from hyperseg.data.splits.folds import folds, without
from hyperseg.data.splits.pixels import random_fraction, random_per_class, random_total
from hyperseg.data.splits.published import fixed
from hyperseg.data.splits.spelling import SPLIT_SPELLINGS, make_split
from hyperseg.data.splits.squares import blocks

__all__ = [
    "SPLIT_SPELLINGS",
    "blocks",
    "fixed",
    "folds",
    "make_split",
    "parcels",
    "random_fraction",
    "random_per_class",
    "random_total",
    "without",
]
