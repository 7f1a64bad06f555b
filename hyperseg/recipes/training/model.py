"""`NetworkModel`: a trained network that maps scenes, fitted or taken up again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.core import Decisions, Scene, SegmentationMap, Split, around, tiles
from hyperseg.core.parts import Arrays, Saved, prefixed, unprefixed
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.settings import to_json
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import History, decide_scene, predict_scene, scene_progress, window_features
from hyperseg.hsi.networks import for_inference

Window = tuple[tuple[int, int], ...]  # (start, stop) per axis
CENTRED = (
    "The means of its batch norms are those of all pixels of the scene, without labels (transductive): ground that was "
    "not trained on differs from the training pixels in its mean first of all."
)
CELL, KEPT = 128, 32  # side of the cells in which features are computed, and how many are kept


@dataclass(frozen=True)
class NetworkModel:
    """A network ready to map scenes, with what it needs to read them.

    Attributes:
        name: first link of the chain of its maps.
        network: in evaluation mode; has `margin` and `padded`, and `features` where refiners may read it; where it is
            padded, `context_px` (how far it looks) and `tile` (sides of its windows).
        spec: what the network was built from.
        preprocess: raw spectra -> what the network reads.
        n_classes: K.
        history: of the training; empty for a model taken up again.
        flips: average predictions over the symmetries of the square.
        beside: further modules that belong to it, by name, e.g. a generator.
        tell: what the report shows of it: (model, scene, split, runtime) -> section, or None.
        centred: its batch norms have the means of the whole scene it was trained in.
        begun: a sentence about weights that it did not begin at random; "" where it did.
    """

    name: str
    network: Any
    spec: Any
    preprocess: Preprocess
    n_classes: int
    history: History = field(default_factory=History)
    flips: bool = False
    beside: Mapping[str, nn.Module] = field(default_factory=dict)
    tell: Callable[[NetworkModel, Scene, Split, Runtime], Section | None] | None = None
    centred: bool = False
    begun: str = ""

    @property
    def margin_px(self) -> int:
        return int(getattr(self.network, "context_px", self.network.margin))  # of a padded network: how far it looks

    @property
    def tile(self) -> tuple[int, ...] | None:
        """Sides of the windows that a padded network was trained on; None where any do."""
        return getattr(self.network, "tile", None)

    @cached_property
    def lean(self) -> tuple[Any, Preprocess]:
        """A copy of the network for prediction only, and the preprocessing that is left to do before it."""
        return for_inference(self.network, self.preprocess)

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        """The map of a scene, by the lean copy."""
        network, preprocess = self.lean
        label, pixels = runtime.label("mapping"), int(np.prod(scene.shape))
        with scene_progress(label, pixels, quiet=runtime.quiet) as progress:
            return predict_scene(
                network.to(runtime.device), scene, preprocess, made_by=self.name, device=runtime.device,
                precision=runtime.precision, flips=self.flips, progress=progress, tile=self.tile,
            )  # fmt: skip

    def decided(self, scene: Scene, runtime: Runtime, *, entropy: bool = False) -> Decisions:
        """What the map of a scene comes to, without the map."""
        network, preprocess = self.lean
        return decide_scene(
            network.to(runtime.device), scene, preprocess, entropy=entropy, device=runtime.device,
            precision=runtime.precision, flips=self.flips, tile=self.tile,
        )  # fmt: skip

    def features(self, scene: Scene, runtime: Runtime) -> Callable[[Window], Tensor] | None:
        """A window of the scene -> (F, h, w) features of its pixels, on the device.

        They are computed in cells of a fixed grid, the latest ones kept: a pixel has the same features in every window.
        """
        if not hasattr(self.network, "features"):
            return None
        network, preprocess = self.lean
        network = network.to(runtime.device)
        grid = [part.core for part in tiles(scene.shape, size=CELL, halo=0)]

        @lru_cache(maxsize=KEPT)
        def cell(core: Window) -> Tensor:
            part = around(core, scene.shape, halo=network.margin)
            return window_features(network, scene, preprocess, part, device=runtime.device)

        def look(window: Window) -> Tensor:
            out: Tensor | None = None
            for core in grid:
                both = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(window, core, strict=True)]
                if any(start >= stop for start, stop in both):
                    continue
                values = cell(core)
                if out is None:
                    out = values.new_empty(len(values), *(b - a for a, b in window))
                to, of = (
                    tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(both, origin, strict=True))
                    for origin in (window, core)
                )
                out[:, *to] = values[:, *of]
            assert out is not None
            return out

        return look

    def saved(self) -> Saved:
        """Spec, weights and preprocessing."""
        arrays = prefixed("preprocess", self.preprocess.to_arrays()) | weights_of("network", self.network)
        for name, module in self.beside.items():
            arrays |= weights_of(name, module)
        record = {
            "name": self.name,
            "spec": to_json(self.spec),
            "n_classes": self.n_classes,
            "flips": self.flips,
            "centred": self.centred,
            **({"begun": self.begun} if self.begun else {}),
        }
        return Saved(record, arrays)

    def section(self, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
        found = None if self.tell is None else self.tell(self, scene, split, runtime)
        sentences = tuple(filter(None, (self.begun, CENTRED if self.centred else "")))
        if not sentences:
            return found
        found = found or Section("The network")
        numbers = {"centred": True} if self.centred else {}
        return replace(found, sentences=(*sentences, *found.sentences), numbers=numbers | found.numbers)


def load_network(
    saved: Saved, spec: Any, network: nn.Module, *, beside: Mapping[str, nn.Module] | None = None
) -> NetworkModel:
    """A model taken up again; `network` and the modules beside it are freshly built, of any weights."""
    for name, module in {"network": network, **(beside or {})}.items():
        load_weights(module, name, saved.arrays)
    record = saved.record
    return NetworkModel(
        record["name"], network, spec, Preprocess.from_arrays(saved.within("preprocess")), int(record["n_classes"]),
        flips=bool(record["flips"]), centred=bool(record.get("centred", False)), begun=str(record.get("begun", "")),
        beside=beside or {},
    )  # fmt: skip


def weights_of(prefix: str, network: nn.Module) -> Arrays:
    """The state of a network as named arrays; `load_weights` is the inverse."""
    return prefixed(prefix, {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()})


def load_weights(network: nn.Module, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Give a network the state under `prefix` and put it into evaluation mode."""
    network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in unprefixed(prefix, arrays).items()})
    network.eval()
