"""What is found of implanted targets, the same for all: by classical filters and by detectors, repeat by repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import counted
from hyperseg.data.preprocess import gather_spectra
from hyperseg.detection.network import Detector
from hyperseg.engine.progress import counted_progress
from hyperseg.recipes.detection.scene.background import Background, Float32, fit_background
from hyperseg.recipes.detection.scene.candidates import Candidates, Found, compared, pooled
from hyperseg.recipes.detection.scene.learn import Ground, read_ground, train_detector
from hyperseg.recipes.detection.scene.local import LocalBackground, fit_local
from hyperseg.recipes.detection.scene.parts import N_PARTS, Parts, parts_of
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.recipes.detection.scene.search import FILTERS, channels_of, detected, filter_candidates, filtered
from hyperseg.recipes.detection.scene.settings import ROWS, Detectors, SceneTargetSettings
from hyperseg.recipes.detection.scene.spectrum import Target
from hyperseg.simulated.targets import Implant, ImplantedCube, boxes_of, draw_implants, with_decoys

ONE_IN, MOST, LEAST = 250, 400, 8  # pixels for each target of a repeat; most and fewest of them
MEAN = "mean of {} networks, {}"
Networks = list[list[Detector]]
"""Of each part the detectors that learned on it."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A scene and a target, ready to be searched.

    Attributes:
        free: (H, W) bool, pixels with data where no known target lies, nor one of the truth: targets are implanted and
            counted there. Nothing that is learned knows of the truth.
    """

    scene: Scene
    target: Target
    settings: SceneTargetSettings
    parts: Parts
    background: Background
    local: LocalBackground
    free: Mask

    @property
    def area_px(self) -> int:
        return int(self.free.sum())


@dataclass(eq=False)
class Trial:
    """One repeat.

    Attributes:
        scene: with targets and decoys in it.
        targets: without the decoys.
        found: what each row found of them.
    """

    scene: Scene
    targets: tuple[Implant, ...]
    found: dict[str, Found] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Studied:
    """All repeats.

    Attributes:
        networks: of each detector all that were trained, by part.
        names: of each detector what its networks are called when they search together.
        mapped: name of the method that searches the scene as it is.
        chosen: it is the best of all on the implanted targets, not one that was asked for.
    """

    ready: Ready
    trials: list[Trial]
    networks: dict[Detectors, Networks]
    names: dict[Detectors, str]
    mapped: str
    chosen: bool = False

    def together(self, row: str) -> Found:
        """A row's finds of all repeats."""
        return pooled(t.found[row] for t in self.trials)

    def means(self, row: str) -> list[float]:
        """Of each repeat a row's mean sensitivity."""
        return [t.found[row].mean for t in self.trials]


def make_ready(
    scene: Scene, target: Target, settings: SceneTargetSettings, *, seed: int, truth: Mask | None = None
) -> Ready:
    """Cut the scene in parts and learn its background.

    Raises:
        SceneError: too small a scene, or too few pixels.
    """
    parts = parts_of(scene)
    background = fit_background(scene, target, components=settings.components, seed=seed)
    free = np.ones(scene.shape, bool) if scene.valid is None else scene.valid.copy()
    for known in (target.known, truth):
        if known is not None:
            free &= ~known
    return Ready(scene, target, settings, parts, background, fit_local(scene, background), free)


