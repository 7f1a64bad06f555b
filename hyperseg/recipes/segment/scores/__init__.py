"""Predictions and labels that belong together."""
