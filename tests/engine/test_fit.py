"""The training loop: resumed = uninterrupted to the byte, phases that do not touch each other, honest failure."""

import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler as by

from hyperseg.backbone import seeded
from hyperseg.core import RunError, SettingError, TrainingError
from hyperseg.engine import Ema, History, Phase, choose_device, choose_precision, fit
from hyperseg.engine.checkpoint import load_state, save_state

STEPS = 12


def data(step: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step)
    x = torch.randn(16, 4, generator=random)
    return x, (x.sum(1) > 0).long()


@dataclass
class Rig:
    """A small run with everything that has state: dropout, batch norm, momentum, schedule, average, validation."""

    net: nn.Module
    ema: Ema
    phase: Phase

    def fit(self, **options: object) -> History:
        x, y = data(999)

        def validate() -> float:
            assert not self.net.training
            return float((self.ema.module(x).argmax(1) == y).float().mean())

        settings: dict = {"modules": {"net": self.net}, "averages": [self.ema], "seed": 3, "validate": validate}
        return fit([self.phase], **settings | {"batches": data, "steps": STEPS, "validate_every": 5} | options)

    def weights(self) -> dict[str, Tensor]:
        return self.net.state_dict() | {f"ema.{k}": v for k, v in self.ema.module.state_dict().items()}


def rig(schedule: str = "cosine") -> Rig:
    with seeded(0):
        net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
    schedulers: dict[str, Callable] = {
        "cosine": lambda o: by.CosineAnnealingLR(o, STEPS),
        "one-cycle": lambda o: by.OneCycleLR(o, 0.05, total_steps=STEPS),
        "steps": lambda o: by.MultiStepLR(o, [3, 6]),
        "warm-up": lambda o: by.SequentialLR(
            o, [by.LinearLR(o, 0.1, total_iters=3), by.CosineAnnealingLR(o, STEPS)], [3]
        ),
    }

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(net(batch[0]), batch[1])}

    return Rig(net, Ema(net, decay=0.9), Phase("classify", loss, optimizer, scheduler=schedulers[schedule](optimizer)))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def facts(history: History) -> dict:
    return {k: v for k, v in vars(history).items() if k != "seconds"}


