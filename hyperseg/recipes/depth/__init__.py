"""Depth-aware guidance end to end: train on pictures, read depth with few labels, sample with guidance, score."""
