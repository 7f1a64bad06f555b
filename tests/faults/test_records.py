"""Records that were edited, damaged or invented end in one clear error, before anything is built or trained."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import Quick, Run

from hyperseg.cli.options import base_settings
from hyperseg.core import HypersegError, RunError, Scene
from hyperseg.recipes.run.inputs import open_inputs
from hyperseg.recipes.run.load import load_run

EXAMPLES = int(20 * float(os.environ.get("HYPERSEG_FUZZ_S", "16")))  # of a hundredth of a second each, about
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 10**6, 10**12, 10**30, -(10**30), 0.5, 1e300, "", "none", "cnn3d", "x" * 10_000, [], [1],
    {}, {"a": 1}, [[]] * 1000, "\x1b[2J", "../..", "/dev/zero", float("nan"),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(toy: Scene, quick: Quick, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the network, with what it was made from beside it."""
    folder = tmp_path_factory.mktemp("records")
    np.save(folder / "cube.npy", np.asarray(toy.cube))
    np.save(folder / "gt.npy", np.asarray(toy.labels) + 1)
    inputs = {"scene": "cube.npy", "labels": "gt.npy", "folder": str(folder)}
    return run(toy, quick(), folder / "run", inputs=inputs)


def leaves(record: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a record, those that hold others too."""
    if path:
        yield path
    inside = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in inside:
        yield from leaves(value, (*path, key))


def changed(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The record with another value at a path."""
    copy = json.loads(json.dumps(record))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def test_whatever_is_changed_about_the_model_is_noticed(whole: Path, tmp_path: Path) -> None:
    record = json.loads((whole / "run.json").read_text())
    (tmp_path / "model.safetensors").symlink_to(whole / "model.safetensors")
    paths = [p for p in leaves(record) if p[0] not in ("settings", "inputs", "versions", "format")]
    assert len(paths) > 40
    for path in paths:
        edited = changed(record, path, "edited")
        (tmp_path / "run.json").write_text(json.dumps(edited))
        with pytest.raises(RunError, match=r"run\.json and model\.safetensors do not belong together"):
            load_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert load_run(tmp_path).model.n_classes == 3


def test_weights_of_which_a_bit_was_flipped_are_noticed(whole: Path, tmp_path: Path) -> None:
    weights = bytearray((whole / "model.safetensors").read_bytes())
    (tmp_path / "run.json").write_bytes((whole / "run.json").read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(weights), 30).tolist():
        flipped = bytearray(weights)
        flipped[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "model.safetensors").write_bytes(flipped)
        with pytest.raises(RunError, match=r"damaged|do not belong together"):
            load_run(tmp_path)


def opens(file: Path) -> None:
    """All that `classify --from FILE` does before it splits; nothing but an error a user can act on may come out."""
    began = time.monotonic()
    with suppress(HypersegError):
        open_inputs(base_settings(["--from", str(file)]), {}, record=file)
    assert time.monotonic() - began < 20


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.data())
def edited_settings_open(record: dict[str, Any], file: Path, data: st.DataObject) -> None:
    edited = record
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [p for p in leaves(edited) if p[0] in ("settings", "inputs", "format")]
        edited = changed(edited, data.draw(st.sampled_from(paths)), data.draw(st.sampled_from(ODD)))
    file.write_text(json.dumps(edited))
    opens(file)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 10**6), st.binary(max_size=20), st.integers(0, 30))
def damaged_text_opens(text: bytes, file: Path, at: int, more: bytes, less: int) -> None:
    at %= len(text)
    file.write_bytes(text[:at] + more + text[at + less :])
    opens(file)


def test_no_record_ends_in_a_traceback(whole: Path, tmp_path: Path) -> None:
    text = (whole / "run.json").read_bytes()
    edited_settings_open(json.loads(text), tmp_path / "run.json")
    damaged_text_opens(text, tmp_path / "run.json")


def test_nested_and_absurd_json_is_refused(tmp_path: Path) -> None:
    for text in ("[" * 100_000, '{"settings": ' * 5000, "nul", '{"settings": {}, "format": 1e999}', "\ufeff{}", ""):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(RunError, match=r"run\.json"):
            base_settings(["--from", str(tmp_path / "run.json")])
