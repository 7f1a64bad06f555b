"""Targets smaller than a few pixels in a scene: a detector that learns from implanted ones, beside ACE and a filter."""
