"""Self-supervised pre-training: the network first learns to restore disturbed patches of its training cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Beginning, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_begin, with_ready

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hyperseg.backbone import Decoder

NAME = "restore"  # of the unfinished work on disk


@settings
class SelfSupervised:
    """How long and how fast."""

    share: float = option(
        0.5, "Of the steps of the training, which come before it and on top of its minutes.", above=0, high=100
    )
    lr: float = option(1e-3, "Peak learning rate of the one-cycle schedule (AdamW).", above=0)


def on_cases(on: OnCases, chosen: SelfSupervised) -> OnCases:
    """Encoder and decoder begin with what restoring taught them, see `medical.changes.restoring`; heads begin anew.

    Patches are drawn as for the training, from training cases of the fold alone: labels say where some of them lie,
    and nothing else of them is looked at.

    Source: the "ModelPT" of arXiv 2209.10307, of which Models Genesis is the self-supervised one.
    Differs: on the fold's own cases, not on another large data set.
    """

    def ready(net: nn.Module) -> None:
        parts_of(net)

    def begin(beginning: Beginning) -> None:
        restore(beginning, chosen)

    return with_begin(with_ready(on, ready), begin)


def parts_of(net: nn.Module) -> tuple[nn.Module, Decoder]:
    """The encoder and the decoder of a network.

    Raises:
        SettingError: it is no U-Net of the backbone.
    """
    from torch import nn

    from hyperseg.backbone import Decoder

    encoder: Any = getattr(net, "encoder", None)
    decoder: Any = getattr(net, "decoder", None)
    if not isinstance(encoder, nn.Module) or not isinstance(decoder, Decoder) or decoder.skips == "none":
        raise SettingError(
            f"its network ({type(net).__name__}) is not one encoder and one decoder, which could learn to restore "
            "images. Choose a plain U-Net."
        )
    return encoder, decoder


def restore(beginning: Beginning, chosen: SelfSupervised) -> None:
    """Train encoder and decoder in place, unless the training that follows is under way already."""
    from hyperseg.backbone import seeded
    from hyperseg.engine.one_cycle import one_cycle, step_generator, train
    from hyperseg.medical.changes.restoring import Disturbance, Restorer, disturbed, restoring_loss

    if beginning.goes_on:
        return
    runtime = beginning.runtime
    with seeded(runtime.seed):
        restorer = Restorer(*parts_of(beginning.net)).to(runtime.device)
    steps = max(1, round(chosen.share * beginning.steps))

    def batch(number: int) -> tuple[Tensor, Tensor]:
        images, _ = beginning.batch(number)
        return disturbed(images, Disturbance(), step_generator(runtime.seed, number)), images

    def loss(pair: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        spoilt, images = pair
        return {"difference": restoring_loss(restorer(spoilt), images)}

    phase = one_cycle(NAME, loss, restorer.parameters(), steps=steps, lr=chosen.lr, weight_decay=1e-2)
    title = f"{beginning.configuration.name}, restoring disturbed patches"
    train(
        [phase], batch, steps, modules={NAME: restorer}, averages={}, runtime=runtime, name=NAME, title=title,
    )  # fmt: skip


SELF_SUPERVISED = Trick("self-supervised", "pre-training", on_cases, settings=SelfSupervised)
