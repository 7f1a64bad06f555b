"""From a folder of images or volumes to a plan, and a plan from its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hyperseg.core import DataFileError, LabelError, Scene, SceneError, SettingError
from hyperseg.core.settings import from_json
from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import CaseFolder, open_cases, read_case
from hyperseg.medical.fingerprint import Fingerprint, fingerprint_of
from hyperseg.medical.plan import Plan, limit_of, make_plan
from hyperseg.medical.training import Preset
from hyperseg.medical.validity.whole import check_plan_values
from hyperseg.recipes.segment.methods.chosen import CaseMethod

Progress = Callable[[int, int], None]


@contextmanager
def pointing_to_check(folder: Path) -> Iterator[None]:
    """What is wrong with a file is told with the command that looks at all of them."""
    try:
        yield
    except (DataFileError, LabelError, SceneError) as error:
        if folder.is_dir():
            error.add_note(f"`hyperseg segment check {folder}` tells everything that is wrong there.")
        raise


def read_folder(
    folder: Path, spacing: tuple[float, ...] = (), target: str | Sequence[str] = (), *, quiet: bool
) -> CaseFolder:  # fmt: skip
    """The cases of a folder, their labels read for the classes where nothing states these."""
    with (
        pointing_to_check(folder),
        counted_progress(f"Reading the labels of {folder}", unit="files", quiet=quiet) as progress,
    ):
        return open_cases(folder, spacing=spacing, target=target, progress=progress)


def plan_cases(
    folder: CaseFolder, *, preset: Preset = "v2", gigabytes: float | None = None, patience: float | None = None,
    progress: Progress | None = None,
) -> Plan:  # fmt: skip
    """Look at every labelled case of a folder once and plan networks for it.

    Args:
        folder: as `open_cases` gives it.
        preset, gigabytes, patience: see `make_plan`; the pace that patience needs is measured here, on the CPU: with a
            small network first, then with the one that was planned by that.
        progress: told how many cases of how many were looked at.

    Raises:
        SettingError: a limit that the preset does not know, or that no network fits.
        SceneError, LabelError, DataFileError: a case that cannot be used, by name, or another fault of the folder.
    """
    limit_of(preset, gigabytes, patience, None if patience is None else 1.0)
    seen = take_fingerprint(folder, progress=progress)
    pace = None
    if patience is not None:
        from hyperseg.medical.networks import measure_pace

        pace = measure_pace(seen.n_axes)
    plan = make_plan(seen, preset=preset, gigabytes=gigabytes, patience=patience, pace=pace)
    if patience is None:
        return plan
    pace = pace_of(folder, plan, "cpu")
    return make_plan(seen, preset=preset, gigabytes=gigabytes, patience=patience, pace=pace)


def pace_of(folder: CaseFolder, plan: Plan, device: str, method: CaseMethod | None = None) -> float:
    """Feature values a second in training steps of a method's network for what a plan is mainly about."""
    from hyperseg.core.runtime import Runtime
    from hyperseg.engine.device import choose_precision
    from hyperseg.recipes.segment.costs.pace import values_pace

    runtime = Runtime(device=device, precision=choose_precision(device), quiet=True)
    return values_pace(folder, plan, plan.main, runtime, method=method)


def take_fingerprint(folder: CaseFolder, *, progress: Progress | None = None) -> Fingerprint:
    """The fingerprint of a folder's labelled cases, one in memory at a time."""

    refuse_faults(folder)

    def cases() -> Iterator[Scene]:
        for done, case in enumerate(folder.cases, start=1):
            scene = read_case(folder, case)
            _check_values(scene)
            yield scene
            del scene
            if progress is not None:
                progress(done, len(folder.cases))

    return fingerprint_of(cases(), folder.channels)


def _check_values(scene: Scene) -> None:
    """Numbers everywhere: patches are cut everywhere, and preparing cases would stop at it much later.

    Raises:
        SceneError: NaN, or infinite values.
    """
    cube = np.asarray(scene.cube[:])
    if cube.dtype.kind == "f" and not all(np.isfinite(part).all() for part in cube):
        raise SceneError(
            f"{scene.source}: holds NaN or infinite values, finite numbers were expected. Replace them, by what air "
            "has here for example, or leave the case out."
        )


def refuse_faults(folder: CaseFolder) -> None:
    """Errors that showed when the folder was listed end here: a label without an image, a file that is not there.

    Raises:
        DataFileError: the first of them, and how many more there are.
    """
    errors = [fault for fault in folder.faults if fault.severity == "error"]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DataFileError(f"{errors[0]}{more}")


def read_plan(path: str | Path) -> Plan:
    """The plan that `hyperseg segment plan --out` wrote, or one changed by hand.

    Raises:
        DataFileError: no such file, no JSON, or no plan, or values that make no sense: it says which entry is wrong.
    """
    try:
        plan = from_json(Plan, json.loads(Path(path).read_text(encoding="utf-8")), "the plan")
        check_plan_values(plan)
        return plan
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataFileError(f"{path} is not a readable plan ({error}): write one by hyperseg segment plan.") from error
    except SettingError as error:
        raise DataFileError(
            f"{path}: {error} Mend the entry, or write the plan anew by hyperseg segment plan."
        ) from error
