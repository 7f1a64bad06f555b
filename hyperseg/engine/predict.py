"""`predict_scene`: a whole scene through a network, tile by tile, in memory the scene's size does not set.

Networks without spatial padding are tiled *exactly*: each tile is read with a halo of `model.margin` pixels
and every pixel comes out as if its own patch had been classified alone. Padded networks see the border of
their window, so their windows overlap and are blended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hyperseg.core import Scene, SceneError, SegmentationMap, SettingError, Tile, tiles
from hyperseg.engine.device import Precision
from hyperseg.engine.lanes import in_order

Float32 = NDArray[np.float32]
Preprocessing = Callable[[ArrayLike], Float32]


class SceneModel(Protocol):
    """What a network must tell to be applied to a scene.

    Attributes:
        margin: pixels lost on each side by unpadded spatial convolutions; 0 for a padded network.
        padded: True where spatial convolutions are zero-padded, so that windows must be blended.
    """

    margin: int
    padded: bool

    def __call__(self, x: Tensor) -> Tensor: ...


class FeatureModel(Protocol):
    """A network whose features can be read: (B, 1, L, h, w) -> (B, F, h - 2 margin, w - 2 margin)."""

    margin: int

    def features(self, x: Tensor) -> Tensor: ...


def predict_scene(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    *,
    made_by: str,
    tile: int | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    flips: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SegmentationMap:
    """Class probabilities of every pixel of `scene`, those without data included (`valid` goes with the map).

    The map itself is 4 K bytes a pixel; where that is too much, write what `predict_tiles` yields to a file.

    Args:
        model: (B, 1, L, h, w) -> (B, K, h - 2 margin, w - 2 margin) logits, in evaluation mode.
        scene: (H, W, C) of any size; its cube is read window by window.
        preprocess: (..., C) raw values -> (..., L) float32.
        made_by: name of the method, first link of the map's chain.
        tile: side of a tile in pixels; None chooses one that suits the cache.
        device: where the model is.
        precision: "bf16" runs the network under autocast.
        flips: average over the eight flips and rotations of the square (eight times the work).
        progress: called with (pixels done, pixels in all).

    Raises:
        SettingError: the network is in training mode or scores other classes than the scene names.
        SceneError: the scene is not (rows, columns, bands).
    """
    probs = np.empty((*scene.shape, scene.n_classes), np.float32)
    run = blend_windows if model.padded else predict_tiles
    done = 0
    for part, values in run(
        model, scene, preprocess, tile=tile, device=device, precision=precision, flips=flips
    ):
        probs[part.core_slices] = values
        done += values.shape[0] * values.shape[1]
        if progress is not None:
            progress(done, scene.shape[0] * scene.shape[1])
    return SegmentationMap(probs, scene.classes, scene.colours, scene.grid, (made_by,), scene.valid)


def predict_tiles(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    *,
    tile: int | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    flips: bool = False,
) -> Iterator[tuple[Tile, Float32]]:
    """Yield (tile, (h, w, K) probabilities) over the scene: the stream that maps of any size are made from.

    Every pixel is in exactly one tile. Arguments and errors are those of `predict_scene`.
    """
    if model.padded:
        raise SettingError("a padded network is not exact in tiles: use blend_windows or predict_scene.")
    on_cpu = torch.device(device).type == "cpu"
    # 48 x 80 keeps a tile's activations in a core's cache and the halo's extra work small (measured 10 % faster
    # than 48 x 48 and 64 x 64 on both benchmark scenes); a GPU wants large tiles
    default = (max(48, 4 * model.margin), max(80, 4 * model.margin)) if on_cpu else (128, 128)
    largest = _sides(scene, tile, default=default)
    size = tuple(-(-n // -(-n // side)) for n, side in zip(scene.shape, largest, strict=True))  # no slivers
    ahead, parts = (tiles(scene.shape, size=size, halo=model.margin) for _ in range(2))
    images = (_read(scene, part, size, model.margin, preprocess) for part in ahead)
    stream = _stream(model, scene, images, device, precision, flips)
    for part, values in zip(parts, stream, strict=True):
        (top, bottom), (left, right) = part.core
        yield part, values[: bottom - top, : right - left]


def blend_windows(
    model: SceneModel,
    scene: Scene,
    preprocess: Preprocessing,
    *,
    tile: int | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    flips: bool = False,
) -> Iterator[tuple[Tile, Float32]]:
    """Sliding windows of a padded network, half overlapping, weighted by a Gaussian of sigma = side / 8.

    Yields full-width bands of rows as soon as no later window reaches them, and holds no more than one
    window's height of them: side x width x (K + 1) numbers.

    Arguments and errors are those of `predict_scene`; `tile` is the side of a window (128), best the side the
    network was trained on.

    Source: Isensee et al., "nnU-Net", 2021, inference: overlap of one half, Gaussian importance.
    Differs: the weight's floor is 1e-6 of its peak; its centre is the window's, also for even sides.
    """
    side = _sides(scene, tile, default=(128, 128))
    weight = np.outer(*[_bell(s) for s in side]).astype(np.float32)[..., None]
    rows, columns = (_starts(n, s) for n, s in zip(scene.shape, side, strict=True))
    total = np.zeros((side[0], scene.shape[1], scene.n_classes), np.float32)
    mass = np.zeros((side[0], scene.shape[1], 1), np.float32)
    windows = product(*[[slice(a, a + n) for a in at] for at, n in zip((rows, columns), side, strict=True)])
    images = (preprocess(np.asarray(scene.cube[window])) for window in windows)
    stream = _stream(model, scene, images, device, precision, flips)
    for top, following in zip(rows, [*rows[1:], scene.shape[0]], strict=True):
        for left in columns:
            across = slice(left, left + side[1])
            total[:, across] += weight * next(stream)
            mass[:, across] += weight
        closed = following - top
        core = ((top, following), (0, scene.shape[1]))
        yield Tile(core, core, ((0, 0), (0, 0))), total[:closed] / mass[:closed]
        for band in (total, mass):
            band[: side[0] - closed] = band[closed:].copy()
            band[side[0] - closed :] = 0


@torch.inference_mode()
def class_probabilities(
    model: SceneModel, x: Tensor, *, precision: Precision = "fp32", flips: bool = False
) -> Tensor:
    """Probabilities from a network in evaluation mode.

    Args:
        model: (B, 1, L, h, w) -> (B, K, h', w') logits.
        x: (B, H, W, L) features.
        precision: "bf16" runs the network under autocast; the softmax is float32 always.
        flips: average over the eight symmetries of the square, each turned back.

    Returns:
        (B, h', w', K) float32.

    Raises:
        SettingError: the network, or a part of it, is in training mode.
    """
    if isinstance(model, nn.Module) and any(module.training for module in model.modules()):
        raise SettingError("the network is in training mode: call model.eval() before predicting.")
    x = x.permute(0, 3, 1, 2).unsqueeze(1)
    mean: Tensor | None = None
    for k in range(8 if flips else 1):
        turned = torch.rot90(x, k % 4, (3, 4)) if k else x
        turned = turned.flip(3) if k > 3 else turned
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(turned)
        probs = logits.float().softmax(1)
        probs = torch.rot90(probs.flip(2) if k > 3 else probs, -(k % 4), (2, 3))
        mean = probs if mean is None else mean + probs
    assert mean is not None
    return (mean / (8 if flips else 1)).permute(0, 2, 3, 1)


@torch.inference_mode()
def window_features(
    model: FeatureModel,
    scene: Scene,
    preprocess: Preprocessing,
    window: Tile,
    *,
    device: torch.device | str = "cpu",
) -> Tensor:
    """(F, h, w) float32 features of every pixel of a window, on the device; what lies outside is reflected.

    Args:
        model: a network in evaluation mode, unpadded.
        scene, preprocess: as in `predict_scene`.
        window: of `tiles(..., halo=model.margin)`: its core is what comes back.
        device: where the model is.
    """
    size = tuple(b - a for a, b in window.core)
    x = torch.from_numpy(_read(scene, window, size, model.margin, preprocess)).to(device)
    return model.features(x.permute(2, 0, 1)[None, None])[0].float()


def _stream(
    model: SceneModel,
    scene: Scene,
    images: Iterator[Float32],
    device: torch.device | str,
    precision: Precision,
    flips: bool,
) -> Iterator[Float32]:
    """Images of one size, drawn as they are needed -> (h, w, K) probabilities of each, in order."""
    on_cpu = torch.device(device).type == "cpu"

    def forward(group: list[Float32]) -> Float32:
        # PyTorch's CPU convolution for a single small image is the slow one: a lone image goes twice
        x = torch.from_numpy(np.stack(group if len(group) > 1 else [*group, *group])).to(device)
        probs = class_probabilities(model, x, precision=precision, flips=flips)
        if probs.shape[-1] != scene.n_classes:
            raise SettingError(
                f"the network scores {probs.shape[-1]} classes, but {scene.name} names {scene.n_classes}: "
                "give the scene the class names the network was trained on."
            )
        return probs[: len(group)].cpu().numpy()

    # two tiles at a time keep a CPU's cache, four are up to 1.5 times slower (measured)
    groups = iter(lambda: list(islice(images, 2 if on_cpu else 8)), [])
    for values in in_order(forward, groups, lanes=torch.get_num_threads() if on_cpu else 1):
        yield from values


def _read(scene: Scene, part: Tile, size: tuple[int, ...], margin: int, preprocess: Preprocessing) -> Float32:
    """One tile with its halo, reflected at the scene's border and grown to the common size."""
    window = preprocess(np.asarray(scene.cube[part.read_slices]))
    pads = [
        (before, side + 2 * margin - before - length)
        for (before, _), side, length in zip(part.pad, size, window.shape[:2], strict=True)
    ]
    return np.pad(window, (*pads, (0, 0)), mode="reflect") if any(map(any, pads)) else window


def _sides(scene: Scene, tile: int | None, *, default: tuple[int, int]) -> tuple[int, ...]:
    """Largest window per axis, never larger than the scene."""
    if len(scene.shape) != 2:
        raise SceneError(
            f"{scene.name}: maps are made of scenes (rows, columns, bands), not {scene.cube.shape}."
        )
    sides = default if tile is None else (tile, tile)
    if min(sides) < 1:
        raise SettingError(f"the side of a tile is 1 pixel or more, got {tile}.")
    return tuple(min(side, n) for side, n in zip(sides, scene.shape, strict=True))


def _starts(n: int, side: int) -> list[int]:
    """Evenly spread window starts with at least half a window of overlap, the last one flush with the end."""
    count = -(-(n - side) // max(side // 2, 1)) + 1
    return [round(i * (n - side) / max(count - 1, 1)) for i in range(count)]


def _bell(n: int) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) + 1e-6
