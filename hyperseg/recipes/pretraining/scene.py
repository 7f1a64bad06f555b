"""Contrastive pre-training on scenes: the network of the default method learns from all pixels, and no labels. Ours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations

from hyperseg.backbone import ConvSpec, seeded
from hyperseg.backbone.pretrained import save_pretrained
from hyperseg.contrast.collapse import Watcher
from hyperseg.contrast.global_loss import collapse_value, global_loss
from hyperseg.contrast.heads import GlobalHead, LocalHead
from hyperseg.contrast.local_loss import Regions, local_loss
from hyperseg.contrast.pairs import views
from hyperseg.core import Scene, SceneError
from hyperseg.core.files import replaced
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.engine.training import History
from hyperseg.hsi.carried import network_of, parts_of
from hyperseg.hsi.networks import NetworkSpec, SpectralSpatialNet, build_network
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.pretraining.alike.draws import Draws
from hyperseg.recipes.pretraining.alike.ground import fit_scenes, looked_at, numbered
from hyperseg.recipes.pretraining.alike.strata import Pool, places_of, pool_of
from hyperseg.recipes.pretraining.scene_settings import SceneContrast

WEIGHTS, CURVE = "weights.safetensors", "curve.png"
NAME = "contrast"  # of the unfinished work
FIRST = "collapse.0.conv.layer"  # the convolution that reads bands
MAP_SIDE = 13  # of the feature map on which regions are told apart


class Draw(NamedTuple):
    """What a step draws on the host: of every pixel its place and turns, its image, volume and partition; windows."""

    places: Tensor
    turns: Tensor
    indices: Tensor
    wide: Tensor
    wide_turns: Tensor


class Batch(NamedTuple):
    """Views on the device."""

    pixels: Tensor
    indices: Tensor
    wide: Tensor | None


class Whitened(nn.Module):
    """Weights over whitened bands -> the same function's over standardised ones."""

    def __init__(self, components: Tensor) -> None:
        super().__init__()
        self.matrix: Tensor
        self.register_buffer("matrix", components, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """(out, P, 1, 1) -> (out, L, 1, 1)."""
        return (weight.flatten(1) @ self.matrix)[:, :, None, None]


class Learner(nn.Module):
    """The network and the heads that are dropped later."""

    def __init__(self, net: SpectralSpatialNet, *, local: bool) -> None:
        super().__init__()
        self.network, width = net, net.spec.width
        self.global_head = GlobalHead(width)
        self.local_head = LocalHead(ConvSpec(2), width) if local else None


def pretrain_scene(
    scenes: Sequence[Scene], chosen: SceneContrast, runtime: Runtime, out: Path, *, pictures: bool
) -> Path:
    """Learn from the spectra of all valid pixels of scenes of one sensor; labels are not looked at.

    Args:
        scenes: of the same bands; each is a volume.
        chosen: how.
        runtime: seed, device, progress; an unfinished training that lies there is continued.
        out: folder, which is made.
        pictures: draw the curve of the loss.

    Returns:
        The weights file in `out`, for `hyperseg classify SCENE --weights FILE`.

    Source: the losses are those of Chaitanya et al., NeurIPS 2020, see `hyperseg.contrast`.
    Differs: a slice is a pixel with its window, and a volume a scene; what a partition is, and which views there are,
    is ours. Local and global loss are minimised together: this network has no decoder that could come second.

    Raises:
        SceneError: scenes that do not go together, or hold nothing to tell apart.
        SettingError: settings that do not fit them.
    """
    check_scenes(scenes)
    scenes = looked_at(scenes)
    places_of(scenes)
    superpixel = numbered(scenes, chosen.superpixel_px)
    preprocess = fit_scenes(scenes, superpixel, whiten=chosen.whiten)
    pool = pool_of(scenes, superpixel, preprocess, chosen)
    draws = Draws(pool, chosen)
    spec = NetworkSpec(preprocess.n_out, 2, "none", blocks=chosen.window // 4)
    net = build_network(spec, seed=runtime.seed)
    assert isinstance(net, SpectralSpatialNet)
    history = learn(net, scenes, preprocess, pool, draws, chosen, runtime)
    out.mkdir(parents=True, exist_ok=True)
    told = about(scenes, chosen, runtime, network_of(net, preprocess), pool)
    save_pretrained(out / WEIGHTS, net, parts_of(net), told)
    if pictures:
        from hyperseg.report.charts import training_figure

        with replaced(out / CURVE) as temporary:
            temporary.write_bytes(training_figure({"steps": history.steps, "terms": history.terms}))
    return out / WEIGHTS


def check_scenes(scenes: Sequence[Scene]) -> None:
    """Raise unless these are flat scenes of the same bands."""
    if not scenes:
        raise SceneError("pre-training needs a scene, got none.")
    first = scenes[0]
    for scene in scenes:
        if len(scene.shape) != 2:
            raise SceneError(
                f"{scene.name}: pre-training on scenes reads (rows, columns, bands) cubes, this is {scene.cube.shape}."
            )
        if scene.n_bands != first.n_bands:
            raise SceneError(
                f"{scene.name}: {scene.n_bands} bands, but {first.name} has {first.n_bands}: give scenes of one sensor."
            )


def about(
    scenes: Sequence[Scene], chosen: SceneContrast, runtime: Runtime, network: dict[str, Any], pool: Pool
) -> dict[str, Any]:
    """What the weights file says of itself."""
    from hyperseg.recipes.run.outputs import versions

    names = [scene.name for scene in scenes]
    return {
        "made": "global+local" if chosen.local else "global", "pairs": chosen.pairs, "partitions": pool.title,
        "steps": chosen.steps, "seed": runtime.seed, "from": names[0], "cases": names, "kind": "scene",
        "network": network, "method": METHODS.default,
        "settings": to_json(chosen), "versions": versions(),
    }  # fmt: skip


def learn(
    net: SpectralSpatialNet, scenes: Sequence[Scene], preprocess: Preprocess, pool: Pool, draws: Draws,
    chosen: SceneContrast, runtime: Runtime,
) -> History:  # fmt: skip
    """Train `net` in place on whitened bands.

    While it learns, the whitening is folded into its first layer, which is far less work than whitening the views, and
    gives the same numbers.
    """
    layer: Any = net.get_submodule(FIRST)
    if preprocess.components is not None:
        register_parametrization(layer, "weight", Whitened(torch.from_numpy(preprocess.components)))
    with seeded(runtime.seed):
        learner = Learner(net, local=chosen.local).to(runtime.device)
    draw, make = batches(net.margin, scenes, preprocess, pool, draws, chosen, runtime)
    values = _indices(draw(0).indices, chosen)
    watcher = Watcher(collapse_value(*values, pairs=chosen.pairs), steps=min(50, chosen.steps))
    regions = Regions((MAP_SIDE, MAP_SIDE)) if chosen.local else None

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        z = learner.global_head(net.features(batch.pixels))
        found = {
            "global": global_loss(
                z, *_indices(batch.indices, chosen), pairs=chosen.pairs, temperature=chosen.temperature
            )
        }
        watcher.see(found["global"], z)
        if regions is not None and batch.wide is not None and learner.local_head is not None:
            one, other = learner.local_head(net.features(batch.wide)).chunk(2)
            found["local"] = local_loss(one, other, regions, temperature=chosen.temperature)
        return found

    phase = one_cycle(
        NAME, loss, learner.parameters(), steps=chosen.steps, lr=chosen.lr, weight_decay=chosen.weight_decay
    )
    history = train(
        [replace(phase, recorded=False)], draw, chosen.steps, modules={NAME: learner}, averages={}, make=make,
        runtime=runtime, name=NAME, title="learning without labels",
    )  # fmt: skip
    if sentence := watcher.told():
        logging.getLogger("hyperseg").warning(sentence)
    net.to("cpu")
    if preprocess.components is not None:
        remove_parametrizations(layer, "weight", leave_parametrized=False)
    return history


def batches(
    margin: int, scenes: Sequence[Scene], preprocess: Preprocess, pool: Pool, draws: Draws, chosen: SceneContrast,
    runtime: Runtime,
) -> tuple[Callable[[int], Draw], Callable[[Draw], Batch]]:  # fmt: skip
    """What the host draws in a step, and what the device makes of it.

    Views change standardised bands, on which losing one means something.
    """
    device, bands = runtime.device, replace(preprocess, components=None)
    cubes = [scene.features(bands) for scene in scenes]
    source = PatchSource(cubes, radius=margin, device=device)
    wide = PatchSource(cubes, radius=margin + MAP_SIDE // 2, device=device) if chosen.local else None
    dark = torch.from_numpy(bands(np.zeros(scenes[0].n_bands, np.float32))).to(device)
    how, count = views(chosen.pairs), chosen.local_batch * chosen.local

    def draw(step: int) -> Draw:
        rng = np.random.default_rng([runtime.seed, step])
        found = draws(rng)
        indices = found.indices(pool.partition)
        turns = rng.integers(0, source.orientations, (how.number, len(found.pixel)))
        more = rng.integers(0, len(pool.places), count)
        last = rng.integers(0, source.orientations, count)
        arrays = (pool.places[found.pixel], turns, indices, pool.places[more], last)
        return Draw(*map(torch.from_numpy, arrays))

    def make(drawn: Draw) -> Batch:
        seen = [source.gather(drawn.places, turns) for turns in drawn.turns]
        kept = seen[: how.original]
        made = torch.cat([*kept, *(chosen.views(patches, dark) for patches in seen[len(kept) :])])
        both = None
        if wide is not None:  # intensities alone: places have to stay
            windows = wide.gather(drawn.wide, drawn.wide_turns)
            both = torch.cat([chosen.views(windows, dark) for _ in range(2)])
        return Batch(made, drawn.indices, both)

    return draw, make


def _indices(indices: Tensor, chosen: SceneContrast) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) image, volume and partition of all views."""
    image, volume, partition = indices.cpu().repeat(1, views(chosen.pairs).number)
    return image, volume, partition
