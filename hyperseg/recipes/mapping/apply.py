"""A trained run applied to another scene, streamed window by window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperseg.core import Scene, Tile
from hyperseg.core.files import make_folder
from hyperseg.core.words import listed, percent
from hyperseg.data.identity import identity_of
from hyperseg.engine import ahead, choose_device
from hyperseg.io.write import MEANINGS, MapWriter
from hyperseg.io.write.groups import groups_tag
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.mapping.applicability import APPLICABILITY
from hyperseg.recipes.mapping.devices import check_workers
from hyperseg.recipes.mapping.fallback import answer_writer, chosen_fallback
from hyperseg.recipes.mapping.layers import DISAGREES, GROUPS, LAYERS, files_of, stale_files
from hyperseg.recipes.mapping.prepare import prepare_scene
from hyperseg.recipes.mapping.probabilities import ProbabilityWriter, check_target
from hyperseg.recipes.mapping.resume import PLAN, UnfinishedMap, open_unfinished
from hyperseg.recipes.mapping.storage import Mapped, assemble, write_windows
from hyperseg.recipes.mapping.windows import Mapper, make_mapper, plan_windows
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.run.load import load_run
from hyperseg.recipes.run.record import load_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """Where windows are mapped when not here.

    Attributes:
        address: of a Dask scheduler whose workers see the same files, or None for workers on this machine.
        workers: processes on this machine where there is no address.
        patience_s: how long the scheduler may take to answer.
    """

    address: str | None = None
    workers: int = 1
    patience_s: float = 20


@one_blas_thread()
def apply_run(
    run: Path,
    scene: Scene,
    *,
    out: Path,
    refine: bool = True,
    entropy: bool = False,
    groups: Path | str | None = None,
    sure: float | None = None,
    probabilities: Path | None = None,
    cluster: Cluster | None = None,
    side: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    quiet: bool = False,
    on_window: Callable[[int], None] | None = None,
) -> Path:
    """Map `scene` with the model of `run`; write `out`, OUT-confidence.tif, and more beside it.

    That is OUT-applicability.tif where the run kept what it takes, OUT-disagreement.tif of a method that answers more
    than once, and OUT-groups.tif of grouped classes.

    While it runs, finished windows lie in OUT.unfinished beside the map; a run that was killed goes on there and
    ends with the same bytes. Memory does not grow with the scene.

    Args:
        run: folder written by `classify`.
        scene: read window by window; its bands are resampled to the run's where both know their wavelengths.
        out: GeoTIFF to write.
        refine: apply the run's refiners too, within each window and a halo around it; else the map is the method's own.
        entropy: also write OUT-entropy.tif: Shannon entropy over ln K, 0 (certain) to 1.
        groups: a TOML file with groups of the run's classes; None are those of the run, if it has any.
        sure: the probability an answer of OUT-groups.tif must have; None is that of the run.
        probabilities: a Zarr store for the probabilities of all classes (needs the package zarr), or None.
        cluster: map windows in other processes or on other machines.
        side: of a window in pixels; None follows from the memory of a pixel.
        resume: go on with an interrupted map.
        overwrite: replace a map that is there; layers of it that are not written now go with it.
        device, quiet: as in `classify`; workers of a cluster take one CUDA device each.
        on_window: called with the number of every window once it is kept.

    Raises:
        RunError: the folder holds no whole run, or an unfinished map that cannot be gone on with.
        SceneError: bands that the model needs are missing.
        DataFileError: `out` cannot be written, or must not be, see `check_targets`.
    """
    unfinished = out.with_name(out.stem + ".unfinished")
    if probabilities is not None:
        check_target(probabilities, unfinished)
    here = _device_here(device, cluster)
    loaded = load_run(run)
    fallback = chosen_fallback(loaded, run, groups=groups, sure=sure)
    wanted = {
        "entropy": entropy, DISAGREES: loaded.disagrees, APPLICABILITY: loaded.applicability is not None,
        GROUPS: fallback is not None,
    }  # fmt: skip
    beside = [layer for layer, asked in wanted.items() if asked]
    targets = files_of(out, beside)
    # a map that was complete but for the removal of its unfinished state is assembled once more
    assembled = resume and (unfinished / PLAN).is_file()
    stale = stale_files(files_of(out, list(LAYERS)), targets) if overwrite else []
    read: list[str | Path] = [run, scene.source, *([] if groups is None else [groups])]
    check_targets([*targets.values(), *stale], inputs=read, overwrite=overwrite or assembled)
    scene = prepare_scene(loaded, scene, model=f"the run {run}")
    if loaded.refiners and not refine:
        left_out = listed(fitted.name for fitted in loaded.refiners)
        log.info("the map is that of %s alone, not refined with %s as the run's own is", loaded.chain[0], left_out)
    mapper = make_mapper(
        loaded, refine=refine, probabilities=probabilities is not None, device=here, fallback=fallback,
        entropy=entropy,
    )  # fmt: skip
    windows = plan_windows(scene, halo_px=mapper.halo_px, side=side, refined=mapper.refine)
    blurred = [r.name for r in loaded.refiners if not r.exact] if mapper.refine and len(windows) > 1 else []
    if blurred:
        log.info(
            "%d windows: %s sees %d pixels beyond each; where windows meet, the map can differ a little from that of "
            "the whole scene", len(windows), blurred[0], mapper.halo_px,
        )  # fmt: skip
    layers = {"codes": "uint8" if len(loaded.classes) < 2**8 else "uint16", "confidence": "float32"}
    layers |= {layer: LAYERS[layer].dtype for layer in beside}
    made_by = loaded.chain if mapper.refine else loaded.chain[:1]
    writer = MapWriter(
        out, scene.shape, classes=loaded.classes, colours=loaded.colours, grid=scene.grid,
        beside={name: targets[name] for name in MEANINGS if name in layers}, made_by=made_by, codes=loaded.codes,
        calibrated=mapper.refine and loaded.calibrated,
        tags=groups_tag(None if fallback is None else fallback.groups, loaded.classes),
    )  # fmt: skip
    answers = answer_writer(targets.get(GROUPS), scene, loaded, fallback, made_by)
    plan = {
        "run": load_record(run)["seal"],
        "scene": identity_of(scene),
        "refiners": [r.name for r in loaded.refiners] if mapper.refine else [],
        "layers": layers,
        "groups": None if fallback is None else fallback.to_json(),
        "probabilities": None if probabilities is None else str(probabilities),
    }
    make_folder(out.parent)
    store = open_unfinished(unfinished, scene.shape, layers, windows, plan, resume=resume)
    with _kept_for_resume(store, out):
        maps = _going_on(store, mapper, scene, windows, run=run, cluster=cluster, device=device)
        probs = None
        if probabilities is not None:
            probs = ProbabilityWriter(probabilities, store.root, scene, loaded, windows[0])
        write_windows(store, windows, maps, probs, label=f"mapping {scene.name}", quiet=quiet, on_window=on_window)
        outside = assemble(store, writer, answers)
        if probs is not None:
            probs.finish()
        for file in stale:
            file.unlink(missing_ok=True)
            log.info("%s belonged to the map that was replaced and is removed", file)
        store.remove()
    if outside is not None and loaded.applicability is not None:
        log.info(
            "%s: %s of the map lies outside the area of applicability (%s in the run's own scene): the accuracy of the "
            "run says little of it; %s shows where (above 1)", scene.name, percent(outside),
            percent(100 * loaded.applicability.own_share.item()), targets[APPLICABILITY],
        )  # fmt: skip
    return out


def map_here(mapper: Mapper, scene: Scene, windows: Iterable[tuple[int, Tile]]) -> Mapped:
    """Map windows in this process, the next one being read while one is computed."""
    read = ((n, w, np.asarray(scene.cube[w.read_slices])) for n, w in windows)
    with closing(ahead(read)) as blocks:  # type: ignore[type-var]
        for number, window, block in blocks:
            yield number, mapper(scene, window, block)


def _going_on(
    store: UnfinishedMap,
    mapper: Mapper,
    scene: Scene,
    windows: list[Tile],
    *,
    run: Path,
    cluster: Cluster | None,
    device: str,
) -> Mapped:
    left = [(n, windows[n]) for n in store.missing()]
    if cluster is None or not left:
        return map_here(mapper, scene, left)
    from hyperseg.recipes.mapping.cluster import map_elsewhere

    return map_elsewhere(run, mapper, scene, left, device=device, **vars(cluster))


@contextmanager
def _kept_for_resume(store: UnfinishedMap, out: Path) -> Iterator[None]:
    """What ends the work early leaves the windows that are there, or nothing where there are none."""
    try:
        yield
    except BaseException as error:
        if len(store.missing()) == store.n_windows:
            store.remove()
        elif isinstance(error, KeyboardInterrupt):
            raise Interrupted(out) from error
        elif isinstance(error, Exception):
            error.add_note(f"What was mapped is kept in {store.root}: repeat the command with --resume.")
        raise
    finally:
        store.lock.release()


def _device_here(device: str, cluster: Cluster | None) -> str:
    """What this process computes on; workers of a scheduler choose theirs where they are."""
    if cluster is not None and cluster.address is not None:
        return "cpu"
    import torch

    chosen = str(choose_device(device))
    if cluster is not None:
        check_workers(cluster.workers, chosen, devices=torch.cuda.device_count() if device in ("auto", "cuda") else 1)
    return chosen
