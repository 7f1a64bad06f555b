"""Plans changed by hand: what makes no sense is refused by the name of its entry; what is made passes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from planned import GOLDEN, fingerprint

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.settings import to_json
from hyperseg.medical.plan import make_plan
from hyperseg.medical.training import Preset
from hyperseg.medical.validity.whole import check_plan_values
from hyperseg.recipes.segment.planning import read_plan

NETWORK, TRAINING, CHANGES = "configurations.1.", "training.", "training.augmentation."
BAD = [  # path in the JSON, its value, what the error names
    ("axes", [0, 0, 1], "axes"),
    ("axes", [0], "axes"),
    ("spacing", [1.0, 1.0], "spacing"),
    ("spacing.0", 0.0, r"spacing\[0\]"),
    ("spacing.1", -1.0, r"spacing\[1\]"),
    ("spacing.2", float("inf"), r"spacing\[2\]"),
    ("size.0", 0, r"size\[0\]"),
    ("facts.spacing.0", -1.0, r"facts\.spacing\[0\]"),
    ("facts.kept", 1.5, r"facts\.kept"),
    ("facts.counts", [1], r"facts\.counts"),
    ("facts.intensities.0.mean", float("nan"), "mean"),
    ("facts.intensities.0.low", 99.0, r"facts\.intensities\[0\]"),
    ("normalisations", [], "normalisations"),
    ("normalisations.0.spread", 2.0, r"normalisations\[0\]\.spread"),
    ("normalisations.0.kind", "ct", r"normalisations\[0\]\.low"),
    ("limit.gigabytes", -8.0, "limit.*gigabytes"),
    ("configurations", [], "configurations"),
    (NETWORK + "name", "2d", "configurations"),
    (NETWORK + "batch", 0, r"configurations\[1\]\.batch"),
    (NETWORK + "batch", 2.5, "batch"),
    (NETWORK + "patch", [40, 56], r"configurations\[1\]\.patch"),
    (NETWORK + "patch.0", 0, r"configurations\[1\]\.patch\[0\]"),
    (NETWORK + "patch.0", 41, r"configurations\[1\]\.patch.*multiples of \(8, 8, 8\)"),
    (NETWORK + "patch", [8, 8, 8], r"configurations\[1\]\.patch"),
    (NETWORK + "spacing.0", 0.0, r"configurations\[1\]\.spacing\[0\]"),
    (NETWORK + "values", 0, r"configurations\[1\]\.values"),
    (NETWORK + "rotation_deg", -5.0, r"configurations\[1\]\.rotation_deg"),
    (NETWORK + "supervision", [], r"configurations\[1\]\.supervision"),
    (NETWORK + "supervision", [0.0, 0.0], r"configurations\[1\]\.supervision"),
    (NETWORK + "supervision", [1.0] * 4, r"configurations\[1\]\.supervision"),
    (NETWORK + "supervision.1", -0.5, r"configurations\[1\]\.supervision\[1\]"),
    (NETWORK + "after", "3d_low", r"configurations\[1\]\.after"),
    (NETWORK + "after", "3d", r"configurations\[1\]\.after"),
    (NETWORK + "backbone.in_channels", 2, r"configurations\[1\]\.backbone\.in_channels"),
    (NETWORK + "backbone.widths.0", 0, r"widths"),
    (NETWORK + "backbone.strides.0", [2, 2, 2], r"configurations\[1\]\.backbone\.strides\[0\]"),
    (NETWORK + "backbone.conv.padding", ["valid"] * 3, r"configurations\[1\]\.backbone\.conv\.padding"),
    (NETWORK + "backbone.conv.cond_dim", 3, r"configurations\[1\]\.backbone\.conv\.cond_dim"),
    (TRAINING + "optimiser.lr", 0.0, r"training\.optimiser\.lr"),
    (TRAINING + "optimiser.lr", 100.0, r"training\.optimiser\.lr"),
    (TRAINING + "optimiser.weight_decay", -1.0, r"training\.optimiser\.weight_decay"),
    (TRAINING + "optimiser.momentum", 1.0, r"training\.optimiser\.momentum"),
    (TRAINING + "optimiser.longest_gradient", 0.0, r"training\.optimiser\.longest_gradient"),
    (TRAINING + "schedule.steps", 0, r"training\.schedule\.steps"),
    (TRAINING + "schedule.epochs", 0, r"training\.schedule\.epochs"),
    (TRAINING + "loss.smooth", 0.0, r"training\.loss\.smooth"),
    (TRAINING + "loss.forced", 1.5, r"training\.loss\.forced"),
    (CHANGES + "rotation_p", -0.1, r"training\.augmentation\.rotation_p"),
    (CHANGES + "scale.low", 2.0, r"training\.augmentation\.scale"),
    (CHANGES + "scale.low", 0.0, r"training\.augmentation\.scale"),
    (CHANGES + "noise.low", -0.1, r"training\.augmentation\.noise"),
    (CHANGES + "blur.low", 0.0, r"training\.augmentation\.blur"),
    (CHANGES + "gamma.p", 2.0, r"training\.augmentation\.gamma\.p"),
    (CHANGES + "blur.channel_p", -1.0, r"training\.augmentation\.blur\.channel_p"),
    (CHANGES + "stage1.radius", [8, 1], r"training\.augmentation\.stage1\.radius"),
    (CHANGES + "stage1.removal_share", 1.5, r"training\.augmentation\.stage1\.removal_share"),
    (TRAINING + "resampling.image", 2, r"training\.resampling\.image"),
    (TRAINING + "resampling.labels", 7, r"training\.resampling\.labels"),
    (TRAINING + "resampling.logits", 3, r"training\.resampling\.logits"),
    (TRAINING + "resampling.across", -1, r"training\.resampling\.across"),
    (TRAINING + "resampling.anisotropy", 0.5, r"training\.resampling\.anisotropy"),
    (TRAINING + "inference.step", 0.0, r"training\.inference\.step"),
    (TRAINING + "inference.gaussian", -1.0, r"training\.inference\.gaussian"),
    (TRAINING + "inference.folds", 1, r"training\.inference\.folds"),
]


def changed(data: Any, path: str, value: Any) -> Any:
    """JSON with another value at a path of keys and places."""
    keys = [int(key) if key.isdecimal() else key for key in path.split(".")]
    reduce(lambda found, key: found[key], keys[:-1], data)[keys[-1]] = value
    return data


@pytest.mark.parametrize(("path", "value", "named"), BAD, ids=[f"{path}={value}" for path, value, _ in BAD])
def test_what_makes_no_sense_is_refused_by_name(path: str, value: Any, named: str, tmp_path: Path) -> None:
    data = changed(to_json(make_plan(fingerprint("Hippocampus"))), path, value)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(data))
    with pytest.raises(DataFileError, match=rf"plan\.json: .*{named}.* got .*Mend the entry"):
        read_plan(file)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("configurations.3.after", "3d", r"configurations\[3\]\.after"),
        ("configurations.3.after", "", r"configurations\[3\]\.after"),
        ("configurations.3.backbone.in_channels", 1, "in_channels.*foreground class"),
        ("configurations.2.after", "3d_low", r"configurations\[2\]\.after"),
        ("configurations.0.after", "3d_low", r"configurations\[0\]\.after"),
    ],
)
def test_a_cascade_reads_the_first_look_only(path: str, value: Any, named: str, tmp_path: Path) -> None:
    data = to_json(make_plan(fingerprint("Liver")))
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(changed(data, path, value)))
    with pytest.raises(DataFileError, match=named):
        read_plan(file)


def test_a_cascade_without_its_first_look(tmp_path: Path) -> None:
    data = to_json(make_plan(fingerprint("Liver")))
    del data["configurations"][2]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(data))
    with pytest.raises(DataFileError, match=r"configurations\[2\]\.after.*no 3d_low"):
        read_plan(file)


@pytest.mark.parametrize("preset", ["v2", "msd2018"])
@pytest.mark.parametrize("channel", ["MRI", "CT"])
@pytest.mark.parametrize("task", GOLDEN)
def test_plans_that_are_made_pass(task: str, channel: str, preset: Preset) -> None:
    check_plan_values(make_plan(fingerprint(task, channel=channel), preset=preset))


def test_a_plan_in_memory_is_held_to_the_same() -> None:
    plan = make_plan(fingerprint("Hippocampus"))
    with pytest.raises(SettingError, match=r"spacing\[0\].*finite"):
        check_plan_values(replace(plan, spacing=(float("inf"), 1.0, 1.0)))
