"""The network that CONTRIBUTING.md adds to the zoo in one file and one line, taken from the page as it stands there."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core.parts import Entry
from hyperseg.core.settings import from_json, to_json
from hyperseg.recipes.methods import METHODS
from hyperseg.zoo import NETWORKS
from hyperseg.zoo.network import ZooNet, ZooSpec, build
from hyperseg.zoo.taxonomy import described

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the package is tested without its documents")
K = 3


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the network, once its file and its line are where the page says."""
    file, line = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    ((name, entry),) = eval(f"{{{line}}}", {"Entry": Entry}).items()
    assert max(map(len, [*file.splitlines(), 8 * " " + line.rstrip()])) <= 120
    assert name not in NETWORKS, "it is there already: the page needs another example"
    module = ModuleType(entry.where.partition(":")[0])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(file, module.__name__, "exec"), module.__dict__)
    monkeypatch.setitem(NETWORKS.entries, name, entry)
    return str(name)


def spec_of(name: str, axes: int, widths: tuple[int, ...] = (8, 8, 12)) -> ZooSpec:
    stages = len(widths)
    body = BackboneSpec(5, widths, (1, 2, 2)[:stages], (3,) * stages, (1,) * stages, ConvSpec(axes, norm="batch"))
    return ZooSpec(name, 5, K, body, (9,) * axes)


@pytest.mark.parametrize("size", [(21, 18), (5, 12, 11)], ids=["image", "volume"])
def test_it_answers_in_the_size_of_the_image_and_one_step_back_reaches_all_of_it(
    name: str, size: tuple[int, ...]
) -> None:
    net = build(spec_of(name, len(size)), 0)
    logits = net(torch.randn((2, 5, *size), generator=torch.Generator().manual_seed(1)))
    assert logits.shape == (2, K, *size)
    logits.square().sum().backward()
    assert [weight for weight, p in net.named_parameters() if p.grad is None] == []


def test_its_spec_in_json_builds_the_same_network(name: str) -> None:
    member = NETWORKS[name]
    (setting,) = to_json(member.settings())
    spec = spec_of(f"{name}:{setting}=2", 2)
    one, other = (build(each, 0).state_dict() for each in (spec, from_json(ZooSpec, to_json(spec))))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[weight], other[weight]) for weight in one)


def test_its_setting_reaches_the_network(name: str) -> None:
    def parameters(net: ZooNet) -> int:
        return sum(p.numel() for p in net.parameters())

    (setting,) = to_json(NETWORKS[name].settings())
    spec = spec_of(name, 2)
    assert parameters(build(replace(spec, network=f"{name}:{setting}=1"), 0)) > parameters(build(spec, 0))


def test_few_stages_are_enough_and_how_far_it_looks_is_found(name: str) -> None:
    assert build(spec_of(name, 2, (8,)), 0).context_px == 1
    assert build(spec_of(name, 2), 0).context_px > 3


def test_it_is_a_method_and_described_at_once(name: str) -> None:
    assert METHODS[f"zoo:{name}"].takes == {"scene", "images", "volumes"}
    assert all(described(name).text(word) for word in ("Defined by", "Use", "Source", "Differs"))
    assert f"hyperseg networks {name}" in PAGE.read_text(encoding="utf-8")