def stop_at(step: int, error: type[BaseException] = KeyboardInterrupt) -> Callable[[int], tuple[Tensor, Tensor]]:
    def batches(now: int) -> tuple[Tensor, Tensor]:
        if now == step:
            raise error
        return data(now)

    return batches


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint."""
    return tmp_path / "state.pt"


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "steps", "warm-up"])
def test_resumed_after_ctrl_c_equals_uninterrupted(file: Path, schedule: str) -> None:
    whole = rig(schedule)
    history = whole.fit()
    for step in (1, 5, 7, STEPS - 1) if schedule == "cosine" else (4,):
        first = rig(schedule)
        with pytest.raises(KeyboardInterrupt):
            first.fit(batches=stop_at(step), checkpoint=file)
        assert load_state(file)["step"] == step
        torch.rand(7)  # the world moves on between the two processes
        second = rig(schedule)
        resumed = second.fit(checkpoint=file, resume=True)
        assert same(second.weights(), whole.weights())
        assert facts(resumed) == facts(history)
        file.unlink()


def test_resumed_after_a_kill_equals_uninterrupted(file: Path) -> None:
    whole = rig()
    history = whole.fit()
    with pytest.raises(SystemExit):  # nothing of the run gets to clean up
        rig().fit(batches=stop_at(8, SystemExit), checkpoint=file, checkpoint_every=3)
    assert load_state(file)["step"] == 6
    second = rig()
    assert facts(second.fit(checkpoint=file, checkpoint_every=3, resume=True)) == facts(history)
    assert same(second.weights(), whole.weights())
    again = rig()  # a finished run resumed is the finished run
    assert facts(again.fit(checkpoint=file, resume=True, batches=stop_at(0))) == facts(history)
    assert same(again.weights(), whole.weights())


def in_step(run: Rig, step: int, act: Callable[[], None]) -> Rig:
    """The rig, which does this in the middle of a step."""
    quiet = run.phase.loss

    def loss(batch: object) -> dict[str, Tensor]:
        if run.ema.updates == step:
            act()
        return dict(quiet(batch))

    run.phase.loss = loss
    return run


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_inside_a_step_waits_for_its_end(file: Path) -> None:
    whole, second = rig(), rig()
    whole.fit()
    with pytest.raises(KeyboardInterrupt):
        in_step(rig(), 4, lambda: os.kill(os.getpid(), signal.SIGINT)).fit(checkpoint=file)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load_state(file)["step"] == 5
    second.fit(checkpoint=file, resume=True)
    assert same(second.weights(), whole.weights())


def test_a_step_torn_in_half_is_never_saved(file: Path) -> None:
    def torn() -> None:
        raise KeyboardInterrupt  # as a second Ctrl-C does

    with pytest.raises(KeyboardInterrupt):
        in_step(rig(), 7, torn).fit(checkpoint=file, checkpoint_every=5)
    assert load_state(file)["step"] == 5


def test_same_seed_same_bytes_other_seed_other_dropout_and_global_generator_untouched() -> None:
    runs = [rig(), rig(), rig()]
    torch.manual_seed(11)
    before = torch.get_rng_state()
    for run, seed in zip(runs, (3, 3, 4), strict=True):
        run.fit(seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(runs[0].weights(), runs[1].weights())
    assert not same(runs[0].weights(), runs[2].weights())


def test_randomness_is_new_at_every_step_and_known_from_seed_and_step() -> None:
    def drawn(seed: int, first: int) -> list[float]:
        values: list[float] = []
        net, phase = line(0.0, lambda w: w)
        fit([phase], lambda s: values.append(torch.rand(()).item()), 8, modules={"n": net}, seed=seed)
        return values[first:]

    assert len(set(drawn(0, 0) + drawn(1, 0))) == 16
    assert drawn(0, 3) == drawn(0, 0)[3:]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": STEPS + 1}, "13 steps"), ({"seed": 4}, "seed 4"), ({"averages": []}, "average0")],
)
def test_a_state_of_another_run_is_refused(file: Path, options: dict, message: str) -> None:
    rig().fit(checkpoint=file)
    with pytest.raises(RunError, match=message):
        rig().fit(checkpoint=file, resume=True, **options)


def test_a_state_of_other_sizes_or_a_damaged_one_is_refused(file: Path) -> None:
    rig().fit(checkpoint=file)
    other = rig()
    other.net = nn.Linear(4, 2)
    other.ema = Ema(other.net, decay=0.9)
    with pytest.raises(RunError, match="does not fit"):
        other.fit(checkpoint=file, resume=True)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(RunError, match=r"state\.pt: not a training state"):
        rig().fit(checkpoint=file, resume=True)


def test_a_failed_write_leaves_the_last_state_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(file, {"step": 1})

    def full_disk(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("no space left")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(RunError, match="no space left"):
        save_state(file, {"step": 2})
    assert load_state(file) == {"step": 1}
    assert list(file.parent.iterdir()) == [file]


def two_nets() -> tuple[nn.Sequential, nn.Sequential]:
    def net(width: int, out: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, out))

    with seeded(1):
        return net(4, 1), net(3, 4)  # discriminator, generator


def adversaries(critic: nn.Module, maker: nn.Module, watch: Callable[[str], None]) -> list[Phase]:
    def judge(batch: Tensor) -> dict[str, Tensor]:
        watch("judge")
        real, fake = critic(batch), critic(maker(batch[:, :3]))
        return {"real": F.softplus(-real).mean(), "fake": F.softplus(fake).mean()}

    def fool(batch: Tensor) -> dict[str, Tensor]:
        watch("fool")
        return {"fool": F.softplus(-critic(maker(batch[:, :3]))).mean()}

    return [
        Phase("D", judge, torch.optim.Adam(critic.parameters(), lr=0.1)),
        Phase("G", fool, torch.optim.Adam(maker.parameters(), lr=0.1), every=2),
    ]


def test_a_phase_leaves_the_other_network_alone() -> None:
    critic, maker = two_nets()
    seen: list[tuple[str, dict[str, Tensor], dict[str, Tensor]]] = []

    def watch(now: str) -> None:
        assert all(p.grad is None for p in (*critic.parameters(), *maker.parameters()))
        seen.append((now, deepcopy(critic.state_dict()), deepcopy(maker.state_dict())))

    phases = adversaries(critic, maker, watch)
    history = fit(phases, lambda s: data(s)[0], 6, modules={"D": critic, "G": maker}, seed=0)
    assert [s[0] for s in seen] == ["judge", "fool", "judge"] * 3  # `every=2` skips odd steps
    assert all(p.grad is None for p in (*critic.parameters(), *maker.parameters()))
    for (now, critic_before, maker_before), (_, critic_after, maker_after) in itertools.pairwise(seen):
        # parameters and batch statistics alike
        assert same(critic_before, critic_after) == (now == "fool")
        assert same(maker_before, maker_after) == (now == "judge")
    assert {name: len(values) for name, values in history.terms.items()} == {"D.real": 6, "D.fake": 6, "G.fool": 6}
    assert history.terms["G.fool"][0] == history.terms["G.fool"][1]  # not due: the last value stands


def test_two_phases_resume_to_the_same_bytes(file: Path) -> None:
    def run(batches: Callable[[int], tuple[Tensor, Tensor]] = data, **options: bool) -> tuple[dict, dict]:
        both = nn.ModuleList(two_nets())
        phases, modules = adversaries(*both, lambda _: None), dict(zip("DG", both, strict=True))
        history = fit(phases, lambda s: batches(s)[0], 9, modules=modules, seed=0, checkpoint=file, **options)
        return both.state_dict(), facts(history)

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop_at(5))
    weights, history = run(resume=True)
    assert same(weights, whole[0])
    assert history == whole[1]


def line(start: float, loss: Callable[[Tensor], Tensor], **options: object) -> tuple[nn.Module, Phase]:
    """One number w, plain gradient descent with step 1."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, start)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    return net, Phase("line", lambda batch: {"loss": loss(net.weight.sum())}, optimizer, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("clip", "step", "off"), [(None, 3, 0), (0.5, 0.5, 1e-5)])
