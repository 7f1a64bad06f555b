"""Methods with a diffusion model: masks that it draws, the twin of that, and heads that read a denoiser's features."""
