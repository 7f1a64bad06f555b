"""The Tversky loss instead of the method's own."""

from hyperseg.losses.tversky import Tversky
from hyperseg.recipes.tricks.model.instead import loss_trick

TVERSKY_LOSS = loss_trick("tversky-loss", Tversky)
