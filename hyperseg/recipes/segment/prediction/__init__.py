"""Prediction of one case: seconds by stage, the region that is worth a look, the case itself."""
