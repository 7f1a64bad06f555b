"""Training on the labelled pixels of a scene."""
