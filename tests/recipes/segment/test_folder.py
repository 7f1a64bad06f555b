"""The folder of a segmentation run: what is written is read, and what is foreign or damaged is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hyperseg.backbone import seeded
from hyperseg.core import RunError
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.networks import UNet, build_unet
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.recipes.segment.folder import (
    Record,
    SegmentRun,
    check_folds,
    load_networks,
    read_run,
    trained_folds,
    write_fold,
    write_run,
)


def small_plan(size: tuple[int, int] = (16, 16)) -> Plan:
    seen = Fingerprint(
        ((1.0, 1.0),) * 3, (size,) * 3, 1.0, ("image",), (Intensity(1.0, 1.0, 0.0, 2.0),), ("background", "cell"),
        (9, 9), "px",
    )  # fmt: skip
    made = make_plan(seen)
    flat = made.configuration("2d")
    return replace(
        made,
        configurations=(replace(flat, backbone=replace(flat.backbone, widths=(2, 2, 2)[: len(flat.backbone.widths)])),),
    )


RECORD = Record(
    "cells", ("background", "cell"), (0, 255), ("image",), 7, (("a",), ("b", "c")), trained={"2d": [0]},
    largest=((1,),), versions={"python": "3"}, found={"dice": [0.5, None]},
)  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> SegmentRun:
    return write_run(tmp_path / "run", small_plan(), RECORD)


def trained(run: SegmentRun, fold: int, seed: int = 0) -> UNet:
    with seeded(seed):
        net = build_unet(run.plan.configuration("2d"), 2).eval()
    write_fold(run, "2d", fold, net.state_dict(), {"loss": [1.0, 0.5]})
    return net


def test_what_is_written_is_read(made: SegmentRun) -> None:
    net = trained(made, 0)
    trained(made, 1, seed=1)
    run = read_run(made.root)
    assert run == made
    assert run.chosen == ("2d",)
    assert trained_folds(run, "2d") == (0, 1)
    assert check_folds(run, "2d", [1, 1]) == (1,)
    first, second = load_networks(run, "2d")
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(first(x), net(x))
        assert not torch.equal(second(x), net(x))
    assert not first.training
    assert json.loads((made.root / "2d" / "fold0" / "history.json").read_text()) == {"loss": [1.0, 0.5]}
    assert write_run(made.root, made.plan, replace(RECORD, chosen=("2d",))).chosen == ("2d",)


def test_nothing_is_chosen_where_there_is_no_network(made: SegmentRun) -> None:
    with pytest.raises(RunError, match="no network has been trained"):
        replace(made, record=replace(RECORD, trained={})).chosen  # noqa: B018
    with pytest.raises(RunError, match="2d and 3d were trained, none was chosen"):
        replace(made, record=replace(RECORD, trained={"2d": [0], "3d": [0]})).chosen  # noqa: B018
    with pytest.raises(RunError, match=r"no trained network of 2d for any fold; there is none"):
        load_networks(made, "2d")
    trained(made, 0)
    with pytest.raises(RunError, match=r"for fold 1; folds 0 are there"):
        load_networks(made, "2d", [0, 1])


def edit(file: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda root: (root / file).write_text(change((root / file).read_text())) and None


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (edit("run.json", lambda text: text[:40]), "run.json: damaged"),
        (edit("run.json", lambda text: text.replace('"segment"', '"other"')), "is no run of hyperseg segment train"),
        (edit("run.json", lambda text: '{"format": 3, "method": "svm"}'), "hyperseg map"),
        (edit("run.json", lambda text: text.replace('"seed": 7', '"seed": "x"')), "damaged.*seed"),
        (edit("run.json", lambda text: text.replace('"cell"', '"dog"')), "not of one run"),
        (edit("run.json", lambda text: text.replace('"format": 1', '"format": 9')), "format 9"),
        (edit("plan.json", lambda text: text[:-9]), "damaged: .*plan.json"),
        (lambda root: (root / "plan.json").unlink(), "damaged: .*plan.json"),
        (lambda root: (root / "run.json").unlink(), "is no run"),
    ],
)
def test_damaged_folders(made: SegmentRun, harm: Callable[[Path], None], told: str) -> None:
    harm(made.root)
    with pytest.raises(RunError, match=told) as caught:
        read_run(made.root)
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        read_run(tmp_path / "none")


def test_another_plan_does_not_come_into_a_run(made: SegmentRun) -> None:
    with pytest.raises(RunError, match="another plan"):
        write_run(made.root, small_plan((24, 24)), RECORD)


def test_damaged_weights(made: SegmentRun) -> None:
    trained(made, 0)
    file = made.root / "2d" / "fold0" / "weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(RunError, match="missing or damaged"):
        load_networks(made, "2d")
    file.write_bytes(whole)
    other = replace(made, plan=small_plan((24, 24)))
    with pytest.raises(RunError, match="trained with another plan"):
        load_networks(other, "2d")
    write_fold(made, "2d", 0, {"weight": torch.zeros(3)}, {})
    with pytest.raises(RunError, match="fits no network") as caught:
        load_networks(made, "2d")
    assert "\n" not in str(caught.value)
