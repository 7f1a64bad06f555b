"""The report of a run: one self-contained page, a table on the screen, charts and pictures."""
