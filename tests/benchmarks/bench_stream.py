"""Scenes larger than memory: rate, peak memory, kill and resume, a cluster.

    python tests/benchmarks/bench_stream.py rate --gigabytes 5
    python tests/benchmarks/bench_stream.py kill --times 20
    python tests/benchmarks/bench_stream.py workers
    python tests/benchmarks/bench_stream.py shares --gigabytes 5 --device cuda

A run of `hyperseg classify indian-pines` is made first (or given with --run). The large scene is an ENVI cube of the
real Indian Pines spectra, repeated and mirrored over rows and columns, written to --folder and removed afterwards.

rate: the same model on an array in memory, then on the file in a fresh process: pixels per second, peak resident size,
and how long reading and computing take alone: together they should take about as long as the longer one.
kill: SIGKILL at random moments, then --resume until the map is done; it must equal the uninterrupted one byte for byte.
shares: with the network and without it (its map is there at once), from the page cache: pixels per second beside what
reading alone reaches, and, on CUDA, the bus: what of a machine is used.
workers: one process, two Dask workers, two of which one is killed: the same bytes.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from hyperseg.core import Decisions, Scene
from hyperseg.core.runtime import Runtime
from hyperseg.engine import choose_device
from hyperseg.io.catalog import load_card, open_card
from hyperseg.io.read import read_scene
from hyperseg.recipes.mapping.apply import Cluster, apply_run
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.run.load import load_run

MAP = """
import resource, sys, time
from pathlib import Path
from hyperseg.io.read import read_scene
from hyperseg.recipes.mapping.apply import apply_run
scene = read_scene(sys.argv[2])
start = time.perf_counter()
options = {"device": "cpu"} | eval(sys.argv[4])
apply_run(Path(sys.argv[1]), scene, out=Path(sys.argv[3]), resume=True, quiet=True, **options)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def indian_pines() -> Scene:
    return open_card(load_card("indian-pines"))


def tiled(cube: Any, rows: int, columns: int, *, at: int = 0) -> np.ndarray:
    """Rows `at` to `at` + `rows` of the scene repeated and mirrored without end."""
    h, w = cube.shape[:2]

    def fold(n: int, first: int, side: int) -> np.ndarray:
        place = (np.arange(first, first + n)) % (2 * side)
        return np.minimum(place, 2 * side - 1 - place)

    return np.asarray(cube)[np.ix_(fold(rows, at, h), fold(columns, 0, w))]


def write_scene(folder: Path, gigabytes: float, interleave: str) -> Path:
    """An ENVI cube of about this size, written in blocks of rows."""
    cube = np.asarray(indian_pines().cube)
    bands = cube.shape[2]
    columns = 4096 if gigabytes > 1 else 512
    rows = int(gigabytes * 1e9 / (columns * bands * 2))
    with (folder / "large.img").open("wb") as file:
        for at in range(0, rows, 64):
            block = tiled(cube, min(64, rows - at), columns, at=at).astype("<u2")
            (block.transpose(0, 2, 1) if interleave == "bil" else block).tofile(file)
    (folder / "large.hdr").write_text(
        f"ENVI\nsamples = {columns}\nlines = {rows}\nbands = {bands}\nheader offset = 0\n"
        f"file type = ENVI Standard\ndata type = 12\ninterleave = {interleave}\nbyte order = 0\n"
        "map info = {UTM, 1, 1, 500000, 4480000, 20, 20, 16, North, WGS-84}\n"
    )
    return folder / "large.hdr"