def test_gradient_descent_and_clipping_are_what_they_say(clip: float | None, step: float, off: float) -> None:
    net, phase = line(5.0, lambda w: 3 * w, clip=clip)
    fit([phase], lambda s: None, 2, modules={"net": net}, seed=0)
    assert abs(net.weight.item() - (5.0 - 2 * step)) <= off


def test_terms_are_summed() -> None:
    net, phase = line(0.0, lambda w: w)
    phase.loss = lambda batch: {"a": 2 * net.weight.sum(), "b": 5 * net.weight.sum()}  # type: ignore[operator]
    history = fit([phase], lambda s: None, 1, modules={"net": net}, seed=0)
    assert (net.weight.item(), history.terms) == (-7.0, {"a": [0.0], "b": [0.0]})  # type: ignore[operator]


@pytest.mark.parametrize(
    ("loss", "what"),
    [
        (lambda w: w if w > 2.5 else w * math.nan, "the loss"),
        (lambda w: w if w > 2.5 else w / 0.0, "the loss"),
        (lambda w: w if w > 2.5 else (w - 2).clamp(min=0).sqrt() * 0 + (w - w.detach()).sqrt(), "the gradient"),
    ],
)
def test_a_non_finite_loss_or_gradient_stops_with_phase_and_step(
    file: Path, loss: Callable[[Tensor], Tensor], what: str
) -> None:
    net, phase = line(5.0, loss)  # w = 5, 4, 3, then 2 at step 3
    with pytest.raises(TrainingError, match=f"'line', step 3: {what} is not finite"):
        fit([phase], lambda s: None, 9, modules={"n": net}, seed=0, checkpoint=file, checkpoint_every=1)
    state = load_state(file)
    assert (state["step"], state["modules"]["n"]["weight"].item()) == (3, 2.0)
    assert net.weight.item() == 2.0  # type: ignore[operator]


def validated(scores: list[float], **options: object) -> tuple[History, Rig, list[dict[str, Tensor]]]:
    run, left, seen = rig(), iter(scores), []

    def validate() -> float:
        seen.append(deepcopy(run.weights()))
        return next(left)

    return run.fit(validate=validate, validate_every=1, **options), run, seen


def test_the_best_weights_are_kept_the_average_included() -> None:
    history, run, seen = validated([0.1, 0.7, 0.3, 0.7, *[0.2] * 8])
    assert (history.best, history.best_step) == (0.7, 4)  # of equal scores the later
    assert same(run.weights(), seen[3])
    assert not same(seen[3], seen[-1])
    assert not run.net.training
    assert not run.ema.module.training


def test_patience_counts_validations_without_improvement_and_nan_is_an_error() -> None:
    history, _, seen = validated([0.1, 0.5, 0.4, 0.5, 0.45, *[0.9] * 7], patience=3)
    assert (len(seen), history.steps[-1]) == (5, 5)
    assert "no better validation in 3" in history.ended
    history, _, seen = validated([0.1, 0.5, 0.4, 0.4, 0.6, *[0.5] * 7], patience=3)
    assert (len(seen), history.best_step) == (8, 5)
    assert validated([0.0] * STEPS)[0].ended == "all steps done"
    with pytest.raises(TrainingError, match="after step 2 gave NaN"):
        validated([0.1, math.nan, *[0.2] * 10])


