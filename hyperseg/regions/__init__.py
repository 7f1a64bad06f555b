"""Regions of a scene: trees of segmentations built from spectra alone, and cut where a map says."""
