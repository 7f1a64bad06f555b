"""The feed-forward twin of MedSegDiff: the same network, shown no mask, trained by Dice and cross-entropy."""