def map_in_a_process(run: Path, scene: Path, out: Path, **options: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", MAP, str(run), str(scene), str(out), repr(options)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[float, float]:
    answer, _ = process.communicate()
    if process.returncode:
        raise SystemExit("mapping failed")
    seconds, peak = map(float, answer.split()[-2:])
    return seconds, peak


def rate(run: Path, folder: Path, gigabytes: float, interleave: str, device: str) -> None:
    header = write_scene(folder, gigabytes, interleave)
    scene = read_scene(header)
    size = (folder / "large.img").stat().st_size / 1e9
    loaded = load_run(run)
    mapper = make_mapper(loaded, refine=False, probabilities=False, device=device)
    windows = plan_windows(scene, halo_px=mapper.halo_px)
    pixels = int(np.prod(scene.shape))
    print(f"{size:.1f} GB {interleave}, {scene.shape[0]}x{scene.shape[1]}x{scene.n_bands}, {len(windows)} windows")
    inside = Scene(tiled(indian_pines().cube, 1024, 1024), name="in memory")
    apply_run(run, inside, out=folder / "warm.tif", device=device, quiet=True)
    started = time.perf_counter()
    apply_run(run, inside, out=folder / "inside.tif", device=device, quiet=True)
    memory_rate = 1024 * 1024 / (time.perf_counter() - started)
    seconds, peak = finished(map_in_a_process(run, header, folder / "large.tif", device=device))
    started = time.perf_counter()
    for window in windows:
        np.asarray(scene.cube[window.read_slices])
    reading = time.perf_counter() - started
    chosen = windows[:: max(1, len(windows) // 8)]
    computing = 0.0
    for window in chosen:
        block = np.asarray(scene.cube[window.read_slices])
        started = time.perf_counter()
        mapper(scene, window, block)
        computing += (time.perf_counter() - started) * len(windows) / len(chosen)
    print("| what | s | px/s |\n|---|---|---|")
    print(f"| array in memory, 1024x1024 | {1024 * 1024 / memory_rate:.1f} | {memory_rate:,.0f} |")
    print(f"| file, everything | {seconds:.1f} | {pixels / seconds:,.0f} |")
    print(f"| reading all windows, nothing else | {reading:.1f} | {pixels / reading:,.0f} |")
    print(f"| computing all windows, nothing else (from {len(chosen)}) | {computing:.1f} | {pixels / computing:,.0f} |")
    print(f"\nrate of the file over rate in memory: {pixels / seconds / memory_rate:.0%}; peak RSS {peak:.0f} MiB")


class Instant:
    """A model whose decisions are there at once: what is left is everything but the network."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def decided(self, scene: Scene, runtime: Runtime, *, entropy: bool) -> Decisions:
        at = np.add.outer(np.arange(scene.shape[0]) // 37, np.arange(scene.shape[1]) // 53)
        confidence = np.random.default_rng(0).random(scene.shape, np.float32)
        return Decisions((at % self.n_classes).astype(np.int16), confidence, confidence if entropy else None)


def shares(run: Path, folder: Path, gigabytes: float, interleave: str, device: str) -> None:
    """Labels, confidence and area of applicability of a file in the page cache, beside what limits them."""
    header = write_scene(folder, gigabytes, interleave)
    scene, loaded, where = read_scene(header), load_run(run), str(choose_device(device))
    pixels, size = int(np.prod(scene.shape)), (folder / "large.img").stat().st_size
    mapper = make_mapper(loaded, refine=False, probabilities=False, device=where)
    windows = plan_windows(scene, halo_px=mapper.halo_px)

    def reading() -> None:
        for window in windows:
            np.array(scene.cube[window.read_slices])  # a small scene is a memory map

    def file_alone() -> None:
        with (folder / "large.img").open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    def mapping(model: Any, known: Any) -> None:
        changed = replace(loaded, model=model, applicability=known, fallback=None)
        with mock.patch("hyperseg.recipes.mapping.apply.load_run", return_value=changed):
            apply_run(run, scene, out=folder / "m.tif", refine=False, overwrite=True, device=where, quiet=True)

    buffer = bytearray(64 << 20)
    works: dict[str, Callable[[], None]] = {
        "the file, nothing else": file_alone,
        "its windows, nothing else": reading,
        "all but the network": lambda: mapping(Instant(loaded.model), loaded.applicability),
        "all but the network and the area of applicability": lambda: mapping(Instant(loaded.model), None),
        "everything": lambda: mapping(loaded.model, loaded.applicability),
    }
    if where.startswith("cuda"):
        there = torch.zeros(256 << 20, dtype=torch.uint8, pin_memory=True)

        def bus() -> None:
            for _ in range(-(-size // there.numel())):
                there.to(where, non_blocking=True)
            torch.cuda.synchronize(where)

        works["the bus, nothing else"] = bus
    print(f"{size / 1e9:.1f} GB {interleave}, {scene.shape[0]}x{scene.shape[1]}x{scene.n_bands}, {where}")
    print("| what | s | Mpx/s | share of reading the file |\n|---|---|---|---|")
    times = {}
    for what, work in works.items():
        work()
        started = time.perf_counter()
        work()
        times[what] = time.perf_counter() - started
        share = times["the file, nothing else"] / times[what]
        print(f"| {what} | {times[what]:.2f} | {pixels / times[what] / 1e6:.2f} | {share:.0%} |", flush=True)


def same_files(folder: Path, one: str, other: str) -> bool:
    return all(
        (folder / f"{one}{ending}").read_bytes() == (folder / f"{other}{ending}").read_bytes()
        for ending in (".tif", "-confidence.tif", ".tif.aux.xml", ".qml")
    )


def kill(run: Path, folder: Path, times: int, seed: int) -> None:
    header = write_scene(folder, 0.2, "bil")
    seconds, _ = finished(map_in_a_process(run, header, folder / "whole.tif", side=64))
    rng = random.Random(seed)
    kills = completed = equal = 0
    stored: list[int] = []
    done = folder / "killed.unfinished" / "windows.done"
    while kills < times:
        process = map_in_a_process(run, header, folder / "killed.tif", side=64)
        try:
            process.wait(rng.uniform(0.5, 3.0 + seconds / 4))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            stored.append(done.read_bytes().count(1) if done.exists() else 0)
            if not (folder / "killed.tif").exists():
                continue
        completed += 1
        equal += same_files(folder, "whole", "killed")
        (folder / "killed.tif").unlink()
    finished(map_in_a_process(run, header, folder / "killed.tif", side=64))
    completed += 1
    equal += same_files(folder, "whole", "killed")
    print(f"{kills} kills (windows stored at each: {stored}); {completed} maps completed, {equal} equal byte for byte")


def workers(run: Path, folder: Path) -> None:
    from distributed import LocalCluster

    header = write_scene(folder, 0.2, "bil")
    one, _ = finished(map_in_a_process(run, header, folder / "one.tif", side=64))
    scene = read_scene(header)
    how: dict[str, Any] = {"side": 64, "device": "cpu", "quiet": True}
    started = time.perf_counter()
    apply_run(run, scene, out=folder / "two.tif", cluster=Cluster(workers=2), **how)
    two = time.perf_counter() - started
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as there:
        kept: list[int] = []

        def killing(number: int) -> None:
            kept.append(number)
            if len(kept) == 40:
                os.kill(next(iter(there.workers.values())).pid, signal.SIGKILL)

        address = Cluster(there.scheduler_address)
        apply_run(run, scene, out=folder / "three.tif", cluster=address, on_window=killing, **how)
    print(f"one process {one:.1f} s; two workers, starting them included, {two:.1f} s")
    print("two workers: same bytes:", same_files(folder, "one", "two"))
    print("two workers, one killed: same bytes:", same_files(folder, "one", "three"))


@contextmanager
def made_run(run: Path | None, folder: Path) -> Iterator[Path]:
    if run is None:
        run = folder / "run"
        words = ["classify", "indian-pines", "--repeats", "1", "--refine", "none", "--out", str(run), "--quiet"]
        subprocess.run([sys.executable, "-m", "hyperseg", *words], check=True, stdout=subprocess.DEVNULL)
    yield run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rate", "kill", "workers", "shares"))
    parser.add_argument("--run", type=Path, help="a finished run of Indian Pines; made anew without")
    parser.add_argument("--folder", type=Path, help="where the scene is written; a temporary one without")
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--interleave", choices=("bil", "bip"), default="bil")
    parser.add_argument("--device", default="cpu", help="of rate and shares")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, made_run(options.run, Path(name)) as run:
        match options.what:
            case "rate":
                rate(run, Path(name), options.gigabytes, options.interleave, options.device)
            case "shares":
                shares(run, Path(name), options.gigabytes, options.interleave, options.device)
            case "kill":
                kill(run, Path(name), options.times, options.seed)
            case "workers":
                workers(run, Path(name))


if __name__ == "__main__":
    main()
