"""Fully convolutional networks: the first that answered for every pixel at once."""
