"""hyperseg: from a hyperspectral cube and a few labels to a map you can trust."""

__version__ = "0.1.0"
