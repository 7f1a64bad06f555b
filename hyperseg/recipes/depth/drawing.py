"""`sample_pictures`: pictures drawn by a trained run, kept as arrays and as a sheet with their depth."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import counted
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.engine.progress import counted_progress
from hyperseg.io.write import replacing, write_text
from hyperseg.recipes.bench.making import FITTED_ON
from hyperseg.recipes.depth.folder import PRIOR, SAMPLES, DepthRun, read_run
from hyperseg.recipes.depth.kept import Drawn, write_drawn
from hyperseg.recipes.depth.recutting import learnt_pictures
from hyperseg.recipes.depth.sampling import Draw, calls_of, check_draw, draw_all
from hyperseg.recipes.depth.settings import CHOICES, NONE, SampleSettings, check_read, weights_of

SHEET_ROWS = 4  # of pictures on a sheet


@dataclass(frozen=True)
class SampleOrder:
    """What is to be drawn.

    Attributes:
        root: the run.
        out: folder of the results; None is RUN/samples.
        n: pictures.
        seed: of their noise.
        settings: sampler and guidance.
        beside: the same pictures without guidance are drawn too, and shown beside.
    """

    root: Path
    out: Path | None = None
    n: int = 16
    seed: int = 0
    settings: SampleSettings = field(default_factory=SampleSettings)
    beside: bool = False

    @property
    def folder(self) -> Path:
        return self.root / SAMPLES if self.out is None else self.out

    @property
    def name(self) -> str:
        """Of its files, without their endings."""
        return f"{self.settings.guidance}-seed{self.seed}"


@dataclass(frozen=True)
class Sampled:
    """Pictures that were drawn.

    Attributes:
        drawn: what was asked for.
        plain: the same without guidance, where that was asked for.
        arrays, sheet, log: files; the log of guided calls is None where nothing guided.
    """

    drawn: Drawn
    plain: Drawn | None
    arrays: Path
    sheet: Path
    log: Path | None

    @property
    def told(self) -> str:
        """One line: how far guidance moved the sampler's steps."""
        ratios = self.drawn.steps[:, 2]
        if not len(ratios):
            return "nothing guided"
        most = int(ratios.argmax())
        return (
            f"guidance moved a step by {np.median(ratios):.3g} of its own length (median of "
            f"{counted(len(ratios), 'guided call')}), at most {ratios[most]:.3g} at t = {self.drawn.steps[most, 0]:.2f}"
        )


def sample_pictures(
    order: SampleOrder, runtime: Runtime, *, resume: bool = False, overwrite: bool = False
) -> Sampled:  # fmt: skip
    """Draw pictures and write them: NAME.npz, NAME.png, and NAME.csv with what guidance did at every call.

    Args:
        resume: go on with parts that an interrupted command left; they may be more by now.
        overwrite: files of this name that are there are replaced.

    Raises:
        RunError, SettingError: what cannot be done, before anything is drawn.
        TrainingError: samples that are not finite; parts before them are kept.
    """
    run = read_run(order.root)
    check_read(order.settings, (order.settings.guidance,))
    check_draw(order.settings, prior=run.has(PRIOR))
    if order.n < 1:
        raise SettingError(f"{order.n} pictures: give 1 or more.")
    if order.beside and not any(weights_of(order.settings).values()):
        raise SettingError(f"guidance {order.settings.guidance} is none: there is nothing to show it beside.")
    folder, name = order.folder, order.name
    arrays, sheet, log, parts = (folder / f"{name}{end}" for end in (".npz", ".png", ".csv", ".parts"))
    left = any(parts.glob("*/part-*.npz"))
    for file in (arrays, sheet, log):
        if file.exists() and not (overwrite or (resume and left)):  # files of a command that was stopped at its end
            raise RunError(f"{file}: exists. --overwrite replaces it, --out takes another folder.")
    if left and not (resume or overwrite):
        raise RunError(f"{parts}: an interrupted command left samples. --resume goes on with them, --overwrite not.")
    draw = drawing(run, order.settings, runtime.device)
    rows = [order.settings.guidance, *([NONE] if order.beside else [])]
    make_folder(parts)
    lock = take(parts)
    try:
        if not (resume and left):
            for row in CHOICES:
                shutil.rmtree(parts / row, ignore_errors=True)
        found = _drawn(draw, order, rows, parts, quiet=runtime.quiet)
        drawn, plain = found[0], found[1] if order.beside else None
        z = (run.record.z_min, run.record.z_max)
        write_drawn(arrays, drawn, z=np.array(z), **({} if plain is None else {"unguided": plain.images}))
        _write_sheet(sheet, order, drawn, plain, z)
        if len(drawn.steps):
            write_text(log, _as_csv(drawn))
        shutil.rmtree(parts, ignore_errors=True)
    finally:
        lock.release()
    return Sampled(drawn, plain, arrays, sheet, log if len(drawn.steps) else None)


def drawing(run: DepthRun, settings: SampleSettings, device: str) -> Draw:
    """What a run draws by, on the device.

    Raises:
        RunError: a run whose training has not ended.
    """
    model, prior, known = run.model(), run.prior(), run.record.settings
    strong, weak = (head.to(device) for head in run.heads())
    prior = None if prior is None else prior.to(device)
    looks = SAMPLERS[settings.sampler].fit is not None
    data = torch.from_numpy(learnt_pictures(run, FITTED_ON)) if looks else None
    shape = (3, known.size, known.size)
    return Draw(model.to(device), (strong, weak), prior, settings, shape, device, data, known.prior.shrink)


def _drawn(draw: Draw, order: SampleOrder, rows: list[str], parts: Path, *, quiet: bool) -> list[Drawn]:
    total, done = len(rows) * -(-order.n // draw.settings.batch) * calls_of(draw.settings), 0
    with counted_progress(f"Drawing {counted(order.n, 'picture')}", unit="calls", quiet=quiet) as progress:

        def tick(calls: int) -> None:
            nonlocal done
            done += calls
            progress(min(done, total), total)

        owns = [replace(draw, settings=replace(draw.settings, guidance=row)) for row in rows]
        return [draw_all(own, order.seed, order.n, parts / own.settings.guidance, tick=tick) for own in owns]


def _write_sheet(
    file: Path, order: SampleOrder, drawn: Drawn, plain: Drawn | None, z: tuple[float, float]
) -> None:  # fmt: skip
    from hyperseg.recipes.depth.reporting.sheets import ACROSS, beside, strips_sheet

    strips = []
    for row in range(min(SHEET_ROWS, -(-order.n // ACROSS))):
        some = slice(row * ACROSS, (row + 1) * ACROSS)
        if plain is not None:
            strips += beside(plain.images[some], plain.strong[some], NONE)
        strips += beside(drawn.images[some], drawn.strong[some], order.settings.guidance)
    title = f"Samples with the depth that the strong head reads, seed {order.seed}"
    content = strips_sheet(strips, title=title, z=z)
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def _as_csv(drawn: Drawn) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["t", "sigma", "ratio", "loss"])
    writer.writerows([f"{value:.6g}" for value in step] for step in drawn.steps)
    return text.getvalue()
