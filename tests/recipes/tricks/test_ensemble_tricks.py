"""Ensembles: the mean and the vote, members that differ and learn by themselves, on folders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from planned import fingerprint
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.parts import Beginning
from hyperseg.core.runtime import Runtime
from hyperseg.engine import Ema
from hyperseg.engine.one_cycle import train
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method
from hyperseg.recipes.tricks.choosing import parse_tricks
from hyperseg.recipes.tricks.inference.ensemble import Ensemble, on_cases
from hyperseg.recipes.tricks.inference.members import together
from hyperseg.recipes.tricks.inference.seeds import member_seed

BOTH = ["ensemble-average", "ensemble-vote"]
QUIET = Runtime(quiet=True)


def said(n: int, classes: int = 4, seed: int = 0) -> list[Tensor]:
    """(K, 6, 5) probabilities of so many members."""
    generator = torch.Generator().manual_seed(seed)
    return [(3 * torch.randn(classes, 6, 5, generator=generator)).softmax(0) for _ in range(n)]


@pytest.mark.parametrize("vote", [False, True])
def test_every_pixel_has_probabilities_whatever_the_order(vote: bool) -> None:
    members = said(4)
    probs, disagreement = together(members, vote)
    torch.testing.assert_close(probs.sum(0), torch.ones(6, 5))
    assert ((disagreement > 0) & (disagreement < 1)).all()
    for order in permutations(members):
        again, apart = together(order, vote)
        torch.testing.assert_close(again, probs)
        torch.testing.assert_close(apart, disagreement)


def test_the_mean_is_the_mean_and_a_vote_counts_decisions() -> None:
    members = said(5)
    torch.testing.assert_close(together(members, False)[0], torch.stack(members).mean(0))
    votes = torch.stack([torch.nn.functional.one_hot(m.argmax(0), 4).movedim(-1, 0) for m in members]).float().mean(0)
    torch.testing.assert_close(together(members, True)[0], votes, atol=2e-3, rtol=0)


def test_where_members_are_all_alike_an_ensemble_is_one_of_them() -> None:
    (one,) = said(1)
    mean, disagreement = together([one] * 3, False)
    assert torch.equal(mean, one)
    assert torch.equal(disagreement, torch.zeros(6, 5))
    votes, _ = together([one] * 3, True)
    assert torch.equal(votes.argmax(0), mean.argmax(0))


def test_where_all_decide_alike_the_vote_is_that_of_the_mean() -> None:
    two = said(2)
    alike = two[0].argmax(0) == two[1].argmax(0)
    assert 0 < alike.sum() < 30
    found = [together(two, vote)[0].argmax(0)[alike] for vote in (False, True)]
    assert torch.equal(*found)
    assert torch.equal(found[0], two[0].argmax(0)[alike])
    one = [torch.zeros(4, 6, 5).scatter(0, m.argmax(0, keepdim=True), 1.0) for m in said(3)]  # sure of what they say
    torch.testing.assert_close(together(one, True)[0], together(one, False)[0])


def test_equal_votes_are_decided_by_the_mean_and_a_majority_is_not() -> None:
    tie = [torch.tensor([0.6, 0.4, 0.0]), torch.tensor([0.0, 0.1, 0.9])]
    assert together([t[:, None] for t in tie], True)[0].argmax(0).item() == 2
    two_to_one = [torch.tensor([0.51, 0.49]), torch.tensor([0.51, 0.49]), torch.tensor([0.0, 1.0])]
    members = [t[:, None] for t in two_to_one]
    assert together(members, True)[0].argmax(0).item() == 0
    assert together(members, False)[0].argmax(0).item() == 1


def test_one_way_to_make_an_ensemble_is_enough() -> None:
    with pytest.raises(SettingError, match="two ways to do the same thing"):
        parse_tricks(BOTH)
    with pytest.raises(SettingError, match="members"):
        parse_tricks(["ensemble-vote:members=1"])


def test_seeds_of_members_differ_from_those_of_all_other_runs() -> None:
    every = [member_seed(seed, member) for seed in range(50) for member in range(5)]
    assert len(set(every)) == len(every)
    assert all(0 <= seed < 2**31 for seed in every)
    assert [member_seed(seed, 0) for seed in range(50)] == [*range(50)]


# folders


@cache
def small() -> Plan:
    """A network of planes, two stages of few channels."""
    plan = make_plan(fingerprint("Hippocampus"))
    one = next(one for one in plan.configurations if one.n_axes == 2)
    spec = one.backbone
    spec = replace(spec, widths=(4, 8), strides=spec.strides[:2], kernels=spec.kernels[:2], depths=(1, 1))
    made = replace(one, backbone=spec, patch=(8, 8), batch=2, supervision=one.supervision[:1])
    return replace(plan, configurations=(made,))


def built(method: CaseMethod, seed: int = 0) -> Any:
    with seeded(seed):
        return method.build(small().configurations[0], 3).eval()


def batch(number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(2, 1, 8, 8, generator=generator)
    return x, (x[:, 0] > 0).long()


def taught(method: CaseMethod, steps: int = 4) -> Any:
    net = built(method)
    phases, averages = method.lesson(net, small(), small().configurations[0], steps)
    train(phases, batch, steps, modules={"net": net}, averages=averages, runtime=QUIET, name="net", title="net")
    return net


@pytest.mark.parametrize("name", BOTH)
def test_members_begin_differently_the_first_as_the_method_alone(name: str) -> None:
    net, alone = built(case_method(tricks=[name])), built(case_method())
    first, second, third = ([*member.parameters()] for member in net.members)
    assert all(map(torch.equal, first, alone.parameters()))
    assert not any(torch.equal(a, b) for a, b in zip(second, third, strict=True) if a.ndim > 1)


def test_members_learn_each_by_itself() -> None:
    """The first one ends as the method alone does: no other member touches it."""
    net, alone = taught(case_method(tricks=["ensemble-vote:members=2"])), taught(case_method())
    for mine, its in zip(net.members[0].parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, its)
    again = taught(case_method(tricks=["ensemble-vote:members=2"]))
    assert all(map(torch.equal, net.parameters(), again.parameters()))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_score_is_the_mean_over_members_of_all_folds(average: Any, mirror: bool) -> None:
    plan, x = small(), batch(0)[0]
    how = replace(plan.training.inference, average=average)
    plan = replace(plan, training=replace(plan.training, inference=how))
    one, method = case_method(), case_method(tricks=["ensemble-average:members=2"])
    nets = [built(method, seed) for seed in (0, 1)]
    with torch.inference_mode():
        found = method.score(nets, plan, mirror=mirror)(x)
        every = [member for net in nets for member in net.members]
        probable = replace(plan.training.inference, average="probabilities")
        by_hand = one.on.score(every, 3, probable, mirror, one.settings)(x)
    torch.testing.assert_close(found if average == "probabilities" else found.exp(), by_hand)
    assert method.on.looks(method.settings, 2, mirror) == 2 * (4 if mirror else 1)


@pytest.mark.parametrize("name", BOTH)
def test_every_member_is_seen_in_every_view(name: str) -> None:
    method = case_method(tricks=["tta", name])
    net, plan, x = built(method), small(), batch(0)[0]
    with torch.inference_mode():
        found = method.score([net], plan, mirror=False)(x)
        one = case_method(tricks=["tta"])
        each = [one.score([member], plan, mirror=False)(x).exp().movedim(1, 0) for member in net.members]
        by_hand = together(each, name == "ensemble-vote")[0].movedim(0, 1)
    torch.testing.assert_close(found.exp(), by_hand)
    assert method.on.looks(method.settings, 2, False) == 18


def test_each_member_begins_by_itself_with_a_seed_of_its_own(tmp_path: Path) -> None:
    begun: list[Beginning] = []
    changed: list[Beginning] = []

    def begin(beginning: Beginning, settings: Any) -> None:
        begun.append(beginning)

    def change_by(beginning: Beginning, settings: Any) -> Any:
        assert len(begun) == 2
        changed.append(beginning)
        return lambda x, y: (x + 1, y)

    on = on_cases(replace(case_method().on, begin=begin, change=change_by), Ensemble(2), vote=False)
    method = replace(case_method(), on=on)
    net, plan = built(method), small()
    one = plan.configurations[0]
    change = method.begin(Beginning(net, plan, one, 4, batch, Runtime(seed=7, checkpoints=tmp_path / "fold")))
    assert [b.net for b in begun] == [*net.members]
    assert [b.runtime.seed for b in begun] == [7, member_seed(7, 1)]
    assert len({b.runtime.checkpoint("restoring") for b in begun}) == 2
    assert [b.runtime.seed for b in changed] == [7], "batches are the same for all: what changes them is made once"
    x, y = batch(0)
    assert change is not None
    assert torch.equal(change(x, y)[0], x + 1)


def test_what_a_network_has_to_be_its_members_have_to_be() -> None:
    """Weights for one of them are looked for in it, not in the ensemble."""
    one = small().configurations[0]
    for method in ("unet", "bridged-unet"):
        case_method(method, tricks=["self-supervised", "ensemble-vote"]).check_ready(one, 3)
    with pytest.raises(SettingError, match=r"--trick self-supervised, .*its network \(MaskDenoiser\)"):
        case_method("feed-forward", tricks=["self-supervised", "ensemble-vote"]).check_ready(one, 3)


def test_moving_averages_of_members_are_one_of_all_of_them() -> None:
    def lesson(net: Any, *given: Any) -> Any:
        phases, _ = case_method().on.lesson(net, *given)
        return phases, {"net": Ema(net, decay=0.5)}

    method = replace(case_method(), on=on_cases(replace(case_method().on, lesson=lesson), Ensemble(2), vote=False))
    net = built(method)
    phases, averages = method.lesson(net, small(), small().configurations[0], 4)
    assert len(phases) == 2
    assert len({phase.name for phase in phases}) == 2
    assert averages["net"].source is net
    assert averages["net"].decay == 0.5


def test_a_method_that_draws_has_no_place_for_it() -> None:
    with pytest.raises(SettingError, match="ensemble-vote, with the method medsegdiff: the method draws"):
        case_method("medsegdiff", tricks=["ensemble-vote"])
