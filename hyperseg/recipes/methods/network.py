"""`network_method`: how a network becomes a method. A method needs a builder and one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hyperseg.core import Scene, SceneError, Split
from hyperseg.core.parts import Begin, Method, Saved
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.training.settings import TrainSettings, check_window, flips_option, window_option

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.model import NetworkModel


@settings
class WindowedSettings:
    """A network whose window can be chosen, on standardised bands."""

    window: int = window_option()
    flips: bool = flips_option()
    train: TrainSettings = option(TrainSettings(), "The training.")

    def __post_init__(self) -> None:
        check_window(self.window)


def network_method(
    name: str,
    settings: type,
    *,
    describe: Callable[[Task, Preprocess, Any], Any],
    build: Callable[[Any, int], Any],
    read: Callable[[dict[str, Any]], Any],
    prepare: Callable[[Task, Any], Preprocess] | None = None,
    tell: Callable[[NetworkModel, Scene, Split, Runtime], Section | None] | None = None,
    begin: Begin | None = None,
    **more: Any,
) -> Method:
    """A method that trains one network on the labels alone.

    Args:
        name: as in the table.
        settings: class of its settings; has `train` (`TrainSettings`) and may have `flips`.
        describe: (task, preprocess, settings) -> spec, a dataclass that JSON can hold; raises for what cannot be built.
        build: (spec, seed) -> module with `margin` and `padded`.
        read: JSON of a spec -> spec.
        prepare: (task, settings) -> preprocessing, fitted on training pixels; by default bands are standardised.
        tell: what the report shows of the model beside its training.
        begin: what is done to the fresh network; see `Method.begins`.
        more: further fields of `Method`.
    """
    step = more.get("step") or name
    prepare = prepare or standardised

    def check(task: Task, chosen: Any) -> None:
        check_memory(task)
        preprocess = prepare(task, chosen)
        network = build(describe(task, preprocess, chosen), 0)
        _ = network.margin
        if begin is not None:
            begin(network, preprocess)

    def fit(task: Task, chosen: Any, runtime: Runtime) -> NetworkModel:
        from hyperseg.recipes.training.model import NetworkModel
        from hyperseg.recipes.training.network import centred, fit_network

        preprocess = prepare(task, chosen)
        spec = describe(task, preprocess, chosen)
        network = build(spec, runtime.seed)
        begun = "" if begin is None else begin(network, preprocess)
        history = fit_network(task, network, preprocess, chosen.train, runtime, name=step)
        on_scene = centred(task, network, preprocess, chosen.train, runtime)
        flips = getattr(chosen, "flips", False)
        return NetworkModel(
            step, network, spec, preprocess, task.n_classes, history, flips, tell=tell, centred=on_scene, begun=begun
        )

    def load(saved: Saved) -> NetworkModel:
        from hyperseg.recipes.training.model import load_network

        spec = read(saved.record["spec"])
        return load_network(saved, spec, build(spec, 0))

    def begins(with_this: Begin) -> Method:
        return network_method(
            name, settings, describe=describe, build=build, read=read, prepare=prepare, tell=tell, begin=with_this,
            **more,
        )  # fmt: skip

    return Method(name, settings, fit, load, check, trains_on=True, begins=begins, **more)


def standardised(task: Task, settings: Any = None) -> Preprocess:
    """Bands standardised with training spectra only."""
    return prepared(task)


def whitened(task: Task, settings: Any = None) -> Preprocess:
    """Within-class whitening where the settings ask for it, else standardised bands."""
    return prepared(task, whiten=settings is None or settings.whiten)


def prepared(task: Task, *, whiten: bool = False, n_components: int | None = None, averaged: int = 1) -> Preprocess:
    """Preprocessing fitted on the training spectra of all scenes of a task; see `data.preprocess.fit_preprocess`."""
    from hyperseg.data.preprocess import fit_preprocess

    spectra, classes = training_spectra(task)
    good = task.scenes[0].good_bands
    if n_components is not None:
        usable = fit_preprocess(spectra, good_bands=good).n_out
        most = min(n_components, len(spectra) - 1, usable)
        return fit_preprocess(spectra, good_bands=good, n_components=most)
    return fit_preprocess(spectra, good_bands=good, whiten_within=classes if whiten else None, averaged=averaged)


def planned_average(task: Task) -> int:
    """Neighbouring bands that are averaged, by the rule of a scene's plan: 1 where bands are not mostly noise."""
    from hyperseg.data.facts import noise_of
    from hyperseg.hsi.plan import groups_of

    bands, noise = noise_of(*training_spectra(task), good_bands=task.scenes[0].good_bands)
    return groups_of(noise, bands)


def training_spectra(task: Task) -> tuple[Any, Any]:
    """(n, C) raw spectra and (n,) classes of all training pixels."""
    from hyperseg.data.preprocess import gather_spectra

    spectra = [gather_spectra(scene, split.train) for scene, split in zip(task.scenes, task.splits, strict=True)]
    classes = [
        scene.labels[split.train]
        for scene, split in zip(task.scenes, task.splits, strict=True)
        if scene.labels is not None
    ]
    return np.concatenate(spectra), np.concatenate(classes)


def spectral_spatial(stage: Literal["none", "short", "groups"], **more: Any) -> dict[str, Any]:
    """`describe`, `build` and `read` of a network in `hyperseg.hsi.networks` with this stage before the collapse."""

    def describe(task: Task, preprocess: Preprocess, chosen: Any) -> Any:
        from hyperseg.hsi.networks import NetworkSpec

        shape = {name: value(task, preprocess, chosen) for name, value in more.items()}
        return NetworkSpec(preprocess.n_out, task.n_classes, stage, blocks=chosen.window // 4, **shape)

    def read(data: dict[str, Any]) -> Any:
        from hyperseg.hsi.networks import NetworkSpec

        return from_json(NetworkSpec, data)

    return {"describe": describe, "build": built, "read": read}


def built(spec: Any, seed: int) -> Any:
    """A network of `hyperseg.hsi.networks`."""
    from hyperseg.hsi.networks import build_network

    return build_network(spec, seed=seed)


def check_memory(task: Task, *, there: int | None = None) -> None:
    """Raise for scenes whose preprocessed cubes, which training holds, are more than this machine's memory."""
    needed = sum(4 * int(np.prod(scene.cube.shape)) for scene in task.scenes)
    there = memory_bytes() if there is None else there
    if there is not None and needed > there:
        raise SceneError(
            f"{task.scenes[0].name}: training holds {needed / 1e9:.1f} GB of preprocessed pixels, this machine has "
            f"{there / 1e9:.1f} GB of memory. Train on a part that holds the labels (gdal_translate -srcwin COLUMN ROW "
            "WIDTH HEIGHT SCENE PART), then map all of it with `hyperseg map RUN SCENE`."
        )


def memory_bytes() -> int | None:
    """Memory of this machine; None where the system does not tell (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
