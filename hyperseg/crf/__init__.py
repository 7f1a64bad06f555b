"""Refiners that turn a map into a better map: conditional random fields, and a deconvolution network.

| file                              | what                                                                            |
|-----------------------------------|---------------------------------------------------------------------------------|
| `dense`, `lattice`, `exact`, `kernels` | fully connected CRF with Gaussian kernels                                  |
| `tune`                            | a refiner's settings from validation pixels                                     |
| `piecewise`                       | pairwise potentials of the deep CRF: table of neighbours, heads, their training |
| `grid`, `meanfield`               | mean field with a full table per edge of a pixel grid                           |
| `deep`                            | the deep CRF applied to a map, in tiles                                         |
| `deconv`                          | the deconvolution network                                                       |

What belongs to one refiner alone is imported from its own file.
"""

from hyperseg.crf.dense import DenseCRF, energy, free_energy, mean_field, refine
from hyperseg.crf.exact import ExactKernel
from hyperseg.crf.kernels import GuideRange, Kernels, guide_from_components, guide_range
from hyperseg.crf.lattice import Lattice
from hyperseg.crf.tune import Candidate, ClassChange, Tuned, changes, choose, default_candidates, tune

__all__ = [
    "Candidate",
    "ClassChange",
    "DenseCRF",
    "ExactKernel",
    "GuideRange",
    "Kernels",
    "Lattice",
    "Tuned",
    "changes",
    "choose",
    "default_candidates",
    "energy",
    "free_energy",
    "guide_from_components",
    "guide_range",
    "mean_field",
    "refine",
    "tune",
]
