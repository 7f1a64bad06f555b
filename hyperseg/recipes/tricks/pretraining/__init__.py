"""Tricks before the training itself: weights that have learnt something already."""
