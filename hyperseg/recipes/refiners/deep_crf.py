"""The deep CRF: pairwise energies learnt on the run's own network, mean field on a grid, its weight from validation."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, SettingError, Split
from hyperseg.core.parts import Context, Method, Model, Refiner, Saved, prefixed
from hyperseg.core.sections import Figure, Section
from hyperseg.core.settings import from_json, leaves, option, settings, to_json
from hyperseg.core.task import Task
from hyperseg.crf.settings import DeepCRF
from hyperseg.data.augment import SpectralNoise
from hyperseg.recipes.methods.band_groups import BAND_GROUPS, BandGroupSettings
from hyperseg.recipes.refiners.tuned import tuned_numbers, with_changes
from hyperseg.recipes.training.settings import NOISE

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.crf.piecewise import Pairwise
    from hyperseg.recipes.training.model import NetworkModel

BESIDE_PX = 3  # labelled pixels up to here lie beside each other: fields have unlabelled rims


@settings
class JointSettings:
    """How network and pairwise heads are trained together; all of it is ours."""

    steps: int = option(300, "Steps of the training.", low=1, high=10_000_000)
    batch: int = option(16, "Crops per step, each around a labelled training pixel.", low=1, high=65_536)
    half: int = option(4, "A crop holds (2 half + 1) x (2 half + 1) nodes.", low=1, high=256)
    unrolled: int = option(3, "Mean-field iterations that gradients pass; 0 is plain cross-entropy.", low=0, high=1_000)
    lr: float = option(3e-4, "Peak learning rate (AdamW, one cycle).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    noise: SpectralNoise = option(NOISE, "Disturbance of the bands.")


def usual_unless(joint: bool) -> dict[str, Any]:
    """Without joint training nothing of it is left to say."""
    return {} if joint else {f"through.{leaf.path}": leaf.value for leaf in leaves(JointSettings())}


@settings
class DeepCrfSettings:
    """How the deep CRF is set up and trained."""

    joint: bool = option(
        False,
        "Also train network and potentials together, through the inference.",
        shown="joint",
        off="piecewise",
        also=usual_unless,
    )
    crf: DeepCRF = option(DeepCRF(), "The field itself; its weight and heads are the usual ones.")
    weights: tuple[float, ...] = option(
        (0.15, 0.3, 0.6, 1.2, 2.4),
        "Weights tried on validation pixels; they, or leaving the map alone, must be better than the usual one beyond "
        "doubt.",
        low=0,
    )
    heads: tuple[float, ...] = option((1.0, 0.0), "Shares of the heads tried with every weight.", low=0)
    em_steps: int = option(2, "Of `hyperseg.crf.piecewise.learn_tables`.", low=0, high=1_000)
    steps: int = option(300, "Steps of the piecewise training of the heads.", low=1, high=10_000_000)
    batch: int = option(512, "Pairs per direction and step.", low=1, high=65_536)
    lr: float = option(2e-3, "Peak learning rate (AdamW, one cycle).", above=0)
    weight_decay: float = option(5e-4, "Lambda of the piecewise objective.", low=0)
    dropout: float = option(0.3, "Of the features that the heads read.", low=0, below=1)
    same_share: float | None = option(
        None,
        "Weight of all edges between equal classes together (0.5 weighs the two kinds alike); none takes them as they "
        "come.",
        low=0, high=1,
    )  # fmt: skip
    doubt: float = option(
        0.1,
        "Share of the uniform distribution mixed into the unary probabilities of training nodes, which the network "
        "knows too well for anything to be left to learn.",
        low=0, high=1,
    )  # fmt: skip
    least_edges: int = option(
        200, "Pairs of each kind to learn from, see `hyperseg.crf.piecewise.labelled_edges`.", low=1
    )
    forced: bool = option(False, "Use the usual weight without asking validation pixels.")
    through: JointSettings = option(JointSettings(), "The training through the inference, where joint.", hides=True)
    features: BandGroupSettings = option(
        BandGroupSettings(), "The network that features come from, after a method that has none.", hides=True
    )

    def __post_init__(self) -> None:
        if not self.joint and self.through != JointSettings():
            raise SettingError("through: these settings count for joint training only; give --joint too.")


@dataclass(frozen=True)
class FittedDeepCrf:
    """A fitted deep CRF; see `hyperseg.core.parts.Fitted`.

    Attributes:
        chosen: its settings, or None for "leave maps alone".
        usual: the field it was set up as; says how wide the heads are.
        pairwise: table and heads, in evaluation mode.
        width: features that the heads read.
        reader: the model whose features they are.
        own: whether that model is the refiner's own, kept with it.
        unary: whether the model's map replaces the first one: it was trained jointly.
        numbers: for metrics.json; empty for one taken up again.
    """

    chosen: DeepCRF | None
    usual: DeepCRF
    pairwise: Pairwise
    width: int
    reader: Model
    own: bool
    unary: bool
    numbers: dict[str, Any]
    name: str = "deep-crf"
    exact: bool = True

    @property
    def changes_nothing(self) -> bool:
        return self.chosen is None

    @property
    def reach_px(self) -> int:
        crf = self.chosen or self.usual
        return crf.inference.reach(crf.radius) * crf.stride

    @property
    def margin_px(self) -> int:
        return self.reader.margin_px

    def window_px(self, before: int) -> int:
        return max(before, 2 * self.margin_px + 1)  # after a classical method the features look further

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        from hyperseg.crf.deep import apply_deep_crf

        if self.chosen is None:
            return map
        look = self.reader.features(scene, runtime)
        assert look is not None
        if self.unary:
            map = replace(self.reader.map(scene, in_float32(runtime)), made_by=map.made_by)
        pairwise = self.pairwise.to(runtime.device)
        return apply_deep_crf(map, pairwise, look, self.chosen, device=runtime.device, by=self.name)

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> None:
        return None

    def saved(self) -> Saved:
        from hyperseg.recipes.training.model import weights_of

        arrays = weights_of("pairwise", self.pairwise)
        record = {
            "chosen": None if self.chosen is None else to_json(self.chosen), "usual": to_json(self.usual),
            "width": self.width, "unary": self.unary, "own": None,
        }  # fmt: skip
        if self.own:
            own = self.reader.saved()
            record |= {"own": own.record}
            arrays |= prefixed("own", own.arrays)
        return Saved(record, arrays)

    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section:
        from hyperseg.crf import adjacency
        from hyperseg.crf.section import deep_crf_sentences, refiner_section

        assert scene.labels is not None
        numbers = with_changes(self.numbers, before, after, scene, split)
        seen = adjacency.count_pairs(scene.labels, scene.n_classes, within=BESIDE_PX)
        learnt = {towards: np.asarray(table) for towards, table in numbers["class_table"].items()}
        numbers["agreement"] = adjacency.agreement(learnt, seen)
        picture = adjacency.adjacency_figure(learnt, seen, scene.classes, scene.colours, within=BESIDE_PX)
        return refiner_section(
            numbers, title=DEEP_CRF.title, sentences=deep_crf_sentences(numbers),
            figures=[Figure(picture, adjacency.CAPTION)],
        )  # fmt: skip


def fit(map: SegmentationMap, task: Task, settings: DeepCrfSettings, context: Context) -> FittedDeepCrf:
    """Table and heads from the map and the training pixels, the weight from validation pixels."""
    from hyperseg.crf.deep import class_tables
    from hyperseg.recipes.training.pairwise import learn_pairwise, live_nodes, node_features, node_logs, weigh

    scene, split, runtime = task.scene, task.split, context.runtime
    whole = tuple((0, n) for n in scene.shape)
    reader, own = context.model, False
    look = reader.features(scene, runtime)
    if look is None:
        reader, own = BAND_GROUPS.fit(task, settings.features, runtime.within("features", "features")), True
        look = reader.features(scene, runtime)
        assert look is not None
    features = look(whole)
    pairwise, learnt = learn_pairwise(map, scene, split, features, settings, runtime=runtime)
    unary = map
    if settings.joint:
        reader, own = jointly(task, reader, pairwise, settings, runtime), True
        look = reader.features(scene, runtime)
        assert look is not None
        features = look(whole)
        unary = reader.map(scene, in_float32(runtime))
    tuned = weigh(
        unary, scene, split, pairwise, features, settings, device=runtime.device, trusted=learnt["heads_trusted"],
        before=map,
    )  # fmt: skip
    stride = settings.crf.stride
    tables = class_tables(
        node_logs(unary, stride, features.device), node_features(features, scene, stride), pairwise,
        tuned.settings or settings.crf, valid=live_nodes(scene, stride, features.device),
    )  # fmt: skip
    numbers = tuned_numbers(DEEP_CRF.name, tuned) | learnt | {"usual": True}
    numbers["class_table"] = {towards: table.tolist() for towards, table in tables.items()}
    return FittedDeepCrf(
        tuned.settings, settings.crf, pairwise, int(features.shape[0]), reader, own, settings.joint, numbers
    )


def in_float32(runtime: Runtime) -> Runtime:
    """Without a bar, and as exactly as network and heads were trained together."""
    return replace(runtime, quiet=True, precision="fp32")


def jointly(task: Task, model: Any, pairwise: Pairwise, settings: DeepCrfSettings, runtime: Runtime) -> NetworkModel:
    """A copy of the run's network, trained through the inference together with the heads (in place)."""
    from hyperseg.recipes.training.joint import train_jointly

    network = deepcopy(model.network)
    history = train_jointly(network, pairwise, task, model.preprocess, settings.crf, settings.through, runtime=runtime)
    found: NetworkModel = replace(model, network=network, history=history)
    return found


