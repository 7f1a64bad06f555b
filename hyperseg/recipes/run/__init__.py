"""A classification run: settings, folder, repeats, what is left on disk."""
