"""What a scene's spectra are like: which of its pixels are strange, and new ones that could be its own."""
