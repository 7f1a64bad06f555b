"""The deconvolution refiner: it learns a map's typical mistakes from maps made without the pixels it learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, HypersegError, Scene, SegmentationMap, SettingError, Split
from hyperseg.core.parts import Context, Method, Model, Refiner, Saved, prefixed
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings, to_json
from hyperseg.core.task import Task
from hyperseg.core.words import counted
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.bands.groups import Cut
from hyperseg.recipes.methods.band_groups import band_groups, groups_option
from hyperseg.recipes.methods.network import whitened
from hyperseg.recipes.refiners.held_out import Mask, cross_fitting
from hyperseg.recipes.refiners.tuned import tuned_numbers, with_changes
from hyperseg.recipes.training.settings import NOISE

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.crf.deconv import DeconvNet
    from hyperseg.crf.tune import Tuned
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.deconv import Trainer

NAME = "deconv"
FEWEST_WRONG = 8  # validation pixels, see `hopeless`


@settings
class Strength:
    """How far the refiner's correction is followed."""

    strength: float = option(1.0, "0 not at all, 1 as it was trained.", low=0)


@settings
class DeconvSettings:
    """How the deconvolution network is set up and trained; sizes are a reconstruction."""

    groups: Cut = groups_option()
    group_length: int = option(20, "Bands per group, see `hyperseg.data.bands.groups`.", low=1, high=10_000)
    width: int = option(16, "Channels at every resolution.", low=1, high=8_192)
    stages: int = option(2, "Times the resolution is halved.", low=1, high=3)
    fuse: Literal["conv", "mean"] = option("conv", "How the masks of the groups become one.")
    switches: bool = option(True, "Put values back where the encoder's maxima were.")
    parts: int = option(
        2,
        "Of the training pixels, for cross-fitting; 1 trains on the map as it is, which knows its own training pixels "
        "too well.",
        low=1,
    )
    steps: int = option(120, "Steps of the training.", low=1, high=10_000_000)
    batch: int = option(8, "Squares per step.", low=1, high=65_536)
    crop: int = option(32, "Side of the squares in pixels.", low=1, high=4_096)
    lr: float = option(2e-3, "Peak learning rate (AdamW, one cycle).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    noise: SpectralNoise = option(NOISE, "Disturbance of the bands.")
    strengths: tuple[float, ...] = option(
        (0.5, 1.0),
        'Tried on validation pixels, "leave the map alone" beside them; without any, the last is used.',
        low=0,
    )
    forced: bool = option(False, "Use the last strength without asking validation pixels.")

    def __post_init__(self) -> None:
        if not self.strengths:
            raise SettingError("strengths: one at least is needed.")
        if self.crop < 2**self.stages:
            raise SettingError(f"crops of {self.crop} pixels are smaller than the coarse grid's {2**self.stages}.")


@dataclass(frozen=True)
class FittedDeconv:
    """A trained deconvolution network; see `hyperseg.core.parts.Fitted`.

    Attributes:
        strength: how far it is followed, or None for "leave maps alone".
        network: in evaluation mode; `preprocess` is what it reads the scene through.
        numbers: for metrics.json; empty for one taken up again.
    """

    strength: float | None
    network: DeconvNet
    preprocess: Preprocess
    numbers: dict[str, Any]
    name: str = NAME
    margin_px: int = 0
    exact: bool = True

    @property
    def changes_nothing(self) -> bool:
        return self.strength is None

    @property
    def reach_px(self) -> int:
        return self.network.halo

    def window_px(self, before: int) -> int:
        return before + 2 * self.network.reach

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        from hyperseg.recipes.training.deconv import apply_deconv

        if self.strength is None:
            return map
        return apply_deconv(
            map, self.network, scene, self.preprocess, strength=self.strength, device=runtime.device,
            made_by=self.name,
        )  # fmt: skip

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> None:
        return None

    def saved(self) -> Saved:
        from hyperseg.recipes.training.model import weights_of

        arrays = weights_of("network", self.network) | prefixed("preprocess", self.preprocess.to_arrays())
        return Saved({"strength": self.strength, "spec": to_json(self.network.spec)}, arrays)

    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section:
        from hyperseg.crf.section import deconv_sentences, refiner_section

        numbers = with_changes(self.numbers, before, after, scene, split)
        return refiner_section(numbers, title=DECONV.title, sentences=deconv_sentences(numbers))


def fit(map: SegmentationMap, task: Task, settings: DeconvSettings, context: Context) -> FittedDeconv:
    """Train on held-out maps, and choose the strength on validation pixels.

    What cannot win there is not trained to the end: see `hopeless`; and after the map made without the first part a
    network is trained on that part alone, and the other maps are made only if it sets more validation pixels right.
    """
    from hyperseg.crf.tune import Tuned
    from hyperseg.recipes.training.deconv import Trainer

    scene, split, runtime = task.scene, task.split, context.runtime
    assert scene.labels is not None
    asked, n = bool(split.val.any()) and not settings.forced, settings.parts
    preprocess = whitened(task)
    trainer = Trainer(map, task, settings, preprocess, band_groups(task, preprocess, settings), runtime, NAME)
    if asked and (why := hopeless(map, scene.labels, split.val)):
        return fitted(trainer, trainer.untrained(), Tuned(None, (), int(split.val.sum())), {"not_tried": why})
    parts = iter([(split.train, map)]) if n == 1 else cross_fitting(task, context, n)
    held_out = [next(parts)]
    if asked and n > 1:
        short = replace(settings, steps=-(-settings.steps // n))  # for a share of the pixels
        network = trainer.trained(held_out, short, runtime.within("on the first part", "first"))
        tuned = chosen(trainer, network)
        if not any(row.score > tuned.table[0].score for row in tuned.table):
            return fitted(trainer, network, replace(tuned, settings=None), {"held_out_parts": 1, "of_parts": n})
    held_out += parts
    network = trainer.trained(held_out, settings, runtime)
    tuned = chosen(trainer, network) if asked else Tuned(Strength(settings.strengths[-1]), (), 0)
    return fitted(trainer, network, tuned, {"held_out_parts": len(held_out)})


def hopeless(map: SegmentationMap, labels: NDArray[np.int16], val: Mask) -> str:
    """Why validation pixels cannot speak for any correction of this map, or "".

    A gain counts if it exceeds its standard error over classes: two wrong pixels at least, of two classes, must become
    right, and the network sets right one wrong pixel of six or fewer (docs/benchmarks.md).
    """
    val = val & (labels != UNLABELLED) if map.valid is None else val & (labels != UNLABELLED) & map.valid
    truth = labels[val]
    wrong = truth[map.labels()[val] != truth]
    classes, of = len(np.unique(wrong)), len(np.unique(truth))
    found = f"of {counted(len(truth), 'validation pixel')} the map has {len(wrong)} wrong"
    if len(wrong) < FEWEST_WRONG:
        return f"{found}, and with fewer than {FEWEST_WRONG} no gain could be told from chance"
    if classes < 2 <= of:
        return f"{found}, all of one class, and a gain in one class alone does not count"
    return ""


def chosen(trainer: Trainer, network: DeconvNet) -> Tuned[Strength]:
    """The strength that validation pixels speak for, or none."""
    from hyperseg.crf.tune import choose

    labels, val = trainer.task.scene.labels, trainer.task.split.val
    assert labels is not None
    candidates = [Strength(s) for s in trainer.settings.strengths]
    return choose(trainer.map, ((s, trainer.refined(network, s.strength)) for s in candidates), labels, val)


def fitted(trainer: Trainer, network: DeconvNet, tuned: Tuned[Strength], more: dict[str, Any]) -> FittedDeconv:
    strength = None if tuned.settings is None else tuned.settings.strength
    more = {"band_groups": [list(g) for g in trainer.spec.groups]} | more
    return FittedDeconv(strength, network, trainer.preprocess, tuned_numbers(NAME, tuned) | more)


def check(task: Task, settings: DeconvSettings, method: Method, chosen: Any, place: int) -> None:
    """The method can be fitted without each part, in one way or the other of holding parts out."""
    from hyperseg.data.splits.folds import folds, without

    scene, split = task.scene, task.split
    assert scene.labels is not None
    faults = []
    for apart in (True, False) if settings.parts > 1 else ():
        held_out = folds(split, scene.labels, settings.parts, apart=apart, parcels=scene.parcels)
        try:
            for part in held_out:
                if part.any():
                    method.check(replace(task, splits=(without(split, part),)), chosen)
        except HypersegError as fault:
            faults.append(fault)
    if len(faults) == 2:
        raise SettingError(f"{NAME} is fitted on maps made without a part of the training pixels: {faults[0]}")


def load(saved: Saved, model: Model) -> FittedDeconv:
    from hyperseg.crf.deconv import DeconvNet, DeconvSpec
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.model import load_weights

    network = DeconvNet(from_json(DeconvSpec, saved.record["spec"]))
    load_weights(network, "network", saved.arrays)
    preprocess = Preprocess.from_arrays(saved.within("preprocess"))
    return FittedDeconv(saved.record["strength"], network, preprocess, {})


DECONV = Refiner(NAME, DeconvSettings, fit, load, check, title="The deconvolution refiner")
