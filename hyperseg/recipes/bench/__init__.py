"""Benchmarks that a user can repeat: what is measured, on which data."""
