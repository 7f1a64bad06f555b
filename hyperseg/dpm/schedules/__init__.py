"""Noise schedules, one file each; this is their table."""

from hyperseg.core.parts import Entry, Parts

SCHEDULES = Parts(
    "schedule",
    {
        "linear": Entry("hyperseg.dpm.schedules.linear:LINEAR", "DDPM: 1000 steps, betas rise linearly"),
        "cosine": Entry("hyperseg.dpm.schedules.cosine:COSINE", "improved DDPM: 1000 steps, more time at little noise"),
        "vp": Entry("hyperseg.dpm.schedules.vp:VP", "variance-preserving equation, the limit of DDPM"),
        "ve": Entry("hyperseg.dpm.schedules.ve:VE", "variance-exploding equation, the limit of NCSN"),
        "subvp": Entry("hyperseg.dpm.schedules.subvp:SUBVP", "VP with less noise on the way"),
        "edm": Entry("hyperseg.dpm.schedules.edm:EDM", "EDM: the time is the noise"),
        "vdm": Entry("hyperseg.dpm.schedules.vdm:VDM", "VDM: log ratios even in time, until it is learnt"),
    },
)
OF_MASKS = "cosine"  # unless another is asked for
