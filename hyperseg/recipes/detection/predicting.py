"""`predict_boxes`: objects in new volumes or images, by the detector of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperseg.core import SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.words import counted, duration
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import counted_progress, say, working
from hyperseg.io.detections.case import BoxCase
from hyperseg.io.detections.folder import open_images
from hyperseg.io.detections.table import write_boxes
from hyperseg.io.write.targets import check_targets
from hyperseg.metrics.froc import Marks
from hyperseg.recipes.detection.folder import DetectRun, load_network, read_run
from hyperseg.recipes.detection.images.volume import Volume, check_fit
from hyperseg.recipes.detection.preparing import look_at, opened, say_remarks
from hyperseg.recipes.detection.trying import find_in, found_in

CSV, JSON, OVERLAYS = "boxes.csv", "boxes.json", "overlays"
THRESHOLD, MOST = 0.1, 100  # usual least score of a box that is written, and boxes of an image


@dataclass(frozen=True)
class Predicted:
    """What was found, by image, in voxels of its file, and the files that were written."""

    found: dict[str, Marks]
    files: tuple[Path, ...]


def predict_boxes(
    root: Path, images: Path, *, out: Path, threshold: float = THRESHOLD, most: int = MOST, overlays: bool = False,
    spacing: Sequence[float] = (), device: str = "auto", overwrite: bool = False, quiet: bool = False,
) -> Predicted:  # fmt: skip
    """Find objects in every image of a folder (or one file), and write OUT/boxes.csv and OUT/boxes.json.

    All is checked before the first image is looked through: the run, channels, axes and values of every image, files
    that are there. Images are read window by window where their format allows it.

    Args:
        root: of `hyperseg detect train`.
        images: a file, a folder of images, or one with boxes, which are not looked at.
        out: folder; made where it is not there.
        threshold, most: least score, and most boxes of an image.
        overlays: also OUT/overlays/NAME.png: slices with the boxes over them.
        spacing: millimetres per axis of images that do not say theirs; those that the run was given by default.
        device: see `choose_device`.
        overwrite: replace files that are there.
        quiet: no progress.

    Raises:
        RunError: no run, or its training has not ended.
        DataFileError: an image that cannot be read, does not fit the run or shows nothing, or a file that exists.
    """
    run = read_run(root)
    net = load_network(run)
    listed = _listed(run, images, tuple(spacing))
    check_images(run, listed)
    pictures = [out / OVERLAYS / f"{one.name}.png" for one in listed] if overlays else []
    targets = [out / CSV, out / JSON]
    check_targets([*targets, *pictures], inputs=[root, images], overwrite=overwrite)
    where = choose_device(device)
    with counted_progress(f"Looking at {images}", unit="images", quiet=quiet) as progress:
        remarks = look_at(listed, run.record.plan, progress)
    say_remarks(remarks, quiet=quiet)
    make_folder(out)
    if overlays:
        make_folder(out / OVERLAYS)
    net = net.to(where)
    say(f"{counted(len(listed), 'image')}, {run.record.method} of {run.root}, on {where}", quiet=quiet)
    began, plan, found, rows = time.perf_counter(), run.record.plan, {}, []
    for i, one in enumerate(listed):
        with working(f"Reading {one.name}", quiet=quiet):
            volume = opened(one, plan.spacing, channels=plan.spec.channels, axes=plan.spec.n_axes)
        title = f"Finding in {one.name} ({i + 1} of {len(listed)})"
        with counted_progress(title, unit="windows", quiet=quiet) as progress:
            marks = find_in(net, volume, plan, device=str(where), threshold=threshold, most=most, done=progress)
        found[one.name] = marks
        rows.append(found_in(volume, marks))
        if overlays:
            _draw(pictures[i], volume, marks)
    for target in targets:
        write_boxes(target, rows)
    n = sum(len(marks.boxes) for marks in found.values())
    say(
        f"{counted(n, 'box', 'boxes')} with a score of {threshold:g} or more in {counted(len(listed), 'image')} "
        f"({duration(time.perf_counter() - began)})",
        quiet=quiet,
    )
    return Predicted(found, (*targets, *pictures))


def check_images(run: DetectRun, images: Sequence[BoxCase]) -> None:
    """Channels and axes of all images, by their headers.

    Raises:
        DataFileError: the first one that does not fit, by name.
    """
    spec = run.record.plan.spec
    for one in images:
        check_fit(
            one.images[0], (*one.shape, one.channels), one.spacing, channels=spec.channels, axes=spec.n_axes
        )  # fmt: skip


def _listed(run: DetectRun, images: Path, spacing: tuple[float, ...]) -> list[BoxCase]:
    """The images by name; those that do not say their spacing have the given one, or the one that the run remembers."""
    try:
        found = open_images(images, spacing=spacing or run.record.spacing)
    except SettingError:
        if spacing:
            raise
        found = open_images(images)  # all of them say it
    return sorted(found, key=lambda case: case.name)


def _draw(picture: Path, volume: Volume, marks: Marks) -> None:
    from hyperseg.recipes.detection.reporting.views import write_view

    write_view(picture, volume, marks)
