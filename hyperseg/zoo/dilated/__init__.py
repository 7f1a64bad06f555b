"""Dilated networks: a wide view without giving up resolution."""
