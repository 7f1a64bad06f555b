"""What the rows of `bench_gpu.py` are made of: a measurement on the card and on the CPU, and what bounds the card."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from bench_speed import median_seconds, prepared, with_statistics

from hyperseg.core import Scene, SegmentationMap
from hyperseg.core.words import one_line
from hyperseg.engine import decide_scene, full_float32, predict_scene
from hyperseg.engine.forward import channels_first, layout_of
from hyperseg.hsi.networks import NetworkSpec, build_network, for_inference

CARD = torch.cuda.is_available()
COLUMNS = ("work", "CUDA", "CPU", "ratio", "floor", "share of the floor", "goal on a card")
UNCOUNTED = "staging"
MIB = 2**20
OFTEN, SELDOM = {"cuda": 5, "cpu": 3}, {"cuda": 5, "cpu": 0}  # timed runs; 0 is one without warming up
LARGE_PX = 2**19  # maps of so many pixels take a CPU seconds
BUS_BYTES = 2**28  # copied at a time to see how fast the bus is
BLOCK_ROWS = (64, 128, 256)  # of the network alone
CHUNK_BYTES = 2**24  # read from a file at a time
Found = float | str
"""Seconds, or what is to be said instead."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        work: what is done.
        measure: name of a device -> what was found on it.
        goal: of the card.
        floors: names -> seconds that the card could not do without.
        pixels: mapped, for a rate.
    """

    work: str
    measure: Callable[[str], Found]
    goal: str = ""
    floors: Mapping[str, Callable[[], Found]] = field(default_factory=dict)
    pixels: int = 0

    def line(self, *, cpu_too: bool = True) -> str:
        """Measure, and say it."""
        card = attempt(partial(self.measure, "cuda")) if CARD else ""
        cpu = attempt(partial(self.measure, "cpu")) if cpu_too else ""
        floors = {name: attempt(of) for name, of in self.floors.items()}
        told = ", ".join(f"{name} {shown(found)}" for name, found in floors.items())
        ratio = share = ""
        if isinstance(card, float):
            counted = [found for name, found in floors.items() if isinstance(found, float) and name != UNCOUNTED]
            ratio = f"{cpu / card:.1f}x" if isinstance(cpu, float) else ""
            share = f"{100 * max(counted) / card:.0f} %" if counted else ""
        return joined(self.work, shown(card, self.pixels), shown(cpu, self.pixels), ratio, told, share, self.goal)


def attempt(work: Callable[[], Found]) -> Found:
    """The result, or in one line why there is none: a card's minutes are few, the next row may do better."""
    try:
        return work()
    except ImportError as error:
        return f"needs {(error.name or str(error)).split('.')[0]}"
    except Exception as error:
        return one_line(f"{type(error).__name__}: {error}", 150)


def shown(found: Found, pixels: int = 0) -> str:
    """Seconds as a text, with the rate where there are pixels; what is no number as it is."""
    if isinstance(found, str):
        return found
    text = f"{found:.3g} s" if abs(found) >= 1 else f"{1e3 * found:.3g} ms"
    return f"{text}, {pixels / found / 1e6:.3g} Mpx/s" if pixels else text


def joined(*cells: str) -> str:
    """A line of a Markdown table; cells that are not given are empty."""
    filled = [*cells, *[""] * (len(COLUMNS) - len(cells))]
    return "| " + " | ".join(cell.replace("|", "/") or "-" for cell in filled) + " |"


def heading() -> str:
    """What the numbers are of, and the head of the table."""
    card = f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}" if CARD else "no CUDA device"
    return (
        f"torch {torch.__version__}, {card}, {torch.get_num_threads()} CPU threads "
        f"({torch.backends.cpu.get_cpu_capability()}); medians\n\n{joined(*COLUMNS)}\n{'|---' * len(COLUMNS)}|"
    )


def seconds(work: Callable[[], object], device: str, runs: Mapping[str, int] = OFTEN) -> float:
    """Median time of some work, until the device has done it."""

    def whole() -> None:
        work()
        if device == "cuda":
            torch.cuda.synchronize()

    if runs[device]:
        return median_seconds(whole, runs=runs[device])
    started = perf_counter()
    whole()
    return perf_counter() - started


def on_card(work: Callable[[], Found]) -> Callable[[str], Found]:
    """A measurement that says something of the card alone."""
    return lambda device: work() if device == "cuda" else ""


