"""Guidance: a denoiser that follows the gradient of a loss is a denoiser again, which every sampler asks.

| file          | what                                                                                        |
|---------------|---------------------------------------------------------------------------------------------|
| `guide`       | `guide(denoise, loss, weight)`, by the mean of a step or by its noise                       |
| `own_step`    | the step of the schedule itself, whose mean is moved                                        |
| `losses`      | what a loss of guidance is, and several of them added                                       |
| `consistency` | DCG: a strong and a weak head agree on the depth                                            |
| `prior`       | DPG: the depth is likely to a diffusion model of depth maps                                 |
| `check`       | what cannot be guided is refused before it is sampled                                       |

`GUIDANCES` is the table of the terms: a term is one file and one line.
"""

from hyperseg.core.parts import Entry, Parts

GUIDANCES = Parts(
    "guidance",
    {
        "dcg": Entry("hyperseg.dpm.guidance.consistency:DCG", "depth consistency: a strong and a weak head agree"),
        "dpg": Entry("hyperseg.dpm.guidance.prior:DPG", "depth prior: the depth is likely to a small diffusion model"),
    },
)
