"""Denoising diffusion GAN: a few large steps, each made by a generator that may say several things.

| file       | what                                                          |
|------------|---------------------------------------------------------------|
| `step`     | one step back of the process, and the pairs that are told apart |
| `networks` | generator and discriminator, from the common backbone         |
| `game`     | what both minimise                                            |
| `train`    | their training, and how samples are made                      |
"""
