"""A step recorded and played again is the step: same numbers, same errors, and what cannot be recorded is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from taped import Tapes
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import own_statistics, seeded
from hyperseg.core import SettingError, TrainingError
from hyperseg.engine import Ema, History, Phase, fit
from hyperseg.engine.checkpoint import load_state
from hyperseg.engine.step.adam import AdamW
from hyperseg.engine.step.drawn import changed, form_of, refill, sent, tensors_of
from hyperseg.engine.step.recorded import WARM

STEPS = 14
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Drawn(NamedTuple):
    x: Tensor
    told: Tensor | None = None


def draw(step: int, n: int = 16) -> Drawn:
    return Drawn(torch.randn(n, 1, 6, 6, generator=torch.Generator().manual_seed(step)))


def make(drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Noise and classes, on the device, from torch's own generator."""
    return drawn.x + 0.1 * torch.randn_like(drawn.x), (drawn.x.mean((1, 2, 3)) > 0).long()


@dataclass
class Game:
    """Two networks with opposed aims: convolutions, batch norm, dropout, schedule, moving average."""

    critic: nn.Module
    maker: nn.Module
    phases: list[Phase]
    average: Ema

    def fit(self, graphs: Tapes | None = None, steps: int = STEPS, **options: Any) -> History:
        given: dict[str, Any] = {"modules": {"c": self.critic, "m": self.maker}, "seed": 3, "make": make}
        given |= {"averages": [self.average], "batches": draw, "graphs": graphs} | options
        return fit(self.phases, given.pop("batches"), steps, **given)

    def weights(self) -> dict[str, Tensor]:
        nets = {"critic": self.critic, "maker": self.maker, "average": self.average.module}
        return {f"{of}.{k}": v.clone() for of, net in nets.items() for k, v in net.state_dict().items()}


