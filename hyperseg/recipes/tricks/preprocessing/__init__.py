"""Tricks before a network sees an image: patches, their places, grids and intensities."""
