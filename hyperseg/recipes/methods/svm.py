"""The baseline that a network has to beat: a support vector machine with an RBF kernel, on single spectra."""

from hyperseg.hsi.classical import fit_svm
from hyperseg.recipes.methods.classical import classical_method

SVM = classical_method("svm", fit_svm)
