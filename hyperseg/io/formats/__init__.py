"""File formats of scenes, one file each."""
