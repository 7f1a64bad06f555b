"""Classifiers of hyperspectral scenes: networks that map a scene in one pass, and the classical baselines."""
