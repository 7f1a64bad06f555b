"""Samplers, one file each; this is their table. See `hyperseg.dpm.samplers.sampler` for what they have in common."""

from hyperseg.core.parts import Entry, Parts

NOISY = "hyperseg.dpm.samplers.stochastic"
DIFFUSERS = "hyperseg.dpm.samplers.diffusers"

SAMPLERS = Parts(
    "sampler",
    {
        "ddim": Entry("hyperseg.dpm.samplers.euler:EULER", "DDIM without noise: Euler's method, order 1"),
        "heun": Entry("hyperseg.dpm.samplers.heun:HEUN", "EDM without noise: Heun's method, order 2"),
        "dpm-solver-2": Entry("hyperseg.dpm.samplers.dpm_solver_2:DPM_SOLVER_2", "the slope half-way, order 2"),
        "dpmpp-2m": Entry("hyperseg.dpm.samplers.dpmpp_2m:DPMPP_2M", "DPM-Solver++ with memory, order 2"),
        "dpmpp-3m": Entry("hyperseg.dpm.samplers.dpmpp_3m:DPMPP_3M", "DPM-Solver++ with more memory, order 3"),
        "pf-ode": Entry("hyperseg.dpm.samplers.pf_ode:PF_ODE", "the probability-flow equation, Runge-Kutta, order 4"),
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
        "deis": Entry(
            f"{DIFFUSERS}.multistep:DEIS", "DEIS of order 3; order 2 here, its first step is Euler's (diffusers)"
        ),
        "unipc": Entry(f"{DIFFUSERS}.multistep:UNIPC", "UniPC, predictor and corrector (diffusers)"),
        "diffusers-dpmpp-2m": Entry(f"{DIFFUSERS}.multistep:MULTISTEP", "DPM-Solver++ with memory (diffusers)"),
        "dpmpp-2m-sde": Entry(f"{DIFFUSERS}.multistep:MULTISTEP_SDE", "DPM-Solver++ with memory and noise (diffusers)"),
        "edm-dpm": Entry(f"{DIFFUSERS}.multistep:EDM_DPM", "DPM-Solver++ in EDM's coordinates (diffusers)"),
        "sa-solver": Entry(f"{DIFFUSERS}.multistep:SA_SOLVER", "stochastic Adams (diffusers)"),
        "lms": Entry(f"{DIFFUSERS}.multistep:LMS", "linear multistep (diffusers)"),
        "dpmpp-3s": Entry(
            f"{DIFFUSERS}.singlestep:SINGLESTEP", "DPM-Solver++ of order 3 in single steps, order 2 here (diffusers)"
        ),
        "kdpm2": Entry(f"{DIFFUSERS}.singlestep:HALF", "the slope half-way (diffusers)"),
        "kdpm2-ancestral": Entry(f"{DIFFUSERS}.singlestep:HALF_ANCESTRAL", "slope half-way, with noise (diffusers)"),
        "euler-ancestral": Entry(f"{DIFFUSERS}.singlestep:ANCESTRAL", "Euler's method with noise (diffusers)"),
        "pndm": Entry(f"{DIFFUSERS}.steps:PNDM", "pseudo linear multistep (diffusers)"),
        "diffusers-ddim": Entry(f"{DIFFUSERS}.steps:DDIM", "DDIM without noise (diffusers)"),
        "diffusers-ddpm": Entry(f"{DIFFUSERS}.steps:DDPM", "DDPM (diffusers)"),
        "lcm": Entry(f"{DIFFUSERS}.steps:LCM", "latent consistency, for networks distilled to it (diffusers)"),
        "tcd": Entry(f"{DIFFUSERS}.steps:TCD", "trajectory consistency, for networks distilled to it (diffusers)"),
    },
)
