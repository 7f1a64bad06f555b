"""Commands about the spectra of a scene."""
