"""Gated-SCNN's borders and gates, EncNet's encoding and its question which classes an image holds."""

from __future__ import annotations

import pytest
import torch
from test_zoo_contract import body, image, labels_of, minimised
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.zoo import parse_network
from hyperseg.zoo.other.borders import border_loss, borders, steepness
from hyperseg.zoo.other.encnet import ContextEncoding, encoded, presence_loss
from hyperseg.zoo.other.gated_scnn import Gate


def halves(size: tuple[int, ...], at: int) -> Tensor:
    """Class 0 before the place `at` of the last axis, class 1 from there on."""
    labels = torch.zeros((1, *size), dtype=torch.long)
    labels[..., at:] = 1
    return labels


@pytest.mark.parametrize("size", [(4, 8), (3, 4, 8)])
@pytest.mark.parametrize("thickness", [1, 2])
def test_borders_of_two_halves_are_where_they_meet(size: tuple[int, ...], thickness: int) -> None:
    found = borders(halves(size, 4), thickness)
    wanted = torch.zeros_like(found)
    wanted[..., 4 - thickness : 4 + thickness] = 1
    assert torch.equal(found, wanted)


def test_one_class_has_no_border_and_unknown_pixels_have_none_either() -> None:
    assert (borders(torch.full((1, 5, 6), 2)) == 0).all()
    assert (borders(torch.full((1, 5, 6), -1)) == -1).all()
    assert borders(torch.tensor([[[0]]])).tolist() == [[[0]]]


def test_a_pixel_beside_unknown_ones_is_unknown_unless_another_class_is_seen() -> None:
    labels = halves((1, 8), 4)
    labels[..., 4] = -1  # where the classes met
    assert borders(labels).tolist() == [[[0, 0, 0, -1, -1, -1, 0, 0]]]
    labels = torch.tensor([[[0, 1, -1, -1, 1, 1]]])
    assert borders(labels).tolist() == [[[1, 1, -1, -1, -1, 0]]]


def test_borders_against_a_loop() -> None:
    labels = labels_of((6, 7), 1)
    found = borders(labels)[0]
    for i in range(6):
        for j in range(7):
            near = [
                int(labels[0, a, b])
                for a in range(max(0, i - 1), min(6, i + 2))
                for b in range(max(0, j - 1), min(7, j + 2))
            ]
            here = int(labels[0, i, j])
            other = any(n not in {-1, here} for n in near)
            assert int(found[i, j]) == (-1 if here < 0 else 1 if other else -1 if -1 in near else 0)


def test_both_kinds_weigh_alike_and_unknown_pixels_nothing() -> None:
    truth = torch.tensor([[1, 0, 0, 0, -1]])
    loss = border_loss(torch.zeros(1, 5), truth).item()
    once = torch.tensor(2.0).log().item()
    assert loss == pytest.approx((0.75 * once + 3 * 0.25 * once) / 4)
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]], requires_grad=True)
    border_loss(scores, truth).backward()
    assert scores.grad is not None
    assert scores.grad[0, 4] == 0
    nothing = border_loss(scores, torch.full((1, 5), -1))
    assert nothing.item() == 0
    assert nothing.requires_grad


def test_a_ramp_is_as_steep_as_its_slope_whichever_way_it_runs() -> None:
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    ramp = (3 * y + 4 * x)[None, None].repeat(1, 2, 1, 1)
    inner = steepness(ramp)[0, 0, 1:-1, 1:-1]
    assert torch.allclose(inner, torch.full_like(inner, 5))
    assert steepness(torch.ones(1, 3, 4, 5, 6)).max() < 1e-5
    assert steepness(torch.ones(1, 3, 1, 1)).shape == (1, 1, 1, 1)
    turned = torch.randn(1, 2, 5, 7)
    assert torch.allclose(steepness(turned).transpose(2, 3), steepness(turned.transpose(2, 3)), atol=1e-6)


@pytest.mark.parametrize(("bias", "factor"), [(-100.0, 1.0), (100.0, 2.0), (0.0, 1.5)])
def test_a_closed_gate_lets_the_stream_pass_once_an_open_one_twice(bias: float, factor: float) -> None:
    gate = Gate(body(3), 4, 12)
    torch.nn.init.zeros_(gate.open.layer.weight)  # type: ignore[arg-type]
    torch.nn.init.constant_(gate.open.layer.bias, bias)  # type: ignore[arg-type]
    stream, deep = torch.randn(2, 4, 9, 10), torch.randn(2, 12, 3, 3)
    assert torch.allclose(gate(stream, deep), gate.write(factor * stream), atol=1e-5)


