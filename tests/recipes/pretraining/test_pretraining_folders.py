"""Contrastive pre-training on folders: what moves and what stays, what is never read, how it goes on."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_cases import QUIET, boxes, corner_boxes, order, stopped_at, tiny_plan, written
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.backbone.pretrained import load_pretrained, read_pretrained
from hyperseg.core import DataFileError, RunError, SettingError
from hyperseg.core.settings import from_json
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan
from hyperseg.recipes.pretraining.batches import Batch, disturbed
from hyperseg.recipes.pretraining.choosing import cases_of, pairs_of
from hyperseg.recipes.pretraining.folder import pretrain_folder
from hyperseg.recipes.pretraining.picture import Seen
from hyperseg.recipes.pretraining.settings import FolderContrast
from hyperseg.recipes.pretraining.slices import fitted
from hyperseg.recipes.pretraining.stages import finest_level, learn, local_stage
from hyperseg.recipes.segment.checks import chosen_folds
from hyperseg.recipes.segment.training import train_cases

SHORT = FolderContrast(steps=3, parts=3, batch=6, local=True)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    return corner_boxes(tmp_path_factory.mktemp("volumes"), (9, 18, 20), 4)


@pytest.fixture(scope="module")
def plan(volumes: CaseFolder) -> Plan:
    return tiny_plan(volumes, (4, 6, 8))


@pytest.fixture(scope="module")
def learnt(volumes: CaseFolder, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "w.safetensors"
    return pretrain_folder(volumes, plan, SHORT, QUIET, out)


def first_net(plan: Plan) -> torch.nn.Module:
    with seeded(QUIET.seed):
        return build_unet(plan.configuration("2d"), 2)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_file_holds_what_was_trained_and_says_how(learnt: Path, plan: Plan, volumes: CaseFolder) -> None:
    given = read_pretrained(learnt)
    assert given.parts == ("encoder", "decoder.merges.0", "decoder.merges.1")
    about = given.about
    assert about["cases"] == [case.name for case in volumes.cases]
    assert (about["pairs"], about["made"], about["kind"], about["configuration"]) == (
        "gd", "global+local", "folder", "2d"
    )  # fmt: skip
    assert from_json(Plan, about["plan"]) == from_json(Plan, about["plan"]) == plan
    assert learnt.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert not list(learnt.parent.glob("*unfinished*"))
    before = first_net(plan).state_dict()
    assert not any(torch.equal(value, before[name]) for name, value in given.tensors.items() if value.ndim > 1)


def test_the_network_that_goes_on_has_equal_features(learnt: Path, plan: Plan) -> None:
    """Encoder and decoder of the U-Net that is trained next, with strict names, say what the file's would."""
    given, net = read_pretrained(learnt), first_net(plan)
    heads = {name: value.clone() for name, value in net.state_dict().items() if name.startswith("heads.")}
    load_pretrained(given, net)
    state = net.state_dict()
    assert all(torch.equal(state[name], value) for name, value in (given.tensors | heads).items())
    assert given.tensors.keys() | heads.keys() == state.keys()
    other = build_unet(plan.configuration("2d"), 2)
    other.encoder.load_state_dict(
        {name.removeprefix("encoder."): t for name, t in given.tensors.items() if name.startswith("encoder.")}
    )
    x = torch.randn(2, 1, 16, 16)
    assert all(torch.equal(a, b) for a, b in zip(net.encoder(x), other.encoder(x), strict=True))


def test_the_local_stage_leaves_the_encoder_as_it_is(volumes: CaseFolder, plan: Plan, learnt: Path) -> None:
    """Bit for bit, statistics of batch norms too; the decoder's levels that are finer than the last stay as well."""
    configuration = plan.configuration("2d")
    spec = replace(configuration.backbone, conv=replace(configuration.backbone.conv, norm="batch"))
    with seeded(0):
        net = build_unet(replace(configuration, backbone=spec), 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert any("running_mean" in name for name in before)
    chosen = replace(SHORT, levels=1)
    stage = local_stage(net, spec, 1, chosen, 0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 1, 32, 32, generator=generator)
    index = np.arange(3)
    learn(stage, lambda step: Batch(images, index, index, step), 2, chosen, QUIET, title="x", warn=pytest.fail)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("decoder.merges.1.") for name in moved)
    alone = read_pretrained(
        pretrain_folder(
            volumes, plan, replace(SHORT, local=False), QUIET, learnt.with_name("alone.safetensors"), pictures=False
        )
    )
    assert alone.parts == ("encoder",)
    assert not learnt.with_name("alone.png").exists()
    both = read_pretrained(learnt).tensors
    assert all(torch.equal(value, both[name]) for name, value in alone.tensors.items())


