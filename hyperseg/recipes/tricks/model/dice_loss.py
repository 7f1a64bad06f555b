"""Dice of every class instead of the method's own loss."""

from hyperseg.losses.dice_loss import Dice
from hyperseg.recipes.tricks.model.instead import loss_trick

DICE_LOSS = loss_trick("dice-loss", Dice)
