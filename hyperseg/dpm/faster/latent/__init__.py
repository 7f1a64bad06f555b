"""Latent diffusion: a small autoencoder, and a denoising network that works on what it makes of the data.

| file          | what                                             |
|---------------|--------------------------------------------------|
| `autoencoder` | data to a smaller map and back                   |
| `training`    | of the autoencoder; how far from the data it is  |
| `model`       | both stages, and samples through any sampler     |
"""
