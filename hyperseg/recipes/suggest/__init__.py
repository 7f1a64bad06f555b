"""Which fields of a scene to label next."""
