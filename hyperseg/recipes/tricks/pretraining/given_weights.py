"""Given weights: the encoder begins with what another network has learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Beginning, OnCases, Trick
from hyperseg.core.settings import required, settings
from hyperseg.recipes.tricks.slots import with_begin, with_ready

if TYPE_CHECKING:
    from torch import Tensor, nn


@settings
class GivenWeights:
    """Where they are."""

    file: str = required("Safetensors file: the weights.safetensors of a fold of a run, or of an encoder alone.")


def on_cases(on: OnCases, chosen: GivenWeights) -> OnCases:
    """All tensors of the encoder are those of the file; the others begin as they would without it.

    The file is read when the training of a network begins, and not again where that goes on or has ended.

    Source: the "ModelPT" of arXiv 2209.10307. No weights of other people are shipped.
    """

    def ready(net: nn.Module) -> None:
        tensors_for(encoder_of(net), chosen.file)

    def begin(beginning: Beginning) -> None:
        if not beginning.goes_on:
            encoder = encoder_of(beginning.net)
            encoder.load_state_dict(tensors_for(encoder, chosen.file))

    return with_begin(with_ready(on, ready), begin)


def tensors_for(encoder: nn.Module, file: str) -> dict[str, Tensor]:
    """The tensors of the file, which are those that the encoder has.

    Raises:
        RunError: no such file, no weights, or others; see `backbone.transfer`.
    """
    from hyperseg.backbone.transfer import check_encoder, encoder_tensors

    tensors = encoder_tensors(file)
    check_encoder(file, encoder, tensors)
    return tensors


def encoder_of(net: nn.Module) -> nn.Module:
    """The encoder of a network.

    Raises:
        SettingError: it has none, or several.
    """
    from torch import nn

    encoder: Any = getattr(net, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise SettingError(
            f"its network ({type(net).__name__}) has no single encoder that could begin with given weights. Choose a "
            "plain U-Net."
        )
    return encoder


GIVEN_WEIGHTS = Trick("given-weights", "pre-training", on_cases, settings=GivenWeights)
