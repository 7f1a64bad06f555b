"""The judge of generated pictures: a depth network that saw other pictures than the heads, and distances to real ones.

What guidance improves is never what is measured with: the judge shares no weights and no pictures with the heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.io.write.weights import fill, read_weights, write_weights
from hyperseg.metrics.depth import abs_rel, delta1, pooled
from hyperseg.metrics.generation import few_samples, frechet_distance
from hyperseg.recipes.depth.judge_networks import DepthCoder, DepthNetwork, JudgeSpec

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]
AT_ONCE = 64  # pictures
KIND = "depth judge"
SIDE = 8  # parts along each axis of a pooled depth map


@dataclass(frozen=True)
class Judged:
    """Some pictures as the judge sees them.

    Attributes:
        y: (n, s, s) the judge's inverse depth, 0 to 1.
        pool8: (n, 64) `y` pooled to 8 x 8 parts.
        net: (n, code[-1]) `y` as the auto-encoder sees it.
        rgb: (n, widths[-1]) features of the pictures, not of their depth.
    """

    y: Float32
    pool8: Floats
    net: Floats
    rgb: Floats

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class DepthJudge:
    """A trained judge, in evaluation mode.

    Attributes:
        delta1, abs_rel: what it reached on pictures that it was not trained on.
    """

    spec: JudgeSpec
    network: DepthNetwork
    coder: DepthCoder
    delta1: float
    abs_rel: float

    @property
    def inverse(self) -> InverseDepth:
        return InverseDepth(self.spec.z_min, self.spec.z_max)

    def depth(self, x: Tensor | Float32) -> Float32:
        """(n, 3, s, s) pictures from -1 to 1 -> (n, s, s) inverse depth from 0 to 1.

        Raises:
            SettingError: pictures of another size, or values that are not finite.
        """
        return told(self.network, _pictures(x, self.spec.size), self.inverse)

    def look(self, x: Tensor | Float32) -> Judged:
        """All that is compared of pictures, see `depth`."""
        pictures = _pictures(x, self.spec.size)
        y = self.depth(pictures)
        net = by_parts(self.coder, self.coder.pooled, torch.from_numpy(y))
        rgb = by_parts(self.network, self.network.pooled, pictures)
        return Judged(y, pooled(y, SIDE), net.astype(np.float64), rgb.astype(np.float64))

    def scores(
        self, x: Tensor | Float32, real: Judged, *, strong: Float32 | None = None, weak: Float32 | None = None
    ) -> dict[str, float]:
        """Scores of generated pictures.

        Args:
            x: (n, 3, s, s) generated pictures.
            real: `look` at real pictures, as many as are generated where distances are to be compared with `floor`.
            strong, weak: (n, s, s) inverse depth that the heads say of `x`; None leaves out what needs them.

        Returns:
            "dfd_pool8", "dfd_net", "rgb" (Frechet distances, less is better); with `strong` "delta1" and "abs_rel" of
            its depth, the judge's being the truth; with both "heads_apart", the mean of |strong - weak|.

        Raises:
            SettingError: shapes that do not fit, or values that are not finite.
        """
        seen = self.look(x)
        found = distances(seen, real)
        if strong is not None:
            said, judged = (self.inverse.back(np.asarray(y, np.float64)) for y in (strong, seen.y))
            found |= {"delta1": delta1(said, judged), "abs_rel": abs_rel(said, judged)}
            if weak is not None:
                found["heads_apart"] = float(np.abs(np.asarray(strong, np.float64) - weak).mean())
        return found

    def floor(self, real: Judged) -> dict[str, float]:
        """Distances between the first and the second half of real pictures: what as many perfect samples would have."""
        half = len(real) // 2
        return distances(part(real, slice(half)), part(real, slice(half, 2 * half)))

    def remarks(self, n: int) -> list[str]:
        """What is to be said of distances from n pictures."""
        found = (few_samples(n, dims) for dims in (SIDE**2, self.spec.code[-1], self.spec.widths[-1]))
        return list(dict.fromkeys(remark for remark in found if remark))

    def write(self, file: Path) -> None:
        """Write it, whole or not at all."""
        tensors = {
            f"{of}.{name}": t for of in ("network", "coder") for name, t in getattr(self, of).state_dict().items()
        }
        about = {"kind": KIND, "spec": to_json(self.spec), "delta1": self.delta1, "abs_rel": self.abs_rel}
        write_weights(file, tensors, about)


def read_judge(file: Path, *, device: str = "cpu") -> DepthJudge:
    """What `DepthJudge.write` wrote.

    Raises:
        RunError: no such file, damaged, or no judge.
    """
    if not file.is_file():
        raise RunError(f"{file}: no such file. Train a judge first.")
    tensors, about = read_weights(file)
    if about.get("kind") != KIND:
        raise RunError(f"{file}: holds no judge of depth. Train one again.")
    spec = from_json(JudgeSpec, about["spec"], str(file))
    judge = DepthJudge(spec, DepthNetwork(spec), DepthCoder(spec), float(about["delta1"]), float(about["abs_rel"]))
    for of, net in (("network", judge.network), ("coder", judge.coder)):
        fill(net, {name.removeprefix(f"{of}."): t for name, t in tensors.items() if name.startswith(f"{of}.")}, file)
        net.to(device)
    return judge


def part(judged: Judged, which: slice | NDArray[Any]) -> Judged:
    """Some of the pictures."""
    return Judged(judged.y[which], judged.pool8[which], judged.net[which], judged.rgb[which])


def distances(a: Judged, b: Judged) -> dict[str, float]:
    """Frechet distances between two sets of pictures: of pooled depth, of encoded depth, and of the pictures."""
    return {
        "dfd_pool8": frechet_distance(a.pool8, b.pool8),
        "dfd_net": frechet_distance(a.net, b.net),
        "rgb": frechet_distance(a.rgb, b.rgb),
    }


def told(network: DepthNetwork, pictures: Tensor, inverse: InverseDepth) -> Float32:
    """(n, s, s) inverse depth from 0 to 1 that a network tells of pictures."""
    return inverse.of(np.exp(-by_parts(network, network, pictures)))


def by_parts(net: nn.Module, say: Callable[[Tensor], Tensor], values: Tensor) -> Float32:
    """What a network says of values on the CPU, some at a time, where it is."""
    device = next(net.parameters()).device
    with torch.inference_mode():
        return torch.cat([say(some.to(device)).float().cpu() for some in values.split(AT_ONCE)]).numpy()


def _pictures(x: Tensor | Float32, size: int) -> Tensor:
    found = torch.as_tensor(x, dtype=torch.float32).detach().cpu()
    if found.ndim != 4 or not len(found) or tuple(found.shape[1:]) != (3, size, size):
        raise SettingError(f"the judge was trained on pictures (n, 3, {size}, {size}), got {tuple(found.shape)}.")
    broken = int((~torch.isfinite(found)).flatten(1).any(1).sum())
    if broken:
        raise SettingError(f"{broken} of {len(found)} pictures have values that are not finite: sample them again.")
    return found
