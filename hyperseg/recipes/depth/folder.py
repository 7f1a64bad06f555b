"""The folder of a run of depth: the record, three networks, and what came of them.

RUN/run.json               settings, what was learnt from, and what was found
RUN/denoiser.safetensors   a diffusion model of pictures
RUN/heads.safetensors      the strong and the weak head, that read depth from its decoder
RUN/prior.safetensors      a diffusion model of depth maps
RUN/judge.safetensors      a network that tells the depth of pictures, for scores alone
RUN/metrics.json           how well the heads read the depth of held-out pictures, by time
RUN/readable.png           the same, as pictures
RUN/samples/               pictures that were drawn
RUN/scores/                samples that were judged, and RUN/table.csv, table.md, samples.png, report.html of them
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import RunError
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import read_recorded, write_recorded
from hyperseg.io.write.targets import RECORD
from hyperseg.io.write.weights import load_sealed, write_sealed
from hyperseg.recipes.depth.settings import DepthSettings, NetworkSettings

if TYPE_CHECKING:
    from hyperseg.dpm.guidance.losses import Sources
    from hyperseg.dpm.model import DiffusionModel
    from hyperseg.dpm.network import DenoiserSpec
    from hyperseg.dpm.tapped.head import PixelHead

DENOISER, HEADS, PRIOR, JUDGE = "denoiser.safetensors", "heads.safetensors", "prior.safetensors", "judge.safetensors"
SCORES = "scores"
METRICS, READABLE, TABLE, SHEET, SAMPLES, PICTURE, REPORT, UNFINISHED = (
    "metrics.json", "readable.png", "table.csv", "table.md", "samples", "samples.png", "report.html", "unfinished"
)  # fmt: skip
KIND, FORMAT, COMMAND = "depth", 1, "hyperseg depth train"
ROOMS = "rooms"
"""What the record calls pictures that are rendered, in place of a folder's name."""


@dataclass(frozen=True)
class Record:
    """What a run was made from, and what came of it: run.json.

    Attributes:
        folder: the pictures with depth, wherever the command is called, or `ROOMS`.
        seed: of the pictures, weights and batches.
        settings: of data and networks.
        unit, per_metre: of the depth in a folder's files, as it was asked for.
        z_min, z_max: nearest and farthest depth, which inverse depth 1 and 0 stand for.
        learnt: names of the pictures that the denoiser learns from; empty for rooms, which are numbers from 0.
        labelled, held_out: names (or numbers) of those whose depth is told, and of those that nothing learns from.
        prints: a checksum of each file.
        versions: of Python and libraries.
        found: history and costs of each training, and how well the heads read depth, JSON.
    """

    folder: str
    seed: int
    settings: DepthSettings
    unit: str = "auto"
    per_metre: float | None = None
    z_min: float = 1.0
    z_max: float = 10.0
    learnt: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    prints: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Heads:
    """What the weights of both heads are sealed with."""

    widths: tuple[int, ...]
    strong: tuple[float, ...]
    weak: tuple[float, ...]
    hidden: tuple[int, ...]
    coarse: bool


def _heads_of(of: DepthSettings) -> Heads:
    return Heads(of.denoiser.widths, of.heads.strong, of.heads.weak, of.heads.hidden, of.heads.coarse)


