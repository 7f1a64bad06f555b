"""The command line: one file per command; each parses, calls a recipe and shows the result."""

from hyperseg.cli.main import main

__all__ = ["main"]
