"""How well objects are found one by one: average precision of masks, panoptic quality."""
