"""The focal loss instead of the method's own."""

from hyperseg.losses.focal import Focal
from hyperseg.recipes.tricks.model.instead import loss_trick

FOCAL_LOSS = loss_trick("focal-loss", Focal)
