"""Refiners that turn a map into a better map: conditional random fields, and a deconvolution network.

| file                              | what                                                                            |
|-----------------------------------|---------------------------------------------------------------------------------|
| `settings`                        | of the dense CRF, mean field and the deep CRF; no torch                         |
| `dense`                           | fully connected CRF with Gaussian kernels, which are in `hyperseg.filters`      |
| `tune`                            | a refiner's settings from validation pixels                                     |
| `piecewise`                       | pairwise potentials of the deep CRF: table of neighbours, heads, their training |
| `grid`, `meanfield`               | mean field with a full table per edge of a pixel grid                           |
| `deep`                            | the deep CRF applied to a map, in tiles                                         |
| `deconv`                          | the deconvolution network                                                       |
| `adjacency`                       | the table of neighbours beside the ground truth's, as numbers and as a figure   |
| `section`                         | what the report shows of a refiner                                              |

Everything is imported from its own file.
"""
