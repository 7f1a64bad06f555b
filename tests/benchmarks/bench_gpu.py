"""What a card does, beside the CPU of the same machine and what bounds it: a Markdown table for docs/benchmarks.md.

    python tests/benchmarks/bench_gpu.py                    # all but whole runs, under four minutes
    python tests/benchmarks/bench_gpu.py --runs             # and `hyperseg classify`, some minutes more
    python tests/benchmarks/bench_gpu.py --only map,crf
    python tests/benchmarks/bench_gpu.py --quick            # everything smaller: does it run?

Times are medians after one run to warm up; what takes the CPU seconds runs once. *Floor* is what the card cannot do
without: the cube's bytes from page-locked memory over the bus; the network alone, on float32 blocks that lie on the
card (the best of some shapes); the file's bytes from the page cache. The share is that of the largest of them in the
time on the card. *staging* does not count: the copy of the cube into page-locked memory, which one that lies there
already does not need. Without CUDA its columns are empty. rasterio is needed only where maps are written, tensorly for
Indian Pines: without it a simulated scene of that size is taken.

Each group runs in a process of its own: one that fails or hangs takes no other with it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from bench_speed import scenes
from gpu_rows import CARD, Case, Found, Row, attempt, bus_seconds, heading, joined, on_card, read_seconds, seconds

from hyperseg.core import HypersegError, Scene
from hyperseg.core.runtime import Precision, Runtime
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.engine import choose_precision
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.simulated.scenes import toy_scene

ROOT = Path(__file__).resolve().parents[2]
STEPS = {"cuda": (100, 600), "cpu": (20, 40)}  # of two trainings: their difference is what steps take
FITS = {"cuda": 3, "cpu": 0}  # timed runs of what takes long everywhere
RUN_LIMIT_S = 300


def bench_scenes(options: argparse.Namespace) -> tuple[Scene, Scene]:
    """Indian Pines, or a simulated scene of its size; and a random cube of the size of Pavia University."""
    try:
        pines, pavia = scenes()
    except HypersegError:  # no tensorly here
        pines = replace(toy_scene(shape=(145, 145), n_bands=200, n_classes=16), name="simulated 145x145x200")
        cube = np.random.default_rng(0).normal(size=(610, 340, 103)).astype(np.float32)
        names = tuple(f"class {k}" for k in range(9))
        pavia = Scene(cube, classes=names, colours=((0, 0, 0),) * 9, name="610x340x103")
    if options.quick:
        pines = replace(toy_scene(shape=(48, 48)), name="simulated 48x48x20")
        pavia = replace(pavia, cube=np.asarray(pavia.cube)[:96, :80], name="96x80x103")
    return pines, pavia


def map_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Cubes in memory."""
    pines, base = bench_scenes(options)
    if options.scene is not None:
        pines = replace(base, cube=np.load(options.scene, mmap_mode="r"), name=options.scene.name)
    whole = (np.clip(np.asarray(base.cube), -5, 5) * 3000 + 16000).astype(np.int16)
    n = 2 if options.quick else 4
    for kind, cube in (("int16", whole), ("float32", np.asarray(base.cube))):
        part = replace(base, cube=cube)
        large = Case.of(replace(base, cube=np.tile(cube, (n, n, 1))), like=part)
        size, floors = "x".join(map(str, large.scene.cube.shape)), large.floors()
        goal = "60 Mpx/s, 60 % of the floor" if kind == "int16" else ""
        yield Row(f"map {size} {kind} -> probabilities", large.probs, goal, floors, large.pixels)
        if kind == "int16":
            yield Row(f"map {size} {kind} -> labels, confidence", large.decisions, goal, floors, large.pixels)
            yield Row("peak device memory of the map", on_card(large.peak), "2 GiB")
            few = Case.of(part)
            yield Row(f"{base.name} {kind}, CUDA against CPU", on_card(partial(few.apart, tf32=False)), "1e-4")
            yield Row("the same, TF32 allowed outside", on_card(partial(few.apart, tf32=True)), "1e-4")
    for scene in (base, pines):
        case = Case.of(scene)
        yield Row(f"map {scene.name}", case.probs, "", case.floors(), case.pixels)


