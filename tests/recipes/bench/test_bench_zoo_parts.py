"""Parts of the benchmark of networks: what is counted, the front, baselines of pixels, peers, paces, names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import to_json
from hyperseg.medical.patches import StoredCase, store
from hyperseg.recipes.bench.zoo.choosing import check_names
from hyperseg.recipes.bench.zoo.judging import front, judge
from hyperseg.recipes.bench.zoo.making.counting import headroom, madds_of, parameters_of
from hyperseg.recipes.bench.zoo.making.peers import PEERS, build_peer, check_sides, lacking
from hyperseg.recipes.bench.zoo.making.pixels import LinearPixels, drawn, even, fit_linear, fit_pixels, fit_rbf
from hyperseg.recipes.bench.zoo.pace import FEWEST, Pace, fitting_steps, paces_of, seconds_of
from hyperseg.recipes.bench.zoo.preparing import check_room
from hyperseg.recipes.bench.zoo.rows import Cell, Row, Task, failed, latest, read_cell, tasks_of
from hyperseg.recipes.bench.zoo.showing.table import OF_CASES, as_csv, as_markdown, cells, short, verdicts

# what is counted


def test_multiply_adds_of_a_convolution_by_hand() -> None:
    """Every output value of every map takes kernel x inputs of them; biases and norms are not counted."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    first, second = 3 * 9 * 8 * 10 * 12, 8 * 2 * 10 * 12
    assert madds_of(net, (1, 3, 10, 12)) == first + second
    assert net.training  # as it was
    assert parameters_of(net) == (3 * 9 * 8 + 8) + 2 * 8 + (8 * 2 + 2)


def test_a_shared_weight_counts_once_and_a_critic_not_at_all() -> None:
    net = nn.Module()
    net.one, net.other, net.critic = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(50, 50)
    net.other.weight = net.one.weight
    assert parameters_of(net) == 12 + 4 + 4


def test_headroom_is_what_work_needs_beside_what_is_there() -> None:
    there = torch.zeros(30_000_000)  # 120 MB, before
    with headroom("cpu") as room:
        more = torch.ones(10_000_000)  # 40 MB
        del more
    assert there.numel()
    if room.bytes is None:
        pytest.skip("this system does not tell the peak of its memory")
    assert 35e6 < room.bytes < 80e6


# the front


def test_the_front_is_what_none_of_no_more_cost_beats() -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.7), (3.0, 0.6), (9.0, 0.7), (10.0, 0.9)]
    best = front(points)
    assert best == [(1.0, 0.5), (3.0, 0.7), (10.0, 0.9)]
    beaten = [p for p in points if any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)]
    assert set(points) - set(beaten) == set(best)  # by the definition
    assert front([]) == []


ROWS = (Row("pixel-linear", "baseline"), Row("a", "network", "f"), Row("b", "network", "f"), Row("monai:UNet", "peer"))


def cell(row: str, fold: int, score: float | None, **more: object) -> Cell:
    given = {"steps": 10, "learnt": 4, "tested": 2, "training_s": 5.0, "prediction_s": 1.0, "peak": 10**6} | more
    return Cell(row, fold, 0, score, {"Dice": score}, **given)  # type: ignore[arg-type]


