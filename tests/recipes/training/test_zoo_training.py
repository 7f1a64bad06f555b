"""Networks of the zoo as methods: what is kept maps the same, critics leave supervised training alone, and folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import line, stopping
from small_cases import QUIET, boxes, corner_boxes, order, tiny_plan
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvBlock, ConvSpec, Encoder, dropout, resized
from hyperseg.core import SettingError
from hyperseg.core.parts import Method, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, option, settings
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.hsi.plan import Given
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.training import train_cases
from hyperseg.recipes.training.planned import planned
from hyperseg.simulated.scenes import toy_scene
from hyperseg.zoo import NETWORKS
from hyperseg.zoo.member import Adversary, Member

SHORT = {"steps": 4, "batch": 4, "width": 4, "window": 9}


@settings
class ToySettings:
    """Of toys."""

    weight: float = option(0.1, "Of what the critic says.", low=0)


class Padded(nn.Module):
    """Defined by: an encoder. Use: here. Source: none. Differs: in nothing."""

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(spec), ClassHead(spec, n_classes)
        self.drop = dropout(ConvSpec(spec.conv.ndim, dropout=0.5))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.encoder(x)
        assert self.drop is not None
        return resized(self.head([self.drop(resized(maps[-1], maps[0].shape[2:]))]), x.shape[2:])


class Unpadded(nn.Module):
    """Two convolutions without padding."""

    margin = 2

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        conv = replace(spec.conv, padding="valid", residual=False)
        body = replace(spec, widths=(4,), strides=(1,), kernels=(3,), depths=(2,), conv=conv)
        self.encoder, self.head = Encoder(body), ClassHead(body, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


def critic(spec: BackboneSpec, n_classes: int, chosen: Any) -> nn.Module:
    return nn.Sequential(ConvBlock(spec.conv, n_classes, 4, 3), ConvBlock(spec.conv, 4, 1, 1))


def critic_terms(net: nn.Module, x: Tensor, logits: Tensor, labels: Tensor, chosen: Any) -> dict[str, Tensor]:
    truth = nn.functional.one_hot(labels.clamp(min=0), logits.shape[1]).movedim(-1, 1).float()
    return {"critic": net(logits.softmax(1)).mean() - net(truth).mean()}


def rival_terms(net: nn.Module, x: Tensor, logits: Tensor, labels: Tensor, chosen: Any) -> dict[str, Tensor]:
    return {"rival": -chosen.weight * net(logits.softmax(1)).mean()}


class Narrow(Padded):  # the head of `Padded` reads the finest width; one stage keeps both alike
    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        one = {n: getattr(spec, n)[:1] for n in ("widths", "strides", "kernels", "depths")}
        super().__init__(replace(spec, **one), n_classes, chosen)


PADDED = Member("toy-padded", "Toy", 2026, "other", Narrow, Narrow)
UNPADDED = Member("toy-valid", "Valid toy", 2026, "other", Unpadded, Unpadded, padded=False)
RIVALS = Member(
    "toy-rivals", "Rivals", 2026, "adversarial", Narrow, Narrow, ToySettings,
    adversary=Adversary(critic, critic_terms, rival_terms),
)  # fmt: skip
FLAT = replace(PADDED, name="toy-flat", axes=(2,))


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    with ExitStack() as stack:
        for toy in (PADDED, UNPADDED, RIVALS, FLAT):
            stack.enter_context(line(NETWORKS, toy.name, toy))
        yield


@pytest.fixture(scope="module")
def task() -> Task:
    scene = toy_scene(shape=(20, 18), n_bands=12, n_classes=3)
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0),))


def fitted(task: Task, name: str, runtime: Runtime = QUIET, changes: Any = None) -> Any:
    method: Method = METHODS[f"zoo:{name}"]
    short = SHORT if NETWORKS[name].padded else {"min_steps": 4, "epochs": 1, "width": 4}
    chosen = changed(method.settings(), short | (changes or {}))
    method.check(task, chosen)
    return method.fit(task, chosen, runtime)


@pytest.mark.parametrize("name", ["u-net", "toy-valid", "toy-rivals"])
def test_what_is_kept_maps_to_the_same_bytes(task: Task, name: str) -> None:
    model = fitted(task, name)
    kept = model.saved()
    again = METHODS[f"zoo:{name}"].load(Saved(json.loads(json.dumps(kept.record)), kept.arrays))
    assert again.network.spec == model.network.spec
    assert again.map(task.scene, QUIET).probs.tobytes() == model.map(task.scene, QUIET).probs.tobytes()


def test_a_map_without_padding_is_exact_and_says_so(task: Task) -> None:
    """Windows of the scene, and the whole scene, give the same numbers."""
    model = fitted(task, "toy-valid")
    assert (model.margin_px, model.network.padded) == (2, False)
    features = torch.from_numpy(task.scene.features(model.preprocess)).movedim(-1, 0)[None]
    padded = nn.functional.pad(features, (2, 2, 2, 2), mode="reflect")
    with torch.inference_mode():
        whole = model.network(padded).softmax(1)[0].movedim(0, -1).numpy()
        corner = model.network(padded[..., :9, :9]).softmax(1)[0].movedim(0, -1).numpy()
    assert np.allclose(corner, whole[:5, :5], atol=1e-6)
    assert np.allclose(model.map(task.scene, QUIET).probs[2:-2, 2:-2], whole[2:-2, 2:-2], atol=1e-5)
    section = model.section(task.scene, task.split, QUIET)
    assert "map is exact" in " ".join(section.sentences)
    assert section.numbers["looks_px"] == 2


def test_a_padded_map_is_blended_and_says_how_far_it_looks(task: Task) -> None:
    model = fitted(task, "u-net")
    section = model.section(task.scene, task.split, QUIET)
    text = " ".join(section.sentences)
    assert "U-Net (2015), family: encoder-decoder." in text
    assert "blended from overlapping windows of 9 x 9 pixels" in text
    assert "Source: Ronneberger" in text
    assert section.numbers["looks_px"] == model.margin_px == model.network.context_px <= 8


def test_where_nothing_the_critic_says_counts_training_is_supervised_bit_for_bit(task: Task) -> None:
    alone, rival = (
        fitted(task, n, changes=c).network.state_dict()
        for n, c in (("toy-padded", {}), ("toy-rivals", {"network.weight": 0.0}))
    )
    assert {n for n in rival if not n.startswith("critic.")} == set(alone)
    assert all(torch.equal(alone[n], rival[n]) for n in alone)
    moved = fitted(task, "toy-rivals", changes={"network.weight": 5.0}).network.state_dict()
    assert not all(torch.equal(alone[n], moved[n]) for n in alone)


def test_critic_and_network_learn_each_its_own(task: Task) -> None:
    """A step moves the critic by its terms alone: another weight of the rival's terms changes nothing in the first."""
    history = fitted(task, "toy-rivals").history
    assert {"critic.critic", "segment.rival"} <= set(history.terms)
    first, other = (
        fitted(task, "toy-rivals", changes={"network.weight": w, "steps": 2, "average": 0.0}).history
        for w in (0.0, 9.0)
    )
    assert first.terms["segment.dice"][0] == other.terms["segment.dice"][0]


