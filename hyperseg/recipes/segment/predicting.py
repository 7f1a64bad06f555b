"""`predict_images`: images or volumes through the networks of a run, each to a file on its own grid."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core import Scene, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.words import counted, listed, percent
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import say, scene_progress, working
from hyperseg.io.cases import Case, CaseFolder, list_images, read_case, write_doubt, write_prediction
from hyperseg.io.cases.names import NUMBERED, stem_of
from hyperseg.io.write.targets import check_targets
from hyperseg.medical.components import keep_largest
from hyperseg.recipes.segment.checks import warn_of_mirrors
from hyperseg.recipes.segment.folder import SegmentRun, check_folds, load_networks, read_run, trained_folds
from hyperseg.recipes.segment.prediction.answer import Floats, Labels, answer_case, draws
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.prediction.fitting import Planned, needed, planned_image, warn_of_learnt
from hyperseg.recipes.segment.prediction.one_case import Share, Work, predict_case
from hyperseg.recipes.segment.sliding import check_inference
from hyperseg.recipes.tricks.words import added_words, with_tricks

log = logging.getLogger(__name__)

KEPT_BYTES = 2**26  # of an image: kept for its overlay; a larger one is read again
COARSE = "3d_low"
UNCERTAINTY = "uncertainty"


def predict_images(
    root: Path, images: Path, *, out: Path, device: str = "auto", mirror: bool | None = None,
    folds: Sequence[int] | None = None, region_first: bool = False, overlays: bool = False, uncertainty: bool = False,
    overwrite: bool = False, settings: Mapping[str, Any] | None = None, tricks: Sequence[str] = (),
    quiet: bool = False, cost: Cost | None = None,
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
        region_first: one network looks first, the others at what it finds alone, see `predict_case`.
        overlays: also OUT/overlays/NAME.png: middle slices with the classes over them.
        uncertainty: also OUT/uncertainty/NAME.*: `Answer.doubt` of each pixel; below the overlays too.
        overwrite: replace files that are there.
        settings: of the run's method, by name, that are to be others than in training; see `CaseMethod.drawing`.
        tricks: more than the run has, that change predictions alone, as they are spelled.
        cost: what it costs is added.

    Returns:
        the files written.

    Raises:
        RunError: no run, or a network of it that is not there or damaged.
        SettingError: a setting that the method has not, or that a prediction cannot change; a trick that it cannot
            add; or uncertainty of a region.
        DataFileError, SceneError: an image that cannot be read or does not fit the run, or a file that exists.
    """
    if uncertainty and region_first:
        raise SettingError(
            "--uncertainty is told of whole images, --region-first looks at parts: leave one of them out."
        )
    run = read_run(root)
    method = run.method.drawing(settings or {}, tricks)
    method.on.check(run.plan, method.settings)
    chosen, asked, mirror = run.chosen, mirror, run.record.mirrored if mirror is None else mirror
    look = _look(run, chosen) if region_first else ""
    wanted = {name: check_folds(run, name, folds) for name in needed(run.plan, chosen)}
    if look:
        wanted.setdefault(look, trained_folds(run, look)[:1])
    check_inference(run.plan.training.inference)
    cases = list_images(images, spacing=run.record.spacing, channels=run.record.channels)
    planned = [planned_image(run, case, out) for case in cases]
    pictures = [out / "overlays" / f"{one.case.name}.png" if overlays else None for one in planned]
    doubts = [out / UNCERTAINTY / one.target.name if uncertainty else None for one in planned]
    more = [path for path in (*pictures, *doubts) if path is not None]
    where = choose_device(device)
    check_targets([*(one.target for one in planned), *more], inputs=[root, images], overwrite=overwrite)
    for place in (out, *({path.parent for path in more})):
        make_folder(place)
    with working("Loading networks", quiet=quiet):
        networks = {name: [net.to(where) for net in load_networks(run, name, them)] for name, them in wanted.items()}
    n = sum(len(networks[name]) for name in chosen)
    how = f" {with_tricks(method.tricks)}" if method.tricks else ""
    say(f"{counted(len(planned), 'image')}, {counted(n, 'network')} of {listed(chosen)}{how}, on {where}", quiet=quiet)
    if told := added_words(run.record.tricks, method.tricks):
        say(told, quiet=quiet)
    if told := _numbers(run, cases):
        say(told, quiet=quiet)
    warn_of_learnt(run, cases)
    warn_of_mirrors(run.plan, asked)
    folder = CaseFolder(
        root, "", (), channels=run.record.channels, classes=run.record.classes, codes=run.record.codes
    )  # fmt: skip
    total, done = sum(one.voxels for one in planned), 0
    cost = Cost() if cost is None else cost
    unit = "voxels" if len(run.plan.axes) > 2 else "pixels"
    work = Work(run.plan, networks, method, mirror, where, run.record.seed, cost)
    with scene_progress("Predicting", total, quiet=quiet, unit=unit) as progress:
        for one, picture, unsure in zip(planned, pictures, doubts, strict=True):

            def share(part: float, one: Planned = one, done: int = done) -> None:
                progress(done + round(part * one.voxels), total)

            with cost.of("reading"):
                scene = [read_case(folder, one.case, labels=False)]
            kept = scene[0] if overlays and scene[0].cube[:].nbytes <= KEPT_BYTES else None
            labels, doubt = _answered(scene, work, chosen, share=share, look=look, uncertainty=uncertainty)
            with cost.of("pieces"):
                labels = keep_largest(labels, run.record.largest)
            with cost.of("writing"):
                like, inputs = one.case.images[0], one.case.images
                write_prediction(
                    one.target, labels, like=like, codes=run.record.codes, inputs=inputs, overwrite=overwrite
                )  # fmt: skip
                if unsure is not None and doubt is not None:
                    write_doubt(unsure, doubt, like=like, inputs=inputs, overwrite=overwrite)
                if picture is not None:
                    _draw(picture, kept or read_case(folder, one.case, labels=False), labels, doubt)
            done += one.voxels
    if uncertainty:
        say(_about_doubt(draws(method, chosen), planned), quiet=quiet)
    say(_summary(cost, len(planned)), quiet=quiet)
    return [one.target for one in planned]


