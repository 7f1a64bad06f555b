"""A look at a cube without reading all of it: bad bands, pixels without data, a survey."""
