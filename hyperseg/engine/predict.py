"""`predict_scene`: a whole scene through a network, tile by tile, in memory the scene's size does not set.

A scene is (rows, columns, bands), an image, or a volume (depth, rows, columns, channels). Networks without spatial
padding are tiled *exactly*: each tile is read with a halo of `model.margin` pixels and every pixel comes out as if
its own patch had been classified alone. Padded networks see the border of their window, so their windows overlap
and are blended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from math import log, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import Decisions, Scene, SegmentationMap, SettingError, Tile, tiles
from hyperseg.core.tiles import PerAxis, per_axis
from hyperseg.engine.blend import blend, windows
from hyperseg.engine.blocks import WINDOWS, grown, together, usual_sides
from hyperseg.engine.device import Precision, full_float32
from hyperseg.engine.feed import Feed, Preprocessing, Sent
from hyperseg.engine.forward import (
    FeatureModel,
    SceneModel,
    channels_first,
    check_evaluating,
    class_probabilities,
    layout_of,
    margin_of,
)
from hyperseg.engine.lanes import in_order, lanes_on

Float32 = NDArray[np.float32]
Sides = tuple[int, ...]
Device = torch.device | str
Progress = Callable[[int, int], None]
Finish = Callable[[Tensor], tuple[Tensor, ...]]
"""(..., K) probabilities on a device -> what is to come back of them, pixel by pixel."""

LARGE = 2**20  # numbers that are copied by several threads


def predict_scene(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    *,
    made_by: str,
    tile: PerAxis | None = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    flips: bool = False,
    progress: Progress | None = None,
) -> SegmentationMap:
    """(*S, K) class probabilities of every pixel, those without data included (`valid` goes with the map).

    The map itself is 4 K bytes a pixel; where that is too much, write what `predict_tiles` yields to a file.

    Args:
        model: windows -> logits, in evaluation mode.
        scene: (*S, C) of any size; its cube is read window by window.
        preprocess: (..., C) raw values -> (..., L) float32. Where it has a form for tensors (`feed.OnDevice`), raw
            values are sent to the device in their own type.
        made_by: name of the method, first link of the map's chain.
        tile: sides of a tile in pixels, one number or one per axis; None chooses what suits the cache or the device's
            memory, and for a padded network windows of 128, in volumes 64 (best are those it was trained on).
        device: where the model is.
        precision: "bf16" runs the network under autocast; "fp32" is float32 in every digit.
        flips: average over eight symmetries (eight times the work): all flips and quarter turns of an image; of a
            volume its reflections along any of the three axes, since pixels of a turned one would have other sides.
        progress: called with (pixels done, pixels in all).

    Raises:
        SettingError: the network, or a part of it, is in training mode, scores other classes than the scene names, or
            gives maps of another size than it says; or flips of an image where its margin differs between the axes.
        SceneError: a volume for a network with bands as depth.
    """
    probs = np.empty((*scene.shape, scene.n_classes), np.float32)
    stream = predict_tiles(model, scene, preprocess, tile=tile, device=device, precision=precision, flips=flips)
    _fill((probs,), ((part, (values,)) for part, values in stream), prod(scene.shape), progress)
    return SegmentationMap(probs, scene.classes, scene.colours, scene.grid, (made_by,), scene.valid, scene.codes)


def decide_scene(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    *,
    entropy: bool = False,
    tile: PerAxis | None = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    flips: bool = False,
    progress: Progress | None = None,
) -> Decisions:
    """The class and the confidence of every pixel, and its entropy where asked for; no map of probabilities is made.

    They are worked out where the probabilities are: 5 bytes a pixel come back from a device instead of 4 K. They are
    those of the map that `predict_scene` gives.

    Arguments and errors are those of `predict_scene`. Where probabilities are not finite, neither is the confidence.
    """
    labels, confidence = np.empty(scene.shape, np.int16), np.empty(scene.shape, np.float32)
    numbers = (confidence, np.empty_like(confidence)) if entropy else (confidence,)
    finish = partial(_decided, entropy=entropy)
    stream = _tiles(model, scene, preprocess, finish, tile=tile, device=device, precision=precision, flips=flips)
    _fill((labels, *numbers), stream, prod(scene.shape), progress)
    made = Decisions(labels, *numbers)
    made.blank(scene.valid)
    return made


def predict_tiles(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    *,
    tile: PerAxis | None = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    flips: bool = False,
) -> Iterator[tuple[Tile, Float32]]:
    """Yield (tile, (*core, K) probabilities) over the scene: the stream that maps of any size are made from.

    Every pixel is in exactly one tile. Of a padded network they are bands of rows, or slabs of a volume, of the whole
    scene's width, blended from its windows (see `engine.blend`) as soon as no later window reaches them; no more than
    one window's length of them is held: length x width [x width] x (K + 1) numbers.

    Arguments and errors are those of `predict_scene`.
    """
    stream = _tiles(model, scene, preprocess, _whole, tile=tile, device=device, precision=precision, flips=flips)
    for part, (values,) in stream:
        yield part, values


@torch.inference_mode()
def window_features(
    model: FeatureModel, scene: Scene, preprocess: Preprocessing, window: Tile, *, device: Device = "cpu"
) -> Tensor:
    """(F, *core) float32 features of every pixel of a window, on the device; what lies outside is reflected.

    Args:
        model: a network in evaluation mode, unpadded.
        scene, preprocess, device: as in `predict_scene`.
        window: of `tiles(..., halo=model.margin)`: its core is what comes back.
    """
    feed = Feed(scene, preprocess, device)
    with full_float32(device):
        x = feed.features(feed.send(window.read_slices, window.pad))
        return model.features(channels_first(x[None], layout_of(model)))[0].float()


def _tiles(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    finish: Finish,
    *,
    tile: PerAxis | None,
    device: Device,
    precision: Precision,
    flips: bool,
) -> Iterator[tuple[Tile, tuple[NDArray[Any], ...]]]:
    """Yield (tile, what `finish` makes of the probabilities of its core)."""
    check_evaluating(model)
    margin, feed = margin_of(model, scene), Feed(scene, preprocess, device)

    def run(x: Tensor) -> Tensor:
        with full_float32(device):
            return class_probabilities(model, x, precision=precision, flips=flips)

    if model.padded:
        side = _sides(scene, WINDOWS[len(margin)] if tile is None else tile)
        images = feed.send_all((window, ()) for window in windows(scene.shape, side))
        whole = (values for (values,) in _stream(model, feed, images, side, run, _whole))
        blended = blend(whole, scene.shape, side, scene.n_classes)
        yield from feed.results((part, finish(values)) for part, values in blended)
        return
    largest = _sides(scene, usual_sides(model, feed, margin) if tile is None else tile)
    size = tuple(-(-n // -(-n // side)) for n, side in zip(scene.shape, largest, strict=True))  # no slivers
    ahead, parts = (tiles(scene.shape, size=size, halo=margin) for _ in range(2))
    images = feed.send_all((part.read_slices, grown(part, size, margin)) for part in ahead)
    stream = _stream(model, feed, images, size, run, finish)
    for part, values in feed.results(zip(parts, stream, strict=True)):
        inside = tuple(slice(b - a) for a, b in part.core)
        yield part, tuple(value[inside] for value in values)


def _stream(
    model: SceneModel, feed: Feed, images: Iterable[Sent], size: Sides, run: Callable[[Tensor], Tensor], finish: Finish
) -> Iterator[tuple[Tensor, ...]]:
    """Windows of one size, halo not counted, drawn as they are needed -> what is finished of each, in order."""
    on_cpu, margin, n_classes = feed.device.type == "cpu", margin_of(model, feed.scene), feed.scene.n_classes
    many = together(feed.device, size, padded=model.padded)

    def forward(group: list[Sent]) -> list[tuple[Tensor, ...]]:
        with torch.inference_mode():
            x = torch.stack(list(map(feed.features, group)))
            # PyTorch's CPU convolution for a single small image is the slow one: a lone image goes twice
            probs = run(torch.cat([x, x]) if on_cpu and len(group) == 1 < many else x)
            if probs.shape[-1] != n_classes:
                raise SettingError(
                    f"the network scores {probs.shape[-1]} classes, but {feed.scene.name} names {n_classes}: "
                    "give the scene the class names the network was trained on."
                )
            given, made = tuple(x.shape[1:-1]), tuple(probs.shape[1:-1])
            left = tuple(n - 2 * m for n, m in zip(given, margin, strict=True))
            if {a - b for a, b in zip(made, left, strict=True)} - {0, 1}:  # 1: an even receptive field
                raise SettingError(
                    f"the network makes maps of {made} pixels from windows of {given}, but by its margin of "
                    f"{model.margin} they would be {left}. Let `margin` say how many it loses on each side."
                )
            return list(zip(*finish(probs[: len(group)]), strict=True))

    left = iter(images)
    groups = iter(lambda: list(islice(left, many)), [])
    for values in in_order(forward, groups, lanes=lanes_on(feed.device)):
        yield from values


def _whole(probs: Tensor) -> tuple[Tensor, ...]:
    """The probabilities themselves."""
    return (probs,)


def _decided(probs: Tensor, *, entropy: bool) -> tuple[Tensor, ...]:
    """Class, confidence and, where asked for, entropy over ln K of (..., K) probabilities."""
    confidence, best = probs.max(-1)
    few = probs.shape[-1] <= 2**8  # a byte on the bus
    found = (best.to(torch.uint8 if few else torch.int16), confidence)
    if not entropy:
        return found
    p = probs.clamp(torch.finfo(torch.float32).tiny, 1.0)
    return (*found, -(p * p.log()).sum(-1) / log(max(probs.shape[-1], 2)))


def _fill(
    arrays: tuple[NDArray[Any], ...],
    stream: Iterable[tuple[Tile, tuple[NDArray[Any], ...]]],
    pixels: int,
    progress: Progress | None,
) -> None:
    """Put a stream's tiles where they belong."""
    done = 0
    for part, values in stream:
        for array, value in zip(arrays, values, strict=True):
            _put(array[part.core_slices], value)
        done += prod(b - a for a, b in part.core)
        if progress is not None:
            progress(done, pixels)


def _put(target: NDArray[Any], values: NDArray[Any]) -> None:
    """Copy; large pieces with all threads."""
    if values.size < LARGE:
        target[...] = values
    else:
        torch.from_numpy(target).copy_(torch.from_numpy(values))


def _sides(scene: Scene, tile: PerAxis) -> Sides:
    """Largest window per axis, never larger than the scene."""
    return tuple(map(min, per_axis("the side of a tile", tile, len(scene.shape), low=1), scene.shape))