@dataclass(frozen=True)
class Case:
    """A scene in memory with a network that was folded for it."""

    scene: Scene
    lean: Any
    rest: Any

    @staticmethod
    def of(scene: Scene, like: Scene | None = None) -> Case:
        """With the preprocessing of the scene, or of a smaller one of the same values."""
        preprocess = prepared(like or scene)
        spec = NetworkSpec(preprocess.n_out, scene.n_classes, "none", initial_scale=1.0)
        return Case(scene, *for_inference(with_statistics(build_network(spec, seed=0)), preprocess))

    @property
    def pixels(self) -> int:
        return int(np.prod(self.scene.shape))

    def mapping(self, device: str, of: Callable[..., Any] = predict_scene, **options: Any) -> Callable[[], Any]:
        """The work of mapping, the network being on the device already."""
        return partial(of, self._network(device), self.scene, self.rest, device=device, **options)

    def probs(self, device: str) -> Found:
        return seconds(self.mapping(device, made_by="x"), device, SELDOM if self.pixels > LARGE_PX else OFTEN)

    def decisions(self, device: str) -> Found:
        return seconds(self.mapping(device, decide_scene), device, SELDOM if self.pixels > LARGE_PX else OFTEN)

    def floors(self) -> dict[str, Callable[[], Found]]:
        """What a card cannot do without, and the copy into page-locked memory."""
        if not CARD:
            return {}
        cube = np.asarray(self.scene.cube)
        staging = partial(bus_seconds, cube, staging=True)
        found = {"bus": partial(bus_seconds, cube), "net": self.network_seconds, UNCOUNTED: staging}
        return {name: cache(of) for name, of in found.items()}  # rows share them

    def network_seconds(self) -> float:
        """The network on a scene's worth of float32 blocks on the card: the best of some heights and two layouts."""
        (rows, columns), model = self.scene.shape, self._network("cuda")
        m, found = model.margin, []
        for tall in {min(n, rows) for n in BLOCK_ROWS}:
            block = torch.randn(1, tall + 2 * m, columns + 2 * m, self.rest.n_out, device="cuda")
            x = channels_first(block, layout_of(model))
            with torch.inference_mode(), full_float32("cuda"):
                found += [seconds(partial(model, y), "cuda") * rows / tall for y in (x, x.contiguous())]
        return min(found)

    def peak(self) -> str:
        """Largest device memory while the scene is mapped."""
        work = self.mapping("cuda", made_by="x")
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        work()
        used, kept = torch.cuda.max_memory_allocated() / MIB, torch.cuda.max_memory_reserved() / MIB
        return f"{used:.0f} MiB allocated, {kept:.0f} MiB reserved"

    def apart(self, *, tf32: bool) -> str:
        """How far the card's map is from the CPU's."""
        with tf32_allowed() if tf32 else nullcontext():
            there: SegmentationMap = self.mapping("cuda", made_by="x")()
        here: SegmentationMap = self.mapping("cpu", made_by="x")()
        moved = 100 * np.mean(there.labels() != here.labels())
        return f"{np.abs(there.probs - here.probs).max():.1e} in probability, {moved:.2g} % of the labels"

    def _network(self, device: str) -> Any:
        return copy.deepcopy(self.lean).to(device)


def bus_seconds(cube: np.ndarray, *, staging: bool = False) -> float:
    """The cube's bytes from page-locked memory to the card and nothing else; or only into page-locked memory."""
    part = torch.from_numpy(np.array(cube[: max(1, BUS_BYTES // cube[:1].nbytes)]))
    pinned = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
    to, source = (pinned, part) if staging else (torch.empty(part.shape, dtype=part.dtype, device="cuda"), pinned)
    return seconds(partial(to.copy_, source, non_blocking=True), "cuda") * cube.nbytes / source.nbytes


def read_seconds(data: Path) -> float:
    """All bytes of a file into a buffer, nothing else."""
    buffer = bytearray(CHUNK_BYTES)

    def read() -> None:
        with data.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return seconds(read, "cpu")


@contextmanager
def tf32_allowed() -> Iterator[None]:
    """As a user may have set it for all other work of the process."""
    convolutions, products = getattr(torch.backends.cudnn, "conv", None), torch.backends.cuda.matmul
    new = convolutions is not None and hasattr(products, "fp32_precision")  # torch 2.9 and later
    name, value = ("fp32_precision", "tf32") if new else ("allow_tf32", True)
    places: list[Any] = [convolutions if new else torch.backends.cudnn, products]
    before = [getattr(place, name) for place in places]
    try:
        for place in places:
            setattr(place, name, value)
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            setattr(place, name, was)
