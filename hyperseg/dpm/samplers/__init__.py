"""Samplers, one file each; this is their table. See `hyperseg.dpm.samplers.sampler` for what they have in common."""

from hyperseg.core.parts import Entry, Parts

NOISY = "hyperseg.dpm.samplers.stochastic"

SAMPLERS = Parts(
    "sampler",
    {
        "ddim": Entry("hyperseg.dpm.samplers.euler:EULER", "DDIM without noise: Euler's method, order 1"),
        "ddim-half": Entry(f"{NOISY}.ddim:DDIM_HALF", "DDIM with half the noise of DDPM (eta 0.5)"),
        "ddpm": Entry(f"{NOISY}.ddpm:DDPM", "ancestral sampling, the smaller variance"),
        "ddpm-large": Entry(f"{NOISY}.ddpm:DDPM_LARGE", "ancestral sampling, the larger variance (beta)"),
        "iddpm": Entry(f"{NOISY}.iddpm:IDDPM", "ancestral sampling, the network tells the variance"),
        "analytic-ddpm": Entry(f"{NOISY}.analytic:ANALYTIC_DDPM", "DDPM with the best variance, one for all pixels"),
        "analytic-ddim": Entry(f"{NOISY}.analytic:ANALYTIC_DDIM", "DDIM with the best variance, one for all pixels"),
        "npr-ddpm": Entry(f"{NOISY}.second_moment:NPR_DDPM", "the best variance of every pixel, from its error"),
        "sn-ddpm": Entry(f"{NOISY}.second_moment:SN_DDPM", "the best variance of every pixel, from squared noise"),
        "ncsn": Entry(f"{NOISY}.langevin:NCSN", "annealed Langevin dynamics, 100 steps a level"),
        "ncsn-v2": Entry(f"{NOISY}.langevin:NCSN_V2", "annealed Langevin dynamics, 5 steps a level"),
        "reverse-sde": Entry(f"{NOISY}.reverse_sde:REVERSE_SDE", "the reverse equation by Euler and Maruyama"),
        "predictor-corrector": Entry(
            f"{NOISY}.predictor_corrector:PREDICTOR_CORRECTOR", "reverse diffusion and Langevin steps, VE, VP, sub-VP"
        ),
        "edm-churn": Entry(f"{NOISY}.churn:EDM_CHURN", "EDM with fresh noise before every step"),
        "restart": Entry(f"{NOISY}.restart:RESTART", "Heun's method that goes up again from a low level"),
        "truncated-gaussian": Entry(
            f"{NOISY}.truncated:TRUNCATED_GAUSSIAN", "DDIM from a guess: a Gaussian of the principal components"
        ),
    },
)
