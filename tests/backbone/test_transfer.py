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


W0, W1 = (f"stages.{i}.blocks.0.conv.layer.weight" for i in (0, 1))


@pytest.mark.parametrize(
    ("tensors", "metadata", "word"),
    [
        ({W0: None}, {}, rf"missing {W0}"),
        ({"stages.9.weight": torch.zeros(1)}, {}, r"unexpected stages.9.weight"),
        ({W1: torch.zeros(6, 4, 1, 1)}, {}, r"stages.1.*shape \(6, 4, 1, 1\), expected \(6, 4, 3, 3\)"),
        ({W1: torch.zeros(6, 4, 3, 3).half()}, {}, r"stages.1.*dtype torch.float16, expected torch.float32"),
        ({}, {"spec": '{"widths": 3}'}, "spec"),
        ({}, {"format": "other"}, "format 'other'"),
    ],
)
def test_tensors_that_do_not_fit_are_named(saved: Path, tensors: dict, metadata: dict, word: str) -> None:
    with safe_open(saved, framework="pt") as file:
        changed = {k: file.get_tensor(k) for k in file.keys()} | tensors  # noqa: SIM118
        metadata = file.metadata() | metadata
    save_file({k: v for k, v in changed.items() if v is not None}, saved, metadata=metadata)
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


@pytest.mark.parametrize("step", ["os.replace", "safetensors.torch.save_file"])
def test_an_interrupted_save_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def interrupt(_: object, path: Path, **options: object) -> None:
        if options:  # half of a file is written
            path.write_bytes(b"half")
        raise KeyboardInterrupt

    old = saved.read_bytes()
    monkeypatch.setattr(step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_encoder(saved, Encoder(SPEC), SPEC)
    assert saved.read_bytes() == old
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
