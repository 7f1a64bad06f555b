"""Diffusion over masks: the classes of an image's pixels, drawn by a network that sees the image (MedSegDiff)."""
