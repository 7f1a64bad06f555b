"""Attention: a pixel reads from all pixels that are like it, however far."""
