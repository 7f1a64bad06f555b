"""`hyperseg info`: what a file is understood as, before anything is done with it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from hyperseg.cli.reading import cube_options, given_stated, overwrite_option
from hyperseg.core.words import one_line, runs, some, thousands

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.core import Scene
    from hyperseg.recipes.inspect import Inspection
    from hyperseg.recipes.inspect_kinds import Kind


@click.command()
@click.argument("file")
@cube_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the quick look goes (PNG).  [default: NAME-quicklook.png]",
)
@click.option("--no-picture", is_flag=True, help="Draw no quick look.")
@click.option(
    "--json", "json_file", metavar="FILE", help="Also write everything to this file; - prints it instead of the table."
)
@overwrite_option
def info(file: str, out: Path | None, no_picture: bool, json_file: str | None, overwrite: bool, **stated: Any) -> None:
    """Print what is understood of FILE: size, bands, coordinates, no-data, scale, bands that look wrong.

    FILE is a cube in any format (FILE:KEY for one array of several), or a public scene such as indian-pines. Only
    a sample of the pixels is read, so that a file of any size is looked at in seconds. A quick look in false
    colour is saved in the current folder. Of polygons, label rasters, maps and the folders of runs it is told what
    they hold.

    \b
    Examples:
      hyperseg info flightline.hdr
      hyperseg info EMIT_L2A_RFL_001.nc --out look.png
      hyperseg info scene.h5:reflectance --no-picture --json -
      hyperseg info fields.gpkg
      hyperseg info runs/scene-cnn3d
    """
    from rich.console import Console

    from hyperseg.io.cube_options import CubeOptions
    from hyperseg.io.write.targets import check_targets
    from hyperseg.recipes.inspect import inspect_file, quicklook_path, write_quicklook
    from hyperseg.recipes.inspect_kinds import inspect_kind

    console = Console(highlight=False)
    named = [*([out] if out else []), *([Path(json_file)] if json_file not in (None, "-") else [])]
    check_targets(named, inputs=[file], overwrite=overwrite)
    kind = inspect_kind(file)
    if kind is not None:
        tell(kind, partial(show_kind, kind, console), json_file)
        return
    found = inspect_file(file, CubeOptions(**given_stated(stated)))
    drawn: tuple[Path, tuple[int, ...] | None] | None = None
    if found.scene is not None and not no_picture:
        target, there = (out, False) if out else quicklook_path(found.scene)
        kept = there and not overwrite
        if not (out or kept):  # a name of the user's was looked at before
            check_targets([target], inputs=[file], overwrite=overwrite)
        drawn = target, None if kept else write_quicklook(found.scene, target)
    tell(found, partial(show, found, console, drawn), json_file)


def tell(found: Inspection | Kind, print_it: Callable[[], None], json_file: str | None) -> None:
    """Print what was found, and write it as JSON where that is wanted; as JSON alone for "-"."""
    import json

    from hyperseg.io.write.files import write_json

    if json_file == "-":
        click.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    print_it()
    if json_file is not None:
        write_json(json_file, found.to_json())
        click.echo(f"written to {json_file}")


def show_kind(kind: Kind, console: Console) -> None:
    """Print what something is that is no scene, and what to type next."""
    show_facts({"file": kind.source, "kind": kind.about, **kind.facts}, console)
    if kind.next:
        console.print(f"\nNext: {kind.next}", markup=False, soft_wrap=True)


def show_facts(facts: Mapping[str, str], console: Console) -> None:
    """A line per fact."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in facts.items():
        table.add_row(Text(what), Text(value))  # names of files are never markup
    console.print(table)


def show(found: Inspection, console: Console, drawn: tuple[Path, tuple[int, ...] | None] | None) -> None:
    """Print the facts, the remarks, and what to type next."""
    from hyperseg.io.read import split_key

    facts = {"file": found.source, "format": found.about, **_facts(found)}
    if found.scene is not None and drawn is not None:
        how = "was there and is kept; --overwrite draws it anew" if drawn[1] is None else _shown(found.scene, drawn[1])
        facts["quick look"] = f"{drawn[0]}, {how}"
    show_facts(facts, console)
    for remark in found.remarks:
        console.print(f"- {remark}", markup=False, soft_wrap=True)
    if found.scene is None:
        _list_arrays(found, console)
        return
    words = shlex.quote(found.source)
    fields = "FIELDS.gpkg --class-column NAME" if found.scene.grid.affine is not None else "LABELS.tif"
    if beside := _label_arrays(found, found.scene.cube.shape):
        fields = shlex.quote(f"{split_key(found.source)[0]}:{beside[0]}")
    labels = "" if found.scene.labels is not None else f" --labels {fields}"
    console.print(f"\nNext: hyperseg classify {words}{labels}", markup=False, soft_wrap=True)