def load(saved: Saved, model: Any) -> FittedDeepCrf:
    from hyperseg.crf.piecewise import Pairwise
    from hyperseg.recipes.training.model import load_weights

    record, reader = saved.record, model
    if record["own"] is not None:
        own = Saved(record["own"], saved.within("own"))
        if record["unary"]:  # of the model's own kind
            reader = replace(model, network=deepcopy(model.network))
            load_weights(reader.network, "network", own.arrays)
        else:
            reader = BAND_GROUPS.load(own)
    usual = from_json(DeepCRF, record["usual"])
    pairwise = Pairwise(record["width"], model.n_classes, hidden=usual.hidden)
    load_weights(pairwise, "pairwise", saved.arrays)
    chosen = None if record["chosen"] is None else from_json(DeepCRF, record["chosen"])
    own_reader = record["own"] is not None
    return FittedDeepCrf(chosen, usual, pairwise, record["width"], reader, own_reader, record["unary"], {})


def check(task: Task, settings: DeepCrfSettings, method: Method, chosen: Any, place: int) -> None:
    """Joint training changes the unary network: this comes first then, after a network trained on labels alone."""
    if method.has_features and settings.features != BandGroupSettings():
        raise SettingError(f"features: the deep CRF reads those of {method.name} and trains no network of its own.")
    if settings.features.flips:
        raise SettingError("features.flips: features are read as they are; only maps are averaged over flips.")
    nodes = min(-(-n // settings.crf.stride) for n in task.scene.shape)
    if settings.crf.radius >= nodes:
        raise SettingError(f"radius joins nodes {settings.crf.radius} apart, {task.scene.name} has {nodes} on a side.")
    if settings.joint and (place > 0 or not method.trains_on or settings.crf.stride > 1):
        raise SettingError(
            "joint training changes the unary network: the deep CRF must come first, with nodes of one pixel, after a "
            f"network trained on the labels alone, not as number {place + 1} after {method.step_name} with a stride of "
            f"{settings.crf.stride}."
        )
    if settings.crf.form == "joint":
        from hyperseg.recipes.training.pairwise import training_pairs

        training_pairs(task.scene, task.split, replace(settings, least_edges=1), seed=0)


DEEP_CRF = Refiner("deep-crf", DeepCrfSettings, fit, load, check, title="The deep CRF")
