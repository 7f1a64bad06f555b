"""Methods on folders whose answers are known: one that draws masks, one that answers once; both need no training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hyperseg import segment
from hyperseg.core.maps import Fused
from hyperseg.core.parts import Entry, Method, OnCases
from hyperseg.core.settings import option, settings
from hyperseg.dpm.masks.fusion import fuse
from hyperseg.dpm.masks.settings import DrawSettings
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.segment.folder import Record, write_fold, write_run
from hyperseg.recipes.segment.methods.chosen import case_method


@settings
class Drawing:
    """Masks of an image that is above its mean where class 1 is."""

    draw: DrawSettings = option(DrawSettings(samples=3, calls=2, fusion="majority"), "How masks are drawn.")


@settings
class Single:
    """One answer."""

    sure: float = option(0.9, "Probability of the class.", low=0.5, high=1)


class Blank(nn.Module):
    """A network that knows nothing; what it is given decides."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1))


def samples(
    networks: Any, image: Tensor, patch: Any, chosen: Drawing, *, n_classes: int, mirror: bool, seed: int, device: Any,
    done: Any = None,
) -> Iterator[Tensor]:  # fmt: skip
    """The truth; every third mask from the second on is a pixel to the side; nothing is found by a single call."""
    truth = (image[:1] > 0).float()
    for number in range(chosen.draw.samples):
        said = truth.roll(int(number % 3 == 1), -1) * (chosen.draw.calls > 1)
        yield torch.cat([1 - said, said])


def fused(drawn: Iterator[Tensor], chosen: Drawing) -> Fused:
    return fuse(drawn, chosen.draw.fusion)


def score(networks: Any, n_classes: int, how: Any, mirror: bool, chosen: Any) -> Any:
    """Logits of one probability: what is right has it."""
    sure = torch.tensor(getattr(chosen, "sure", 0.9))
    return lambda x: (sure / (1 - sure)).log() / 2 * torch.cat([-x[:, :1].sign(), x[:, :1].sign()], 1)


def looks(chosen: Drawing, axes: int, mirror: bool) -> int:
    return chosen.draw.samples * chosen.draw.calls * (2**axes if mirror else 1)


def lesson(*_: Any) -> Any:
    raise NotImplementedError


def nothing(*_: Any) -> Any:
    raise NotImplementedError


DRAWS = Method(
    "draws", Drawing, nothing, nothing, takes=frozenset({"images"}), has_features=False,
    on_cases=OnCases(Drawing, lambda *_: Blank(), lesson, score, samples, fused, looks, changeable="draw"),
)  # fmt: skip
ONCE = Method(
    "once", Single, nothing, nothing, takes=frozenset({"images"}), has_features=False,
    on_cases=OnCases(Single, lambda *_: Blank(), lesson, score),
)  # fmt: skip
N = 4  # pictures


def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put both into the table of methods, for a test."""
    for name in ("draws", "once"):
        monkeypatch.setitem(METHODS.entries, name, Entry(f"drawing:{name.upper()}", "a method of the tests"))


def pictures(folder: Path, *, right: bool = True) -> Path:
    """Pictures of 20 x 24 pixels that are 1 where the class is, else -1; or with labels upside down."""
    for i in range(N):
        labels = np.zeros((20, 24), np.uint8)
        labels[4 : 9 + i, 6:14] = 1
        for kind, array in (("images", 2.0 * labels - 1), ("labels", labels if right else labels[::-1])):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"c{i}.npy", array.astype(np.float32 if kind == "images" else np.uint8))
    return folder


def trained(root: Path, data: Path, method: str = "draws", *, folds: tuple[int, ...] = (0, 1)) -> segment.SegmentRun:
    """A run of two folds whose networks know nothing: methods of the tests look at the image alone."""
    plan = segment.plan(data, minutes=0.01, pace=1e7, device="cpu")
    folder = segment.open_cases(data)
    parts = (("c0", "c2"), ("c1", "c3"))
    (name,) = (one.name for one in plan.configurations)
    record = Record(
        str(data), folder.classes, folder.codes, folder.channels, 0, parts, trained={name: list(folds)}, mirrored=False,
        method=method, settings=case_method(method).record,
    )  # fmt: skip
    run = write_run(root, plan, record)
    for fold in folds:
        net = case_method(method).build(plan.configuration(name), 2)
        write_fold(run, name, fold, net.state_dict(), {})
    return run
