"""Runs of earlier versions: their files are read, their networks predict, and their trainings go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from hyperseg.backbone import seeded
from hyperseg.core.settings import from_json, to_json
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import STEPS
from hyperseg.recipes.segment.folder import HISTORY, WEIGHTS, fold_folder, load_networks, read_run, seal, write_run
from hyperseg.recipes.segment.resuming.history import NEEDED
from hyperseg.recipes.segment.resuming.standing import check_standing

# as the version before tricks wrote them: never to be changed
PLAN = """
{"preset":"v2","facts":{"n_cases":3,"unit":"px","spacing":[1.0,1.0],"size":[16,16],"kept":1.0,"channels":["image"],
"intensities":[{"mean":1.0,"spread":1.0,"low":0.0,"high":2.0}],"classes":["background","cell"],"counts":[9,9]},
"axes":[0,1],"spacing":[1.0,1.0],"size":[16,16],"normalisations":[{"kind":"z-score","low":null,"high":null,"mean":null,
"spread":null}],"configurations":[{"name":"2d","spacing":[1.0,1.0],"size":[16,16],"patch":[16,16],
"backbone":{"in_channels":1,"widths":[2,2,2],"strides":[[1,1],[2,2],[2,2]],"kernels":[[3,3],[3,3],[3,3]],"depths":[2,2,
2],"conv":{"ndim":2,"norm":"instance","act":"leaky_relu","residual":false,"padding":["same","same"],"dropout":0.0,
"spectral_norm":false,"cond_dim":0},"attention":[]},"down":"stride","batch":2,"batch_dice":true,"supervision":[1.0,
0.0],"rotation_deg":180.0,"in_plane":false,"after":"","values":66048,"parameters":466756,"training_bytes":8841894}],
"limit":{"gigabytes":8.0,"patience_s":null,"pace":null},"training":{"optimiser":{"kind":"sgd","lr":0.01,
"weight_decay":3e-05,"momentum":0.99,"nesterov":true,"amsgrad":false,"longest_gradient":12.0},"schedule":{"steps":250,
"validation_steps":50,"epochs":1000,"power":0.9,"plateau":null},"loss":{"smooth":1e-05,"supervised":true,
"forced":0.33},"augmentation":{"rotation_p":0.2,"scale":{"low":0.7,"high":1.4,"p":0.2,"channel_p":1.0},
"gamma":{"low":0.7,"high":1.5,"p":0.3,"channel_p":1.0},"mirror":true,"stage1":{"radius":[1,8],"p":0.4,"removal_p":0.2,
"removal_share":0.15},"noise":{"low":0,"high":0.1,"p":0.1,"channel_p":1.0},"blur":{"low":0.5,"high":1,"p":0.2,
"channel_p":0.5},"brightness":{"low":0.75,"high":1.25,"p":0.15,"channel_p":1.0},"contrast":{"low":0.75,"high":1.25,
"p":0.15,"channel_p":1.0},"low_resolution":{"low":0.5,"high":1,"p":0.25,"channel_p":0.5},"gamma_inverted":{"low":0.7,
"high":1.5,"p":0.1,"channel_p":1.0},"elastic":null},"resampling":{"image":3,"labels":1,"logits":1,"anisotropy":3.0,
"across":0},"inference":{"step":0.5,"gaussian":0.125,"mirror":true,"average":"logits","keep_largest":"where better",
"folds":5}}}
"""
RECORD = """
{"kind":"segment","format":1,"folder":"cells","classes":["background","cell"],"codes":[0,255],"channels":["image"],
"seed":7,"folds":[["a"],["b","c"]],"trained":{"2d":[0]},"chosen":[],"largest":[],"mirrored":true,"versions":{},
"spacing":[],"targets":[],"prints":{},"method":"unet","settings":{},"found":{}}
"""
SEAL = "3ff2099eaa5d7415817450ae78f00308d1ba9b7b9578f0153465ed18111df620"


@pytest.fixture
def plan() -> Plan:
    return from_json(Plan, json.loads(PLAN))


def test_a_plan_keeps_its_seal(plan: Plan) -> None:
    """Where this fails a field is new: it has to be declared with `metadata=ADDED`."""
    assert seal(plan) == SEAL
    assert to_json(plan) == json.loads(PLAN)


def test_what_is_new_counts_once_it_is_used(plan: Plan) -> None:
    now = replace(plan.training, augmentation=replace(plan.training.augmentation, quarter_turns=True))
    turned = replace(plan, training=now)
    assert seal(turned) != SEAL
    assert from_json(Plan, json.loads(json.dumps(to_json(turned)))) == turned


def test_a_run_predicts_and_goes_on(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(PLAN)
    (tmp_path / "run.json").write_text(RECORD)
    with seeded(0):
        net = build_unet(plan.configuration("2d"), 2)
    trained, unfinished = (fold_folder(tmp_path, "2d", fold) for fold in (0, 1))
    for folder in (trained, unfinished):
        folder.mkdir(parents=True)
    metadata = {"kind": "segment", "configuration": "2d", "fold": "0", "plan": SEAL}
    save_file(net.state_dict(), trained / WEIGHTS, metadata)
    (trained / HISTORY).write_text(json.dumps(dict.fromkeys(NEEDED, 0)))
    (unfinished / STEPS).write_text(json.dumps({"steps": 2, "budget": {"minutes": None, "steps": 2}, "plan": SEAL}))
    run = read_run(tmp_path)
    assert run.record.tricks == ()
    assert len(load_networks(run, "2d")) == 1
    check_standing(run)
    write_run(tmp_path, run.plan, replace(run.record, chosen=("2d",)))
    check_standing(read_run(tmp_path))