def test_gated_scnn_adds_the_loss_of_borders_with_its_weight() -> None:
    x, labels = image(3, (12, 13)), labels_of((12, 13)).abs()
    labels[:, 6:] = 0
    found = []
    for text in ("gated-scnn", "gated-scnn:border=3,gradient=false"):
        member, chosen = parse_network(text)
        net = member.build(body(3), 3, chosen).eval()
        logits, scores = net.answers(x)  # type: ignore[operator]
        terms = net.terms(x, labels, minimised)  # type: ignore[operator]
        assert torch.equal(logits, net(x))
        assert torch.equal(terms["ce"], minimised([logits], labels, [1.0])["ce"])
        found.append((terms["border"] / border_loss(scores[:, 0], borders(labels))).item())
    assert found == pytest.approx([1, 3])
    with pytest.raises(SettingError, match="stages"):
        member.build(body(3, stages=1), 3, chosen)


def test_encoding_is_a_loop_over_points_and_codewords() -> None:
    points, words, sharp = torch.randn(2, 6, 3), torch.randn(4, 3), torch.rand(4)
    found = encoded(points, words, sharp)
    for b in range(2):
        wanted = torch.zeros(4, 3)
        for point in points[b]:
            distances = torch.stack([(point - word).square().sum() for word in words])
            for m, share in enumerate((-sharp * distances).softmax(0)):
                wanted[m] += share * (point - words[m]) / 6
        assert torch.allclose(found[b], wanted, atol=1e-5)


def test_codewords_far_away_get_nothing_and_the_near_one_what_is_left_of_the_mean() -> None:
    points = torch.randn(2, 6, 3, dtype=torch.float64)
    words = torch.tensor([[0.5, 0, 0], [1000, 0, 0], [0, -1000, 0]], dtype=torch.float64)
    found = encoded(points, words, torch.ones(3, dtype=torch.float64))
    assert torch.allclose(found[:, 0], points.mean(1) - words[0])
    assert (found[:, 1:] == 0).all()


def test_the_order_and_the_repetition_of_positions_leave_the_encoding() -> None:
    layer, x = ContextEncoding(6, 5), torch.randn(2, 6, 3, 4)
    assert torch.allclose(layer(x), layer(x.flatten(2)[:, :, torch.randperm(12)][..., None]), atol=1e-6)
    assert torch.allclose(layer(x), layer(x.repeat(1, 1, 2, 3)), atol=1e-6)


def test_presence_of_labelled_images_is_plain_binary_cross_entropy() -> None:
    scores = torch.randn(2, 3)
    labels = torch.tensor([[[0, 1], [1, 1]], [[2, 2], [2, 2]]])
    wanted = F.binary_cross_entropy_with_logits(scores, torch.tensor([[1.0, 1, 0], [0, 0, 1]]))
    assert presence_loss(scores, labels).item() == pytest.approx(wanted.item())


def test_absence_counts_as_surely_as_the_image_is_labelled() -> None:
    scores = torch.zeros(1, 3, requires_grad=True)
    labels = torch.full((1, 2, 4), -1)
    nothing = presence_loss(scores, labels)
    nothing.backward()
    assert nothing.item() == 0
    labels[0, 0, :2] = 1  # a quarter of the pixels
    once = torch.tensor(2.0).log().item()
    assert presence_loss(scores, labels).item() == pytest.approx((1 + 0.25 + 0.25) * once / 3)


def test_encnet_adds_the_loss_of_presence_with_its_weight() -> None:
    x, labels = image(3, (12, 13)), labels_of((12, 13))
    for text, weight in (("encnet", 0.2), ("encnet:presence=1", 1.0)):
        member, chosen = parse_network(text)
        net = member.build(body(3), 3, chosen).eval()
        logits, classes = net.answers(x)  # type: ignore[operator]
        terms = net.terms(x, labels, minimised)  # type: ignore[operator]
        assert torch.equal(logits, net(x))
        assert terms["presence"].item() == pytest.approx(weight * presence_loss(classes, labels).item())
