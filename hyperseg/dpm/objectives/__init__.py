"""Objectives of denoising networks, one file each; this is their table."""

from hyperseg.core.parts import Entry, Parts

OBJECTIVES = Parts(
    "objective",
    {
        "eps": Entry("hyperseg.dpm.objectives.eps:EPS", "DDPM: the noise"),
        "x0": Entry("hyperseg.dpm.objectives.x0:X0", "the clean data"),
        "v": Entry("hyperseg.dpm.objectives.v:V", "the velocity, a mixture of noise and data"),
        "score": Entry("hyperseg.dpm.objectives.score:SCORE", "denoising score matching"),
        "score-flow": Entry("hyperseg.dpm.objectives.score_flow:SCORE_FLOW", "score matching weighted for likelihood"),
        "hybrid": Entry("hyperseg.dpm.objectives.hybrid:HYBRID", "improved DDPM: the noise, and the variance learnt"),
        "edm": Entry("hyperseg.dpm.objectives.edm:EDM", "EDM: a mixture of state and answer, log-normal noise"),
        "vdm": Entry("hyperseg.dpm.objectives.vdm:VDM", "VDM: the bound in continuous time, the schedule learnt"),
    },
)
