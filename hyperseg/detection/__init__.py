"""Detection of objects as boxes, from few labels: FocalMix and its supervised twin."""
