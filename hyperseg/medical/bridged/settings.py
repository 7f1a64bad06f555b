"""What can be chosen of a bridged U-Net. No torch."""

from __future__ import annotations

from typing import Literal

from hyperseg.core.settings import option, settings

Act = Literal["relu", "elu", "leaky_relu", "silu", "gelu", "none"]
Bridge = Literal["cat", "add"]
Reads = Literal["image", "first"]


@settings
class BridgeSettings:
    """How two U-Nets are joined; see `medical.bridged.network.BridgedUNet`.

    Source: arXiv 1807.04459: one half has ReLU, the other ELU; addition and concatenation are compared.
    Differs: its layers are not known to us. Which half has ReLU, that bridges are concatenated, and that the first half
    has no scores of its own are our choices.
    """

    act_first: Act = option("relu", "Activation of the first U-Net.")
    act_second: Act = option("elu", "Activation of the second U-Net.")
    bridge: Bridge = option("cat", "Maps of the first decoder join the second encoder: channels beside, or added.")
    reads: Reads = option("image", "What the second U-Net reads first: the image, or the first one's finest map.")
    auxiliary: bool = option(False, "Class scores of the first U-Net's finest map take part in the loss.")
