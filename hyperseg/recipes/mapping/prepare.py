"""A model on another scene: bands brought to the model's, and a word where the scene is unlike what it saw."""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.data.applicability import Applicability
from hyperseg.data.bands.resampling import match_bands
from hyperseg.data.drift import measure_drift
from hyperseg.data.preprocess import Preprocess
from hyperseg.io.look.judge import with_nodata_of

log = logging.getLogger(__name__)


class Transferable(Protocol):
    """What has to be known of a run to prepare another scene for it.

    Attributes:
        preprocess: of the model.
        scene_name: of the scene it was trained on.
        wavelengths_nm: (C,) of that scene, or None.
        scale, nodata: of that scene, or None.
        applicability: what the model saw, or None for runs that kept nothing of it.
    """

    @property
    def preprocess(self) -> Preprocess: ...

    @property
    def scene_name(self) -> str: ...

    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None: ...

    @property
    def scale(self) -> float | None: ...

    @property
    def nodata(self) -> float | None: ...

    @property
    def applicability(self) -> Applicability | None: ...


def prepare_scene(run: Transferable, scene: Scene, *, model: str = "the model") -> Scene:
    """The scene with the bands the model reads, and with the run's no-data value where it has none of its own.

    What was done, and any drift, is logged.

    Reads about 12 000 pixels where the run kept what it saw; the rest stays lazy.

    Args:
        run: a run read back.
        scene: to be mapped.
        model: what to call the model in messages, e.g. "the run runs/field".

    Raises:
        SceneError: bands that the model reads are not covered, or another number of bands without wavelengths.
    """
    scene = with_nodata_of(scene, run.nodata, model=model)
    matched = match_bands(
        scene, wavelengths_nm=run.wavelengths_nm, keep=run.preprocess.keep, scale=run.scale, model=model
    )
    _remark_on_dead_bands(run.preprocess, matched)
    if run.applicability is not None:
        report = measure_drift(run.applicability, matched)
        words = f"{scene.name}: {report.sentence(matched.wavelengths_nm)}"
        if report.level != "none":
            words += f" (trained on {run.scene_name}). For scenes under another sun train with --illumination 0.05"
        log.log(logging.DEBUG if report.level == "none" else logging.WARNING, "%s", words)
    return matched


def _remark_on_dead_bands(preprocess: Preprocess, scene: Scene) -> None:
    """Bands that the model reads and that hold nothing in this scene; only without wavelengths to fill them by."""
    if scene.good_bands is None:
        return
    lacking = np.flatnonzero(preprocess.keep & ~scene.good_bands)
    if lacking.size:
        log.warning(
            "%s: the model reads %d bands that are dead or marked bad here (%s): expect a worse map",
            scene.name, lacking.size, ", ".join(map(str, lacking[:10])),
        )  # fmt: skip