@dataclass(frozen=True)
class DepthRun:
    """A run that was read: its folder and record. What it holds is read when it is asked for, on the CPU."""

    root: Path
    record: Record

    def has(self, name: str) -> bool:
        """Whether it holds a file: one of the names above."""
        return (self.root / name).is_file()

    @property
    def trained(self) -> bool:
        """Whether all that was asked for is there."""
        return all(map(self.has, (DENOISER, HEADS, *(PRIOR,) * (self.record.settings.prior.steps > 0))))

    def model(self) -> DiffusionModel:
        """The denoiser of pictures.

        Raises:
            RunError: it is not there, or damaged.
        """
        return self._read(DENOISER)

    def prior(self) -> DiffusionModel | None:
        """The diffusion model of depth maps, or None where it was left out.

        Raises:
            RunError: it is not there, or damaged.
        """
        return self._read(PRIOR) if self.record.settings.prior.steps else None

    def heads(self) -> tuple[PixelHead, PixelHead]:
        """The strong and the weak head, in evaluation mode.

        Raises:
            RunError: they are not there, are damaged, or were trained with other settings.
        """
        from torch.nn import ModuleDict

        self._check(HEADS)
        strong, weak = new_heads(self.record.settings)
        both, plan = ModuleDict({"strong": strong, "weak": weak}), _heads_of(self.record.settings)
        load_sealed(self.root / HEADS, both, kind=KIND, plan=plan, record=self.root / RECORD)
        return strong, weak

    def sources(self) -> Sources:
        """What guidance asks: heads and prior.

        Raises:
            RunError: see `heads` and `prior`.
        """
        from hyperseg.dpm.guidance.losses import Sources

        return Sources(*self.heads(), self.prior(), self.record.settings.prior.shrink)

    def _read(self, name: str) -> DiffusionModel:
        from hyperseg.dpm.stored import read_model

        self._check(name)
        try:
            return read_model(self.root / name)
        except RunError as error:
            raise RunError(
                f"{self.root / name}: is damaged, or of another version. Remove it; {COMMAND} ... --resume trains it "
                "again."
            ) from error

    def _check(self, name: str) -> None:
        if not self.has(name):
            raise RunError(f"{self.root}: has no {name}, its training has not ended. Go on by {COMMAND} ... --resume.")


def picture_spec(settings: DepthSettings) -> DenoiserSpec:
    """The denoiser of pictures."""
    return _spec(3, settings.denoiser)


def prior_spec(settings: DepthSettings) -> DenoiserSpec:
    """The denoiser of depth maps."""
    return _spec(1, settings.prior)


def _spec(channels: int, of: NetworkSettings) -> DenoiserSpec:
    from hyperseg.dpm.network import denoiser_spec

    return denoiser_spec(channels, 2, widths=of.widths, depth=of.blocks, heads=of.attends)


def new_heads(settings: DepthSettings, seed: int = 0) -> tuple[PixelHead, PixelHead]:
    """The strong and the weak head, untrained."""
    from hyperseg.backbone import seeded
    from hyperseg.dpm.tapped.head import PixelHead, head_spec

    of = settings.heads
    spec = partial(head_spec, picture_spec(settings), outputs=1, hidden=of.hidden, coarse=of.coarse)
    with seeded(seed):
        return PixelHead(spec(of.strong)), PixelHead(spec(of.weak))


def write_heads(run: DepthRun, strong: PixelHead, weak: PixelHead) -> None:
    """Write both heads, whole or not at all, sealed with what they are."""
    heads = {"strong": strong, "weak": weak}
    tensors = {f"{name}.{key}": value for name, head in heads.items() for key, value in head.state_dict().items()}
    write_sealed(run.root / HEADS, tensors, kind=KIND, method="heads", plan=_heads_of(run.record.settings))


def write_run(root: Path, record: Record) -> DepthRun:
    """Write the record, whole or not at all.

    Raises:
        DataFileError: the folder cannot be written.
        RunError: it holds a run of another kind.
    """
    write_recorded(root, record, kind=KIND, version=FORMAT, command=COMMAND)
    return DepthRun(root, record)


def read_run(root: Path) -> DepthRun:
    """The run in a folder.

    Raises:
        RunError: no folder, no run of this kind, or one that is damaged.
    """
    return DepthRun(root, read_recorded(root, Record, kind=KIND, version=FORMAT, command=COMMAND))


def add_metrics(file: Path, **parts: Any) -> None:
    """Put parts into metrics.json; what training and scores wrote there under other names stays."""
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    write_json(file, {**(before if isinstance(before, dict) else {}), **parts})
