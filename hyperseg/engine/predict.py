"""`predict_scene`: a whole scene through a network, tile by tile, in memory the scene's size does not set.

A scene is (rows, columns, bands), an image, or a volume (depth, rows, columns, channels). Networks without spatial
padding are tiled *exactly*: each tile is read with a halo of `model.margin` pixels and every pixel comes out as if
its own patch had been classified alone. Padded networks see the border of their window, so their windows overlap
and are blended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hyperseg.core import Scene, SegmentationMap, SettingError, Tile, tiles
from hyperseg.core.tiles import PerAxis, per_axis
from hyperseg.engine.blend import blend, windows
from hyperseg.engine.device import Precision
from hyperseg.engine.forward import FeatureModel, SceneModel, channels_first, class_probabilities, layout_of, margin_of
from hyperseg.engine.lanes import in_order

Float32 = NDArray[np.float32]
Preprocessing = Callable[[ArrayLike], Float32]
Sides = tuple[int, ...]
Device = torch.device | str

# Sides of a tile by device and number of axes. 48 x 80 keeps a tile's activations in a core's cache and the halo's
# extra work small (measured 10 % faster than 48 x 48 and 64 x 64 on both benchmark scenes); a GPU wants large tiles
CPU_TILES = {2: (48, 80), 3: (32, 32, 32)}
GPU_TILES = {2: (128, 128), 3: (64, 64, 64)}
WINDOWS = {2: (128, 128), 3: (64, 64, 64)}
# pixels of a volume that go through a network together: more are not faster, only larger (measured)
CPU_VOLUME_PX, GPU_VOLUME_PX = 2**18 - 1, 2**21


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
    progress: Callable[[int, int], None] | None = None,
) -> SegmentationMap:
    """(*S, K) class probabilities of every pixel, those without data included (`valid` goes with the map).

    The map itself is 4 K bytes a pixel; where that is too much, write what `predict_tiles` yields to a file.

    Args:
        model: windows -> logits, in evaluation mode.
        scene: (*S, C) of any size; its cube is read window by window.
        preprocess: (..., C) raw values -> (..., L) float32.
        made_by: name of the method, first link of the map's chain.
        tile: sides of a tile in pixels, one number or one per axis; None chooses what suits the cache, and for a padded
            network windows of 128, in volumes 64 (best are those it was trained on).
        device: where the model is.
        precision: "bf16" runs the network under autocast.
        flips: average over eight symmetries (eight times the work): all flips and quarter turns of an image; of a
            volume its reflections along any of the three axes, since pixels of a turned one would have other sides.
        progress: called with (pixels done, pixels in all).

    Raises:
        SettingError: the network, or a part of it, is in training mode, scores other classes than the scene names, or
            gives maps of another size than it says; or flips of an image where its margin differs between the axes.
        SceneError: a volume for a network with bands as depth.
    """
    probs, pixels = np.empty((*scene.shape, scene.n_classes), np.float32), prod(scene.shape)
    stream = predict_tiles(model, scene, preprocess, tile=tile, device=device, precision=precision, flips=flips)
    done = 0
    for part, values in stream:
        probs[part.core_slices] = values
        done += prod(values.shape[:-1])
        if progress is not None:
            progress(done, pixels)
    return SegmentationMap(probs, scene.classes, scene.colours, scene.grid, (made_by,), scene.valid, scene.codes)


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
    margin = margin_of(model, scene)
    run = partial(class_probabilities, model, precision=precision, flips=flips)
    if model.padded:
        side = _sides(scene, tile, WINDOWS[len(margin)])
        images = (scene.features(preprocess, window) for window in windows(scene.shape, side))
        stream = _stream(model, scene, images, side, device, run)
        yield from blend(stream, scene.shape, side, scene.n_classes)
        return
    usual = (CPU_TILES if _on_cpu(device) else GPU_TILES)[len(margin)]
    largest = _sides(scene, tile, tuple(max(side, 4 * m) for side, m in zip(usual, margin, strict=True)))
    size = tuple(-(-n // -(-n // side)) for n, side in zip(scene.shape, largest, strict=True))  # no slivers
    ahead, parts = (tiles(scene.shape, size=size, halo=margin) for _ in range(2))
    images = (_read(scene, part, size, margin, preprocess) for part in ahead)
    for part, values in zip(parts, _stream(model, scene, images, size, device, run), strict=True):
        yield part, values[tuple(slice(b - a) for a, b in part.core)]


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
    size = tuple(b - a for a, b in window.core)
    x = torch.from_numpy(_read(scene, window, size, margin_of(model, scene), preprocess)).to(device)
    return model.features(channels_first(x[None], layout_of(model)))[0].float()


def _stream(
    model: SceneModel,
    scene: Scene,
    images: Iterator[Float32],
    size: Sides,
    device: Device,
    run: Callable[[Tensor], Tensor],
) -> Iterator[Float32]:
    """Images of one size, halo not counted, drawn as they are needed -> (*S, K) probabilities, in order."""
    on_cpu, margin = _on_cpu(device), margin_of(model, scene)
    together = 2 if on_cpu else 8  # two tiles keep a CPU's cache, four are up to 1.5 times slower (measured)
    if len(size) == 3:
        together = max(1, min(together, (CPU_VOLUME_PX if on_cpu else GPU_VOLUME_PX) // prod(size)))

    def forward(group: list[Float32]) -> Float32:
        # PyTorch's CPU convolution for a single small image is the slow one: a lone image goes twice
        lone = len(group) == 1 < together
        x = torch.from_numpy(np.stack([*group, *group] if lone else group)).to(device)
        probs = run(x)
        if probs.shape[-1] != scene.n_classes:
            raise SettingError(
                f"the network scores {probs.shape[-1]} classes, but {scene.name} names {scene.n_classes}: "
                "give the scene the class names the network was trained on."
            )
        given, made = tuple(x.shape[1:-1]), tuple(probs.shape[1:-1])
        left = tuple(n - 2 * m for n, m in zip(given, margin, strict=True))
        if {a - b for a, b in zip(made, left, strict=True)} - {0, 1}:  # 1: an even receptive field
            raise SettingError(
                f"the network makes maps of {made} pixels from windows of {given}, but by its margin of "
                f"{model.margin} they would be {left}. Let `margin` say how many it loses on each side."
            )
        return probs[: len(group)].cpu().numpy()

    groups = iter(lambda: list(islice(images, together)), [])
    for values in in_order(forward, groups, lanes=torch.get_num_threads() if on_cpu else 1):
        yield from values


def _read(scene: Scene, part: Tile, size: Sides, margin: Sides, preprocess: Preprocessing) -> Float32:
    """One tile with its halo, reflected at the scene's border and grown to the common size."""
    window = scene.features(preprocess, part.read_slices)
    pads = [
        (before, side + 2 * m - before - length)
        for (before, _), side, m, length in zip(part.pad, size, margin, window.shape[:-1], strict=True)
    ]
    return np.pad(window, (*pads, (0, 0)), mode="reflect") if any(map(any, pads)) else window


def _sides(scene: Scene, tile: PerAxis | None, default: Sides) -> Sides:
    """Largest window per axis, never larger than the scene."""
    sides = default if tile is None else per_axis("the side of a tile", tile, len(scene.shape), low=1)
    return tuple(map(min, sides, scene.shape))


def _on_cpu(device: Device) -> bool:
    return torch.device(device).type == "cpu"
