"""Two players and one step of each: who is moved, by which batch, and by which terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import own_statistics
from hyperseg.engine import Phase, fit
from hyperseg.gan import objective
from hyperseg.gan.game import Batch, Game
from hyperseg.gan.networks import GanSpec, Generator, build_discriminator, build_generator
from hyperseg.gan.settings import Aim, Weights

K, L, SIDE, NOISE = 3, 12, 5, 4
FULL = Weights(unlabelled=0.5, generated=0.25, aim="both", agreement=0.75, told=2.0, augment=1.5)


def plain(patches: Tensor) -> Tensor:
    return patches


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(*, conditional: bool = True, seed: int = 0) -> Batch:
    return Batch(
        noise(6, 1, L, SIDE, SIDE, seed=seed),
        torch.tensor([0, 1, 2, 2, 1, 0]),
        3 * noise(5, 1, L, SIDE, SIDE, seed=seed + 1) + 1,  # far from the labelled patches' statistics
        noise(5, NOISE, seed=seed + 2),
        torch.tensor([0, 1, 2, 0, 1]) if conditional else None,
    )


def game(
    weights: Weights = FULL, *, conditional: bool = True, disturb: Callable[[Tensor], Tensor] = plain, **spec: Any
) -> Game:
    """Two new players in training mode; the teacher is a copy of the discriminator as it is."""
    shape: dict[str, Any] = {"maps": 2, "width": 4, "window": SIDE, "noise": NOISE, "dropout": 0.0} | spec
    made = GanSpec("conv", L, K, conditional=conditional, **shape)
    discriminator = build_discriminator(made, seed=0)
    teacher = deepcopy(discriminator).eval()
    return Game(discriminator, build_generator(made, seed=1), weights, teacher, disturb)


def state(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, copied."""
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def statistics(net: nn.Module) -> dict[str, Tensor]:
    """What batch norms keep for prediction."""
    found = {k: v.clone() for k, v in net.named_buffers() if k.endswith(("running_mean", "running_var"))}
    assert found
    return found


@pytest.mark.parametrize("spec", [{}, {"spectral_norm": True}, {"fake_logit": "implicit", "dropout": 0.5}])
def test_a_step_of_one_player_leaves_the_other_as_it_was(spec: dict[str, Any]) -> None:
    """Parameters and buffers, with batch norm in both: what `fit` makes of a step of each."""
    both = game(**spec)
    nets = {"discriminator": both.discriminator, "generator": both.generator}
    between: list[dict[str, dict[str, Tensor]]] = []

    def generate(batch: Batch) -> dict[str, Tensor]:
        between.append({name: state(net) for name, net in nets.items()})
        return both.generate(batch)

    before = {name: state(net) for name, net in nets.items()}
    phases = [
        Phase("d", both.discriminate, torch.optim.Adam(both.discriminator.parameters(), 1e-2)),
        Phase("g", generate, torch.optim.Adam(both.generator.parameters(), 1e-2)),
    ]
    history = fit(phases, lambda step: drawn(seed=step), 1, modules=nets, seed=0)
    after = {name: state(net) for name, net in nets.items()}
    middle = between[0]
    assert same(before["generator"], middle["generator"])  # D's step, for which G made cubes in training mode
    assert same(middle["discriminator"], after["discriminator"])  # G's step, which D judged in training mode
    for name, (first, second) in {"discriminator": (before, middle), "generator": (middle, after)}.items():
        for kind in (dict(nets[name].named_parameters()), statistics(nets[name])):
            assert any(not torch.equal(first[name][k], second[name][k]) for k in kind), name
    assert all(p.grad is None for net in nets.values() for p in net.parameters())
    expected = {"d.L1", "d.L2", "d.L3", "d.agreement", "d.augment", "g.match", "g.fool", "g.told"}
    assert set(history.terms) == expected


def test_only_labelled_patches_move_the_statistics_kept_for_prediction() -> None:
    whole, labels_only = game(), game(Weights(unlabelled=0, generated=0))
    untouched = statistics(whole.discriminator)
    whole.discriminate(drawn())
    labels_only.discriminate(drawn())
    assert same(statistics(whole.discriminator), statistics(labels_only.discriminator))
    assert not same(statistics(whole.discriminator), untouched)
    moved = statistics(whole.discriminator)
    whole.generate(drawn())
    assert same(statistics(whole.discriminator), moved)
    # the pool would have moved them: the comparison can fail
    whole.discriminator(drawn().pool)
    assert not same(statistics(whole.discriminator), moved)


def test_the_batches_do_not_meet_in_one_normalisation() -> None:
    """L1 does not depend on the pool, nor L2 on the labelled patches, though all have batch statistics."""
    one, other = drawn(seed=0), drawn(seed=9)
    batches = one, one._replace(pool=other.pool), one._replace(labelled=other.labelled)
    terms, pool, labelled = (game().discriminate(batch) for batch in batches)
    assert [torch.equal(terms[name], pool[name]) for name in ("L1", "L2", "L3")] == [True, False, True]
    assert [torch.equal(terms[name], labelled[name]) for name in ("L1", "L2")] == [False, True]


