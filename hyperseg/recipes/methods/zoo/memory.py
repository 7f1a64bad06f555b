"""What the training of a network needs of memory, estimated before the start, and the refusal of what is too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.words import counted
from hyperseg.recipes.methods.network import memory_bytes

FLOAT_BYTES, PER_WEIGHT = 4, 4  # of a weight: itself, its gradient, two numbers of the optimiser
PASSING = 3  # times the largest map: gradients of an operation's answer and of its inputs, and what it works in
SMALL = 16  # pixels a side of the image that is tried where shapes alone do not do


def training_bytes(net: Any, batch: int, tile: Sequence[int]) -> int:
    """Most memory of a training step in float32, beside what the process has already.

    All that is kept for the way back is counted, on tensors that have shapes but no values ("meta"); to it come
    `PASSING` times the largest of these, the images, and `PER_WEIGHT` numbers for each weight. A network that needs
    values to work (a filter that sorts pixels) is tried on two small images instead, and what they keep is taken in
    proportion to pixels. By shapes it is within a factor of 2 of what processes took (u-net, hrnet, segformer).

    Args:
        net: `zoo.network.ZooNet`, on any device, "meta" too; it is built anew, and stays as it is.
        batch, tile: images in a step, and their sides.
    """
    import torch

    from hyperseg.zoo.network import build

    weights, channels = sum(weight.numel() for weight in net.parameters()), net.spec.n_features
    try:
        with torch.device("meta"):
            kept, largest = _kept(build(net.spec, 0), torch.zeros((batch, channels, *tile)))
    except RuntimeError:  # so torch says that a tensor without values was asked for some
        sides = tuple(min(side, max(SMALL, 2 * net.lost + 1)) for side in tile)
        share = batch * prod(tile) / (2 * prod(sides))
        with torch.device("cpu"):
            small = _kept(build(net.spec, 0), torch.zeros((2, channels, *sides)))
        kept, largest = (round(share * part) for part in small)
    images = batch * channels * prod(tile)
    return kept + PASSING * largest + FLOAT_BYTES * (images + PER_WEIGHT * weights)


def check_room(net: Any, batch: int, tile: Sequence[int], *, advice: str, there: int | None = None) -> None:
    """Raise for a training that needs more memory than this machine has, or its card where that has more.

    Args:
        net, batch, tile: as in `training_bytes`.
        advice: what to do, the end of the message.
        there: bytes; None asks the machine.
    """
    there = _most() if there is None else there
    needed = training_bytes(net, batch, tile)
    if there is not None and needed > there:
        windows = f"{batch} windows of {' x '.join(map(str, tile))} pixels"
        raise SettingError(
            f"zoo:{net.member.name}: a step of {windows} and {counted(net.spec.n_features, 'channel')} needs about "
            f"{needed / 1e9:.3g} GB (estimated before the start), this machine has {there / 1e9:.3g} GB of memory. "
            f"{advice}"
        )


def _most() -> int | None:
    import torch

    found = memory_bytes()
    if found is None or not torch.cuda.is_available():
        return found
    return max(found, *(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())))


def _kept(net: Any, x: Any) -> tuple[int, int]:
    """Bytes of all that is kept for the way back, weights apart, and of the largest of it."""
    import torch

    found: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        found[storage._cdata] = storage  # held, so that no other one gets its place
        return tensor

    labels = torch.zeros((len(x), *x.shape[2:]), dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        held = net.train().terms(x, labels, _scored) if net.padded else net(x)
    own = {weight.untyped_storage()._cdata for weight in net.parameters()}
    sizes = [storage.nbytes() for place, storage in found.items() if place not in own]
    del held
    return sum(sizes), max(sizes, default=0)


def _scored(levels: Sequence[Any], labels: Any, weights: Sequence[float]) -> Mapping[str, Any]:
    """Keeps as much as cross-entropy does."""
    return {"loss": sum(level.log_softmax(1).square().sum() for level in levels)}
