"""How likely data are under a diffusion model.

| file       | what                                                                                                    |
|------------|---------------------------------------------------------------------------------------------------------|
| `flow`     | log density through the probability-flow equation, with Hutchinson's estimator or the exact trace      |
| `bound`    | variational bounds: of the steps of a grid with any variance, or their limit; in shares of dimensions  |
| `reverse`  | the variances of one reverse step, and the probability of data under the last one                      |
| `bits`     | bits per dimension, whole levels as continuous data                                                    |
| `surprise` | the order of many spectra from a few network calls: for maps                                           |
"""
