"""The folder of a segmentation run: the plan, the record, and for each network its weights and history.

RUN/plan.json
RUN/run.json
RUN/3d/fold0/weights.safetensors
RUN/3d/fold0/history.json
RUN/beside/NAME/    a run of its own: a method that was trained beside
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import DataFileError, RunError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.settings import ADDED, from_json, to_json
from hyperseg.core.words import listed, one_line, runs
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.runs import read_record, seal
from hyperseg.io.write.targets import RECORD
from hyperseg.io.write.weights import fill
from hyperseg.medical.plan import Plan
from hyperseg.recipes.methods import ON_FOLDERS
from hyperseg.recipes.segment.methods.chosen import CaseMethod, chosen_method, on_cases
from hyperseg.recipes.segment.planning import read_plan

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

PLAN, WEIGHTS, HISTORY = "plan.json", "weights.safetensors", "history.json"
BESIDE = "beside"
KIND, FORMAT = "segment", 1


@dataclass(frozen=True)
class Record:
    """What a run was made from, and what came of it: run.json.

    Attributes:
        folder: the data set, as it was named.
        classes, codes: names (background first), and what they are in label files.
        channels: names, in the order of the files.
        seed: of folds, weights and batches.
        folds: names of the cases that each fold leaves for validation.
        trained: configurations that have been trained, with the folds of each.
        chosen: the configurations that predict, together where there are two.
        largest: classes whose largest piece alone is kept, part by part, see `components.keep_largest`.
        mirrored: whole cases were predicted with their mirror images in cross-validation, and so new ones are too.
        versions: of Python and libraries.
        spacing: millimetres per axis of all files that say none, as they were stated; none where nothing was.
        targets: what is learnt, as it was asked for, where that is not every class.
        prints: a checksum of each case, see `resuming.files`; none in runs of earlier versions.
        method, settings, tricks: what was trained, its settings as JSON, and tricks as they are spelled.
        labelled: for each fold the only cases that it learns from; none where all but those it holds out are.
        found: further numbers for who reads it: Dice by cross-validation, seconds, memory.
    """

    folder: str
    classes: tuple[str, ...]
    codes: tuple[int, ...]
    channels: tuple[str, ...]
    seed: int
    folds: tuple[tuple[str, ...], ...]
    trained: dict[str, list[int]] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    largest: tuple[tuple[int, ...], ...] = ()
    mirrored: bool = True
    versions: dict[str, str] = field(default_factory=dict)
    spacing: tuple[float, ...] = ()
    targets: tuple[str, ...] = ()
    prints: dict[str, str] = field(default_factory=dict)
    method: str = ON_FOLDERS
    settings: dict[str, Any] = field(default_factory=dict)
    tricks: tuple[str, ...] = ()
    labelled: tuple[tuple[str, ...], ...] = field(default=(), metadata=ADDED)
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SegmentRun:
    """A run that was read: its folder, plan and record."""

    root: Path
    plan: Plan
    record: Record

    @property
    def method(self) -> CaseMethod:
        """What was trained, with its settings."""
        chosen: Any = from_json(on_cases(self.record.method).settings, self.record.settings)
        return chosen_method(self.record.method, chosen, self.record.tricks)

    @property
    def beside(self) -> dict[str, SegmentRun]:
        """Runs of the methods that were trained beside it, by name; one that is damaged is told and left out."""
        found = {}
        for file in sorted((self.root / BESIDE).glob(f"*/{RECORD}")):
            try:
                found[file.parent.name] = read_run(file.parent)
            except RunError as error:
                log.warning("%s It is left out. %s", error, remedy(file.parent))
        return found

    @property
    def chosen(self) -> tuple[str, ...]:
        """Configurations that predict: those that were chosen, else the only one that was trained.

        Raises:
            RunError: none has been trained, or several, and none was chosen.
        """
        trained = tuple(self.record.trained)
        if self.record.chosen or len(trained) == 1:
            return self.record.chosen or trained
        state = f"{listed(trained)} were trained, none was chosen" if trained else "no network has been trained"
        raise RunError(
            f"{self.root}: {state}. Finish it, all folds of it, by hyperseg segment train ... --fold all --resume."
        )


def remedy(beside: Path) -> str:
    """What to do about a method beside that cannot be used."""
    return f"To have it again, remove {beside} and go on by hyperseg segment train ... --resume."


def fold_folder(root: Path, configuration: str, fold: int) -> Path:
    """Where a network lies."""
    return root / configuration / f"fold{fold}"


def write_run(root: Path, plan: Plan, record: Record) -> SegmentRun:
    """Write plan and record, each whole or not at all; a record that stands there is replaced.

    Raises:
        DataFileError: the folder cannot be written.
        RunError: it holds another plan, or a run of another kind.
    """
    make_folder(root)
    if (root / RECORD).exists():
        _raw_record(root)
    if (root / PLAN).exists() and read_plan(root / PLAN) != plan:
        raise RunError(f"{root}: holds a run with another plan. Choose another folder.")
    write_json(root / PLAN, to_json(plan))
    write_json(root / RECORD, {"kind": KIND, "format": FORMAT, **to_json(record)})
    return SegmentRun(root, plan, record)


def read_run(root: Path) -> SegmentRun:
    """The run in a folder.

    Raises:
        RunError: no folder, no run of `hyperseg segment train`, or one that is damaged.
    """
    data = _raw_record(root)
    try:
        plan = read_plan(root / PLAN)
        record = from_json(Record, {k: v for k, v in data.items() if k not in ("kind", "format")}, "the record")
        run = SegmentRun(root, plan, record)
        _ = run.method  # there, with such settings
    except (DataFileError, SettingError) as error:
        raise RunError(f"{root}: damaged: {error}") from error
    if record.channels != plan.facts.channels or record.classes != plan.facts.classes:
        raise RunError(f"{root}: {PLAN} and {RECORD} name other channels or classes: they are not of one run.")
    for name in record.chosen:
        plan.configuration(name)
    return run


def write_fold(
    run: SegmentRun, configuration: str, fold: int, tensors: Mapping[str, Tensor], history: Any
) -> Path:  # fmt: skip
    """Write a trained network and how it was trained; the weights come last: a fold that has them is whole.

    Args:
        run: of `write_run`.
        configuration, fold: which.
        tensors: the network's `state_dict()`.
        history: JSON: numbers by step or epoch.

    Returns:
        the file of the weights.
    """
    from safetensors.torch import save

    run.plan.configuration(configuration)
    folder = fold_folder(run.root, configuration, fold)
    make_folder(folder)
    metadata = {"kind": KIND, "configuration": configuration, "fold": str(fold), "plan": seal(run.plan)}
    content = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)
    write_json(folder / HISTORY, history)
    with replacing(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    return folder / WEIGHTS


def trained_folds(run: SegmentRun, configuration: str) -> tuple[int, ...]:
    """Folds whose network of this configuration is there."""
    folds = range(len(run.record.folds))
    return tuple(fold for fold in folds if (fold_folder(run.root, configuration, fold) / WEIGHTS).is_file())


def named_folds(folds: Sequence[int]) -> str:
    """Ascending folds in words: "fold 0", "folds 0-2"."""
    return f"fold{'' if len(folds) == 1 else 's'} {runs(folds)}"


def check_folds(run: SegmentRun, configuration: str, folds: Sequence[int] | None) -> tuple[int, ...]:
    """The folds to use: those asked for, or all there are; looked for, not read.

    Raises:
        RunError: a network that is not there.
    """
    there = trained_folds(run, configuration)
    asked = there if folds is None else tuple(dict.fromkeys(folds))
    if not asked or set(asked) - set(there):
        have = f"folds {runs(there)} are there" if there else "there is none"
        wanted = f"fold {listed(map(str, sorted(set(asked) - set(there))))}" if asked else "any fold"
        raise RunError(f"{run.root}: no trained network of {configuration} for {wanted}; {have}. Train it first.")
    return asked


def load_networks(run: SegmentRun, configuration: str, folds: Sequence[int] | None = None) -> list[nn.Module]:
    """The trained networks of a configuration, in evaluation mode on the CPU; of all folds there are by default.

    Raises:
        RunError: a network that is not there, is damaged, or was trained with another plan.
    """
    return [_load(run, configuration, fold) for fold in check_folds(run, configuration, folds)]


def _load(run: SegmentRun, configuration: str, fold: int) -> nn.Module:
    from safetensors import SafetensorError, safe_open

    from hyperseg.backbone.conv import seeded

    file = fold_folder(run.root, configuration, fold) / WEIGHTS
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{file}: missing or damaged ({one_line(str(error), 100)}). Train this fold again.") from error
    if metadata.get("kind") != KIND or metadata.get("configuration") != configuration:
        raise RunError(f"{file}: holds no weights of {configuration}. Train this fold again.")
    if metadata.get("plan") != seal(run.plan):
        raise RunError(f"{file}: was trained with another plan than {run.root / PLAN}. Put the plan back, or train.")
    with seeded(0):  # the values are replaced below
        net = run.method.build(run.plan.configuration(configuration), len(run.record.classes))
    fill(net, tensors, file)
    return net


def count_weights(run: SegmentRun, configuration: str) -> int | None:
    """How many numbers its first trained network has, by the head of the file; None where there is none to read."""
    from safetensors import SafetensorError, safe_open

    for fold in trained_folds(run, configuration)[:1]:
        try:
            with safe_open(fold_folder(run.root, configuration, fold) / WEIGHTS, framework="np") as opened:
                return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
        except (SafetensorError, OSError):
            return None
    return None


def _raw_record(root: Path) -> dict[str, Any]:
    return read_record(root, kind=KIND, version=FORMAT, command="hyperseg segment train")