def test_patience_survives_resumption(file: Path) -> None:
    scores = [0.5, 0.4, 0.3, 0.2, 0.1, *[0.9] * 7]
    whole, net, _ = validated(scores, patience=4)
    with pytest.raises(KeyboardInterrupt):
        validated(scores, patience=4, batches=stop_at(3), checkpoint=file)
    resumed, other, _ = validated(scores[3:], patience=4, checkpoint=file, resume=True)
    assert facts(resumed) == facts(whole)
    assert same(net.weights(), other.weights())


def test_report_gets_every_step_and_the_validation() -> None:
    rows: dict[int, dict[str, float]] = {}
    history = rig().fit(report=lambda step, values: rows.update({step: dict(values)}))
    assert [*rows] == list(range(1, STEPS + 1))
    assert [values["ce"] for values in rows.values()] == history.terms["ce"]
    assert "validation" not in rows[4]
    assert rows[5]["validation"] == history.scores[0]
    assert history.validated == [5, 10, STEPS]


def test_bf16_computes_in_bf16_and_trains_float32_weights() -> None:
    kinds: list[torch.dtype] = []
    low, reference = rig(), rig().fit()
    low.net.register_forward_hook(lambda _m, _i, out: kinds.append(out.dtype) if torch.is_grad_enabled() else None)
    history = low.fit(precision="bf16")
    assert set(kinds) == {torch.bfloat16}
    assert all(v.dtype != torch.bfloat16 for v in low.weights().values())
    assert history.terms["ce"][0] == pytest.approx(reference.terms["ce"][0], rel=2e-2)
    assert history.terms["ce"] != reference.terms["ce"]


def test_average_is_the_recursion_it_claims() -> None:
    net = nn.Linear(1, 1, bias=False)
    ema = Ema(net, decay=0.5)
    mean = net.weight.item()
    for t in range(20):
        nn.init.constant_(net.weight, float(t))
        ema.update()
        decay = min(0.5, (1 + t) / (10 + t))
        mean = decay * mean + (1 - decay) * t
        assert ema.module.weight.item() == pytest.approx(mean, rel=1e-5)  # type: ignore[operator]
    tied = nn.ModuleList([net, net])
    shared = Ema(tied, decay=0.5)
    nn.init.constant_(net.weight, 119.0)
    shared.update()  # a shared weight is averaged once: decay 0.1
    assert shared.module[0].weight.item() == pytest.approx(0.1 * 19 + 0.9 * 119)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validate_every": 0}, "validate_every=0"), ({"validate": None, "patience": 2}, "patience=2"),
        ({"patience": 0}, "patience=0"), ({"precision": "fp16"}, "fp16"), ({"seed": -1}, "seed=-1"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_before_training(options: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        rig().fit(batches=stop_at(0), **options)


def test_phases_need_names_of_their_own_and_sane_settings() -> None:
    net, phase = line(1.0, lambda w: w)
    with pytest.raises(SettingError, match="a name for each"):
        fit([phase, phase], lambda s: None, 1, modules={"net": net}, seed=0)
    with pytest.raises(SettingError, match="every=0"):
        line(1.0, lambda w: w, every=0)
    with pytest.raises(SettingError, match="decay"):
        Ema(net, decay=1.0)


def test_devices_and_precision() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(SettingError, match="'gpu' is unknown"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="sees no CUDA device"):
            choose_device("cuda")
    assert choose_precision("meta") == "fp32"


@pytest.mark.parametrize(("avx512", "amx", "expected"), [(0, 0, "fp32"), (1, 0, "bf16"), (0, 1, "bf16")])
def test_bf16_only_where_the_cpu_multiplies_it(avx512: int, amx: int, expected: str) -> None:
    cpu = SimpleNamespace(_is_avx512_bf16_supported=lambda: avx512, _is_amx_tile_supported=lambda: amx)
    assert choose_precision("cpu", cpu=cpu) == expected
    assert choose_precision("cpu", cpu=SimpleNamespace()) == "fp32"


def test_fit_does_not_need_rich() -> None:
    code = "import sys, hyperseg.engine.fit; sys.exit(any(m.split('.')[0] == 'rich' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_cuda_learns_and_resumes(file: Path) -> None:
    def run(batches: Callable[[int], tuple[Tensor, Tensor]]) -> History:
        net = rig().net.cuda()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        phase = Phase("c", lambda b: {"ce": F.cross_entropy(net(b[0].cuda()), b[1].cuda())}, optimizer)
        where: dict = {"device": "cuda", "precision": "bf16", "checkpoint": file, "resume": file.exists()}
        return fit([phase], batches, 40, modules={"net": net}, seed=0, **where)

    with pytest.raises(KeyboardInterrupt):
        run(stop_at(20))
    history = run(data)
    assert sum(history.terms["ce"][-5:]) < sum(history.terms["ce"][:5])
