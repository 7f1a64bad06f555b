"""Cross-entropy that weighs background less, instead of the method's own loss."""

from hyperseg.losses.weighted_ce import WeightedCE
from hyperseg.recipes.tricks.model.instead import loss_trick

WEIGHTED_CE = loss_trick("weighted-ce", WeightedCE)
