"""What a user names: a data set, a file, or neither, which is told at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from written import CUBE

from hyperseg.core import DataFileError
from hyperseg.io.open import named_card


def test_a_file_comes_before_a_data_set_of_its_name_and_a_folder_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("salinas", "Salinas-A", "ip"):
        card = named_card(name)
        assert card is not None
        Path(name).mkdir()
        assert named_card(name) is card
        Path(name).rmdir()
        Path(name).write_bytes(b"pixels")
        assert named_card(name) is None
    np.savez("cube.npz", cube=CUBE)
    assert named_card("cube.npz:cube") is named_card(Path("cube.npz")) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("indian-pinse", "indian-pinse: no such file, and no data set .* Did you mean indian-pines.*salinas"),
        ("cub.npz", r"cub\.npz: no such file .*did you mean cube\.npz"),
        ("cub.npz:cube", r"cub\.npz: no such file .*did you mean cube\.npz"),
        ("nowhere/a.npy", r"a\.npy: no such file .the folder nowhere does not exist either"),
        ("runs", "runs: is a folder, a data file was expected"),
    ],
)
def test_neither_tells_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    np.savez("cube.npz", cube=CUBE)
    with pytest.raises(DataFileError, match=said):
        named_card(name)


EVERYTHING = """
import importlib, pkgutil, sys, time
from hyperseg.io.open import open_scene
try:
    open_scene("indian-pinse")
except Exception as error:
    print(type(error).__name__, time.process_time())
import hyperseg.io
for module in pkgutil.walk_packages(hyperseg.io.__path__, "hyperseg.io."):
    importlib.import_module(module.name)
print([name for name in ("torch", "rasterio", "h5py", "zarr", "pyogrio") if name in sys.modules])
"""


def test_a_misspelt_scene_is_refused_at_once_and_reading_needs_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True, check=True)
    refused, loaded = done.stdout.splitlines()
    kind, seconds = refused.split()
    assert (kind, loaded) == ("DataFileError", "[]")
    assert float(seconds) < 1.0
