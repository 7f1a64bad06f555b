"""Data that generative models are compared on, one kind a file; `PICTURES` is the table of those with a name.

A name loads a set, anything else is a folder of images; `cifar10:size=16,classes=2,n=2000` is a smaller problem.
"""

from hyperseg.recipes.bench.data.load import PICTURES, load_pictures, name_of
from hyperseg.recipes.bench.data.pictures import Choice, Pictures

__all__ = ["PICTURES", "Choice", "Pictures", "load_pictures", "name_of"]