def _list_arrays(found: Inspection, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("array", "shape", "type"):
        table.add_column(column, overflow="fold")
    for name, entry in found.arrays.items():
        shape, dtype = ("", "") if entry is None else ("x".join(map(str, entry.shape)), str(entry.dtype))
        table.add_row(Text(name), shape, dtype)
    console.print(table)
    cubes = [name for name, entry in found.arrays.items() if entry is None or len(entry.shape) == 3]
    if cubes:
        largest = max(cubes, key=lambda name: 0 if (e := found.arrays[name]) is None else math.prod(e.shape))
        words = shlex.quote(f"{found.source}:{largest}")
        console.print(f"\nName the one you mean as FILE:ARRAY: hyperseg info {words}", markup=False, soft_wrap=True)
        cube = found.arrays[largest]
        if cube is not None and (fits := _label_arrays(found, cube.shape)):
            drawn = shlex.quote(f"{found.source}:{fits[0]}")
            console.print(f"With labels: hyperseg classify {words} --labels {drawn}", markup=False, soft_wrap=True)
    else:
        console.print("\nNone of them is a cube (rows, columns, bands).")


def _label_arrays(found: Inspection, shape: Sequence[int]) -> list[str]:
    """Arrays of the file that may be the labels of a cube of this shape, in whatever order of its axes."""
    flat = {name: entry.shape for name, entry in found.arrays.items() if entry is not None and len(entry.shape) == 2}
    return [
        name for name, size in flat.items() if tuple(size) in (tuple(shape[:2]), tuple(shape[1:]), tuple(shape[::2]))
    ]


def _facts(found: Inspection) -> dict[str, str]:
    """What there is to say about a scene, line by line."""
    from hyperseg.core.groups import in_words
    from hyperseg.io.look.survey import RULES
    from hyperseg.recipes.inspect import corners, cube_bytes, pixel_size, scale_hint, size_km

    scene, seen = found.scene, found.survey
    if scene is None or seen is None:
        return {}
    rows, columns = scene.shape[:2]
    km, pixel, around = size_km(scene), pixel_size(scene.grid), corners(scene)
    low, p2, middle, p98, high = seen.values
    facts = {
        "size": f"{rows} rows x {columns} columns" + (f", {km[0]:.4g} x {km[1]:.4g} km" if km else ""),
        "bands": f"{scene.n_bands} of {np.dtype(scene.cube.dtype).name}, {_bytes(cube_bytes(scene))}",
        "wavelengths": _wavelengths(scene),
        "values": f"{low:.5g} to {high:.5g}; 2 % below {p2:.5g}, median {middle:.5g}, 98 % below {p98:.5g}",
        "no data": _empty(scene, seen.empty),
        "scale": _scale(scene) or scale_hint(scene, seen) or "not stated",
        "CRS": _crs(scene.grid.crs),
        "pixel": f"{pixel['height']:.6g} x {pixel['width']:.6g} {pixel['unit']}" if pixel else "size unknown",
        "corners": " ".join(f"({x:.8g}, {y:.8g})" for x, y in around) if around else "unknown",
        "bad bands": _bands([] if scene.good_bands is None else np.flatnonzero(~scene.good_bands).tolist()),
        "suspicious": "none",
        "looked at": f"{thousands(seen.pixels)} pixels",
    }
    doubts = [
        f"{name}: {_bands(which)} ({RULES[name]})"
        for name, which in (("noisy", seen.noisy), ("saturated", seen.saturated))
        if which
    ]
    if doubts:
        facts["suspicious"] = "; ".join(doubts)
    if scene.labels is not None:
        count = int(scene.labelled().sum())
        facts["labelled"] = f"{count} pixels in {scene.n_classes} classes"
    if scene.groups is not None:
        facts["groups"] = in_words(scene.groups.table(scene.classes))
    if found.arrays:
        facts["arrays"] = some(found.arrays, 12)
    return facts


def _wavelengths(scene: Scene) -> str:
    known = scene.wavelengths_nm
    if known is None:
        return "unknown"
    spacing = (known.max() - known.min()) / max(len(known) - 1, 1)
    return f"{known.min():.1f} to {known.max():.1f} nm, {spacing:.1f} nm apart on average"


def _empty(scene: Scene, share: float) -> str:
    how = {"file": "declared", "given": "given", "found": "found, not declared", "run": "of the run"}[scene.nodata_by]
    value = "no value for it but NaN" if scene.nodata is None else f"value {scene.nodata:g}, {how}"
    more = ", and a mask" if scene.mask is not None else ""
    return f"{100 * share:.1f} % of the pixels looked at ({value}{more})"


def _scale(scene: Scene) -> str | None:
    if scene.scale is None:
        return None
    return "reflectance" if scene.scale == 1 else f"reflectance x {scene.scale:g}"


def _crs(crs: str | None) -> str:
    return "unknown" if crs is None else one_line(crs, 61)


def _shown(scene: Scene, bands: tuple[int, ...]) -> str:
    text = f"red, green, blue = bands {', '.join(map(str, bands))}"
    if scene.wavelengths_nm is None:
        return text
    return f"{text} ({', '.join(f'{scene.wavelengths_nm[b]:.0f}' for b in bands)} nm)"


def _bands(which: Sequence[int]) -> str:
    """Band numbers, counted from 0, with runs shortened."""
    return f"{len(which)} (counted from 0: {runs(which)})" if len(which) else "none"


def _bytes(n: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:.4g} {unit}" if unit != "bytes" else f"{n} bytes"
        n = n / 1024  # type: ignore[assignment]
    raise ValueError(n)
