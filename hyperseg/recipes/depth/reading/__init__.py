"""Depth read by trained heads: of held-out pictures at every time, and of the user's own."""
