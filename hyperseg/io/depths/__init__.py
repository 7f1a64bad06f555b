"""Folders of pictures with depth: which files belong together, and depth in metres or as disparity."""

from hyperseg.io.depths.open import Pairs, open_pairs, read_depth
from hyperseg.io.depths.unit import Unit

__all__ = ["Pairs", "Unit", "open_pairs", "read_depth"]