def crf_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Mean field on a grid with a table per edge, and the fully connected CRF."""
    from bench_dense_crf import make_scene

    from hyperseg.crf.dense import refine, weighted_kernels
    from hyperseg.crf.grid import offsets
    from hyperseg.crf.meanfield import infer
    from hyperseg.crf.settings import DenseCRF, MeanField
    from hyperseg.filters.kernels import Kernels

    h, w, k = (96, 80, 9) if options.quick else (610, 340, 9)
    rng = torch.Generator().manual_seed(0)
    unary = torch.randn(k, h, w, generator=rng)
    tables = {o: torch.empty(k, k, h - abs(o[0]), w - abs(o[1])).normal_(0, 0.3, generator=rng) for o in offsets(1)}

    def sweeps(device: str) -> Found:
        there = {o: table.to(device) for o, table in tables.items()}
        return seconds(partial(infer, unary.to(device), there, settings=MeanField(10), warn=False), device)

    yield Row(f"mean field, 10 sweeps, {h}x{w}x{k}", sweeps)
    map_, guide, _ = make_scene(h, w, k, 10.0)
    dense = DenseCRF(iterations=10)

    def build(device: str) -> Kernels:
        kernels = Kernels(guide, device=device)
        weighted_kernels(kernels, dense)  # they are made when first asked for
        return kernels

    def both(device: str) -> Found:
        return seconds(lambda: refine(map_, guide, dense, kernels=build(device)), device)

    def iterations(device: str) -> Found:
        return seconds(partial(refine, map_, guide, dense, kernels=build(device)), device)

    yield Row(f"dense CRF {h}x{w}x{k}, build and 10 iterations", both, "25 ms")
    yield Row("of that, build", lambda device: seconds(partial(build, device), device))
    yield Row("of that, 10 iterations", iterations)


def step_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Training, by whole fits: what is in them is not looked at."""
    scene, _ = bench_scenes(options)
    labels = scene.labels
    assert labels is not None

    def fit(method: str, split: str, device: str, precision: Precision, **changes: Any) -> Callable[[], object]:
        settings = RunSettings(method=method).with_({f"{method}.{name}": n for name, n in changes.items()})
        task = Task((scene,), (make_split(split, labels, scene.n_classes, seed=0),))
        runtime = Runtime(device=device, precision=precision, quiet=True)
        return partial(settings.chosen.fit, task, settings.method_settings, runtime)

    def step(method: str, precision: Precision, device: str) -> Found:
        if device == "cpu" and precision == "bf16" != choose_precision(device):
            return "emulated"
        few, many = (20, 40) if options.quick else STEPS[device]
        split = "random_per_class:20"
        short, long = (fit(method, split, device, precision, epochs=1, min_steps=n) for n in (few, many))
        # the short one warms up for both
        took = seconds(short, device, {"cuda": 3, "cpu": 1}), seconds(long, device, FITS)
        spent = (took[1] - took[0]) / (many - few)
        return spent if spent > 0 else "drowned in other work"

    def whole(device: str) -> Found:
        short = {"epochs": 1} if options.quick else {}
        return seconds(fit("cnn3d", "parcels", device, choose_precision(device), **short), device, FITS)

    for precision in ("fp32", "bf16"):
        yield Row(f"training step of cnn3d, batch 64, {precision}", partial(step, "cnn3d", precision), "0.6 ms")
    yield Row(f"training cnn3d on {scene.name}, parcels, whole fit", whole)
    for precision in ("fp32", "bf16"):
        yield Row(f"training step of gan, {precision}", partial(step, "gan", precision))


