"""Peak memory of streamed inference: a small and a sixteen times larger scene, read lazily, in fresh processes.

    python tests/benchmarks/bench_memory.py

Writes two ENVI cubes (85 MB and 1.4 GB) to a temporary folder, trains nothing (random weights), and maps each with
`hyperseg map`'s code in a process of its own; prints the peak resident size of each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = {"610x340x103": (610, 340, 103), "2440x1360x103": (2440, 1360, 103)}

CHILD = """
import resource, sys, time
from pathlib import Path
import numpy as np
from hyperseg.data.preprocess import Preprocess
from hyperseg.data.read import read_scene
from hyperseg.hsi.networks import NetworkSpec, build_network
from hyperseg.recipes.apply import LoadedRun, map_windows
scene = read_scene(sys.argv[1])
keep = np.ones(103, bool)
preprocess = Preprocess(keep, np.zeros(103, np.float32), np.ones(103, np.float32))
names = tuple(f"class {k}" for k in range(9))
net = build_network(NetworkSpec("cnn3d", 103, 9), seed=0).eval()
run = LoadedRun(net, preprocess, names, ((0, 0, 0),) * 9, ("cnn3d",), None, None, "benchmark")
start = time.perf_counter()
map_windows(run, scene, out=Path(sys.argv[2]), device="cpu", quiet=True)
seconds = time.perf_counter() - start
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds)
"""


def write_cube(path: Path, shape: tuple[int, int, int]) -> Path:
    """An ENVI cube (BIP, float32) written row by row."""
    rng = np.random.default_rng(0)
    with path.with_suffix(".img").open("wb") as file:
        for _ in range(shape[0]):
            rng.random(shape[1:], np.float32).tofile(file)
    header = path.with_suffix(".hdr")
    header.write_text(
        f"ENVI\nsamples = {shape[1]}\nlines = {shape[0]}\nbands = {shape[2]}\nheader offset = 0\n"
        "file type = ENVI Standard\ndata type = 4\ninterleave = bip\nbyte order = 0\n"
    )
    return header


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in SIZES.items():
            header = write_cube(Path(folder) / name, shape)
            started = time.perf_counter()
            command = [sys.executable, "-c", CHILD, str(header), str(Path(folder) / f"{name}.tif")]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[name], seconds = map(float, found.stdout.split()[-2:])
            whole = time.perf_counter() - started
            print(f"{name}: peak RSS {peaks[name]:.0f} MB, mapping {seconds:.1f} s, process {whole:.1f} s")
    small, large = peaks.values()
    print(f"growth {100 * (large / small - 1):+.1f} % for 16 times the pixels")


if __name__ == "__main__":
    main()