def test_labels_never_reach_the_learning(plan: Plan, learnt: Path, tmp_path: Path) -> None:
    """Other labels, the same weights; and a case without one is learnt from like the others."""
    folder = corner_boxes(tmp_path / "volumes", (9, 18, 20), 4)
    for file in (tmp_path / "volumes" / "labels").glob("*.npy"):
        np.save(file, np.load(file)[::-1])
    out = pretrain_folder(folder, plan, SHORT, QUIET, tmp_path / "o.safetensors", pictures=False)
    assert same(load_file(out), load_file(learnt))
    with pytest.raises(KeyboardInterrupt):
        pretrain_folder(
            folder, plan, SHORT, stopped_at(2, "global contrast"), tmp_path / "p.safetensors", pictures=False
        )
    image = np.load(tmp_path / "volumes" / "images" / "c2.npy")
    np.save(tmp_path / "volumes" / "images" / "c2.npy", image + 1)
    with pytest.raises(RunError, match=r"begun with other images \(c2\)"):
        pretrain_folder(folder, plan, SHORT, QUIET, tmp_path / "p.safetensors", pictures=False, resume=True)
    np.save(tmp_path / "volumes" / "images" / "c2.npy", image)
    (tmp_path / "volumes" / "labels" / "c3.npy").unlink()
    fewer = open_cases(tmp_path / "volumes")
    assert [case.name for case in fewer.unlabelled] == ["c3"]
    again = pretrain_folder(fewer, plan, SHORT, QUIET, tmp_path / "p.safetensors", pictures=False, resume=True)
    assert same(load_file(again), load_file(learnt))


@pytest.mark.parametrize("word", ["global", "local"])
def test_interrupted_and_resumed_is_the_same(
    volumes: CaseFolder, plan: Plan, learnt: Path, tmp_path: Path, word: str
) -> None:
    out = tmp_path / "w.safetensors"
    with pytest.raises(KeyboardInterrupt):
        pretrain_folder(volumes, plan, SHORT, stopped_at(2, f"{word} contrast"), out)
    assert not out.exists()
    with pytest.raises(RunError, match="--resume goes on with it"):
        pretrain_folder(volumes, plan, SHORT, QUIET, out)
    with pytest.raises(RunError, match="begun with other settings"):
        pretrain_folder(volumes, plan, replace(SHORT, temperature=0.5), QUIET, out, resume=True)
    seen: list[str] = []
    runtime = replace(QUIET, on_step=lambda title, done: seen.append(title))
    pretrain_folder(volumes, plan, SHORT, runtime, out, resume=True)
    assert len(seen) == (4 if word == "global" else 1)
    assert same(load_file(out), load_file(learnt))
    assert read_pretrained(out).about == read_pretrained(learnt).about
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.png", "w.safetensors"]


