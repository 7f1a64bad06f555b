"""Diffusion over masks, and its twin, trained: on folders of images and volumes, and on a scene."""
