"""Schedulers of the package diffusers as samplers: `from_diffusers` makes one; those of the table stand beside it."""
