"""Windows mapped by Dask workers, on this machine or others; whoever called writes them."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError, RunError, Scene, SettingError, Tile
from hyperseg.core.groups import Fallback
from hyperseg.engine import choose_device
from hyperseg.io.formats.windows import windows_of
from hyperseg.recipes.mapping.devices import Place, assigned, place_here
from hyperseg.recipes.mapping.windows import Mapper, WindowMap, make_mapper
from hyperseg.recipes.run.load import load_run

IN_FLIGHT = 2  # windows per worker that are under way: one computed, one waiting
ATTEMPTS = 5  # a window lost more often than this with its worker ends the map
Settings = tuple[bool, bool, Fallback | None, bool]  # of a mapper, all but its run and its device


def map_elsewhere(
    run: Path,
    mapper: Mapper,
    scene: Scene,
    windows: Sequence[tuple[int, Tile]],
    *,
    device: str,
    address: str | None,
    workers: int,
    patience_s: float,
) -> Iterator[tuple[int, WindowMap]]:
    """Map windows on a Dask cluster, in the order in which they come back.

    A window whose worker died is mapped again by another. Workers on other machines must see run and scene under the
    same names; a scene in memory is sent to them.

    Args:
        run: folder of the run.
        mapper: what the workers are to be like.
        scene: the scene.
        windows: (number, window) to map.
        device: asked for; see `assigned`.
        address: of a scheduler, or None for `workers` processes on this machine.
        workers: see `address`.
        patience_s: how long the scheduler may take to answer.

    Raises:
        SettingError: Dask is not installed, or there is no scheduler at the address.
        RunError: a window ended the workers several times.
    """
    if find_spec("distributed") is None:
        raise SettingError('--workers and --dask need Dask: pip install "hyperseg[cluster]".')
    from distributed import KilledWorker, as_completed

    with ExitStack() as stack:
        client = _connect(stack, address, workers, patience_s)
        client.forward_logging("hyperseg")
        ready = _workers(client)
        cube = scene.cube
        if isinstance(cube, np.memmap):  # would travel as a whole array
            scene = scene.with_(cube=windows_of(cube))
        sent: Any = scene.with_(labels=None, parcels=None)
        if isinstance(scene.cube, np.ndarray):  # by all workers: what one alone holds dies with it
            sent = client.scatter(sent, broadcast=True, hash=False)
        threads = 1 if address is None else None
        devices = _devices(client, device)
        todo, sent_as, lost = iter(windows), {}, Counter[int]()

        def submit(number: int, window: Tile) -> Any:
            future = client.submit(
                _map_window, str(Path(run).resolve()), _settings(mapper), devices, sent, number, window, threads,
                pure=False, retries=0,
            )  # fmt: skip
            sent_as[future.key] = number, window
            return future

        running = as_completed([submit(*w) for _, w in zip(range(IN_FLIGHT * ready), todo, strict=False)])
        for future in running:
            number, window = sent_as.pop(future.key)
            try:
                number, made = future.result()
            except CancelledError:  # its worker died with the result, and the scheduler has forgotten it
                lost[number] += 1
                if lost[number] > ATTEMPTS:
                    raise RunError(
                        f"{scene.name}: a window was lost {ATTEMPTS} times with its worker. Use fewer workers."
                    ) from None
                running.add(submit(number, window))
                continue
            except KilledWorker as error:
                raise RunError(
                    f"{scene.name}: the workers died again and again on one window ({error}). They may lack memory: "
                    "use fewer workers, or smaller windows (--side)."
                ) from error
            future.release()
            following = next(todo, None)
            if following is not None:
                running.add(submit(*following))
            yield number, made


def _connect(stack: ExitStack, address: str | None, workers: int, patience_s: float) -> Any:
    from distributed import Client, LocalCluster

    if address is None:
        local = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        )
        address = stack.enter_context(local).scheduler_address
    try:
        return stack.enter_context(Client(address, timeout=patience_s))
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingError(
            f"no Dask scheduler answers at {address} ({' '.join(str(error).split())}). Start one with "
            "`dask scheduler`, workers with `dask worker ADDRESS`, and give its tcp:// address."
        ) from error


def _workers(client: Any) -> int:
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    if count == 0:
        raise SettingError(
            f"the Dask scheduler at {client.scheduler.address} has no worker: start some with "
            f"`dask worker {client.scheduler.address}`."
        )
    return count


def _devices(client: Any, device: str) -> dict[str, str]:
    """The device of every worker, by its name."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if device == "cpu":
        return {str(worker["name"]): device for worker in workers.values()}
    places = client.run(_place)
    return assigned(device, {str(worker["name"]): places[address] for address, worker in workers.items()})


def _place() -> Place:
    return place_here(socket.gethostname())


def _settings(mapper: Mapper) -> Settings:
    return mapper.refine, mapper.probabilities, mapper.fallback, mapper.entropy


@lru_cache(maxsize=2)
def _mapper(
    run: str, changed: int, device: str, refine: bool, probabilities: bool, fallback: Fallback | None, entropy: bool
) -> Mapper:
    """Loaded once per worker and state of the run."""
    loaded = load_run(Path(run))
    return make_mapper(
        loaded, refine=refine, probabilities=probabilities, device=device, fallback=fallback, entropy=entropy
    )


def _map_window(
    run: str,
    settings: Settings,
    devices: Mapping[str, str],
    scene: Scene,
    number: int,
    window: Tile,
    threads: int | None,
) -> tuple[int, WindowMap]:
    from distributed import get_worker

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    record = Path(run) / "run.json"
    if not record.exists():
        raise DataFileError(f"{record}: a worker cannot see this run; share the folder with its machine.")
    device = devices.get(str(get_worker().name), next(iter(devices.values())).partition(":")[0])  # one that joined late
    mapper = _mapper(run, os.stat(record).st_mtime_ns, str(choose_device(device)), *settings)
    return number, mapper(scene, window, np.asarray(scene.cube[window.read_slices]))