def file_rows(options: argparse.Namespace) -> Iterator[Row]:
    """`hyperseg map` of an ENVI file that lies in the page cache: opened, mapped, written."""
    rows, columns, bands = (192, 160, 103) if options.quick else (2440, 1360, 103)
    trained = toy_scene(shape=(64, 64), n_bands=bands, n_classes=4)
    trained = replace(trained, cube=(1e4 * np.asarray(trained.cube)).astype(np.int16))
    tile = np.tile(np.asarray(trained.cube), (1, -(-columns // 64), 1))[:, :columns]

    @cache
    def run_of(split: str) -> Path:
        """A run of few steps; one of few labels knows no area of applicability, and writes no layer of it."""
        from hyperseg.recipes.run.classify import classify

        settings = RunSettings(split=split, baselines=(), refine=(), repeats=1).with_({"epochs": 1, "min_steps": 20})
        out = options.folder / split.replace(":", "-")
        return classify(trained, settings, out=out, device="cpu", quiet=True, pictures=False)[0].root

    def mapped(device: str, *, header: Path, split: str) -> Found:
        importlib.import_module("rasterio")
        from hyperseg.io.read import read_scene
        from hyperseg.recipes.mapping.apply import apply_run

        run, out = run_of(split), options.folder / "map.tif"
        how: dict[str, Any] = {"refine": False, "device": device, "overwrite": True, "quiet": True}
        return seconds(lambda: apply_run(run, read_scene(header), out=out, **how), device, FITS)

    few, more = "random_per_class:2", "random_per_class:20"
    for interleave, split, layers in (("bip", few, ""), ("bil", few, ""), ("bil", more, ", applicability")):
        header = write_envi(options.folder / f"{interleave}.img", tile, rows, interleave)
        data = header.with_suffix(".img")
        floors: dict[str, Callable[[], Found]] = {"disk": partial(read_seconds, data)}
        if CARD:
            floors["bus"] = partial(bus_seconds, np.memmap(data, np.int16, "r", shape=(rows, columns * bands)))
        text = (
            f"`hyperseg map`, {interleave} file {rows}x{columns}x{bands} int16 -> files of labels, confidence{layers}"
        )
        goal = "" if layers else "20 Mpx/s"
        yield Row(text, partial(mapped, header=header, split=split), goal, floors, rows * columns)


def write_envi(data: Path, tile: np.ndarray, rows: int, interleave: str) -> Path:
    """A cube of the tile's rows again and again, unless it is there; its header's path."""
    if not data.exists():
        block = np.ascontiguousarray(tile.transpose(0, 2, 1) if interleave == "bil" else tile, "<i2")
        with data.open("wb") as file:
            for start in range(0, rows, len(tile)):
                file.write(block[: rows - start].tobytes())
    header = data.with_suffix(".hdr")
    header.write_text(
        f"ENVI\nsamples = {tile.shape[1]}\nlines = {rows}\nbands = {tile.shape[2]}\nheader offset = 0\n"
        f"file type = ENVI Standard\ndata type = 2\ninterleave = {interleave}\nbyte order = 0\n"
        "map info = {UTM, 1, 1, 500000, 4480000, 20, 20, 16, North, WGS-84}\n"
    )
    return header


def run_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Whole runs of the command line, starting Python included."""
    gan, deep = "--method gan --split random_total:300", "--method deep-crf --split random_fraction:0.1"
    once = " --repeats 1"
    for words, goal in (("", "8 s, networks 2 s"), (f" {gan}{once}", "15 s"), (f" {deep}{once}", "15 s")):
        command = f"classify indian-pines{words}"
        yield Row(f"`hyperseg {command}`", partial(whole_run, options.folder, command), goal)


def whole_run(folder: Path, command: str, device: str) -> Found:
    """Seconds of a run, and of the parts it tells of."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        words = [sys.executable, "-m", "hyperseg", *command.split(), "--device", device, "--out", "run", "--quiet"]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        started = perf_counter()
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, cwd=name, env=os.environ | {"PYTHONPATH": path},
                timeout=RUN_LIMIT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"more than {RUN_LIMIT_S} s"
        took = perf_counter() - started
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"ended with {done.returncode}")
        told = json.loads(Path(name, "run", "metrics.json").read_text())
    parts = [f"{part} {s:.2g}" for part, s in told["times_s"].items() if s >= 0.1]
    training = told.get("training") or {}
    if training.get("steps"):
        parts.append(f"a training step {1e3 * training['seconds'] / training['steps'][-1]:.2g} ms")
    return f"{took:.3g} s ({', '.join(parts)})"


GROUPS = {"map": map_rows, "crf": crf_rows, "step": step_rows, "file": file_rows, "runs": run_rows}


def print_rows(options: argparse.Namespace) -> str:
    for row in GROUPS[options.rows](options):
        print(row.line(cpu_too=not options.card_only), flush=True)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"groups of rows: some of {','.join(GROUPS)}")
    parser.add_argument("--runs", action="store_true", help="whole runs of `hyperseg classify` too")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--card-only", action="store_true", help="leave out the CPU")
    parser.add_argument("--scene", type=Path, help="a (rows, columns, bands) .npy file in the place of Indian Pines")
    parser.add_argument("--folder", type=Path, help="where files are written for a while; without, the system's own")
    parser.add_argument("--limit", type=float, default=100, help="seconds after which a group of rows is stopped")
    parser.add_argument("--rows", choices=GROUPS, help=argparse.SUPPRESS)  # of one group, in this process
    options = parser.parse_args()
    if options.rows:
        if why := attempt(partial(print_rows, options)):
            print(joined(f"{options.rows}, the rest", str(why)), flush=True)
        return
    chosen = options.only.split(",") if options.only else [n for n in GROUPS if n != "runs" or options.runs]
    if unknown := sorted(set(chosen) - set(GROUPS)):
        parser.error(f"there is no group {', '.join(unknown)}: choose from {','.join(GROUPS)}.")
    print(heading(), flush=True)
    began = perf_counter()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for group in chosen:
            words = [sys.executable, __file__, *sys.argv[1:], "--rows", group, "--folder", folder]
            try:
                code = subprocess.run(words, timeout=None if group == "runs" else options.limit).returncode
                why = f"ended with code {code}" if code else ""
            except subprocess.TimeoutExpired:
                why = f"stopped after {options.limit:g} s"
            if why:
                print(joined(f"{group}, the rest", why), flush=True)
    print(f"\n{perf_counter() - began:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
