"""Pyramids: what a pixel is, told by maps of many scales at once."""