def test_the_terms_are_those_of_the_objective_times_their_weights() -> None:
    batch, it = drawn(), game()
    net, generator = deepcopy(it.discriminator), deepcopy(it.generator)  # in training mode: batch statistics
    found = it.discriminate(batch)
    labelled, real = net.identify(batch.labelled), net.identify(batch.pool)
    false = net.identify(generator(batch.codes, batch.told))
    p_fake = {
        name: torch.cat((j.classes, j.fake[:, None]), 1).softmax(1)[:, K, 0, 0]
        for name, j in (("real", real), ("false", false))
    }
    assert batch.told is not None
    expected = {
        "L1": F.cross_entropy(labelled.classes[:, :, 0, 0], batch.targets),
        "L2": -0.5 * torch.log(1 - p_fake["real"]).mean(),
        "L3": -0.25 * torch.log(p_fake["false"]).mean(),
        "augment": 1.5 * F.cross_entropy(false.classes[:, :, 0, 0], batch.told),
        "agreement": 0.75 * objective.agreement_loss(real.classes, it.teacher(batch.pool.flip(-1))),
    }
    assert list(found) == ["L1", "L2", "agreement", "L3", "augment"]
    wanted = {
        "match": F.mse_loss(false.features.mean((0, 2, 3)), real.features.mean((0, 2, 3))),
        "fool": -torch.log(1 - p_fake["false"]).mean(),
        "told": 2.0 * F.cross_entropy(false.classes[:, :, 0, 0], batch.told),
    }
    made = game().generate(batch)
    assert list(made) == ["match", "fool", "told"]
    for name, value in (expected | wanted).items():
        torch.testing.assert_close((found | made)[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_a_generator_of_pool_patches_matches_them_exactly() -> None:
    """Feature matching is 0, and fooling the discriminator costs what L2 does."""
    batch = drawn()
    it = game(Weights(unlabelled=1.0, generated=0.0, aim="both"))
    copying = cast("Generator", lambda codes, told: batch.pool)
    it = Game(it.discriminator, copying, it.weights, it.teacher, plain)
    made = it.generate(batch)
    assert made["match"] == 0
    assert torch.equal(made["fool"], it.discriminate(batch)["L2"])


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        (Weights(0, 0), {"L1"}),
        (Weights(0, 0, aim="both", told=3.0), {"L1"}),  # those are the generator's own affair
        (Weights(1, 0), {"L1", "L2"}),
        (Weights(0, 1), {"L1", "L3"}),
        (Weights(0, 0, agreement=1), {"L1", "agreement"}),
        (Weights(0, 0, augment=1), {"L1", "augment"}),
        (Weights(), {"L1", "L2", "L3"}),
        (FULL, {"L1", "L2", "L3", "agreement", "augment"}),
    ],
)
@pytest.mark.parametrize("conditional", [True, False])
def test_a_term_is_there_exactly_when_it_has_a_weight(weights: Weights, terms: set[str], conditional: bool) -> None:
    found = game(weights, conditional=conditional).discriminate(drawn(conditional=conditional))
    assert set(found) == (terms if conditional else terms - {"augment"})
    assert weights.supervised == (terms == {"L1"})


@pytest.mark.parametrize(("aim", "terms"), [("match", {"match"}), ("fool", {"fool"}), ("both", {"match", "fool"})])
def test_what_the_generator_is_after(aim: Aim, terms: set[str]) -> None:
    assert set(game(Weights(aim=aim, told=1.0)).generate(drawn())) == terms | {"told"}
    assert set(game(Weights(aim=aim, told=0.0)).generate(drawn())) == terms
    unconditional = game(Weights(aim=aim, told=1.0), conditional=False)
    assert set(unconditional.generate(drawn(conditional=False))) == terms


def test_whose_gradients_there_are() -> None:
    """No term of the discriminator's reaches the generator or the teacher; all of the generator's reach it."""
    it = game()
    sum(it.discriminate(drawn()).values(), torch.zeros(())).backward()
    assert all(p.grad is not None for p in it.discriminator.parameters())
    assert all(p.grad is None for net in (it.generator, it.teacher) for p in net.parameters())
    for name in ("match", "fool", "told"):
        other = game()
        found = torch.autograd.grad(other.generate(drawn())[name], list(other.generator.parameters()))
        assert any(g.abs().max() > 0 for g in found), name


def test_every_patch_is_disturbed_real_or_generated() -> None:
    seen: list[tuple[int, float]] = []

    def watched(patches: Tensor) -> Tensor:
        seen.append((len(patches), float(patches.detach().std())))
        return patches + 0.5

    it = game(disturb=watched)
    batch = drawn()
    it.discriminate(batch)
    assert [n for n, _ in seen] == [6, 5, 5]
    assert seen[:2] == [(6, float(batch.labelled.std())), (5, float(batch.pool.std()))]
    assert seen[2][1] not in (seen[0][1], seen[1][1])
    seen.clear()
    it.generate(batch)
    assert [n for n, _ in seen] == [5, 5]


def test_own_statistics_normalises_by_the_batch_and_keeps_nothing() -> None:
    net = game().discriminator
    before, x = statistics(net), drawn().pool
    expected = deepcopy(net)(x)
    with own_statistics(net):
        assert torch.equal(net(x), expected)
    assert same(statistics(net), before)
    net.eval()
    expected = net(x)
    with own_statistics(net):
        assert torch.equal(net(x), expected)


def test_own_statistics_gives_the_momentum_back_whatever_happens() -> None:
    net = game().discriminator
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm3d)]
    for m, momentum in zip(norms, (0.1, 0.2, 0.3), strict=False):
        m.momentum = momentum
    kept = [m.momentum for m in norms]
    assert len(set(kept)) > 1

    def fail() -> None:
        with own_statistics(net):
            assert {m.momentum for m in norms} == {0.0}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [m.momentum for m in norms] == kept
    with own_statistics(net), own_statistics(net):
        pass
    assert [m.momentum for m in norms] == kept
    with own_statistics(nn.Linear(2, 2)):
        pass
