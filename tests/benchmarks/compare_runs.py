"""The same command lines with two checkouts: are the results the same, bit for bit?

    python tests/benchmarks/compare_runs.py BEFORE [AFTER] [--only TEXT] [--quick] [--keep FOLDER]

BEFORE is a checkout or a git revision, AFTER a checkout (default: the one this script lies in). Compared are
all GeoTIFFs with palette, class names and tags, areas.csv, and the results in metrics.json. What was under
`refiners`, `training`, `gan` may have moved: "moved: KEY" is printed, its numbers must be found elsewhere.
Not compared: times, memory, versions, pictures, report, files of the model. With --keep the results of BEFORE
are used again the next time (by commit and command; never of edited files), those of AFTER stay until then.
Exit status 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

METHODS = ("cnn3d", "ssrn", "hybrid", "gan", "twin", "deep-crf", "svm", "rf")
CLASSICAL = ("svm", "rf")  # have no epochs
CHAIN = "--refine deep-crf --refine deconv"
BOTH = ("", "--refine --entropy --side 16")  # options of the maps made with a finished run
EXACT = ("steps", "OA", "AA", "kappa", "confusion", "split", "areas")
MAY_MOVE = ("refiners", "training", "gan")
IGNORED = ("seconds", "times_s", "peak_rss_mb", "versions")
COMPARED = (".tif", ".csv", ".qml", ".xml")
LONGEST_S = 3600  # that a command may take
WORKERS = 2
TOLD = {0, 2}  # exit codes: all is well, a message to the user; others are crashes
SHOWN = 12  # differences of a case
Outcome = tuple[list[str], list[str]]  # differences; notes

TOY = """
import numpy as np
from hyperseg.data.synthetic import toy_scene
scene = toy_scene(shape=(24, 21), n_bands=32)
rows, columns = np.indices(scene.labels.shape)
np.save("cube.npy", scene.cube)
np.save("gt.npy", scene.labels + 1)
np.save("train.npy", ((rows + 2 * columns) % 5 == 0).astype(np.uint8))
np.save("test.npy", ((rows + 2 * columns) % 5 > 1).astype(np.uint8))
np.save("pool.npy", (columns < 14).astype(np.uint8))
"""
WHERE = "import hyperseg; print(hyperseg.__file__)"


@dataclass(frozen=True)
class Case:
    """A run, named by the words of `hyperseg classify`, and maps made with it, by their options."""

    words: str
    maps: tuple[str, ...] = ()
    quick: bool = False

    @property
    def commands(self) -> list[list[str]]:
        maps = [f"map run cube.npy --out map{i}.tif {more} --quiet" for i, more in enumerate(self.maps)]
        return [c.split() for c in (f"classify {self.words} --out run --quiet", *maps)]


def toy(
    method: str, more: str = "", *, split: str = "random_per_class:30", repeats: int = 1, short: bool = True,
    **kind: Any,
) -> Case:  # fmt: skip
    """A case on the toy scene; `short`: one epoch where the method has any, not as many as are usual."""
    epochs = "--epochs 1" if short and method not in CLASSICAL else ""
    words = f"cube.npy --labels gt.npy --method {method} --split {split} --repeats {repeats} {epochs} {more}"
    return Case(" ".join(words.split()), **kind)


def all_cases() -> Iterator[Case]:
    for method in ("cnn3d", "gan", "deep-crf"):
        yield Case(f"indian-pines --method {method} --repeats 1 --epochs 1")
    for method in METHODS:
        yield toy(method, maps=BOTH, quick=True)
        yield toy(method, "--refine none", short=False)
        yield toy(method, "--refine dense-crf --baseline lda --baseline rf --seed 3")
        yield toy(method, "--refine deep-crf")
        yield toy(method, "--refine deconv")
        if method != "deep-crf":  # whose default it is
            yield toy(method, CHAIN, maps=BOTH[1:] if method in ("cnn3d", "svm") else ())
    yield from option_cases()
    yield from split_cases()


def option_cases() -> Iterator[Case]:
    for variant in ("ss", "spc", "spa", "conv"):
        yield toy("gan", f"--variant {variant} --refine none")
    yield toy("twin", "--variant spa --refine none")
    yield toy("gan", "--conditional", maps=BOTH[:1], quick=True)
    yield toy("gan", "--unconditional --pool pool.npy")
    yield toy("gan", "--conditional --pool pool.npy --refine none", short=False)
    for groups in ("equal", "correlation", "gaps"):  # gaps: refused, the scene has no wavelengths
        yield toy("deep-crf", f"--groups {groups}")
    yield toy("cnn3d", "--groups equal --refine deconv")
    yield toy("cnn3d", "--groups equal")  # refused
    yield toy("deep-crf", "--joint", maps=BOTH[1:])
    yield toy("cnn3d", "--joint --refine deep-crf", quick=True)
    yield toy("gan", "--joint --refine deep-crf")  # refused
    for method in ("cnn3d", "ssrn", "hybrid", "deep-crf"):
        yield toy(method, "--illumination 0.05", maps=BOTH[:1] if method == "cnn3d" else ())
    for method in ("cnn3d", "ssrn", "hybrid", "gan", "twin", "deep-crf"):
        refiners = "--refine deep-crf" if method == "deep-crf" else "--refine none"
        yield toy(method, f"--flips {refiners}", maps=BOTH[:1] if method == "ssrn" else ())
        if method != "hybrid":
            yield toy(method, f"--window 5 {refiners}", maps=BOTH[1:] if method == "cnn3d" else ())
    yield toy("cnn3d", "--joint --flips --refine deep-crf --refine dense-crf", maps=BOTH[1:])
    yield toy("cnn3d", "--crf-engine pydensecrf")  # refused where that is not installed
    yield toy("cnn3d", "--baseline svm --baseline rf --baseline lda", repeats=2, quick=True)
    for method in ("gan", "deep-crf", "svm", "rf"):
        yield toy(method, "--seed 7", repeats=2)


def split_cases() -> Iterator[Case]:
    masks = ("--train-mask train.npy --test-mask test.npy", "--train-mask train.npy")
    splits = ("parcels", "blocks:8,guard=2", "random_fraction:0.2", "random_per_class:20", "random_total:60")
    for split, more in (*((s, "") for s in splits), *(("fixed", m) for m in masks)):
        yield toy("cnn3d", more, split=split, quick=True)
    for split, more in (("parcels", ""), ("blocks:8,guard=2", ""), ("fixed", masks[0])):
        yield toy("svm", f"{more} --refine deconv", split=split)
    yield toy("gan", split="parcels")
    yield toy("deep-crf", split="random_fraction:0.2")


def python(checkout: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the package of a checkout, on one thread and without a GPU."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PYTHONHOME")}
    kept |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": LONGEST_S}
    return subprocess.run([sys.executable, *words], cwd=folder, env=kept, **how)


def run_case(case: Case, checkout: Path, data: Path, folder: Path) -> dict[str, Any]:
    """Run the commands of a case in `folder` up to one that fails; or what an earlier call found there."""
    state = folder / "state.json"
    if state.exists() and (known := json.loads(state.read_text()))["commands"] == case.commands:
        return known
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(data, folder)  # relative names: messages must not tell where the folder is
    found: dict[str, Any] = {"commands": case.commands, "codes": [], "message": ""}
    for words in case.commands:
        done = python(checkout, folder, "-m", "hyperseg", *words)
        found["codes"].append(done.returncode)
        if done.returncode:
            found["message"] = done.stderr.strip()
            break
    for large in (*folder.rglob("*.safetensors"), *folder.rglob("report.html"), *folder.rglob("*.png")):
        large.unlink()
    if found["codes"][-1] in TOLD:
        state.write_text(json.dumps(found))
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, JSON) of every value in nested dicts and lists, and (path#, length) of every list."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in IGNORED:
                yield from leaves(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield f"{path}#", str(len(value))
        for i, part in enumerate(value):
            yield from leaves(part, f"{path}[{i}]")
    else:
        number = isinstance(value, int) and not isinstance(value, bool)
        yield path, json.dumps(float(value) if number else value)  # 0 and 0.0 are the same number


def stays(path: str, value: str) -> bool:
    """Whether a value must be found again after its key has moved: numbers, and why a training ended."""
    return path.endswith("ended") or not (path.endswith("#") or value[0] in '"ntf')


def compare_metrics(old: dict[str, Any], new: dict[str, Any]) -> Outcome:
    """Values of the same path; those that have moved, as numbers found anywhere that is new."""
    before, after = dict(leaves(old)), dict(leaves(new))
    found, notes = [], []
    if list(old["steps"]) != list(new.get("steps", ())):
        found.append(f"steps: {list(old['steps'])} -> {list(new.get('steps', ()))}")
    fresh = Counter(value for path, value in after.items() if path not in before and stays(path, value))
    for key in EXACT + MAY_MOVE:
        mine = dict(leaves(old[key], key))
        theirs = dict(leaves(new[key], key)) if key in new else {}
        gone = [p for p in mine if p not in theirs]
        found += [f"{p}: {v} -> {theirs[p]}" for p, v in mine.items() if theirs.get(p, v) != v]
        if key in EXACT:
            found += [f"{p}: {mine[p]} -> absent" for p in gone]
        elif moved := [p for p in gone if mine[p] != "null" and not p.endswith("#")]:
            notes.append(f"moved: {key} ({len(moved)} of {len(mine)} values, first {moved[0]})")
            wanted = Counter(mine[p] for p in moved if stays(p, mine[p]))
            lost = list((wanted - fresh).elements())
            fresh -= wanted
            found += [f"{key}: {len(lost)} moved values not found, such as {lost[:4]}"] if lost else []
        if added := [p for p in theirs if p not in mine]:
            notes.append(f"new: {len(added)} values under {key}, first {added[0]}")
    return found, notes


def raster_facts(file: Path) -> tuple[np.ndarray, dict[str, str]]:
    with rasterio.open(file) as raster:
        coloured = [i for i in raster.indexes if raster.colorinterp[i - 1].name == "palette"]
        facts: dict[str, Any] = {"palette": {i: raster.colormap(i) for i in coloured}}
        facts |= {f"tags {i}": raster.tags(i) for i in (0, *raster.indexes)}
        facts |= {"names": raster.descriptions} | raster.profile  # type, size, no data, grid, compression
        return raster.read(), {name: str(fact) for name, fact in facts.items()}


def compare_files(old: Path, new: Path) -> list[str]:
    """What differs between two files of one name: rasters by pixels and facts, others by bytes."""
    if old.read_bytes() == new.read_bytes():
        return []
    if old.suffix != ".tif":
        return [f"{old.name}: other text"]
    (a, facts), (b, others) = raster_facts(old), raster_facts(new)
    found = [f"{old.name} {k}: {v} -> {others.get(k)}" for k, v in facts.items() if others.get(k) != v]
    if (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() != b.tobytes():
        n = int((a.view(f"u{a.itemsize}") != b.view(f"u{b.itemsize}")).sum())
        apart = np.nanmax(np.abs(a.astype(np.float64) - b))
        found.append(f"{old.name}: {n} of {a.size} pixels differ, by {apart:.3g} at most")
    return found


def compare_folders(old: Path, new: Path) -> Outcome:
    """All that two runs of a case have left."""
    files = {p.relative_to(root) for root in (old, new) for p in root.rglob("*") if p.suffix in COMPARED}
    found: list[str] = []
    notes: list[str] = []
    for name in sorted(files | {p.relative_to(old) for p in old.rglob("metrics.json")}):
        a, b = old / name, new / name
        if not (a.exists() and b.exists()):
            found.append(f"{name}: only {'before' if a.exists() else 'after'}")
        elif name.name == "metrics.json":
            more, notes = compare_metrics(json.loads(a.read_text()), json.loads(b.read_text()))
            found += more
        else:
            found += compare_files(a, b)
    return found, notes


def compare_case(case: Case, checkouts: list[Path], data: Path, folders: list[Path]) -> Outcome:
    """Run a case with both checkouts, or take up what is known of it, and compare."""
    name = "_".join(case.words.replace("--", "").replace(":", "").split())
    roots = [folder / name for folder in folders]
    old, new = (run_case(case, c, data, r) for c, r in zip(checkouts, roots, strict=True))
    if not {*old["codes"], *new["codes"]} <= TOLD:
        return [f"crash {which['codes']}: {which['message'][-300:]}" for which in (old, new)], []
    found, notes = compare_folders(*roots)
    found += [f"codes: {old['codes']} -> {new['codes']}"] if old["codes"] != new["codes"] else []
    refused = [f"both refuse: {which['message']}" for which in (old, new) if which["message"]]
    return found, notes + refused


def git(checkout: Path, *words: str) -> str:
    done = subprocess.run(["git", "--no-optional-locks", "-C", str(checkout), *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else sys.exit(done.stderr)


def cached_as(checkout: Path) -> str | None:
    """Name for results of a checkout that may be kept; None for one that is no commit."""
    if (checkout / ".git").exists() and not git(checkout, "status", "--porcelain"):
        return f"before-{git(checkout, 'rev-parse', '--short=12', 'HEAD')}"
    print(f"{checkout}: is not exactly a commit, its results are not kept")
    return None


def compare_all(cases: list[Case], checkouts: list[Path], temporary: Path, keep: Path | None) -> int:
    """Print a line per case; returns how many differ."""
    data = temporary / "data"
    data.mkdir()
    for checkout, code in zip(checkouts, (TOY + WHERE, WHERE), strict=True):  # BEFORE makes the scene of both
        done = python(checkout, data, "-c", code)
        if Path(done.stdout.strip()).parent != checkout / "hyperseg":
            sys.exit(f"{checkout}: its package is not the one imported: {done.stdout}{done.stderr}")
    known = None if keep is None else cached_as(checkouts[0])
    kept = temporary if keep is None else keep
    folders = [temporary / "before" if known is None else kept / known, kept / "after"]
    shutil.rmtree(folders[1], ignore_errors=True)
    began, differing = time.monotonic(), 0

    def compare(case: Case) -> tuple[Case, Outcome]:
        try:
            return case, compare_case(case, checkouts, data, folders)
        except Exception as error:  # a command that never ends, a file that cannot be read
            return case, ([f"not compared: {error!r}"], [])

    with ThreadPool(WORKERS) as pool:
        for n, (case, (found, notes)) in enumerate(pool.imap_unordered(compare, cases), 1):
            shown = found if len(found) <= SHOWN else [*found[:SHOWN], f"... {len(found)} in all"]
            print(f"[{n}/{len(cases)}, {time.monotonic() - began:.0f} s] {case.words}:", end=" ")
            print("DIFFERS" if found else "equal", *shown, *notes, sep="\n    ", flush=True)
            differing += bool(found)
    return differing


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", help="a checkout or a git revision")
    parser.add_argument("after", nargs="?", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose words hold this text")
    parser.add_argument("--quick", action="store_true", help="a few cases of every kind, no Indian Pines")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where results stay")
    chosen = parser.parse_args()
    cases = [c for c in all_cases() if chosen.only in c.words and (c.quick or not chosen.quick)]
    if not cases:
        sys.exit(f"no case holds {chosen.only!r}")
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    after, before = chosen.after.resolve(), Path(chosen.before).resolve()
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name).resolve()
        if made := not before.is_dir():
            before = temporary / "checkout"
            git(after, "worktree", "add", "--detach", str(before), chosen.before)
        try:
            differing = compare_all(cases, [before, after], temporary, chosen.keep and chosen.keep.resolve())
        finally:
            if made:
                git(after, "worktree", "remove", "--force", str(before))
    print(f"{differing} of {len(cases)} cases differ" if differing else f"equal: {len(cases)} cases")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
