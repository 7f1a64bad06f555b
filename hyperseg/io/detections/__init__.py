"""Boxes in files: folders of volumes with boxes beside them, and tables of what was found."""