def implanted(ready: Ready, seed: int) -> Trial:
    """The scene with targets and as many decoys; each lies in one part, half of all in each.

    Raises:
        SceneError: no room for a handful of them.
    """
    rng = np.random.default_rng([seed, 1])
    wanted = ready.settings.implants or min(max(ready.area_px // ONE_IN, LEAST), MOST)
    every: list[Implant] = []
    for part in range(N_PARTS):
        allowed = np.zeros(ready.scene.shape, bool)
        for window in ready.parts.windows(part):
            allowed[window] = ready.free[window]
        drawn = draw_implants(allowed, 2 * (wanted // 2), rng=rng, **ready.settings.drawn)
        others = _others(ready, rng, len(drawn) // 2)
        every += with_decoys(drawn, others)
    targets = tuple(i for i in every if i.decoy is None)
    if len(targets) < LEAST // 2:
        raise SceneError(f"{ready.scene.name}: room for {counted(len(targets), 'target')} only; give a larger scene.")
    cube = ImplantedCube(ready.scene.cube, tuple(every), ready.background.target)
    return Trial(ready.scene.with_(cube=cube), targets)


def study(
    ready: Ready, rows: Sequence[Detectors], runtime: Runtime,
    told: Callable[[int, Trial], None] = lambda repeat, trial: None, *, auto: bool = False,
) -> Studied:  # fmt: skip
    """Train every detector on either part in every repeat, and count what all methods find.

    Of a detector that learned on one part, only what it finds on the other counts. Each is counted once more with its
    networks of all repeats averaged, as they search the scene.

    Args:
        auto: the method with the highest mean sensitivity searches the scene, be it a filter or a detector; otherwise
            the first of `rows` does.
        told: called after every repeat with its number, from 0, and what was found in it.
    """
    grounds = [
        read_ground(ready.scene, ready.parts, part, ready.background, ready.target.known, seed=runtime.seed)
        for part in range(N_PARTS)
    ]
    trials: list[Trial] = []
    networks: dict[Detectors, Networks] = {row: [[] for _ in range(N_PARTS)] for row in rows}
    for repeat in range(ready.settings.repeats):
        seed = 1000 * runtime.seed + repeat
        here = runtime.within(f"repeat {repeat + 1} of {ready.settings.repeats}", str(repeat))
        trial = implanted(ready, seed)
        trials.append(trial)
        for name, found in filter_candidates(filtered(trial.scene, ready.background, ready.local)).items():
            trial.found[name] = counted_in(ready, trial, found)
        for row in rows:
            own = _trained(grounds, ready, row, here, seed)
            for part, net in enumerate(own):
                networks[row][part].append(net)
            trial.found[ROWS[row]] = counted_in(ready, trial, _by(ready, trial.scene, [[n] for n in own], row, here))
        told(repeat, trial)
    names = {row: ROWS[row] if len(trials) == 1 else MEAN.format(len(trials), ROWS[row]) for row in rows}
    for i, trial in enumerate(trials if len(trials) > 1 else ()):
        here = runtime.within(f"all networks on repeat {i + 1} of {len(trials)}", str(i))
        for row, name in names.items():
            trial.found[name] = counted_in(ready, trial, _by(ready, trial.scene, networks[row], row, here))
    done = Studied(ready, trials, networks, names, names[rows[0]], auto)
    return replace(done, mapped=best_of(done, [*FILTERS, *names.values()])) if auto else done


def best_of(studied: Studied, names: Sequence[str]) -> str:
    """The method that finds most of the implanted targets, by its mean sensitivity; of equal ones the first."""
    return max(names, key=lambda name: float(np.mean(studied.means(name))))


def searched(studied: Studied, scores: Float32, runtime: Runtime) -> dict[str, Candidates]:
    """Candidates of the scene as it is: of the filters, and of each row's detectors, averaged.

    Args:
        scores: (H, W, F) of the filters on the scene.
    """
    ready = studied.ready
    found = filter_candidates(scores)
    here = runtime.within("the scene as it is", "scene")
    for row, name in studied.names.items():
        found[name] = _by(ready, ready.scene, studied.networks[row], row, here)
    return found


def counted_in(ready: Ready, trial: Trial, found: Candidates) -> Found:
    """Candidates against the targets of a trial; those on pixels that are known to be something are left out."""
    return compared(found, boxes_of(trial.targets), area_px=ready.area_px, excluded=~ready.free)


def _trained(grounds: list[list[Ground]], ready: Ready, row: Detectors, runtime: Runtime, seed: int) -> list[Detector]:
    nets = []
    for part, own in enumerate(grounds):
        there = Runtime(seed=2 * seed + part, device=runtime.device, tag=runtime.tag, quiet=runtime.quiet)
        other, name = grounds[(part + 1) % N_PARTS], f"{ROWS[row]}, part {part + 1}"
        nets.append(train_detector(own, other, ready.background, row, ready.settings, there, name=name))
    return nets


def _by(ready: Ready, scene: Scene, networks: Networks, row: Detectors, runtime: Runtime) -> Candidates:
    volume = channels_of(scene, ready.background, with_ace=row != "plain")
    with counted_progress(runtime.label(f"{ROWS[row]}, searching"), unit="tiles", quiet=runtime.quiet) as show:
        return detected(networks, volume, ready.parts, device=runtime.device, valid=scene.valid, done=show)


def _others(ready: Ready, rng: np.random.Generator, n: int) -> NDArray[Any]:
    """(n, C) spectra of pixels from all over the scene, for decoys."""
    where = np.flatnonzero(ready.free)
    mask = np.zeros(ready.scene.shape, bool)
    mask.flat[rng.choice(where, min(n, len(where)), replace=False)] = True
    return rng.permutation(gather_spectra(ready.scene, mask))
