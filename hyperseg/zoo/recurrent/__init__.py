"""Recurrent networks: what was seen along rows and columns is remembered."""
