"""Data that generative models are compared on, one kind a file; `PICTURES` is the table of those with a name.

A name loads a set, anything else is a folder of images.
"""

from hyperseg.recipes.bench.data.load import PICTURES, load_pictures
from hyperseg.recipes.bench.data.pictures import Pictures

__all__ = ["PICTURES", "Pictures", "load_pictures"]
