"""`predict_images`: images or volumes through the networks of a run, each to a file on its own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.core import Scene, SceneError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.words import counted, listed
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import say, scene_progress, working
from hyperseg.io.cases import Case, CaseFolder, list_images, read_case, write_prediction
from hyperseg.io.cases.beside.spacing import says_itself
from hyperseg.io.cases.decode import decode_image, shape_of
from hyperseg.io.cases.names import PICTURES, VOLUMES, ending_of
from hyperseg.io.paths import split_key
from hyperseg.io.write.targets import check_targets
from hyperseg.medical.components import keep_largest
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import Prepared, decided, prepare, restored
from hyperseg.recipes.segment.folder import SegmentRun, check_folds, load_networks, read_run
from hyperseg.recipes.segment.sliding import averaged, check_inference, slide

Networks = Mapping[str, Sequence[nn.Module]]
Share = Callable[[float], None]
"""Told which part of a case is done, 0 to 1."""


@dataclass(frozen=True)
class Planned:
    """An image to predict, looked at.

    Attributes:
        case: its files.
        target: the file that its classes go to.
        voxels: from headers.
    """

    case: Case
    target: Path
    voxels: int


def predict_images(
    root: Path, images: Path, *, out: Path, device: str = "auto", mirror: bool | None = None,
    folds: Sequence[int] | None = None, overlays: bool = False, overwrite: bool = False, quiet: bool = False,
) -> list[Path]:  # fmt: skip
    """Predict every image of a folder (or one file) with what a run chose, on the image's own grid and with its header.

    All is checked before the first network runs: the run, channels and axes of every image, files that are there.

    Args:
        root: of `hyperseg segment train`.
        images: see `io.cases.list_images`.
        out: folder of NAME.nii.gz, NAME.png or (volumes that are arrays) NAME.npy; made where it is not there.
        device: see `choose_device`.
        mirror: average over mirror images too: 4 times the work for pictures, 8 times for volumes, a little better.
            None does what cross-validation did, so that what it told holds.
        folds: whose networks are averaged; all there are by default.
        overlays: also OUT/overlays/NAME.png: middle slices with the classes over them.
        overwrite: replace files that are there.

    Returns:
        the files written.

    Raises:
        RunError: no run, or a network of it that is not there or damaged.
        DataFileError, SceneError: an image that cannot be read or does not fit the run, or a file that exists.
    """
    run = read_run(root)
    chosen, mirror = run.chosen, run.record.mirrored if mirror is None else mirror
    parts = _with_first(run.plan, chosen)
    for name in parts:
        check_folds(run, name, folds)
    check_inference(run.plan.training.inference)
    planned = [_planned(run, case, out) for case in list_images(images, spacing=run.record.spacing)]
    pictures = [out / "overlays" / f"{one.case.name}.png" for one in planned] if overlays else []
    where = choose_device(device)
    check_targets([*(one.target for one in planned), *pictures], inputs=[root, images], overwrite=overwrite)
    for place in (out, *({picture.parent for picture in pictures})):
        make_folder(place)
    with working("Loading networks", quiet=quiet):
        networks = {name: [net.to(where) for net in load_networks(run, name, folds)] for name in parts}
    n = sum(len(networks[name]) for name in chosen)
    say(f"{counted(len(planned), 'image')}, {counted(n, 'network')} of {listed(chosen)}, on {where}", quiet=quiet)
    folder = CaseFolder(
        root, "", (), channels=run.record.channels, classes=run.record.classes, codes=run.record.codes
    )  # fmt: skip
    total, done = sum(one.voxels for one in planned), 0
    with scene_progress("Predicting", total, quiet=quiet) as progress:
        for index, one in enumerate(planned):

            def share(part: float, one: Planned = one, done: int = done) -> None:
                progress(done + round(part * one.voxels), total)

            labels = predict_case(
                read_case(folder, one.case, labels=False), run.plan, networks, chosen, mirror=mirror, device=where,
                share=share,
            )  # fmt: skip
            labels = keep_largest(labels, run.record.largest)
            write_prediction(
                one.target, labels, like=one.case.images[0], codes=run.record.codes, inputs=one.case.images,
                overwrite=overwrite,
            )  # fmt: skip
            if overlays:
                from hyperseg.report.overlays import write_overlay

                write_overlay(pictures[index], read_case(folder, one.case, labels=False), labels)
            done += one.voxels
    return [one.target for one in planned]


def predict_case(
    scene: Scene, plan: Plan, networks: Networks, chosen: Sequence[str], *, mirror: bool = True,
    device: torch.device | str = "cpu", share: Share | None = None,
) -> NDArray[np.int16]:  # fmt: skip
    """(*S) classes of a case in its own axes, without post-processing.

    Where two configurations predict, their probabilities are averaged on the case's grid. The second network of a
    cascade is given the classes of the first.

    Args:
        scene: (*S, C) as `read_case` gives it.
        plan: of the networks.
        networks: of every configuration in `chosen` (and of those before them in a cascade), on the device, in
            evaluation mode; those of one configuration are averaged.
        chosen: names of configurations.
        mirror, device: see `sliding.averaged`.
        share: told which part is done.
    """
    inference = plan.training.inference
    parts = [0.0] * len(chosen)
    cases = [_prepared(scene, plan, plan.configuration(n), networks, mirror=mirror, device=device) for n in chosen]
    del scene  # its values are not needed any more
    streams: list[Iterator[Tensor]] = []
    for index, (name, made) in enumerate(zip(chosen, cases, strict=True)):
        score = averaged(networks[name], inference, mirror=mirror)

        def done(n: int, of: int, index: int = index) -> None:
            parts[index] = n / of
            if share is not None:
                share(sum(parts) / len(parts))

        patch = plan.configuration(name).patch
        slabs = slide(score, made.image, patch, n_classes=len(plan.facts.classes), device=device, done=done)
        streams.append(restored(slabs, made.back))
    back = cases[0].back
    if len(streams) == 1:
        return decided(streams[0], back)
    return decided((_mean(scores, inference.average) for scores in zip(*streams, strict=True)), back)


def _mean(scores: Sequence[Tensor], average: str) -> Tensor:
    """Mean probabilities of a slice by several configurations."""
    each = [one if average == "probabilities" else one.softmax(0) for one in scores]
    return torch.stack(each).mean(0)


def _prepared(
    scene: Scene, plan: Plan, configuration: Configuration, networks: Networks, *, mirror: bool,
    device: torch.device | str,
) -> Prepared:  # fmt: skip
    """The case for a configuration; that of a cascade has a channel for each foreground class the first one found.

    Differs: the first network's classes go through the case's grid, where the original resamples its scores at once.
    """
    if not configuration.after:
        return prepare(scene, plan, configuration, labels=False)
    first = predict_case(scene, plan, networks, [configuration.after], mirror=mirror, device=device)
    seen = prepare(scene.with_(labels=first, classes=plan.facts.classes), plan, configuration, labels=True)
    assert seen.labels is not None
    found = [seen.labels == k for k in range(1, len(plan.facts.classes))]
    return Prepared(np.concatenate([seen.image, np.stack(found).astype(np.float32)]), None, seen.back)


def _with_first(plan: Plan, chosen: Sequence[str]) -> tuple[str, ...]:
    """Configurations whose networks are needed: those chosen, and the first ones of cascades."""
    every = [name for one in chosen for name in (plan.configuration(one).after, one) if name]
    return tuple(dict.fromkeys(every))


def _planned(run: SegmentRun, case: Case, out: Path) -> Planned:
    """Where the classes of an image go.

    Raises:
        SceneError: it does not fit the plan, from its header. DataFileError: it cannot be read.
    """
    shapes = [shape_of(path) or (*(found := decode_image(path)).shape, found.channels) for path in case.images]
    file, facts = split_key(case.images[0])[0], run.plan.facts
    axes, channels, names = len(shapes[0]) - 1, sum(shape[-1] for shape in shapes), run.record.channels
    planned_axes, volume = len(run.plan.axes), ending_of(file) in VOLUMES
    if axes != planned_axes:
        kinds = {2: "a picture", 3: "a volume"}
        raise SceneError(
            f"{file}: is {kinds.get(axes, f'of {axes} axes')}, the run was trained on "
            f"{'volumes' if planned_axes == 3 else 'pictures'}. Give images of that kind."
        )
    grey_or_colours = len(case.images) == 1 and {channels, len(names)} == {1, 3}  # `read_case` converts them
    if channels != len(names) and not grey_or_colours:
        raise SceneError(
            f"{file}: {case.name} has {counted(channels, 'channel')}, the run was trained on {len(names)}: "
            f"{', '.join(names)}. Channels in files of their own are called {case.name}_0000, {case.name}_0001 ..."
        )
    known = bool(case.spacing) or says_itself(case)
    if known != (facts.unit == "mm"):
        remedy = "Give files of the same kind" + ("." if known else ", or a spacing.csv beside them: lines name,Z,Y,X.")
        raise SceneError(
            f"{file}: {'has' if known else 'does not have'} a spacing in millimetres, images the run was trained on "
            f"{'did not' if known else 'did'}. {remedy}"
        )
    flat = axes == 2 and (ending_of(file) in PICTURES or not volume)
    ending = VOLUMES[0] if volume else ".png" if flat else ".npy"
    return Planned(case, out / f"{case.name}{ending}", prod(shapes[0][:-1]))


def parse_folds(text: str | None) -> tuple[int, ...] | None:
    """Numbers of folds as in "0,2"; None for all.

    Raises:
        SettingError: something else.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise SettingError(f"--folds {text}: numbers with commas between them were expected, as in 0,1.")
    return tuple(map(int, words))
