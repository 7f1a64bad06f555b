"""`predict_instances`: objects in new pictures, by the network of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.settings import changed, leaves
from hyperseg.core.words import counted, duration
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases.images import list_images
from hyperseg.io.instances import instances_of, write_instance_boxes, write_instances
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.instances.folder import load_network, read_run
from hyperseg.recipes.instances.pictures import check_size, read_example
from hyperseg.recipes.instances.settings import InstanceSettings
from hyperseg.recipes.instances.training import BOXES
from hyperseg.recipes.instances.trying import find_in
from hyperseg.zoo.instances.finding import Found

Format = Literal["png", "tif"]
FORMATS: tuple[Format, ...] = ("png", "tif")
OVERLAYS = "overlays"


@dataclass(frozen=True)
class Predicted:
    """What was found, by picture, and the files that were written."""

    found: dict[str, Found]
    files: tuple[Path, ...]


def predict_instances(
    root: Path, images: Path, *, out: Path, settings: Mapping[str, Any] | None = None, form: Format = "png",
    overlays: bool = False, device: str = "auto", overwrite: bool = False, quiet: bool = False,
) -> Predicted:  # fmt: skip
    """Find objects in every picture of a folder (or one file): OUT/NAME.png numbers, OUT/NAME.boxes.json lists them.

    Every picture is read before the first one is looked through.

    Args:
        root: the run.
        images: a file, a folder of pictures, or a data set, whose labels are not looked at.
        out: folder; made where it is not there.
        settings: of how objects are found, by name: {"score": 0.3}.
        form: of the maps, "png" (up to 65535 objects) or "tif".
        overlays: also OUT/overlays/NAME.png: the picture with outlines.
        device: see `choose_device`.
        overwrite: replace files that are there.
        quiet: no progress.

    Raises:
        RunError: no run, or its training has not ended.
        SettingError: a setting that training decided, or no such format.
        DataFileError: a picture that cannot be read or does not fit the run, or a file that exists.
    """
    if form not in FORMATS:
        raise SettingError(f"maps of objects are written as {' or '.join(FORMATS)}, got {form!r}.")
    run = read_run(root)
    chosen, net = _chosen(run.record.settings, settings or {}), load_network(run)
    record, least = run.record, run.record.plan.spec.backbone.stride
    cases = list_images(images, channels=record.channels)
    maps = [out / f"{case.name}.{form}" for case in cases]
    lists = [out / f"{case.name}.{BOXES}" for case in cases]
    pictures = [out / OVERLAYS / f"{case.name}.png" for case in cases] if overlays else []
    check_targets([*maps, *lists, *pictures], inputs=[root, images], overwrite=overwrite)
    with counted_progress(f"Looking at {images}", unit="pictures", quiet=quiet) as progress:
        for i, case in enumerate(cases):
            check_size(read_example(case, len(record.channels), labels=False), case, least)
            progress(i + 1, len(cases))
    where = choose_device(device)
    net = net.to(where)
    make_folder(out / OVERLAYS if overlays else out)
    say(f"{counted(len(cases), 'picture')}, {record.method} of {run.root}, on {where}", quiet=quiet)
    began, found = time.perf_counter(), dict[str, Found]()
    with counted_progress(f"Finding in {images}", unit="pictures", quiet=quiet) as progress:
        for i, case in enumerate(cases):
            one = read_example(case, len(record.channels), labels=False)
            own = found[case.name] = find_in(net, one, chosen.find, str(where))
            names = [record.classes[k - 1] for k in own.classes]
            write_instances(maps[i], own.numbers)
            write_instance_boxes(lists[i], instances_of(own.numbers, [float(s) for s in own.scores], names))
            if overlays:
                from hyperseg.recipes.instances.reporting.views import write_view

                write_view(pictures[i], one, own.numbers)
            progress(i + 1, len(cases))
    n = sum(len(one.scores) for one in found.values())
    say(
        f"{counted(n, 'object')} with a score of {chosen.find.score:g} or more in {counted(len(cases), 'picture')} "
        f"({duration(time.perf_counter() - began)})",
        quiet=quiet,
    )
    return Predicted(found, (*maps, *lists, *pictures))


def _chosen(settings: InstanceSettings, changes: Mapping[str, Any]) -> InstanceSettings:
    """The settings of the run with those changed that a prediction may change."""
    found = changed(settings, changes)
    before, now = ({leaf.path: leaf.value for leaf in leaves(of)} for of in (settings, found))
    for name, value in now.items():
        if value != before[name] and not name.startswith("find."):
            raise SettingError(f"{name} was decided by training: it cannot be changed now; settings of find can.")
    return found