def _answered(
    scene: list[Scene], work: Work, chosen: Sequence[str], *, share: Share, look: str, uncertainty: bool
) -> tuple[Labels, Floats | None]:
    """Classes of an image, and where it is asked for its doubt; the list lets go of the image when it is prepared."""
    if uncertainty:
        answer = answer_case(scene.pop(), work, chosen, share=share)
        return answer.labels, answer.doubt
    labels = predict_case(
        scene.pop(), work.plan, work.networks, chosen, mirror=work.mirror, device=work.device, share=share, look=look,
        cost=work.cost, method=work.method, seed=work.seed,
    )  # fmt: skip
    return labels, None


def _about_doubt(drawn: bool, planned: Sequence[Planned]) -> str:
    """What the files of uncertainty hold."""
    what = "disagreement of the samples (mutual information over ln K)" if drawn else "entropy over ln K"
    scale = "0 to 255 for 0 to 1" if planned[0].target.suffix == ".png" else "0 to 1"
    return f"uncertainty: {what}, {scale}, in {planned[0].target.parent / UNCERTAINTY}"


def _numbers(run: SegmentRun, cases: Sequence[Case]) -> str:
    """What the numbers of files were taken for; empty where there are none, or where the run has no other names."""
    for case in (case for case in cases if len(case.images) == len(run.record.channels) > 1):
        ends = [NUMBERED.fullmatch(stem_of(path)) for path in case.images]
        told = [(end["channel"], name) for end, name in zip(ends, run.record.channels, strict=True) if end]
        if len(told) == len(ends) and any(end != name for end, name in told):
            return f"channels by number: {', '.join(f'{end} = {name}' for end, name in told)}"
    return ""


def _draw(picture: Path, scene: Scene, labels: Labels, doubt: Floats | None) -> None:
    from hyperseg.report.overlays import write_overlay

    write_overlay(picture, scene, labels, doubt)


def _summary(cost: Cost, cases: int) -> str:
    """Where the time went, and how much was looked at again after a first look."""
    told = cost.told(cases)
    if not cost.shares:
        return told
    mean, most = (percent(100 * share) for share in (sum(cost.shares) / len(cost.shares), max(cost.shares)))
    return f"{told}; region first: {mean} of the voxels were predicted, {most} at most; the others are background"


def _look(run: SegmentRun, chosen: Sequence[str]) -> str:
    """The configuration whose network looks first: the coarse one where it was trained, else what predicts anyway."""
    return COARSE if trained_folds(run, COARSE) else chosen[0]


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
