"""The judge of generated pictures: trained on other pictures, measured before it judges, kept and read."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperseg.core import RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.metrics.depth import abs_rel, delta1, pooled
from hyperseg.metrics.generation import frechet_distance
from hyperseg.recipes.depth.judge_training import JudgeSettings, judge_of_rooms, other_rooms, train_judge
from hyperseg.recipes.depth.judging import DepthJudge, distances, part, read_judge
from hyperseg.simulated.rooms import rooms

SIZE = 16
QUIET = Runtime(seed=1, quiet=True)
TINY = JudgeSettings(pictures=48, held=24, steps=60, batch=8, coder_steps=10, widths=(8, 16), code=(4, 6), least=0.0)
INVERSE = InverseDepth(1.0, 10.0)


@cache
def judge() -> DepthJudge:
    return judge_of_rooms(SIZE, TINY, QUIET)


@cache
def pictures() -> np.ndarray:
    return rooms(40, SIZE, 9)[0]


def test_the_judge_sees_other_rooms_than_the_heads() -> None:
    seen, held, heads = other_rooms(6, SIZE, 1)[0], other_rooms(6, SIZE, 1, held=True)[0], rooms(6, SIZE, 1)[0]
    for a, b in ((seen, held), (seen, heads), (held, heads)):
        assert not any(np.array_equal(one, two) for one in a for two in b)


def test_what_it_reached_is_measured_on_rooms_that_were_held_out() -> None:
    x, y = other_rooms(TINY.held, SIZE, QUIET.seed, held=True)
    pred, true = INVERSE.back(judge().depth(x)), INVERSE.back(y)
    assert judge().delta1 == pytest.approx(delta1(pred, true))
    assert judge().abs_rel == pytest.approx(abs_rel(pred, true))


def test_a_judge_that_learns_becomes_better_and_the_same_seed_gives_the_same_one() -> None:
    less = judge_of_rooms(SIZE, replace(TINY, steps=1), QUIET)
    assert judge().abs_rel < less.abs_rel
    again = judge_of_rooms(SIZE, replace(TINY, steps=1), QUIET)
    assert again.depth(pictures()).tobytes() == less.depth(pictures()).tobytes()


def test_a_judge_that_has_not_proved_itself_does_not_judge() -> None:
    with pytest.raises(RunError, match=r"reached delta1 = 0\.\d+ on 24 held-out pictures, below 0.99") as told:
        judge_of_rooms(SIZE, replace(TINY, steps=1, least=0.99), QUIET)
    assert "\n" not in str(told.value)


def test_depth_lies_between_0_and_1_and_does_not_depend_on_the_other_pictures() -> None:
    x = pictures()
    y = judge().depth(x)
    assert y.shape == (40, SIZE, SIZE)
    assert 0 <= y.min() <= y.max() <= 1
    np.testing.assert_allclose(judge().depth(torch.from_numpy(x[3:5])), y[3:5], atol=1e-5)


def test_scores_of_pictures_against_themselves_are_perfect() -> None:
    real = judge().look(pictures())
    found = judge().scores(pictures(), real, strong=real.y, weak=real.y)
    assert set(found) == {"dfd_pool8", "dfd_net", "rgb", "delta1", "abs_rel", "heads_apart"}
    assert max(found[name] for name in ("dfd_pool8", "dfd_net", "rgb")) < 1e-6
    assert (found["delta1"], found["abs_rel"], found["heads_apart"]) == (1, 0, 0)
    assert set(judge().scores(pictures(), real)) == {"dfd_pool8", "dfd_net", "rgb"}


def test_heads_are_measured_in_depth_and_against_the_judge() -> None:
    seen = judge().look(pictures())
    strong = np.clip(seen.y + 0.01, 0, 1)
    found = judge().scores(pictures(), seen, strong=strong, weak=strong - 0.25)
    assert found["abs_rel"] == pytest.approx(abs_rel(INVERSE.back(strong), INVERSE.back(seen.y)), rel=1e-5)
    assert found["heads_apart"] == pytest.approx(0.25, rel=1e-5)


def test_the_floor_is_the_distance_of_two_disjoint_halves() -> None:
    real = judge().look(pictures())
    first, second = judge().look(pictures()[:20]), judge().look(pictures()[20:])
    for name, value in judge().floor(real).items():
        assert value == pytest.approx(distances(first, second)[name], rel=1e-3)
    assert judge().floor(real)["dfd_pool8"] == frechet_distance(pooled(real.y[:20]), pooled(real.y[20:]))
    assert "lower rank" in judge().remarks(20)[0]
    assert judge().remarks(1000) == []


def test_pictures_that_are_not_real_are_farther_than_the_floor() -> None:
    real = judge().look(pictures())
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 3, SIZE, SIZE)).astype(np.float32)
    found, floor = judge().scores(noise, part(real, slice(20))), judge().floor(real)
    assert all(found[name] > floor[name] for name in ("dfd_pool8", "dfd_net", "rgb"))


def test_a_judge_is_kept_and_read(tmp_path: Path) -> None:
    file = tmp_path / "judge.safetensors"
    judge().write(file)
    read = read_judge(file)
    assert (read.spec, read.delta1, read.abs_rel) == (judge().spec, judge().delta1, judge().abs_rel)
    for a, b in zip(vars(read.look(pictures())).values(), vars(judge().look(pictures())).values(), strict=True):
        assert a.tobytes() == b.tobytes()
    before = file.read_bytes()
    read.write(file)
    assert file.read_bytes() == before
    with pytest.raises(RunError, match="no such file"):
        read_judge(tmp_path / "other.safetensors")
    file.write_bytes(before[:100])
    with pytest.raises(RunError, match="damaged"):
        read_judge(file)


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(title: str, done: int) -> None:
        if done == 8:
            raise Stopped

    few = replace(TINY, steps=10)
    on_disk = replace(QUIET, checkpoints=tmp_path / "run")
    with pytest.raises(Stopped):
        judge_of_rooms(SIZE, few, replace(on_disk, on_step=stop))
    assert on_disk.goes_on("judge")
    whole, continued = judge_of_rooms(SIZE, few, QUIET), judge_of_rooms(SIZE, few, on_disk)
    assert continued.look(pictures()).net.tobytes() == whole.look(pictures()).net.tobytes()


def test_unknown_depth_is_left_out() -> None:
    """Where nothing is known nothing is learnt: values there, or NaN, give the same judge."""
    x, y = other_rooms(24, SIZE, 5)
    y[:, :4] = np.nan
    found = train_judge(x, y, x, y, INVERSE, replace(TINY, steps=3, coder_steps=3), QUIET)
    assert np.isfinite(found.delta1)
    assert np.isfinite(found.look(x).net).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x, y: (x[:, :2], y), "for the judge are"),
        (lambda x, y: (x, y[:, 1:]), "for the judge are"),
        (lambda x, y: (x[:3], y[:3]), "n = 8 or more"),
        (lambda x, y: (x, np.full_like(y, np.nan)), "no known depth"),
        (lambda x, y: (np.full_like(x, np.nan), y), "not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: object, told: str) -> None:
    x, y = other_rooms(10, SIZE, 5)
    wrong = change(x, y)  # type: ignore[operator]
    with pytest.raises(SettingError, match=told):
        train_judge(*wrong, x, y, INVERSE, TINY, QUIET)
    with pytest.raises(SettingError, match="held-out"):
        train_judge(x, y, *wrong, INVERSE, TINY, QUIET)


def test_pictures_that_the_judge_does_not_know_are_refused() -> None:
    with pytest.raises(SettingError, match=r"\(n, 3, 16, 16\)"):
        judge().depth(rooms(2, 20, 0)[0])
    broken = pictures().copy()
    broken[7] = np.inf
    with pytest.raises(SettingError, match="1 of 40 pictures"):
        judge().look(broken)
