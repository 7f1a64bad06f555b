"""Scenes in and out: data-set cards, readers, splits, preprocessing, patches, simulated scenes, writers."""
