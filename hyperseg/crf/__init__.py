"""Conditional random fields: refiners that turn a map into a better map."""

from hyperseg.crf.dense import DenseCRF, energy, free_energy, mean_field, refine
from hyperseg.crf.exact import ExactKernel
from hyperseg.crf.kernels import Kernels, guide_from_components
from hyperseg.crf.lattice import Lattice
from hyperseg.crf.tune import Candidate, ClassChange, Tuned, changes, choose, default_candidates, tune

__all__ = [
    "Candidate",
    "ClassChange",
    "DenseCRF",
    "ExactKernel",
    "Kernels",
    "Lattice",
    "Tuned",
    "changes",
    "choose",
    "default_candidates",
    "energy",
    "free_energy",
    "guide_from_components",
    "mean_field",
    "refine",
    "tune",
]
