"""Gaussian filters over pixels, and the mean field of a dense CRF, which is made of them.

| file         | what                                                                      |
|--------------|---------------------------------------------------------------------------|
| `lattice`    | the permutohedral lattice: a Gaussian filter in many dimensions           |
| `simplices`  | its geometry: the simplex around a point, corners as integers, neighbours |
| `kernels`    | kernels over the pixels of a scene, and the guide that they read          |
| `mean_field` | mean field whose messages are products with such kernels                  |

Everything is imported from its own file.
"""
