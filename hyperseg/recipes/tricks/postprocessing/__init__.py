"""Tricks after prediction: what classes of a whole image are made of them."""
