"""Encoders on disk: equal features back, and one named error for every way a file may not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, load_encoder, save_encoder, seeded
from hyperseg.core import RunError

SPEC = BackboneSpec(2, (4, 6), (1, 2), (3, 3), (1, 1), ConvSpec(2))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    with seeded(3):
        encoder = Encoder(SPEC)
    save_encoder(tmp_path / "encoder.safetensors", encoder, SPEC)
    return tmp_path / "encoder.safetensors"


def rewrite(path: Path, change) -> None:
    with safe_open(path, framework="pt") as file:
        tensors, metadata = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize("conv", [ConvSpec(2), ConvSpec(2, norm="none", spectral_norm=True, residual=True)])
def test_features_survive(tmp_path: Path, conv: ConvSpec) -> None:
    spec, x = replace(SPEC, conv=conv), torch.randn(2, 2, 9, 7)
    encoder = Encoder(spec)
    encoder(x)  # moves running statistics and power iterations
    save_encoder(tmp_path / "e.safetensors", encoder, spec)
    before = torch.random.get_rng_state()
    loaded = load_encoder(tmp_path / "e.safetensors", spec)
    assert torch.equal(before, torch.random.get_rng_state())
    for got, want in zip(loaded.eval()(x), encoder.eval()(x), strict=True):
        assert torch.equal(got, want)
    assert [p.name for p in tmp_path.iterdir()] == ["e.safetensors"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"widths": (4, 8)}, ["widths", "[4, 6]", "[4, 8]"]),
        ({"kernels": (3, 5)}, ["kernels"]),
        ({"conv": ConvSpec(2, act="elu")}, ["conv.act", "relu", "elu"]),
        ({"conv": ConvSpec(2, padding="valid")}, ["conv.padding", "valid"]),
    ],
)
def test_another_spec_is_refused_by_field(saved: Path, changes: dict, words: list[str]) -> None:
    with pytest.raises(RunError) as caught:
        load_encoder(saved, replace(SPEC, **changes))
    assert all(word in str(caught.value) for word in [*words, saved.name])
    assert "in_channels" not in str(caught.value)  # what agrees is not listed


def drop(tensors: dict, metadata: dict) -> None:
    del tensors["stages.0.blocks.0.conv.layer.weight"]


def add(tensors: dict, metadata: dict) -> None:
    tensors["stages.9.weight"] = torch.zeros(1)


def reshape(tensors: dict, metadata: dict) -> None:
    tensors["stages.1.blocks.0.conv.layer.weight"] = torch.zeros(6, 4, 1, 1)


def halve(tensors: dict, metadata: dict) -> None:
    tensors["stages.1.blocks.0.conv.layer.weight"] = tensors["stages.1.blocks.0.conv.layer.weight"].half()


def spoil(tensors: dict, metadata: dict) -> None:
    metadata["spec"] = '{"widths": 3}'


def relabel(tensors: dict, metadata: dict) -> None:
    metadata["format"] = "other"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (drop, r"missing stages.0.blocks.0.conv.layer.weight"),
        (add, r"unexpected stages.9.weight"),
        (reshape, r"stages.1.*shape \(6, 4, 1, 1\), expected \(6, 4, 3, 3\)"),
        (halve, r"stages.1.*dtype torch.float16, expected torch.float32"),
        (spoil, "spec"),
        (relabel, "format 'other'"),
    ],
)
def test_tensors_that_do_not_fit_are_named(saved: Path, change, word: str) -> None:
    rewrite(saved, change)
    with pytest.raises(RunError, match=word):
        load_encoder(saved, SPEC)


def test_absent_and_truncated_files_are_named(saved: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere\.safetensors does not exist"):
        load_encoder(saved.with_name("nowhere.safetensors"), SPEC)
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(RunError, match="whole safetensors"):
        load_encoder(saved, SPEC)


def test_saving_under_another_spec_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="in_channels"):
        save_encoder(tmp_path / "e.safetensors", Encoder(SPEC), replace(SPEC, in_channels=3))
    assert not list(tmp_path.iterdir())


def test_saving_is_one_rename(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("no rename")

    old = saved.read_bytes()
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no rename"):
        save_encoder(saved, Encoder(SPEC), SPEC)
    assert saved.read_bytes() == old
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_an_interrupted_save_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(tensors: dict, path: Path, metadata: dict) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    old = saved.read_bytes()
    monkeypatch.setattr("safetensors.torch.save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_encoder(saved, Encoder(SPEC), SPEC)
    assert saved.read_bytes() == old
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
