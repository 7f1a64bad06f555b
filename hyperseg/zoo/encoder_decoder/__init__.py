"""Encoder-decoder networks: down to what there is, up again to where it is."""