def test_rows_are_paired_by_cell_and_sorted() -> None:
    made = [cell("a", fold, score, madds=100) for fold, score in enumerate((0.5, 0.6, 0.7))]
    made += [cell("b", fold, score, madds=200) for fold, score in enumerate((0.6, 0.8, 0.7))]
    made += [cell("pixel-linear", 0, 0.55, steps=0), cell("monai:UNet", 0, None, note="ValueError: no")]
    rows = judge(ROWS, latest(made), reference="a", on_scene=False)
    assert [row.row.key for row in rows] == ["b", "a", "pixel-linear", "monai:UNet"]
    best, plain, floor, fault = rows
    assert best.gain is not None
    assert best.gain.mean == pytest.approx(0.1)
    assert (best.score, best.sd) == (pytest.approx(0.7), pytest.approx(0.1))
    assert best.gain.half > 4.3 * np.std([0.1, 0.2, 0.0], ddof=1) * np.sqrt(1 / 3 + 2 / 4) * 0.99  # corrected, t of 2
    assert floor.difference == pytest.approx(0.05)
    assert floor.gain is None  # one pair has no spread
    assert plain.gain is None
    assert (best.step_s, best.test_s, floor.step_s) == (0.5, 0.5, None)
    assert (best.fronts, plain.fronts) == (("madds", "test_s"), ("madds",))  # of equal seconds the better one
    assert (fault.score, fault.note) == (None, "ValueError: no")
    told = " ".join(verdicts(rows, OF_CASES, "a"))
    assert "Best network: b, Dice 0.700." in told
    assert "Not better than" not in told.replace("Not better than the per-pixel linear classifier (0.550)", "")
    assert "Failed: monai:UNet (ValueError: no)." in told
    assert as_csv(rows).splitlines()[1].startswith("b,network,f,3,0.7,0.1,0.1,")
    assert "| b * | 0.700 |" in as_markdown(rows, OF_CASES, "a")
    assert cells(fault, OF_CASES)[1] == "–"
    assert [short(n) for n in (None, 999, 1_234, 5_000_000, 2 * 10**9)] == ["–", "999", "1.23 k", "5 M", "2 G"]


# baselines of pixels


def coloured(folder: Path, n_classes: int, n: int = 3) -> list[StoredCase]:
    """Cases whose classes are colours, the first one rare."""
    found = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        labels = rng.choice(n_classes, (12, 10), p=[0.9, *[0.1 / (n_classes - 1)] * (n_classes - 1)]).astype(np.int16)
        labels[0, :n_classes] = range(n_classes)
        centres = 10 * np.array([[0, 0], [1, 0], [0, 1]])[:n_classes]
        image = centres[labels].transpose(2, 0, 1) + rng.uniform(-1, 1, (2, 12, 10))
        found.append(store(folder / str(seed), f"c{seed}", image.astype(np.float32), labels, n_classes))
    return found


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit", [fit_linear, fit_rbf])
def test_separable_colours_are_told_apart_without_a_fault(tmp_path: Path, n_classes: int, fit: object) -> None:
    cases = coloured(tmp_path, n_classes)
    net = fit_pixels(fit, cases, n_classes, pixels=200, seed=0)  # type: ignore[arg-type]
    for case in cases:
        image = torch.from_numpy(np.array(case.open("image.npy")))
        found = net(image[None])
        assert found.shape == (1, n_classes, 12, 10)
        assert (found.argmax(1)[0].numpy() == case.open("labels.npy")).all()
        parts = torch.cat([net(image[None, :, :, :4]), net(image[None, :, :, 4:])], -1)
        torch.testing.assert_close(parts, found)  # a pixel is told by itself


def test_a_linear_classifier_is_a_matrix() -> None:
    net = LinearPixels(np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0.5, 0.0]))
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1, 1)
    assert net(x).flatten().tolist() == [11.5, -4.0]
    assert madds_of(net, (1, 2, 5, 6)) == 2 * 2 * 30


def test_draws_are_even_or_as_pixels_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values, classes = drawn(coloured(tmp_path, 3), 300, rng)
    assert values.shape == (300, 2)
    assert (classes == 0).mean() > 0.8
    assert np.bincount(classes[even(classes, 90, 3, rng)]).tolist() == [30, 30, 30]


# peers


