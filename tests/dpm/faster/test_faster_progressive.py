"""Students from a teacher: how many calls they need, what they begin from, and that they are repeatable."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.faster import FASTER
from hyperseg.dpm.faster.distil import RoundSettings, distilled
from hyperseg.dpm.faster.paths import bearable, walk
from hyperseg.dpm.faster.progressive import ProgressiveSettings, halved
from hyperseg.dpm.faster.speedup import generator_of
from hyperseg.dpm.faster.target import step
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.samplers.dpmpp_2m import dpmpp_2m
from hyperseg.dpm.samplers.euler import euler
from hyperseg.dpm.schedules.cosine import COSINE

QUIET = Runtime(quiet=True)
SHORT = ProgressiveSettings(first=4, students=(2, 1), paths=6, round=RoundSettings(steps=3, batch=4))


def teacher_of(shape: tuple[int, ...], *, n_classes: int = 0) -> DiffusionModel:
    """A small network with random weights; shape is (C, *S)."""
    spec = denoiser_spec(shape[0], len(shape) - 1, widths=(4, 8), cond_dim=8, n_classes=n_classes)
    with seeded(0):
        network = Denoiser(spec)
        torch.nn.init.normal_(network.last.layer.weight, std=0.1)  # type: ignore[arg-type]
    return DiffusionModel(network.eval(), spec, COSINE, "v", clip=1.0)


def rows(n: int, *shape: int) -> Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(1)) * 2 - 1


@contextmanager
def counted(network: torch.nn.Module) -> Iterator[list[int]]:
    calls: list[int] = []
    hook = network.register_forward_hook(lambda *_: calls.append(1))
    yield calls
    hook.remove()


def test_steps_divide_the_steps_before() -> None:
    assert ProgressiveSettings().students == FASTER["progressive"].nfes == (4, 2, 1)
    for wrong in ((), (12,), (16, 16), (4, 8)):
        with pytest.raises(SettingError, match="divides the one before"):
            ProgressiveSettings(first=16, students=wrong)


@pytest.mark.parametrize("shape", [(1, 7), (3, 5, 6), (1, 5, 3, 4)])
def test_students_need_as_many_calls_as_they_have_steps(shape: tuple[int, ...]) -> None:
    students = halved(teacher_of(shape), rows(6, *shape), SHORT, QUIET)
    assert list(students) == [2, 1]
    for steps, student in students.items():
        with counted(student.network) as calls:
            made = generator_of(student, shape, steps, None)(5, torch.Generator().manual_seed(2))
        assert made.nfe == len(calls) == steps
        assert made.x.shape == (5, *shape)
        assert made.x.abs().max() <= 1


def test_paths_go_where_the_teacher_goes() -> None:
    """From any level straight on to the next with what is wanted there; at every second level, the same paths."""
    teacher = teacher_of((2, 5))
    paths = walk(teacher, (2, 5), QUIET, n=3, first=8, steps=4)
    grid = make_grid(COSINE, 8, "trailing")
    end = dpmpp_2m(teacher.denoise(), paths.states[0].double(), grid, generator=torch.Generator()).x
    torch.testing.assert_close(paths.states[-1], end.float(), rtol=1e-4, atol=1e-4)
    for some in (paths, paths.every(2)):
        x = some.states[0].double()
        for k, aim in enumerate(some.aims()):
            assert aim.abs().max() < 2  # about the teacher's bounds: order 2 goes a little beyond them
            now, then = some.sigmas[k].expand(3), some.sigmas[k + 1].expand(3)
            x = step(x, aim.double(), now, then)
            torch.testing.assert_close(x.float(), some.states[k + 1], rtol=1e-4, atol=1e-4)
    assert torch.equal(paths.every(2).sigmas, make_grid(COSINE, 2, "trailing").sigmas)


def test_paths_of_large_samples_are_fewer() -> None:
    assert bearable(20_000, (1, 8, 8)) == 20_000
    assert bearable(20_000, (1, 200, 32, 32)) * 200 * 32 * 32 <= 2**26
    assert bearable(5, (1, 10_000, 10_000)) == 1


def test_a_student_learns_the_teachers_jump() -> None:
    """Of the square between the teacher's several steps and its one, most is gone."""
    shape = (1, 4)
    teacher = teacher_of(shape)
    paths = walk(teacher, shape, QUIET, n=200, first=4, steps=1)
    student = distilled(teacher, paths, RoundSettings(steps=120, batch=32), QUIET, name="a", title="a")
    fresh = walk(teacher, shape, replace(QUIET, seed=1), n=64, first=4, steps=1)
    x = fresh.states[0].double()
    ends = [euler(m.denoise(), x, make_grid(COSINE, 1, "trailing"), generator=torch.Generator()).x
            for m in (teacher, student)]  # fmt: skip
    before, after = ((fresh.states[-1] - end).square().mean() for end in ends)
    assert after < 0.3 * before


