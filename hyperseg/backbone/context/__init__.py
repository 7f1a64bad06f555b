"""Layers that read far around a pixel and that several networks share."""
