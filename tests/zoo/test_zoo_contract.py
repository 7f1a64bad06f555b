"""One contract for every network of the zoo."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.losses import respelt_loss
from hyperseg.zoo import NETWORKS
from hyperseg.zoo.member import Member
from hyperseg.zoo.network import ZooNet, ZooSpec, build

K, WIDTHS = 3, (8, 8, 12, 16)
SIZES = {2: (37, 41), 3: (11, 37, 41)}


def body(channels: int, *, axes: int = 2, stages: int = 4, norm: str = "batch") -> BackboneSpec:
    conv = ConvSpec(axes, norm=norm)  # type: ignore[arg-type]
    return BackboneSpec(channels, WIDTHS[:stages], (1, 2, 2, 2)[:stages], (3,) * stages, (1,) * stages, conv)


def spec_of(name: str, channels: int = 3, *, axes: int = 2, stages: int = 4, norm: str = "batch") -> ZooSpec:
    return ZooSpec(name, channels, K, body(channels, axes=axes, stages=stages, norm=norm), SIZES[axes])


@cache
def made(name: str, channels: int = 3, axes: int = 2) -> ZooNet:
    return build(spec_of(name, channels, axes=axes), 0)


def image(channels: int, size: tuple[int, ...], n: int = 2) -> Tensor:
    return torch.randn((n, channels, *size), generator=torch.Generator().manual_seed(1))


def labels_of(size: tuple[int, ...], n: int = 2) -> Tensor:
    found = torch.randint(K, (n, *size), generator=torch.Generator().manual_seed(2))
    found[..., ::3] = -1
    return found


def minimised(levels: object, labels: Tensor, weights: object) -> dict[str, Tensor]:
    total: Tensor = torch.zeros(())
    for logits, weight in zip(levels, weights, strict=True):  # type: ignore[call-overload]
        truth = F.interpolate(labels[:, None].float(), logits.shape[2:])[:, 0].long()
        total = total + weight * F.cross_entropy(logits, truth, ignore_index=-1)
    return {"ce": total}


@pytest.mark.parametrize("channels", [1, 3, 103, 200])
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_have_the_size_of_the_image_whatever_its_channels(name: str, channels: int) -> None:
    x = image(channels, SIZES[2])
    net = made(name, channels).eval()
    with torch.no_grad():
        found = net(x)
        assert found.shape == (2, K, *SIZES[2])
        assert found.isfinite().all()
        assert torch.equal(found, net(x))
        assert torch.allclose(
            found[:1], net(x[:1]), atol=1e-5 * float(found.abs().max())
        )  # an image is answered by itself


@pytest.mark.parametrize("name", NETWORKS)
def test_volumes_are_taken_where_it_says_so(name: str) -> None:
    member: Member = NETWORKS[name]
    if 3 not in member.axes:
        with pytest.raises(SettingError, match="axes"):
            build(spec_of(name, 1, axes=3), 0)
        return
    net = build(spec_of(name, 1, axes=3), 0).eval()
    with torch.no_grad():
        assert net(image(1, SIZES[3], 1)).shape == (1, K, *SIZES[3])


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_step_back_reaches_every_parameter_and_none_is_there_twice(name: str, norm: str) -> None:
    net = build(spec_of(name, norm=norm), 0).train()
    x, labels = image(3, SIZES[2]), labels_of(SIZES[2])
    torch.stack(list(net.terms(x, labels, minimised).values())).sum().backward()
    if net.critic is not None:
        for parameter in net.critic.parameters():
            parameter.grad = None
        torch.stack(list(net.critic_terms(x, labels).values())).sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
    every = [id(p) for _, p in net.named_parameters(remove_duplicate=False)]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_of_one_row_works_or_says_why_not(name: str) -> None:
    net = made(name).eval()
    try:
        with torch.no_grad():
            assert net(image(3, (1, 40))).shape == (2, K, 1, 40)
    except SettingError as why:
        assert "pixels" in str(why)  # noqa: PT017


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_few_stages_work_or_say_how_many_are_wanted(name: str, stages: int) -> None:
    try:
        net = build(spec_of(name, stages=stages), 0).eval()
    except SettingError as why:
        assert "stage" in str(why)  # noqa: PT017
        return
    with torch.no_grad():
        assert net(image(3, (9, 10))).shape == (2, K, 9, 10)


def of(name: str, spec: BackboneSpec, tile: tuple[int, ...] = SIZES[2]) -> ZooNet:
    """The network of a backbone, which has three channels."""
    return build(ZooSpec(name, 3, K, spec, tile), 0).eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_residual_blocks_and_a_stride_in_the_first_stage_are_taken(name: str) -> None:
    plain = body(3)
    for spec in (
        replace(plain, conv=ConvSpec(2, residual=True)),
        replace(plain, strides=(2, 2, 2, 2), depths=(2,) * 4),
    ):
        with torch.no_grad():
            assert of(name, spec)(image(3, (25, 22))).shape == (2, K, 25, 22)


@pytest.mark.parametrize("name", NETWORKS)
def test_volumes_of_thick_slices_are_taken(name: str) -> None:
    """As planned for them: kernels and strides of the first stages look along two axes only."""
    member: Member = NETWORKS[name]
    if 3 not in member.axes:
        pytest.skip("a network of images")
    flat, kernel = (1, 2, 2), (1, 3, 3)
    strides, kernels = (1, flat, flat, 2), (kernel, kernel, 3, 3)
    net = of(name, replace(body(3, axes=3), strides=strides, kernels=kernels), (5, 18, 21))
    try:
        with torch.no_grad():
            assert net(image(3, (5, 18, 21), 1)).shape == (1, K, 5, 18, 21)
    except SettingError as why:
        assert not member.padded
        assert "pixels" in str(why)  # noqa: PT017


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_image_is_enough_to_train_on_in_half_precision_too(name: str, norm: str) -> None:
    net = of(name, body(3, norm=norm)).train()
    x, labels = image(3, (24, 17), 1), labels_of((24, 17), 1)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms = net.terms(x, labels, minimised)
        assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_levels_have_weights_and_begin_with_the_map_itself(name: str) -> None:
    net = made(name).eval()
    x = image(3, SIZES[2])
    with torch.no_grad():
        levels = net.levels(x)
        assert torch.allclose(levels[0], net(x), atol=1e-5)
    assert len(levels) == len(net.weights)
    assert all(level.shape[:2] == (2, K) for level in levels)
    assert all(weight > 0 for weight in net.weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_how_far_it_looks_is_found_within_a_window(name: str) -> None:
    net = of(name, body(3, stages=3), (19, 18))
    assert 0 < net.context_px < 19
    assert not net.training


@pytest.mark.parametrize("name", NETWORKS)
def test_a_loss_of_its_paper_is_in_the_table(name: str) -> None:
    loss = NETWORKS[name].loss
    assert loss == "" or respelt_loss(loss) == loss


@pytest.mark.parametrize("name", NETWORKS)
def test_a_spec_in_json_builds_the_same_network(name: str) -> None:
    spec = spec_of(name)
    again = build(from_json(ZooSpec, to_json(spec)), 0)
    for (mine, a), (theirs, b) in zip(build(spec, 0).state_dict().items(), again.state_dict().items(), strict=True):
        assert mine == theirs
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", NETWORKS)
def test_its_docstring_says_what_it_is(name: str) -> None:
    member: Member = NETWORKS[name]
    text = inspect.getdoc(member.network) or ""
    assert all(word in text for word in ("Defined by:", "Use:", "Source:", "Differs:"))
    assert member.name == name
