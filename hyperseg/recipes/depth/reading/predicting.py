"""The depth of the user's own pictures, read out of a trained denoiser and written beside one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.io.depths.decode import decode_picture
from hyperseg.io.depths.names import PICTURE_ENDINGS
from hyperseg.io.write.files import replacing
from hyperseg.recipes.depth.folder import DepthRun, read_run
from hyperseg.recipes.depth.reading.heads import DRAWS, READ_AT, Maps, Read, depth_of

SHOWN, Y, Z, SPREAD = ".png", "_y.npy", "_z.npy", "_spread.npy"
WIDEST = 1000  # rows or columns of a picture that are drawn
WHOLE, PANEL, LEFT = 12.0, 3.4, (0.1, 3.65, 7.8)  # inches: the figure, each of three panels, where they begin
LONGEST = 8  # times the size that the network learnt: the longer side of a picture


@dataclass(frozen=True)
class DepthMap:
    """The depth of one picture.

    Attributes:
        name: of the picture.
        y: (h, w) inverse depth, 0 far and 1 near, at the picture's own size.
        z: (h, w) depth in metres, or in the units of the rendered rooms; None where a run only knows disparity.
        spread: (h, w) standard deviation of y over times and draws of noise.
        read_at: rows and columns at which it was read.
    """

    name: str
    y: Maps
    z: Maps | None
    spread: Maps
    read_at: tuple[int, int]


def predict_depth(
    root: Path, pictures: Sequence[Path], out: Path, *, times: Sequence[float] = READ_AT, draws: int = DRAWS,
    weak: bool = False, seed: int = 0, device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[DepthMap, ...]:  # fmt: skip
    """Read the depth of pictures, and write NAME.png, NAME_y.npy, NAME_z.npy and NAME_spread.npy of each into `out`.

    A picture is brought to the size that the network learnt by its shorter side, whole, and depth back to its own size:
    what is finer than that is not read.

    Args:
        root: the run.
        pictures: files, or folders of them.
        times: shares of the schedule at which is read; the answers are averaged.
        draws: of noise at each of them.
        weak: read by the weak head instead of the strong one.
        seed: of the noise.

    Raises:
        RunError: no finished run.
        DataFileError: a picture that cannot be read, two of one name, or a result that is there already.
        SettingError: no times, or some that the schedule does not have.
    """
    run = read_run(root)
    model, heads = run.model().to(device), run.heads()
    head = heads[1 if weak else 0].to(device)
    if not times or not all(model.schedule.t_min <= time <= model.schedule.t_max for time in times):
        raise SettingError(
            f"depth is read at one or more times of {model.schedule.t_min:g} to {model.schedule.t_max:g}, got "
            f"{', '.join(f'{time:g}' for time in times) or 'none'}."
        )
    files = listed_pictures(pictures)
    scale = None if run.record.found.get("unit") == "disparity" else InverseDepth(run.record.z_min, run.record.z_max)
    _refuse_existing(files, out, scale)
    seen = [_seen(file, run) for file in files]  # all of them are looked at before any work
    make_folder(out)
    found = []
    for i, (file, (rgb, small)) in enumerate(zip(files, seen, strict=True)):
        x0 = small.to(device)
        read = depth_of(model, head, x0, times=times, draws=draws, seed=seed)
        y, spread = (_raised(one, rgb.shape[:2]) for one in (read.y, read.spread))
        one = DepthMap(file.stem, y, None if scale is None else scale.back(y), spread, (small.shape[2], small.shape[3]))
        _write(out, one, rgb, read)
        found.append(one)
        progress(i + 1, len(files))
    return tuple(found)


def listed_pictures(places: Sequence[Path]) -> list[Path]:
    """Files as they are given, and the pictures in folders by name.

    Raises:
        DataFileError: none, one that is not there, or two of one name.
    """
    found: list[Path] = []
    for place in places:
        inside = (
            sorted(p for p in place.iterdir() if p.suffix.lower() in PICTURE_ENDINGS and not p.name.startswith("."))
            if place.is_dir()
            else [place]
        )
        if not inside:
            raise DataFileError(f"{place}: holds no picture; {', '.join(PICTURE_ENDINGS)} were expected.")
        found += inside
    for file in found:
        if not file.is_file():
            raise DataFileError(f"{file}: does not exist; a picture or a folder of pictures was expected.")
    if twice := [stem for stem, count in Counter(file.stem for file in found).items() if count > 1]:
        raise DataFileError(
            f"{twice[0]}: is the name of two pictures, their results would have one name. Read them apart."
        )
    return found


def _refuse_existing(files: Sequence[Path], out: Path, scale: InverseDepth | None) -> None:
    ends = (SHOWN, Y, SPREAD, *(() if scale is None else (Z,)))
    for target in (out / f"{file.stem}{end}" for file in files for end in ends):
        if target.exists():
            raise DataFileError(f"{target}: is there already, and nothing is written over. Give another --out.")
    if out.exists() and not out.is_dir():
        raise DataFileError(f"{out}: is a file; a folder was expected.")


def _seen(file: Path, run: DepthRun) -> tuple[NDArray[np.uint8], torch.Tensor]:
    """A picture, and (1, 3, h, w) from -1 to 1 in the size that the network reads."""
    rgb, settings = decode_picture(file, upright=True), run.record.settings
    step, (rows, columns) = 2 ** (settings.denoiser.stages - 1), rgb.shape[:2]
    factor = settings.size / min(rows, columns)
    if max(rows, columns) * factor > LONGEST * settings.size:
        raise DataFileError(
            f"{file}: has {rows}x{columns} pixels; one side is more than {LONGEST} times the other. Cut it into parts."
        )
    size = tuple(max(round(side * factor / step), 1) * step for side in (rows, columns))
    x = torch.from_numpy(rgb.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)
    if min(rows, columns) >= settings.size:
        return rgb, F.interpolate(x, size, mode="area")
    return rgb, F.interpolate(x, size, mode="bilinear", align_corners=False)


def _raised(y: Maps, size: tuple[int, ...]) -> Maps:
    """(1, h, w) to (rows, columns), between the middles of pixels."""
    raised = F.interpolate(torch.from_numpy(y)[:, None], tuple(size), mode="bilinear", align_corners=False)
    found: Maps = raised[0, 0].numpy()
    return found


def _write(out: Path, one: DepthMap, rgb: NDArray[np.uint8], read: Read) -> None:
    for end, values in ((Y, one.y), (Z, one.z), (SPREAD, one.spread)):
        if values is not None:
            with replacing(out / f"{one.name}{end}") as temporary, temporary.open("wb") as file:
                np.save(file, values)
    _draw(out / f"{one.name}{SHOWN}", one, rgb, read)


def _draw(file: Path, one: DepthMap, rgb: NDArray[np.uint8], read: Read) -> None:
    """The picture, its depth and the spread of that, each with its scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall = PANEL * min(rgb.shape[0] / rgb.shape[1], 2)
    figure = Figure(figsize=(WHOLE, 0.5 + tall))
    FigureCanvasAgg(figure)
    rows, columns = one.read_at
    rgb = rgb[:: (step := -(-max(rgb.shape) // WIDEST)), ::step]  # more is not seen, and takes a gigabyte
    panels: tuple[tuple[str, NDArray[Any], dict[str, Any]], ...] = (
        (one.name[:40], rgb, {}),
        (f"inverse depth (near is bright), read at {rows}x{columns}", read.y[0], {"cmap": "magma", "vmin": 0}),
        ("its spread over noise", read.spread[0], {"cmap": "viridis", "vmin": 0}),
    )
    for (title, values, how), left in zip(panels, LEFT, strict=True):
        cell = figure.add_axes((left / WHOLE, 0.1 / (0.5 + tall), PANEL / WHOLE, tall / (0.5 + tall)))
        extent = (0.0, float(rgb.shape[1]), float(rgb.shape[0]), 0.0)  # all three lie on the picture
        shown = cell.imshow(values, interpolation="nearest", extent=extent, **how)
        cell.set_title(title, fontsize=9)
        cell.set_axis_off()
        if how:
            figure.colorbar(shown, cax=cell.inset_axes((1.02, 0.0, 0.03, 1.0))).ax.tick_params(labelsize=8)
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
