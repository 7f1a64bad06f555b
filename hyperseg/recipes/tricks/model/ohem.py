"""Cross-entropy of the hardest pixels (online hard example mining) instead of the method's own loss."""

from hyperseg.losses.ohem import Ohem
from hyperseg.recipes.tricks.model.instead import loss_trick

OHEM = loss_trick("ohem", Ohem)
