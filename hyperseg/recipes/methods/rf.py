"""A random forest on single spectra."""

from hyperseg.hsi.classical import fit_random_forest
from hyperseg.recipes.methods.classical import classical_method

RF = classical_method("rf", fit_random_forest)
