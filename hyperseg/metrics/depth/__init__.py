"""Estimated depth against true depth, and depth maps as features."""

from hyperseg.metrics.depth.errors import abs_rel, delta1, rmse
from hyperseg.metrics.depth.pooling import pooled

__all__ = ["abs_rel", "delta1", "pooled", "rmse"]
