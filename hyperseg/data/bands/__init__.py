"""Bands: cut into groups, resampled to another sensor's."""
