"""Refiners taken up again from what a run left, ready for other scenes and for windows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap
from hyperseg.core.settings import from_json
from hyperseg.crf.deconv import DeconvNet, DeconvSpec
from hyperseg.crf.deep import apply_deep_crf
from hyperseg.crf.piecewise import Pairwise
from hyperseg.crf.settings import DeepCRF, DenseCRF
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import History
from hyperseg.hsi.networks import build_network, for_inference, spec_from_json
from hyperseg.recipes.refiners.deconv import apply_deconv
from hyperseg.recipes.refiners.deep_crf import Encoder
from hyperseg.recipes.refiners.dense_crf import refine_like
from hyperseg.recipes.run.make import map_scene
from hyperseg.recipes.run.record import load_weights, unprefixed
from hyperseg.recipes.training.network import Trained

DENSE_REACH_PX = 64  # a fully connected model has no reach; what lies further away hardly counts


@dataclass(frozen=True)
class Refine:
    """A refiner with everything it learnt; call it with a map, the map's scene and a device.

    Attributes:
        name: as in a run's chain.
        apply: (map, scene, device) -> the refined map.
        reach_px: how far apart two pixels of the map may lie and still have to do with each other.
        margin_px: how much further it looks in the scene itself.
        exact: False where pixels beyond the reach count a little, so that maps made in windows can differ from the
            map of the whole at the windows' borders.
    """

    name: str
    apply: Callable[[SegmentationMap, Scene, str], SegmentationMap]
    reach_px: int
    margin_px: int = 0
    exact: bool = True

    def __call__(self, map: SegmentationMap, scene: Scene, device: str) -> SegmentationMap:
        return self.apply(map, scene, device)


def rebuild(
    record: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], base: Encoder | None
) -> list[Refine]:
    """The refiners of a run, ready for another scene; those that left the run's map alone are not among them.

    Args:
        record: the "model" part of a run.json.
        tensors: of model.safetensors.
        base: the run's own network, or None for a classical method.
    """
    found: list[Refine] = []
    for i, entry in enumerate(record.get("refiners", ())):
        arrays = unprefixed(f"refiner{i}", tensors)
        if entry["settings"] is not None:
            found.append(_BUILDERS[entry["name"]](entry, arrays, base))
    return found


def _dense(entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], base: Encoder | None) -> Refine:
    crf, guide = DenseCRF(**entry["settings"]), Preprocess.from_arrays(unprefixed("guide", arrays))
    limits, engine = entry["guide_range"], entry["engine"]

    def apply(map: SegmentationMap, scene: Scene, device: str) -> SegmentationMap:
        return refine_like(map, scene, crf, guide, limits=limits, engine=engine, device=device)

    return Refine(entry["name"], apply, DENSE_REACH_PX, exact=False)


def _deep(entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], base: Encoder | None) -> Refine:
    crf = from_json(DeepCRF, entry["settings"])
    encoder = base
    own: Trained | None = None
    if "network" in entry:
        network = build_network(spec_from_json(entry["network"]), seed=0)
        load_weights(network, "network", arrays)
        own = Trained(network, Preprocess.from_arrays(unprefixed("preprocess", arrays)), History())
        encoder = Encoder(*for_inference(own.network, own.preprocess))
    if encoder is None:
        raise ValueError("the deep CRF has no network to read features from")
    pairwise = Pairwise(entry["width"], encoder.network.spec.n_classes, hidden=entry["hidden"])
    load_weights(pairwise, "pairwise", arrays)

    def apply(map: SegmentationMap, scene: Scene, device: str) -> SegmentationMap:
        look = encoder.features(scene, device=device)
        if own is not None and entry.get("unary"):  # trained jointly: the unary potentials changed too
            map = map_scene(own, scene, made_by=map.made_by[0], device=device, flips=entry["flips"])
        return apply_deep_crf(map, pairwise.to(device), look, crf, device=device)

    reach = crf.inference.reach(crf.radius) * crf.stride
    return Refine(entry["name"], apply, reach, encoder.network.margin)


def _deconv(entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], base: Encoder | None) -> Refine:
    network = DeconvNet(from_json(DeconvSpec, entry["network"]))
    load_weights(network, "network", arrays)
    preprocess = Preprocess.from_arrays(unprefixed("preprocess", arrays))
    strength = entry["settings"]["strength"]

    def apply(map: SegmentationMap, scene: Scene, device: str) -> SegmentationMap:
        return apply_deconv(map, network, scene, preprocess, strength=strength, device=device)

    return Refine(entry["name"], apply, network.halo)


_BUILDERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]], Encoder | None], Refine]] = {
    "dense-crf": _dense,
    "deep-crf": _deep,
    "deconv": _deconv,
}
