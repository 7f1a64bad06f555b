"""Given weights: the network begins with what another one has learnt, without labels or with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hyperseg.core import SettingError
from hyperseg.core.parts import Beginning, OnCases, Trick, read_settings, respelt, split_spelling
from hyperseg.core.settings import required, settings
from hyperseg.recipes.tricks.pretraining.given_scene_weights import on_scene
from hyperseg.recipes.tricks.slots import with_begin, with_ready

if TYPE_CHECKING:
    from torch import nn

    from hyperseg.backbone.pretrained import Pretrained

NAME = "given-weights"


@settings
class GivenWeights:
    """Where they are."""

    file: str = required(
        "Safetensors file: what hyperseg pretrain wrote; the encoder of the weights.safetensors of a fold of a run, or "
        "of an encoder alone."
    )


def on_cases(on: OnCases, chosen: GivenWeights) -> OnCases:
    """The encoder, and of the decoder what the file has, begin with its weights; the rest begins as it would without.

    The file is read when the training of a network begins, and not again where that goes on or has ended.

    Source: the "ModelPT" of arXiv 2209.10307. No weights of other people are shipped.
    """

    def ready(net: nn.Module) -> None:
        given_for(net, chosen.file)

    def begin(beginning: Beginning) -> None:
        from hyperseg.backbone.pretrained import load_pretrained

        if not beginning.goes_on:
            load_pretrained(given_for(beginning.net, chosen.file), beginning.net)

    return with_begin(with_ready(on, ready), begin)


def given_for(net: nn.Module, file: str) -> Pretrained:
    """What the file holds, all of which fits the network.

    Raises:
        RunError: no such file, no weights, or others; see `backbone.pretrained`.
        SettingError: the network has no encoder.
    """
    from hyperseg.backbone.pretrained import check_pretrained, read_pretrained

    check_encoder_of(net)
    given = read_pretrained(file)
    check_pretrained(given, net)
    return given


def check_encoder_of(net: nn.Module) -> None:
    """Raise unless the network has one encoder.

    Raises:
        SettingError: it has none, or several.
    """
    from torch import nn

    if not isinstance(getattr(net, "encoder", None), nn.Module):
        raise SettingError(
            f"its network ({type(net).__name__}) has no single encoder that could begin with given weights. Choose a "
            "plain U-Net."
        )


def spelled(file: str) -> str:
    """The trick as it is named, with this file."""
    return respelt(NAME, GivenWeights(file))


def file_of(tricks: Iterable[str]) -> str | None:
    """The file of weights among tricks as they are spelled, or None."""
    for text in tricks:
        name, words = split_spelling(text)
        if name == NAME:
            found: GivenWeights = read_settings(GivenWeights, words, name)
            return found.file
    return None


GIVEN_WEIGHTS = Trick(NAME, "pre-training", on_cases, on_scene=on_scene, settings=GivenWeights)
