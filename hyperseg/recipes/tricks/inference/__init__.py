"""Tricks of prediction: networks stay as they are, and answer more often."""