def test_peers_take_any_size_and_give_it_back() -> None:
    pytest.importorskip("monai")
    spec = BackboneSpec(5, (8, 16, 16), (1, 2, 2), (3, 3, 3), (1, 1, 1), ConvSpec(2, norm="batch"))
    for name in PEERS:
        if lacking(name):
            continue
        net = build_peer(name, spec, 3)
        assert net(torch.zeros(2, 5, 9, 13)).shape == (2, 3, 9, 13), name
    volume = BackboneSpec(1, (4, 8), (1, 2), (3, 3), (1, 1), ConvSpec(3, norm="instance"))
    assert build_peer("UNet", volume, 2)(torch.zeros(1, 1, 5, 8, 7)).shape == (1, 2, 5, 8, 7)


def test_a_peer_that_would_compute_mostly_border_is_refused() -> None:
    spec = BackboneSpec(5, (8, 16), (1, 2), (3, 3), (1, 1), ConvSpec(2, norm="batch"))
    check_sides("SegResNet", spec, (9, 9))  # continued to 16
    check_sides("SwinUNETR", spec, (33, 64))
    with pytest.raises(SettingError, match="SwinUNETR takes 64 pixels a side or more, and windows have 9"):
        check_sides("SwinUNETR", spec, (9, 9))


# how long it takes


def test_steps_follow_from_the_minutes() -> None:
    rows = (Row("a", "network"), Row("b", "network"))
    tasks = tasks_of(rows, [], folds=3, seeds=2, steps=1)
    paces = {"a": Pace("a", 0.1, 1.0, 2.0), "b": Pace("b", 0.3, 1.0, 2.0)}
    assert seconds_of(tasks, paces, 10, 1) * 0.9 == pytest.approx(6 * (1 + 3) + 6 * (3 + 3))
    steps = fitting_steps(tasks, paces, 10, 2, 10_000)
    assert seconds_of(tasks, paces, steps, 2) <= 600 < seconds_of(tasks, paces, steps + 1, 2)
    assert fitting_steps(tasks, paces, 10, 2, 50) == 50
    assert fitting_steps(tasks, paces, 0.001, 2, 50) == FEWEST
    known = paces_of([cell("a", 0, 0.5), cell("a", 1, None, note="x")])
    assert known == {"a": Pace("a", 0.0, 5.0, 1.0)}


def test_what_is_left_is_done_seed_by_seed_and_failures_again() -> None:
    rows = (Row("pixel-linear", "baseline"), Row("a", "network"))
    tasks = tasks_of(rows, [("a", 0, 0)], folds=2, seeds=2, steps=7)
    assert [task.at for task in tasks[:3]] == [("pixel-linear", 0, 0), ("pixel-linear", 1, 0), ("a", 1, 0)]
    assert [task.steps for task in tasks[:3]] == [0, 0, 7]
    bad = failed(Task(rows[1], 1, 0, 7), ValueError("no\nroom"))
    assert (bad.score, bad.note) == (None, "ValueError: no room")
    assert latest([bad, cell("a", 1, 0.5)])["a", 1, 0].score == 0.5


def test_a_line_that_is_no_cell_is_refused() -> None:
    good = to_json(cell("a", 0, 0.5))
    assert read_cell(good) == cell("a", 0, 0.5)
    with pytest.raises(SettingError, match="fold"):
        read_cell(good | {"fold": -1})
    with pytest.raises(SettingError, match="colour"):
        read_cell(good | {"colour": 1})


# what is asked for


def test_names_are_spelled_in_one_way() -> None:
    assert check_names(["U-Net", "zoo:u-net", "monai:unet", "ALL"]) == ("u-net", "monai:UNet", "all")
    with pytest.raises(SettingError, match="Did you mean deeplab-v3"):
        check_names(["deeplab-v33"])
    with pytest.raises(SettingError, match="Did you mean monai:VNet"):
        check_names(["monai:VNett"])


def test_too_little_memory_is_told_before_work() -> None:
    check_room(10**9, "cpu", there=2 * 10**9)
    with pytest.raises(RunError, match="smaller --side"):
        check_room(3 * 10**9, "cpu", there=2 * 10**9)
