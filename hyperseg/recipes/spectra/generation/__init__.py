"""New spectra and patches of the classes of a scene."""
