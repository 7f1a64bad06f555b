"""Changes of training patches that have files of their own."""
