"""`score_guidance`: does guidance help? Rows and seeds from the same noise, judged by a network that guides nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.core.words import did_you_mean, one_line
from hyperseg.engine.progress import say, working
from hyperseg.io.write import as_json, write_text
from hyperseg.recipes.bench.folder import at_work
from hyperseg.recipes.depth.drawing import drawing
from hyperseg.recipes.depth.folder import (
    DENOISER,
    HEADS,
    JUDGE,
    PICTURE,
    PRIOR,
    REPORT,
    SCORES,
    SHEET,
    TABLE,
    DepthRun,
    read_run,
)
from hyperseg.recipes.depth.judge_training import JudgeSettings
from hyperseg.recipes.depth.sampling import check_draw
from hyperseg.recipes.depth.scores.cells import first_drawn, forecast, make_cells, read_cells
from hyperseg.recipes.depth.scores.measuring import look_at_real
from hyperseg.recipes.depth.scores.real import check_enough, check_judge, judge_for, real_pictures
from hyperseg.recipes.depth.scores.table import DepthCell
from hyperseg.recipes.depth.settings import CHOICES, NONE, SampleSettings, check_read, terms_of

BEGUN = "begun.json"  # in the folder of the cells: what they are made by
FEWEST = 2  # samples of a cell: a covariance needs them


@dataclass(frozen=True)
class ScoreOrder:
    """What is to be scored.

    Attributes:
        root: the run.
        out: where scores go; None is the run's folder.
        rows: what guides, of `CHOICES`; () are all that the run can do.
        seeds: of noise, 0 to seeds - 1.
        n: samples of each row and seed.
        settings: of sampling; its guidance is not looked at.
        judge: how the judge is trained, where there is none yet.
    """

    root: Path
    out: Path | None = None
    rows: tuple[str, ...] = ()
    seeds: int = 5
    n: int = 500
    settings: SampleSettings = field(default_factory=SampleSettings)
    judge: JudgeSettings = field(default_factory=JudgeSettings)

    @property
    def folder(self) -> Path:
        return self.root if self.out is None else self.out


@dataclass(frozen=True)
class Scored:
    """Finished scores: their folder, cells, floors by measure, and what else is known of them."""

    root: Path
    cells: tuple[DepthCell, ...]
    floors: dict[str, list[float]]
    found: dict[str, Any]


def score_guidance(
    order: ScoreOrder, runtime: Runtime, *, resume: bool = False, overwrite: bool = False
) -> Scored:  # fmt: skip
    """Draw every row and seed that is missing, judge it, and write table, pictures and page.

    Args:
        order: run, rows, seeds, samples and settings.
        runtime: device and progress.
        resume: go on with scores that are there, or add rows and seeds.
        overwrite: scores that are there go first; nothing else.

    Raises:
        SettingError, RunError: what cannot be done, before any work; a judge that is not good enough.
    """
    from hyperseg.recipes.depth.reporting.page import write_scores

    run, rows, left_out = _checked(order)
    if order.rows and not resume:  # what goes on is told as it was begun
        check_read(order.settings, order.rows)
    _standing(order, resume=resume, overwrite=overwrite)
    runtime = replace(runtime, seed=run.record.seed)
    with at_work(order.folder, overwrite=overwrite, files=(TABLE, SHEET, PICTURE, REPORT), folders=(SCORES,)):
        folder = order.folder / SCORES
        make_folder(folder)
        for line in left_out:
            say(line, quiet=runtime.quiet)
        draw = drawing(run, order.settings, runtime.device)
        judge = judge_for(run, order.judge, runtime)
        _begin(order, run)
        pictures = real_pictures(run, order.n, order.seeds)
        with working("Looking at real pictures", quiet=runtime.quiet):
            real = look_at_real(judge, pictures, order.seeds)
        done = {(c.row, c.seed) for c in read_cells(folder)}
        missing = [(row, k) for k in range(order.seeds) for row in rows if (row, k) not in done]
        if missing:
            say(forecast(draw, missing, order.n), quiet=runtime.quiet)
        make_cells(draw, missing, order.n, folder, judge, real, quiet=runtime.quiet)
        found = {
            "run": str(order.root), "n": order.n, "seeds": order.seeds, "rows": list(rows), "left_out": left_out,
            "settings": to_json(order.settings), "judge": {"delta1": judge.delta1, "abs_rel": judge.abs_rel},
            "remarks": judge.remarks(order.n), "bounds": [run.record.z_min, run.record.z_max],
            "unit": run.record.found.get("unit", ""),
        }  # fmt: skip
        cells = tuple(c for c in read_cells(folder) if c.row in rows and c.seed < order.seeds)
        scored = Scored(order.folder, cells, real.floors, found)
        write_scores(scored, real, {row: first_drawn(folder, row) for row in rows})
    return scored


def _checked(order: ScoreOrder) -> tuple[DepthRun, tuple[str, ...], list[str]]:
    """The run, the rows, and a line for each that is left out; everything that can be refused is refused."""
    run = read_run(order.root)
    if not run.trained:
        raise RunError(f"{order.root}: its training has not ended. Go on by hyperseg depth train ... --resume.")
    if order.n < FEWEST or order.seeds < 1:
        raise SettingError(f"{order.n} samples of {order.seeds} seeds: give {FEWEST} or more of 1 or more.")
    for row in order.rows:
        if row not in CHOICES:
            raise SettingError(f"row {row}: is none of {', '.join(CHOICES)}.{did_you_mean(row, CHOICES)}")
    prior, kept, left_out = run.has(PRIOR), [], []
    for row in CHOICES:
        if order.rows and row not in (NONE, *order.rows):
            continue
        try:
            check_draw(replace(order.settings, guidance=row), prior=prior)
        except SettingError as error:
            if order.rows or len(terms_of(row)) == 0 or prior:
                raise
            left_out.append(f"left out: {error}")
        else:
            kept.append(row)
    check_judge(run, order.judge)
    check_enough(run, order.n)
    return run, tuple(kept), left_out


def _standing(order: ScoreOrder, *, resume: bool, overwrite: bool) -> None:
    """Refuse scores that nobody spoke of, and other ones than those that are to go on."""
    if resume and overwrite:
        raise SettingError("--resume goes on with scores, --overwrite removes them: give one of them.")
    there, held = (order.folder / SCORES / BEGUN).is_file(), order.folder / SCORES
    if overwrite and not there and held.is_dir() and any(held.iterdir()):
        raise RunError(f"{held}: is there, and holds no scores of this command: it stays. Take another --out.")
    if there and not (resume or overwrite):
        raise RunError(
            f"{order.folder}: holds scores already. --resume goes on with them or adds rows and seeds, --overwrite "
            "removes them, --out takes another folder."
        )
    if not there:
        own = [name for name in (TABLE, SHEET, PICTURE, REPORT) if (order.folder / name).exists()]
        if own:
            raise RunError(f"{order.folder}: holds {own[0]}, which would be overwritten. Take another --out.")


def _begin(order: ScoreOrder, run: DepthRun) -> None:
    """Write what cells are made by, or refuse to go on with cells that were made by something else."""
    kept = {name: value for name, value in to_json(order.settings).items() if name != "guidance"}
    prints = {name: _print(run.root / name) for name in (DENOISER, HEADS, PRIOR, JUDGE) if run.has(name)}
    now = json.loads(as_json({"settings": kept, "n": order.n, "prints": prints}))
    file = order.folder / SCORES / BEGUN
    if not file.exists():
        write_text(file, as_json(now))
        return
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
        then = {**begun["settings"], "n": begun["n"], **begun["prints"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: damaged ({one_line(str(error), 80)}). Begin anew with --overwrite.") from error
    for name, value in {**now["settings"], "n": now["n"], **now["prints"]}.items():
        if then.get(name) != value:
            what = f"{name} is another file now" if name in now["prints"] else f"{name} {then.get(name)}, not {value}"
            raise RunError(
                f"{order.folder}: these scores were begun with {what}. Go on as begun, or take another --out."
            )


def _print(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
