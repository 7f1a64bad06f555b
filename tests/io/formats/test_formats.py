"""Every format of the table: known by its files alone, opened as written, listed; and a new one needs nothing else."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_products import ENMAP, ENMAP_NM, NEON, joined, ortho, write_emit, write_enmap, write_neon, write_prisma
from written import CUBE, write_any

import hyperseg
from hyperseg.core.parts import Entry
from hyperseg.io.formats import FORMATS, format_of, known_formats, list_arrays
from hyperseg.io.formats.array import ArrayEntry, Choice
from hyperseg.io.read import read_scene
from hyperseg.recipes.inspect import inspect_file


def write_zarr(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    path = folder / "cube.zarr"
    zarr.open_group(str(path), mode="w").create_array("group/cube", data=CUBE)
    return path


def write(*kinds: str) -> Callable[[Path], list[tuple[Path, np.ndarray]]]:
    return lambda folder: [(write_any(folder, kind), CUBE) for kind in kinds]


# format -> folder -> files of it, each with the cube that was written
WRITERS: dict[str, Callable[[Path], list[tuple[Path, np.ndarray]]]] = {
    "EnMAP": lambda folder: [
        (write_enmap(folder), ENMAP[..., np.argsort(ENMAP_NM)]),
        (next(folder.glob("*METADATA.XML")), ENMAP[..., np.argsort(ENMAP_NM)]),
    ],
    "EMIT": lambda folder: [(write_emit(folder), ortho())],
    "PRISMA": lambda folder: [(write_prisma(folder), joined()[0])],
    "NEON": lambda folder: [(write_neon(folder), NEON)],
    "Zarr": lambda folder: [(write_zarr(folder), CUBE)],
    "MATLAB": write("mat", "v7.3"),
    "HDF5": write("h5", "nc", "he5"),
    "NumPy": write("npy", "npz"),
    "ENVI": write("bsq", "bil", "bip"),
    "GeoTIFF": write("tif"),
}


def test_every_format_has_a_writer_here() -> None:
    assert list(WRITERS) == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_knows_its_files_opens_what_was_written_and_lists_it(tmp_path: Path, name: str) -> None:
    form = FORMATS[name]
    assert form.name == name
    for path, cube in WRITERS[name](tmp_path):
        scene = read_scene(path)
        assert form.kind == "product" or scene.good_bands is scene.valid is None
        np.testing.assert_array_equal(np.asarray(scene.cube), cube)
        for choice in (Choice(), Choice(ndim=3)):
            assert format_of(path, choice) is form
            found = form.open(path, choice)
            assert found.array.dtype == cube.dtype
            np.testing.assert_array_equal(np.asarray(found.array), cube)
        # a product is also a file of the format it is packed in, and any file is one for the last of all
        others = [FORMATS[n] for n in FORMATS if n != name and form.kind == FORMATS[n].kind == "file"]
        assert not any(other.recognises(path) for other in others)
        assert not any(f.recognises(path) for f in FORMATS.values() if f.kind == "product" and f is not form)
        arrays = list_arrays(path)
        if found.key is not None and arrays:
            assert arrays[found.key] == ArrayEntry(CUBE.shape, CUBE.dtype)
        assert bool(arrays) == (path.suffix in (".mat", ".h5", ".nc", ".he5", ".npz", ".zarr"))


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].kind == "product"])
def test_a_product_is_asked_for_an_array_of_its_file_or_for_labels_as_any_file(tmp_path: Path, name: str) -> None:
    for path, _ in WRITERS[name](tmp_path):
        for choice in (Choice("anything"), Choice(ndim=2)):
            assert format_of(path, choice).kind != "product"


def test_known_formats_come_from_the_table() -> None:
    for name, form in FORMATS.items():
        assert f"{name} ({' '.join(form.suffixes)})" in known_formats()
        assert FORMATS.entries[name].help


TOY = '''
"""A text of numbers, a row of pixels per line, for two arrays: the numbers and their double."""
import numpy as np
from hyperseg.io.formats.array import ArrayEntry, FileArray, Format, by_suffix, choose_key


def arrays(path):
    shape = tuple(map(int, path.read_text().splitlines()[0].split()))
    return {name: ArrayEntry(shape, np.dtype(np.int64)) for name in ("plain", "double")}


def open_toy(path, choice):
    key = choose_key(path, arrays(path), choice)
    numbers = np.loadtxt(path, skiprows=1, dtype=np.int64).reshape(arrays(path)[key].shape)
    return FileArray(numbers * (2 if key == "double" else 1), path, key, axes_known=True, about="toy")


TOY = Format("toy", (".toy",), by_suffix(".toy"), open_toy, arrays)
'''


def test_a_new_format_is_a_file_and_a_line_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_format.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(FORMATS.entries, "toy", Entry("toy_format:TOY", "numbers as text"))
    path = tmp_path / "scene.toy"
    path.write_text("7 5 12\n" + "\n".join(" ".join(map(str, row)) for row in CUBE.reshape(7, -1)))
    np.testing.assert_array_equal(np.asarray(read_scene(f"{path}:double").cube), 2 * CUBE.astype(np.int64))
    assert list(list_arrays(path)) == ["plain", "double"]
    assert "toy (.toy)" in known_formats()
    assert inspect_file(str(path)).about == "file of several arrays"
    seen = inspect_file(f"{path}:plain")
    assert (seen.about, list(seen.arrays)) == ("toy", ["plain", "double"])
    assert seen.scene.shape == (7, 5)
    sys.modules.pop("toy_format")


def test_no_other_file_decides_by_the_name_of_a_format() -> None:
    package = Path(hyperseg.__file__).parent
    own = {entry.where.split(":")[0].split(".")[-1] for entry in FORMATS.entries.values()}
    for path in package.rglob("*.py"):
        if path.parent == package / "io" / "formats" and {path.stem, path.stem.split("_")[0]} & {*own, "__init__"}:
            continue
        texts = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
        assert not texts & set(FORMATS), path
