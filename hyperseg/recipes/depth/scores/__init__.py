"""Scores of guidance: what is drawn, what it is compared with, who judges, and the table."""
