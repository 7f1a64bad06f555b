"""Detection of boxes: runs, prediction, scores."""
