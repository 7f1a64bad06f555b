"""How likely data are under a diffusion model: `flow` (an equation solved), `bound` (a variational bound), `bits`."""
