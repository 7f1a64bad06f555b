"""Accuracy and areas of a finished map."""
