"""Networks that play against a critic: without its weight it is supervised training; whom each of the two helps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.losses.ce import cross_entropy
from hyperseg.zoo.adversarial.luc import Critic, LucSettings
from hyperseg.zoo.adversarial.maps import known_maps
from hyperseg.zoo.adversarial.segan import FeatureCritic, SegAnSettings, difference
from hyperseg.zoo.network import ZooNet, ZooSpec, build

K, SIZE = 3, (9, 10)
BODY = BackboneSpec(2, (4, 8), (1, 2), (3, 3), (1, 1), ConvSpec(2))


def drawn(n: int = 2) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x, labels = torch.randn(n, 2, *SIZE, generator=rng), torch.randint(K, (n, *SIZE), generator=rng)
    labels[:, ::3] = -1
    return x, labels


def minimised(levels: object, labels: Tensor, weights: object) -> dict[str, Tensor]:
    (logits,) = levels  # type: ignore[misc]
    return {"ce": cross_entropy(logits.log_softmax(1), labels)}


def made(name: str) -> ZooNet:
    return build(ZooSpec(name, 2, K, BODY, SIZE), 0).train()


def trained(name: str) -> dict[str, Tensor]:
    net, (x, labels) = made(name), drawn()
    for_body = torch.optim.Adam(net.body.parameters(), 1e-2)
    for _ in range(3):
        for_body.zero_grad()
        terms = net.terms(x, labels, minimised)
        torch.stack(list(terms.values())).sum().backward()
        for_body.step()
    return {name.removeprefix("segmenter."): value for name, value in net.body.state_dict().items()}


@pytest.mark.parametrize("name", ["luc", "segan"])
def test_without_its_weight_steps_are_those_of_supervised_training(name: str) -> None:
    """The same bytes as the network alone, and no term of the critic."""
    x, labels = drawn()
    assert list(made(f"{name}:weight=0").terms(x, labels, minimised)) == ["ce"]
    alone, mine = trained("u-net"), trained(f"{name}:weight=0")
    assert list(alone) == list(mine)
    assert all(map(torch.equal, alone.values(), mine.values()))
    assert not all(map(torch.equal, alone.values(), trained(name).values()))


@pytest.mark.parametrize("name", ["luc", "segan"])
def test_the_critic_moves_itself_alone(name: str) -> None:
    net, (x, labels) = made(name), drawn()
    torch.stack(list(net.critic_terms(x, labels).values())).sum().backward()
    assert net.critic is not None
    assert all(parameter.grad is None for parameter in net.body.parameters())
    assert all(parameter.grad is not None for parameter in net.critic.parameters())


def test_maps_are_softmax_and_truth_where_it_is_known() -> None:
    _, labels = drawn()
    logits = torch.randn(2, K, *SIZE, generator=torch.Generator().manual_seed(1))
    answer, truth = known_maps(logits, labels)
    known = labels >= 0
    assert torch.equal(answer.movedim(1, -1)[known], logits.softmax(1).movedim(1, -1)[known])
    assert torch.equal(truth.movedim(1, -1)[known], F.one_hot(labels[known], K).float())
    assert not answer.movedim(1, -1)[~known].any()
    assert not truth.movedim(1, -1)[~known].any()


def test_terms_of_luc_are_binary_cross_entropy() -> None:
    net, (x, labels) = made("luc:weight=0.5"), drawn()
    assert net.critic is not None
    logits = net(x)
    answer, truth = known_maps(logits, labels)
    said, meant = net.critic(x, answer), net.critic(x, truth)
    entropy = F.binary_cross_entropy_with_logits
    terms = net.critic_terms(x, labels)
    assert torch.allclose(terms["critic_true"], entropy(meant, torch.ones(2)))
    assert torch.allclose(terms["critic_answer"], entropy(said, torch.zeros(2)))
    found = net.terms(x, labels, minimised)["rival"]
    assert torch.allclose(found, 0.5 * entropy(said, torch.ones(2)))


@pytest.mark.parametrize("critic", [Critic, FeatureCritic])
@pytest.mark.parametrize("size", [(1, 7), (5, 5), (1, 1)])
def test_unknown_pixels_are_not_seen(critic: Callable[..., torch.nn.Module], size: tuple[int, int]) -> None:
    with seeded(0):
        net = critic(BODY, K, LucSettings() if critic is Critic else SegAnSettings()).eval()
    x = torch.randn(2, 2, *size)
    logits = torch.randn(2, K, *size)
    nothing = torch.full((2, *size), -1)
    found = [net(x, maps) for maps in known_maps(logits, nothing)]
    assert torch.equal(*(torch.cat([part.flatten() for part in each]) for each in found))


def test_a_right_answer_differs_by_nothing_for_the_critic_of_features() -> None:
    net, (x, labels) = made("segan"), drawn()
    assert net.critic is not None
    sure = 200.0 * F.one_hot(labels.clamp(min=0), K).movedim(-1, 1).float()
    with torch.no_grad():
        assert float(difference(net.critic, x, sure, labels)) == 0
        assert float(difference(net.critic, x, -sure, labels)) > 0


def test_a_mask_commutes_with_what_the_critic_sees() -> None:
    """Masking few channels made of the image is masking the image."""
    with seeded(0):
        critic = FeatureCritic(BODY, K, SegAnSettings()).eval()
    x, labels = drawn()
    _, truth = known_maps(torch.zeros(2, K, *SIZE), labels)
    first = critic(x, truth)[0].unflatten(1, (K, -1))
    for c in range(K):
        assert torch.allclose(first[:, c], critic.see(x * truth[:, c : c + 1]), atol=1e-6)


@pytest.mark.parametrize("name", ["luc", "segan"])
def test_a_critic_learns_to_tell_an_answer_that_stays(name: str) -> None:
    net, (x, labels) = made(name), drawn()
    assert net.critic is not None
    steps = torch.optim.Adam(net.critic.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        steps.zero_grad()
        loss = torch.stack(list(net.critic_terms(x, labels).values())).sum()
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] - 0.02


@pytest.mark.parametrize("name", ["luc", "segan"])
def test_a_game_in_double_precision_is_the_same_and_stays_in_it(name: str) -> None:
    net, (x, labels) = made(name).eval(), drawn()
    single = {**net.terms(x, labels, minimised), **net.critic_terms(x, labels)}
    double = net.double()
    x = x.double()
    for term, value in {**double.terms(x, labels, minimised), **double.critic_terms(x, labels)}.items():
        assert value.dtype == torch.float64
        assert torch.isclose(value, single[term].double(), rtol=1e-4)


@pytest.mark.parametrize("width", [5, 9])
def test_the_critic_is_as_wide_as_it_is_told(width: int) -> None:
    critic = Critic(BODY, K, LucSettings(width=width))
    x, labels = drawn()
    assert critic.image(x).shape[1] == width
    assert critic(x, known_maps(torch.zeros(2, K, *SIZE), labels)[1]).isfinite().all()
