"""Segmentation of images and volumes of bodies: rules that plan a network from a data set."""
