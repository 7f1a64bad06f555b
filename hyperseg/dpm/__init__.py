"""Diffusion models: noise schedules, networks as denoisers, samplers, likelihoods, and ways to make them faster.

| file               | what                                                                               |
|--------------------|------------------------------------------------------------------------------------|
| `denoise`          | the one question `denoise(x, sigma) -> Prediction`, and what a sampler gives       |
| `schedules`        | how much noise at which time: one file each, `SCHEDULES` is the table              |
| `parameterisation` | what a network says (eps, x0, v, score, EDM's mixture), and x0 from it             |
| `adapters`         | any network as a `Denoise`                                                         |
| `grid`             | the noise levels a sampler visits, and how they are spaced                         |
| `selection`        | the levels with the smallest variational bound, by dynamic programming             |
| `jump`             | one step between two levels, and the variances that it may have                    |
| `samplers`         | noise to data: one file each, `SAMPLERS` is the table                              |
| `likelihood`       | how likely data are: through the flow, and by variational bounds                   |
| `network`          | the denoising network, from the common backbone                                    |
| `captured`         | its calls, recorded once and played again on CUDA                                  |
| `losses`           | what a network is trained on: functions of clean data, times and noise             |
| `objectives`       | a loss with its schedule and its times: one file each, `OBJECTIVES` is the table   |
| `training`         | training on any data; `batches`: what a step reads                                 |
| `extras`           | a second training: a trained network learns to say more                            |
| `model`            | a trained network with all that is needed to ask and to save it                    |
| `stored`           | the same as a file: `write_model`, `read_model`                                    |
| `faster`           | trainings for few calls: distillation, DDGAN, latent; `FASTER` is the table        |
| `tapped`           | what a frozen denoiser knows: heads that read its decoder, trained on few labels   |
| `guidance`         | denoisers that follow the gradient of a loss; `GUIDANCES` is the table             |
| `features`         | in which features generated data are compared with real ones                       |
"""
