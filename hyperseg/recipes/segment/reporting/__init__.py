"""Pages about a run of networks, and about scores of predictions."""
