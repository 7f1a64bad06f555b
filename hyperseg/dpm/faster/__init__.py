"""Training-side speed-ups, one file or folder each; this is their table.

See `hyperseg.dpm.faster.speedup` for what they have in common.
"""

from hyperseg.core.parts import Entry, Parts

FASTER = Parts(
    "speed-up",
    {
        "progressive": Entry(
            "hyperseg.dpm.faster.progressive:PROGRESSIVE",
            "progressive distillation: few steps, learnt from the teacher's paths",
        ),
        "student": Entry("hyperseg.dpm.faster.student:STUDENT", "denoising student: all steps in one"),
        "ddgan": Entry("hyperseg.dpm.faster.ddgan.train:DDGAN", "denoising diffusion GAN: few large steps"),
        "latent": Entry("hyperseg.dpm.faster.latent.model:LATENT", "diffusion of the latent maps of an autoencoder"),
    },
)
