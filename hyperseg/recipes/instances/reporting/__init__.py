"""The page of a run of Mask R-CNN, and its scores in words."""
