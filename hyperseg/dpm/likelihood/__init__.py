"""How likely data are under a diffusion model.

| file       | what                                                                                                |
|------------|-----------------------------------------------------------------------------------------------------|
| `flow`     | log density through the probability-flow equation, with Hutchinson's estimator or the exact trace   |
| `bound`    | variational bounds: of the steps of a grid with any variance, or their limit; dimension by dimension |
| `bits`     | bits per dimension, and whole levels as continuous data                                             |
| `surprise` | what a network knows better than a Gaussian, from few calls: for maps of many spectra               |
"""