def test_an_interrupted_game_goes_on_to_the_same_weights(task: Task, tmp_path: Path) -> None:
    whole = fitted(task, "toy-rivals").network.state_dict()
    place = replace(QUIET, checkpoints=tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        fitted(task, "toy-rivals", replace(place, on_step=stopping(2)))
    again = fitted(task, "toy-rivals", place).network.state_dict()
    assert all(torch.equal(whole[n], again[n]) for n in whole)


def test_its_size_is_that_of_the_planned_u_net(task: Task) -> None:
    spec = fitted(task, "u-net").network.spec
    made = planned(task, Given(window=9, width=4, batch=4, steps=4))
    assert (spec.body, spec.tile) == (made.body, made.tile)


def test_settings_of_the_member_are_recorded_and_spelled_in_the_spec(task: Task) -> None:
    model = fitted(task, "toy-rivals", changes={"network.weight": 0.25})
    assert model.saved().record["spec"]["network"] == "toy-rivals:weight=0.25"


def test_volumes_are_refused_or_left_out_before_any_work(tmp_path: Path) -> None:
    plan = tiny_plan(corner_boxes(tmp_path / "v", (12, 12, 12), 4))
    flat = case_method("zoo:toy-flat").planned(plan)
    assert {one.n_axes for one in flat.configurations} == {2}
    deep = replace(plan, configurations=tuple(c for c in plan.configurations if c.n_axes == 3))
    with pytest.raises(SettingError, match="images of 2 axes"):
        case_method("zoo:toy-flat").planned(deep)


@pytest.mark.parametrize("name", ["u-net", "toy-valid", "toy-rivals"])
def test_folders_are_learnt_by_every_kind(tmp_path: Path, name: str) -> None:
    folder = boxes(tmp_path / "pictures")
    plan = tiny_plan(folder)
    run = train_cases(folder, plan, tmp_path / "run", order(3, method=f"zoo:{name}"), QUIET)
    assert run.record.trained == {"2d": [0]}


def test_names_are_told_how_they_are_spelled() -> None:
    for given, told in (
        ("zoo:unet", "Did you mean zoo:u-net?"), ("zoo", "zoo is many: spell one, as zoo:u-net"),
        ("deeplab-v3-plus", "Did you mean zoo:deeplab-v3-plus?"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=told) as caught:
            METHODS[given]
        assert "\n" not in str(caught.value)
