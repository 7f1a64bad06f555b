"""Which device a worker of a cluster computes on: one CUDA device each, as far as there are as many."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from hyperseg.core import SettingError

log = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Place(NamedTuple):
    """Where a worker is.

    Attributes:
        host: its machine.
        visible: its `CUDA_VISIBLE_DEVICES`, or None.
        devices: how many CUDA devices it sees.
    """

    host: str
    visible: str | None
    devices: int


def place_here(host: str) -> Place:
    """That of this process."""
    import torch

    return Place(host, os.environ.get(VISIBLE), torch.cuda.device_count())


def check_workers(workers: int, device: str, *, devices: int) -> None:
    """Refuse more workers on this machine than it has CUDA devices for them.

    Args:
        workers: processes to start.
        device: chosen, as "cpu" or "cuda:0".
        devices: CUDA devices that are meant.

    Raises:
        SettingError: two workers would share a device, where each would wait for the other.
    """
    if device.startswith("cuda") and workers > devices:
        raise SettingError(
            f"--workers {workers} for {devices} CUDA device{'s' * (devices != 1)}: a device serves one worker. Give "
            f"--workers {devices}, or --device cpu."
        )


def assigned(asked: str, places: Mapping[str, Place]) -> dict[str, str]:
    """The device of every worker, by its name.

    Workers of a machine that see the same devices take one after the other, in the order of their names; those that
    were given different ones (by dask-cuda, say) take the first that each of them sees.

    Args:
        asked: a device as `choose_device` takes it. "auto" is CUDA where every worker has it, else the CPU; whatever
            names no kind of device alone ("cpu", "cuda:1") is meant for all of them.
        places: of the workers, by name.

    Raises:
        SettingError: CUDA is asked for and a worker has none.
    """
    if asked not in ("auto", "cuda"):
        return dict.fromkeys(places, asked)
    bare = sorted(name for name, place in places.items() if not place.devices)
    if bare and asked == "cuda":
        raise SettingError(
            f"device 'cuda' asked for, but {len(bare)} of {len(places)} workers see no CUDA device ({bare[0]}). Use "
            "auto or cpu, or workers on machines with a GPU."
        )
    if bare:
        return dict.fromkeys(places, "cpu")
    alike: dict[Place, list[str]] = defaultdict(list)
    for name in sorted(places, key=lambda name: (len(name), name)):  # 2 comes before 10
        alike[places[name]].append(name)
    for place, names in alike.items():
        if len(names) > place.devices:
            log.warning(
                "%d workers on %s share %d CUDA devices and will wait for each other: one worker per device is fastest",
                len(names), place.host, place.devices,
            )  # fmt: skip
    return {name: f"cuda:{rank % place.devices}" for place, names in alike.items() for rank, name in enumerate(names)}
