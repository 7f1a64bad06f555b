"""Refiners, one file each."""
