"""Tricks that show a network more than there is: changed and made images."""