def game(every: int = 2, device: str = "cpu") -> Game:
    with seeded(0):
        critic = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(4, 2, 4)
        )
        maker = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    critic, maker = critic.to(device), maker.to(device)

    def judge(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad():
            made = maker(batch[0])
        with own_statistics(critic):
            false = critic(made)
        return {
            "ce": F.cross_entropy(critic(batch[0]).flatten(1), batch[1]),
            "false": F.softplus(false.logsumexp(1)).mean(),
        }

    def fool(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        with own_statistics(critic):
            return {"fool": F.softplus(-critic(maker(batch[0])).logsumexp(1)).mean()}

    optimizer = AdamW(critic.parameters(), lr=0.01, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=STEPS)
    phases = [
        Phase("judge", judge, optimizer, clip=1.0, scheduler=schedule),
        Phase("fool", fool, AdamW(maker.parameters(), lr=0.01, betas=(0.5, 0.999)), every=every),
    ]
    return Game(critic, maker, phases, Ema(critic, decay=0.9))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def facts(history: History) -> dict[str, Any]:
    return {k: v for k, v in vars(history).items() if k != "seconds"}


@pytest.fixture(scope="module")
def eager() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The run whose every recording fails: all its steps are done one by one."""
    run = game()
    history = run.fit(Tapes(fails=True))
    return facts(history), run.weights()


def test_played_steps_are_the_steps_phase_by_phase(eager: tuple[dict, dict]) -> None:
    """Rates, betas, decay, random numbers and inputs change from step to step; two kinds of step take turns."""
    run, tapes = game(), Tapes()
    history = run.fit(tapes)
    assert (facts(history), tapes.refused) == (eager[0], [])
    assert same(run.weights(), eager[1])
    assert tapes.done.count("record") == 2  # both phases due, and one
    assert tapes.done.count("warm") == 2 * WARM
    assert tapes.done.count("play") == STEPS - 2 * WARM
    assert len(set(history.terms["judge.ce"])) == STEPS
    assert [*history.terms] == ["judge.ce", "judge.false", "fool.fool"]  # in order, in every process


def test_a_recorded_run_is_the_plain_one_but_for_rounding(eager: tuple[dict, dict]) -> None:
    """torch's own fused kernel with Python numbers against scalars that come as a tensor."""
    plain = game()
    history = plain.fit(None)
    for name, values in history.terms.items():
        assert values == pytest.approx(eager[0]["terms"][name], rel=2e-3), name
    assert history.terms["judge.ce"][0] == eager[0]["terms"]["judge.ce"][0]


@pytest.mark.parametrize("stop", [1, WARM, 2 * WARM + 3, STEPS - 1])
def test_killed_and_resumed_to_the_same_bytes(tmp_path: Path, eager: tuple[dict, dict], stop: int) -> None:
    """Wherever it was: warming up, or playing."""

    def until(step: int) -> Drawn:
        if step == stop:
            raise SystemExit
        return draw(step)

    file = tmp_path / "state.pt"
    with pytest.raises(SystemExit):
        game().fit(Tapes(), batches=until, checkpoint=file, checkpoint_every=1)
    second = game()
    history = second.fit(Tapes(), checkpoint=file, resume=True)
    assert facts(history) == eager[0]
    assert same(second.weights(), eager[1])


def test_what_was_drawn_is_not_written_to() -> None:
    """It may be a slice of what whoever draws keeps: an epoch's permutation."""
    kept = [draw(step) for step in range(STEPS)]
    game().fit(Tapes(), batches=lambda step: kept[step])
    assert all(torch.equal(drawn.x, draw(step).x) for step, drawn in enumerate(kept))


def test_a_batch_of_another_shape_is_worked_on_as_it_comes() -> None:
    def uneven(step: int) -> Drawn:
        return draw(step, 5 if step % 4 == 3 else 16)

    one, other, tapes = game(1), game(1), Tapes()
    assert facts(one.fit(tapes, batches=uneven)) == facts(other.fit(Tapes(fails=True), batches=uneven))
    assert same(one.weights(), other.weights())
    assert tapes.done.count("play") == STEPS - STEPS // 4 - WARM
    assert tapes.done.count("record") == 1


def test_what_cannot_be_recorded_is_tried_once_and_trained_all_the_same() -> None:
    """A loss that looks at a value; a phase that says so; an optimiser whose numbers are Python's; odd batches."""

    def curious(run: Game) -> Game:
        judge = run.phases[0].loss

        def loss(batch: Any) -> dict[str, Tensor]:
            found = dict(judge(batch))
            return found if found["ce"].item() > -1 else {}

        run.phases[0].loss = loss
        return run

    looked, blind, tapes = curious(game(1)), game(1), Tapes()
    assert facts(looked.fit(tapes)) == facts(blind.fit(Tapes(fails=True)))
    assert same(looked.weights(), blind.weights())
    assert (tapes.done, tapes.refused) == (["warm"] * WARM + ["record"], ["_local_scalar_dense"])

    silent, tapes = game(1), Tapes()
    silent.phases[1].recorded = False
    silent.fit(tapes)
    assert tapes.done == []
    assert same(silent.weights(), blind.weights())

    foreign, tapes = game(1), Tapes()
    foreign.phases[1].optimizer = torch.optim.SGD(foreign.maker.parameters(), lr=0.1)
    foreign.fit(tapes)
    odd, given = game(1), Tapes()
    odd.fit(given, batches=lambda step: (draw(step), "words"), make=lambda drawn: make(drawn[0]))
    assert tapes.done == given.done == []


def test_losses_read_later_are_the_same_history(tmp_path: Path) -> None:
    scores = iter([0.1, 0.3, 0.2] * 9)
    options: dict[str, Any] = {"validate": lambda: next(scores), "validate_every": 5}
    plain, late, played = game(), game(), game()
    known = facts(plain.fit(**options))
    shown: list[tuple[int, int]] = []

    def report(step: int, values: Any) -> None:
        shown.append((step, len(values)))

    scores = iter([0.1, 0.3, 0.2] * 9)
    assert facts(late.fit(read_every=4, report=report, **options)) == known
    assert same(late.weights(), plain.weights())
    assert [step for step, _ in shown] == list(range(1, STEPS + 1))
    assert [n > 0 for _, n in shown[:5]] == [False] * 3 + [True] * 2

    def until(step: int) -> Drawn:
        if step == 7:
            raise KeyboardInterrupt
        return draw(step)

    file = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        played.fit(batches=until, read_every=100, checkpoint=file)
    assert load_state(file)["history"]["steps"] == [*range(1, 8)]  # read before it was saved
    with pytest.raises(SettingError, match="read_every=0"):
        played.fit(read_every=0)


@pytest.mark.parametrize("tapes", [None, Tapes()])
@pytest.mark.parametrize("save", [3, 100])
def test_a_bad_step_is_found_at_the_next_reading_and_never_saved(
    tmp_path: Path, tapes: Tapes | None, save: int
) -> None:
    def broken(step: int) -> Drawn:
        return Drawn(draw(step).x * (math.inf if step == 7 else 1))

    file = tmp_path / "state.pt"
    with pytest.raises(TrainingError, match=r"phase 'judge', step 7: the loss is not finite \(\{'ce': nan"):
        game().fit(tapes, batches=broken, checkpoint=file, checkpoint_every=save, read_every=5)
    assert (load_state(file)["step"] if file.exists() else 0) == (6 if save == 3 else 0)
    with pytest.raises(TrainingError, match="step 7"):  # at the end, and on the way out, too
        game().fit(tapes, 8, batches=broken, checkpoint=file, read_every=100)

    def until(step: int) -> Drawn:
        if step == 9:
            raise KeyboardInterrupt
        return broken(step)

    with pytest.raises(TrainingError, match="step 7"):
        game().fit(tapes, batches=until, checkpoint=tmp_path / "other.pt", read_every=100)
    assert not (tmp_path / "other.pt").exists()


def optimised(step: Callable[[AdamW], None] | None, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Weights after 20 steps of one cycle: of torch's optimiser, or of ours with this way to step."""
    random = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(n, generator=random, dtype=dtype)) for n in (7, 3)]
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(weights, lr=0.1, weight_decay=0.3, foreach=False)
    if step is not None:
        optimizer = AdamW(weights, lr=0.1, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    for _ in range(20):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=random, dtype=dtype)
        optimizer.step() if step is None else step(optimizer)  # type: ignore[arg-type]
        schedule.step()
    return weights


def numbered(optimizer: AdamW) -> None:
    optimizer.step(numbers=iter(torch.tensor(optimizer.numbers(), dtype=torch.float64).unbind()))


def test_adam_with_numbers_of_the_device_is_adam() -> None:
    expected = optimised(None)
    for way in (lambda o: o.step(), numbered):
        for ours, theirs in zip(optimised(way), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    turns = iter([numbered, lambda o: o.step()] * 10)  # both keep the same state
    for ours, theirs in zip(optimised(lambda o: next(turns)(o)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_adam_continues_from_its_state() -> None:
    weight = nn.Parameter(torch.ones(3))
    first, second = AdamW([weight], lr=0.1), AdamW([weight], lr=0.1)
    for _ in range(4):
        weight.grad = torch.ones(3)
        numbered(first)
    second.load_state_dict(first.state_dict())
    assert second.numbers() == first.numbers()
    assert first.numbers() != first.numbers()
    torch.optim.AdamW([weight], lr=0.1).load_state_dict(first.state_dict())  # torch's own reads it


@pytest.mark.parametrize("way", [lambda o: o.step(), numbered])
def test_adam_reads_gradients_laid_out_otherwise(way: Callable[[AdamW], None]) -> None:
    """torch's fused kernel on a CPU takes gradients in memory order, whatever their strides."""
    gradient = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
        optimizer = AdamW([weight], lr=0.1)
        for _ in range(2):
            weight.grad = gradient.clone(memory_format=layout)
            way(optimizer)
        moved.append(weight.detach())
    assert torch.equal(*moved)
    assert (moved[0].sign() == -gradient.sign()).all()


def test_an_average_moves_by_a_tensor_as_by_a_number() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).double()
    one = Ema(net, decay=0.9)
    other = deepcopy(one)
    other.source = net
    for _ in range(15):
        net(torch.randn(5, 3, dtype=torch.float64))
        with torch.no_grad():
            net[0].weight += 1
        one.update()
        other.move(torch.tensor(other.next_weight(), dtype=torch.float64), other.pairs())
    for a, b in zip(one.module.state_dict().values(), other.module.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert one.module[1].num_batches_tracked == 15  # type: ignore[index]


def test_trees_keep_their_arrangement() -> None:
    tree = {"a": Drawn(torch.arange(3)), "b": (torch.ones(2, 2), None, [torch.zeros(1)])}
    twice = changed(tree, lambda x: 2 * x)
    assert [x.tolist() for x in tensors_of(twice)] == [[0, 2, 4], [[2, 2], [2, 2]], [0]]
    assert (type(twice["a"]), twice["a"].told, type(twice["b"][2])) == (Drawn, None, list)
    assert form_of(twice) == form_of(tree) != form_of({**tree, "b": (torch.ones(2, 1), None, [torch.zeros(1)])})
    assert form_of({**tree, "c": 1.0}) is None
    assert form_of(tree) != form_of(changed(tree, lambda x: x.double()))
    refill(tree, twice)
    assert tree["a"].x.tolist() == [0, 2, 4]
    assert sent(tree, torch.device("cpu")) is tree


@pytest.mark.gpu
@CUDA
def test_a_graph_on_cuda_is_the_eager_step_and_resumes(tmp_path: Path) -> None:
    """Recorded twice to the same numbers; eager and recorded alike but for rounding; a killed run goes on."""

    def run(**options: Any) -> tuple[History, Game]:
        found = game(device="cuda")
        return found.fit("auto", device="cuda", **options), found  # type: ignore[arg-type]

    with torch.backends.cudnn.flags(benchmark=False, deterministic=True):
        (first, one), (second, other) = run(), run()
    assert first.terms == second.terms
    assert same(one.weights(), other.weights())
    plain = game(device="cuda")
    terms = plain.fit(None, device="cuda").terms
    for name, values in terms.items():
        assert values == pytest.approx(first.terms[name], rel=1e-2), name
    file = tmp_path / "state.pt"

    def until(step: int) -> Drawn:
        if step == 2 * WARM + 3:
            raise KeyboardInterrupt
        return draw(step)

    with pytest.raises(KeyboardInterrupt):
        run(batches=until, checkpoint=file)
    third, again = run(checkpoint=file, resume=True)
    for name, values in third.terms.items():
        assert values == pytest.approx(first.terms[name], rel=1e-2), name
    assert all(v.isfinite().all() for v in again.weights().values())


@pytest.mark.gpu
@CUDA
def test_a_step_that_waits_for_cuda_is_not_recorded() -> None:
    from hyperseg.engine.step.recorded import CudaGraphs

    graphs = CudaGraphs(torch.device("cuda"))
    x = torch.ones(3, device="cuda")
    graphs.warm(lambda: x * x.sum().item())
    assert graphs.waits
    with pytest.raises(RuntimeError, match="waits for the device"):
        graphs.record(lambda: x * 2)
    graphs.warm(lambda: x * 2)
    play = graphs.record(lambda: x * 2 + torch.rand(3, device="cuda"))
    torch.manual_seed(5)
    drawn = play()
    torch.manual_seed(5)
    assert torch.equal(play(), drawn)
    assert not torch.equal(play(), drawn)
