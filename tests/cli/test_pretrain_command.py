"""`hyperseg pretrain`: what it writes, what it says, how one goes on, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg
from small_cases import boxes, corner_boxes, tiny_plan

from hyperseg import segment
from hyperseg.backbone.pretrained import read_pretrained
from hyperseg.recipes.segment.folder import read_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes and a small plan of them."""
    root = tmp_path_factory.mktemp("data")
    folder = corner_boxes(root / "heads", (8, 18, 20), 4)
    segment.write_plan(tiny_plan(folder, (4, 6)), root / "plan.json")
    return root


def test_from_images_to_a_network_with_two_labels(hyperseg: Hyperseg, data: Path) -> None:
    out = data / "w.safetensors"
    words = (str(data / "heads"), "--plan", str(data / "plan.json"), "--steps", "2", "--set", "parts=2", "--set")
    answer = hyperseg("pretrain", *words, "batch=4", "--local", "--fold", "0", "--device", "cpu", "--out", str(out))
    assert answer.code == 0, answer.err
    assert "learnt from 3 images without labels" in answer.out
    assert f"go on: hyperseg segment train {data / 'heads'} --weights {out} --labelled 2" in answer.out
    assert "labels are not read" in answer.err
    assert "expected: 2 steps global" in answer.err
    assert "nearest one of another patient" in answer.err
    assert read_pretrained(out).about["fold"] == 0
    assert out.with_suffix(".png").exists()
    again = hyperseg("pretrain", *words, "batch=4", "--out", str(out))
    assert again.code == 2
    assert "--overwrite" in again.err
    trained = hyperseg(
        "segment", "train", str(data / "heads"), "--weights", str(out), "--labelled", "2", "--fold", "0",
        "--steps", "2", "--device", "cpu", "--out", str(data / "run"),
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "the plan is the one that" in trained.err
    assert "Each fold learns from 2 labelled cases alone" in " ".join(trained.out.split())
    record = read_run(data / "run").record
    assert list(record.trained) == ["2d"]
    assert "0" not in record.found["seen_without_labels"]
    assert "Transductive" not in trained.out + trained.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--steps", "3", "--minutes", "2"), "--minutes and --steps contradict each other"),
        (("--set", "part=3"), "there is no setting part of folders. Did you mean"),
        (("--pairs", "gd", "--set", "pairs=gr"), "given by an option and by --set"),
        (("--axes", "bands,rows,columns"), "--axes is an option of scenes, and this is a folder"),
        (("--out", "w.pt"), "give it that ending"),
        (("--fold", "7"), "fold 7 is unknown"),
        (("--set", "parts=9", "--set", "batch=18"), "has 8 slices"),
        (("--resume", "--overwrite"), "give one of them"),
    ],
)
def test_what_it_refuses(
    hyperseg: Hyperseg, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = hyperseg("pretrain", str(data / "heads"), "--plan", str(data / "plan.json"), *words)
    assert answer.code == 2, answer.err
    assert told in " ".join(answer.err.split())
    assert not list(tmp_path.glob("*.safetensors"))


def test_pictures_have_no_partitions_and_several_folders_are_refused(
    hyperseg: Hyperseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = boxes(tmp_path / "boxes")
    segment.write_plan(tiny_plan(folder), tmp_path / "plan.json")
    answer = hyperseg("pretrain", "boxes", "--plan", "plan.json", "--pairs", "gd", "--steps", "2")
    assert answer.code == 2
    assert "these are pictures, which have none. Take --pairs gr" in answer.err
    assert "give one folder" in hyperseg("pretrain", "boxes", "boxes").err
    np.save(tmp_path / "cube.npy", np.zeros((4, 4, 9), np.float32))
    assert "--fold is an option of folders" in hyperseg("pretrain", "cube.npy", "--fold", "0").err


def test_help_teaches(hyperseg: Hyperseg) -> None:
    answer = hyperseg("pretrain", "--help")
    assert answer.code == 0
    for words in ("--labelled 2", "temperature=0.1", "--pairs", "--fold N", "hyperseg classify"):
        assert words in answer.out


def test_a_scene_goes_the_same_way(hyperseg: Hyperseg, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = np.kron(rng.integers(0, 3, (4, 4)), np.ones((6, 6), int))
    spectra = rng.normal(0, 1, (3, 12))
    np.save(tmp_path / "cube.npy", (spectra[classes] + rng.normal(0, 0.3, (24, 24, 12)) + 8).astype(np.float32))
    out = tmp_path / "w.safetensors"
    words = (str(tmp_path / "cube.npy"), "--axes", "rows,columns,bands", "--steps", "2", "--set", "batch=8")
    answer = hyperseg("pretrain", *words, "--set", "superpixel_px=4", "--out", str(out), "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "learnt from 1 scene without labels" in answer.out
    assert "go on: hyperseg classify" in answer.out
    assert read_pretrained(out).about["kind"] == "scene"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cube.npy", "w.png", "w.safetensors"]
    refused = hyperseg("pretrain", *words, "--minutes", "3", "--out", str(tmp_path / "v.safetensors"))
    assert "--minutes is no option of scenes: it belongs to folders" in refused.err
