"""Damaged files of every format: a scene of one window, or one error that a user can act on, within seconds.

By hand for longer: HYPERSEG_FUZZ_S=600 pytest -n 0 tests/io/formats/test_reader_fuzz.py; a failure names its seed.
"""

from __future__ import annotations

import os
import random
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_products import write_emit, write_enmap, write_neon, write_prisma
from written import CUBE, write_any, write_envi

from hyperseg.core import HypersegError
from hyperseg.io.formats import list_arrays
from hyperseg.io.read import read_scene

SECONDS = float(os.environ.get("HYPERSEG_FUZZ_S", "16"))
SLOWEST_S = 10.0
ODD = (
    b"0", b"-1", b"1e400", b"999999999999", b"nan", b"", b"{", b"}", b"\0", b"=", b"\xff\xfe", b"True", b"1.#IND",
    b"1" * 5000, "ü".encode("latin-1"), b"{,,,}", b"\n",
)  # fmt: skip
EXTRA = (
    "map info = {UTM, 1, 1, 600000, 3700000, 20, 20, 11, North, WGS-84, units=Meters}\n"
    f"wavelength units = nm\nwavelength = {{{', '.join(str(400 + 100 * i) for i in range(12))}}}\n"
    "bbl = {1,1,1,1,1,1,1,1,1,1,1,0}\ndata ignore value = 0\ndefault bands = {3, 2, 1}\nclass names = {a, b}\n"
    "class lookup = {0,0,0, 1,2,3}\nreflectance scale factor = 10000\nband names = {a,b,c,d,e,f,g,h,i,j,k,l}\n"
)


def struct(folder: Path) -> Path:
    from scipy.io import savemat

    inside = {"Data": CUBE, "info": {"wavelength": np.linspace(400, 2400, 12)}}
    savemat(folder / "struct.mat", {"hsi": inside, "nRow": 7, "nCol": 5})
    return folder / "struct.mat"


def flat(folder: Path) -> Path:
    np.savez(folder / "flat.npz", Y=CUBE.reshape(35, 12), nRow=7, nCol=5)
    return folder / "flat.npz"


def zarr_store(folder: Path) -> Path:
    import zarr

    zarr.open_group(str(folder / "cube.zarr"), mode="w").create_array("cube", data=CUBE)
    return folder / "cube.zarr"


MAKERS: dict[str, Callable[[Path], Path]] = {
    "envi": lambda folder: write_envi(folder, CUBE, "bil", EXTRA),
    "tif": lambda folder: write_any(folder, "tif"),
    "mat": lambda folder: write_any(folder, "mat"),
    "struct": struct,
    "v7.3": lambda folder: write_any(folder, "v7.3"),
    "nc": lambda folder: write_any(folder, "nc"),
    "npy": lambda folder: write_any(folder, "npy"),
    "npz": lambda folder: write_any(folder, "npz"),
    "flat": flat,
    "zarr": zarr_store,
    "emit": write_emit,
    "enmap": write_enmap,
    "neon": write_neon,
    "prisma": write_prisma,
}


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """A few bytes flipped, a piece cut out, doubled or replaced by something odd, or the end cut off."""
    data = bytearray(raw)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        if not data:
            break
        # headers are where the structure is: half of all damage is done there
        at = draw.randrange(min(len(data), 600)) if draw.random() < 0.5 else draw.randrange(len(data))
        match draw.randrange(6):
            case 0 | 1:
                data[at] ^= 1 << draw.randrange(8)
            case 2:
                data[at] = draw.choice((0, 1, 127, 128, 255))
            case 3:
                odd = draw.choice(ODD)
                data[at : at + draw.choice((0, len(odd), 8))] = odd
            case 4:
                del data[at : at + draw.choice((1, 4, 100))]
            case _:
                if draw.random() < 0.3:
                    del data[at:]
                else:
                    data[at:at] = data[at : at + draw.choice((1, 8, 64))]
    return bytes(data)


def try_to_read(path: Path) -> None:
    """Open, list, and read one window, as every command does."""
    said = "something"
    try:
        scene = read_scene(path, scan=False)
        list_arrays(path)
        window = np.asarray(scene.cube[:3, 1:4])
        assert window.ndim == 3
        assert len(window) <= 3
    except HypersegError as error:
        said = str(error)
    assert said
    assert "\n" not in said


@pytest.mark.timeout(max(120, 3 * SECONDS))
@pytest.mark.parametrize("kind", MAKERS)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    if kind == "zarr":
        pytest.importorskip("zarr")
    whole = tmp_path / "whole"
    whole.mkdir()
    path = MAKERS[kind](whole)
    files = sorted(p for p in whole.rglob("*") if p.is_file())
    end, seed = time.monotonic() + SECONDS / len(MAKERS), int(os.environ.get("HYPERSEG_FUZZ_SEED", "0"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while time.monotonic() < end:
            draw = random.Random(f"{kind} {seed}")
            folder = tmp_path / str(seed)
            shutil.copytree(whole, folder)
            victim = folder / draw.choice(files).relative_to(whole)
            victim.write_bytes(damaged(victim.read_bytes(), draw))
            start = time.monotonic()
            try:
                try_to_read(folder / path.relative_to(whole))
            except Exception as error:
                raise AssertionError(f"HYPERSEG_FUZZ_SEED={seed}, {victim.name}: {error!r}") from error
            took = time.monotonic() - start
            assert took < SLOWEST_S, f"HYPERSEG_FUZZ_SEED={seed}, {victim.name}: {took:.0f} s"
            shutil.rmtree(folder)
            seed += 1