def test_what_is_there_stays(volumes: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    out.write_text("mine")
    with pytest.raises(DataFileError, match="overwrite"):
        pretrain_folder(volumes, plan, SHORT, QUIET, out)
    assert out.read_text() == "mine"
    with pytest.raises(SettingError, match="safetensors file"):
        pretrain_folder(volumes, plan, SHORT, QUIET, tmp_path / "w.pt")
    pretrain_folder(volumes, plan, replace(SHORT, local=False), QUIET, out, overwrite=True)
    assert read_pretrained(out).parts == ("encoder",)


def test_a_fold_is_left_out(volumes: CaseFolder, plan: Plan) -> None:
    for seed in (0, 1):
        parts = chosen_folds(volumes, plan.training.inference.folds, seed)
        for fold, held in enumerate(parts):
            names = {case.name for case in cases_of(volumes, plan, fold, seed)}
            assert names == {case.name for case in volumes.cases} - set(held)
    with pytest.raises(SettingError, match="fold 9 is unknown"):
        cases_of(volumes, plan, 9, 0)


def test_a_fine_tuned_network_begins_elsewhere(volumes: CaseFolder, plan: Plan, learnt: Path, tmp_path: Path) -> None:
    """`--weights` changes the first loss; that images of held-out cases were seen is told."""
    losses = {}
    for name, tricks in (("plain", ()), ("given", (f"given-weights:file={learnt}",))):
        chosen = replace(order(2, *tricks), configurations=("2d",))
        run = train_cases(volumes, plan, tmp_path / name, chosen, QUIET)
        history = (tmp_path / name / "2d" / "fold0" / "history.json").read_text(encoding="utf-8")
        losses[name] = history[history.index('"losses"') :][:120]
        seen = run.record.found.get("seen_without_labels")
        assert bool(seen) == (name == "given")
    assert losses["plain"] != losses["given"]


def test_what_cannot_be_learnt_is_refused(volumes: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"c0: has 9 slices, .* 12 partitions.*--set parts=9"):
        pretrain_folder(volumes, plan, replace(SHORT, parts=12, batch=24), QUIET, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())  # so that it can be mended and typed again
    with pytest.raises(SettingError, match="there is one: take --pairs gd-"):
        pairs_of(FolderContrast(pairs="gd"), 3, 1)
    with pytest.raises(SettingError, match="need 8 slices in a step"):
        pairs_of(FolderContrast(batch=6), 3, 5)
    with pytest.raises(SettingError, match="these are pictures"):
        pairs_of(FolderContrast(pairs="gd"), 2, 5)
    assert [pairs_of(FolderContrast(), *given) for given in ((3, 2), (3, 1), (2, 9))] == ["gd", "gd-", "gr"]
    for changes in ({"levels": 2}, {"field": 0.0}, {"noise": 0.2}):
        with pytest.raises(SettingError, match="changes nothing without --local: leave it out"):
            FolderContrast(**changes)
    with pytest.raises(SettingError, match="parts 3 changes nothing with pairs gr"):
        pairs_of(FolderContrast(parts=3), 2, 5)
    with pytest.raises(SettingError, match="8 positions a side"):
        finest_level(plan.configuration("2d").backbone, (4, 4), 3)


def test_pictures_are_learnt_from_by_views(tmp_path: Path) -> None:
    folder = boxes(tmp_path / "boxes")
    plan = tiny_plan(folder)
    chosen = FolderContrast(steps=2, batch=4)
    out = pretrain_folder(folder, plan, chosen, QUIET, tmp_path / "w.safetensors")
    assert read_pretrained(out).about["pairs"] == "gr"
    assert (tmp_path / "w.png").exists()


def test_a_collapse_is_told_in_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Images that are all the same have embeddings that are."""
    root = tmp_path / "flat"
    folder = written(root, (16, 16), 4, lambda i: (slice(2, 8), slice(2, 8)))
    plan = tiny_plan(folder)
    for file in (root / "images").glob("*.npy"):
        np.save(file, np.ones((16, 16), np.float32))
    with caplog.at_level(logging.WARNING):
        pretrain_folder(
            folder, plan, FolderContrast(steps=60, batch=2), QUIET, tmp_path / "w.safetensors", pictures=False
        )
    assert [record.message for record in caplog.records if "all embeddings are equal" in record.message]


def test_a_slice_is_made_smaller_as_a_whole_and_never_larger() -> None:
    stack = np.ones((2, 1, 10, 40), np.float32)
    small = fitted(stack, (16, 20))
    assert small.shape == (2, 1, 16, 20)
    assert small[0, 0].any(1).sum() == 5  # half of ten rows, around them zeros
    assert np.array_equal(fitted(stack, (10, 40)), stack)
    assert fitted(stack, (20, 40)).sum() == stack.sum()


def test_fields_move_no_place_and_without_them_nothing_changes() -> None:
    images = torch.randn(3, 2, 12, 14, generator=torch.Generator().manual_seed(0))
    assert torch.equal(disturbed(images, torch.Generator(), field=0.0, noise=0.0), images)
    changed = disturbed(torch.zeros_like(images), torch.Generator(), field=1.0, noise=0.0)
    steps = changed.diff(dim=-1).abs().max(), changed.diff(dim=-2).abs().max()
    assert max(map(float, steps)) < 0.5 * float(changed.abs().max())  # smooth
    assert torch.equal(changed[:, 0], changed[:, 1])  # channels have them in common


def test_the_nearest_slice_is_looked_for_in_other_patients() -> None:
    """Two patients, two volumes of the first: by features that hold the partition all agree, else chance."""
    partition = np.tile([0, 1], 3)
    features = np.eye(2)[partition] + 0.01
    group = np.array([0, 0, 0, 0, 1, 1])
    volume = np.array([0, 0, 1, 1, 2, 2])
    assert Seen(features, volume, group, partition).alike == 1.0
    assert Seen(features[::-1].copy(), volume, group, partition).alike == 1.0
    mixed = features.copy()
    mixed[4:] = mixed[4:][::-1]
    assert Seen(mixed, volume, group, partition).alike == 0.0
    assert Seen(features, volume, group, partition).chance == 0.5
    assert Seen(features, volume, np.zeros(6, int), partition).alike is None