def test_late_steps_are_drawn_more_often() -> None:
    """1 : 2 : 3 : 4, whatever the step of the training; a path is never drawn that is not there."""
    seen: list[int] = []
    teacher = teacher_of((1, 4))
    paths = walk(teacher, (1, 4), QUIET, n=3, first=4, steps=4)
    levels = paths.sigmas.tolist()

    def note(_: torch.nn.Module, given: tuple[Tensor, ...]) -> None:
        places = [float(COSINE.place(COSINE.time(torch.tensor(s, dtype=torch.float64)))) for s in levels[:-1]]
        seen.extend(min(range(4), key=lambda k: abs(places[k] - float(p))) for p in given[1])

    watched = teacher_of((1, 4))
    watched.network.register_forward_pre_hook(note)
    distilled(watched, paths, RoundSettings(steps=1, batch=50), QUIET, name="a", title="a")
    assert [seen.count(k) for k in range(4)] == pytest.approx([20, 40, 60, 80], abs=4)


def test_a_teacher_of_noise_gets_a_student_of_velocity() -> None:
    teacher = replace(teacher_of((1, 4)), predicts="eps")
    assert {s.predicts for s in halved(teacher, rows(6, 1, 4), SHORT, QUIET).values()} == {"v"}


def test_same_seed_same_bytes_also_when_resumed(tmp_path: Path) -> None:
    shape = (2, 5)
    teacher = teacher_of(shape)

    def made(runtime: Runtime) -> Tensor:
        paths = walk(teacher, shape, runtime, n=6, first=4, steps=2)
        student = distilled(teacher, paths, RoundSettings(steps=3, batch=4), runtime, name="a", title="a")
        return generator_of(student, shape, 2, None)(3, torch.Generator().manual_seed(5)).x

    def stop(_: str, done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    whole, kept = made(QUIET), replace(QUIET, checkpoints=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        made(replace(kept, on_step=stop))
    assert torch.equal(made(kept), whole)
    assert torch.equal(made(QUIET), whole)
    assert not torch.equal(made(replace(QUIET, seed=1)), whole)


def test_a_batch_equals_single_samples() -> None:
    teacher, labels = teacher_of((1, 6), n_classes=3), torch.tensor([0, 1, 2, 2])
    generate = generator_of(teacher, (1, 6), 4, labels)
    batch = generate(8, [torch.Generator().manual_seed(i) for i in range(8)]).x
    single = torch.cat([generate(1, [torch.Generator().manual_seed(i)]).x for i in range(8)])
    torch.testing.assert_close(batch, single, rtol=1e-5, atol=1e-5)


def test_a_teacher_refuses_other_data() -> None:
    with pytest.raises(SettingError, match="the model knows data"):
        halved(teacher_of((1, 7)), rows(6, 2, 7), SHORT, QUIET)
    with pytest.raises(SettingError, match="told classes"):
        halved(teacher_of((1, 7)), rows(6, 1, 7), SHORT, QUIET, labels=torch.zeros(6).long())
