"""Diffusion models: noise schedules, networks as denoisers, samplers, likelihoods, and ways to make them faster.

| file                | what                                                                              |
|---------------------|-----------------------------------------------------------------------------------|
| `denoise`           | the one question `denoise(x, sigma) -> Prediction`, and what a sampler gives      |
| `schedules`         | how much noise at which time: one file each, `SCHEDULES` is the table             |
| `parameterisation`  | what a network says (eps, x0, v, score, EDM's mixture), and x0 from it            |
| `adapters`          | any network as a `Denoise`                                                        |
| `grid`              | the noise levels a sampler visits, and how they are spaced                        |
| `samplers`          | noise to data: one file each, `SAMPLERS` is the table                             |
| `network`           | the denoising network, from the common backbone                                   |
"""
