"""Which rows a benchmark of networks has, from the names that a user gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hyperseg.core import HypersegError, SettingError
from hyperseg.core.parts import respelt
from hyperseg.core.words import did_you_mean, listed
from hyperseg.recipes.bench.zoo.making.peers import PEERS, PREFIX, lacking
from hyperseg.recipes.bench.zoo.rows import Row
from hyperseg.recipes.methods import BASELINE, METHODS
from hyperseg.zoo import NETWORKS, parse_network

ALL, FAMILY = "all", "zoo:"
LINEAR = "pixel-linear"  # the per-pixel linear classifier
REFERENCE = NETWORKS.default  # of folders
PEER_FAMILY = "MONAI"


def baselines(*, on_scene: bool) -> tuple[Row, ...]:
    """What every network is held against, by its own way of learning."""
    keys = (LINEAR, BASELINE, METHODS.default) if on_scene else (LINEAR, BASELINE)
    return tuple(Row(key, "baseline") for key in keys)


def reference(*, on_scene: bool) -> str:
    """Key of the row that all others are compared with."""
    return METHODS.default if on_scene else REFERENCE


def check_names(asked: Sequence[str]) -> tuple[str, ...]:
    """What is asked for, always spelled in the same way; each once.

    Args:
        asked: networks as `zoo.parse_network` reads them, with or without "zoo:", peers ("monai:UNet"), and `ALL`,
            which is every network and every peer.

    Raises:
        SettingError: an unknown name or setting; the nearest is told.
    """
    return tuple(dict.fromkeys(_spelled(text.strip()) for text in asked))


def _spelled(text: str) -> str:
    plain = text.lower()
    if plain == ALL:
        return ALL
    if plain.startswith(PREFIX):
        by_name = {name.lower(): name for name in PEERS}
        if plain[len(PREFIX) :] in by_name:
            return PREFIX + by_name[plain[len(PREFIX) :]]
        close = did_you_mean(text, (PREFIX + name for name in PEERS))
        raise SettingError(f"unknown peer {text!r}: choose from {listed(PREFIX + name for name in PEERS)}.{close}")
    member, chosen = parse_network(text[len(FAMILY) :] if plain.startswith(FAMILY) else text)
    return respelt(member.name, chosen)


def chosen_rows(
    asked: Sequence[str], fits: Callable[[Row], None], *, on_scene: bool
) -> tuple[tuple[Row, ...], tuple[str, ...]]:  # fmt: skip
    """All rows, baselines first, then the reference; and why others are left out, in sentences.

    Args:
        asked: of `check_names`; of all networks and peers those that do not fit are left out.
        fits: raises for a row that does not fit the data.
        on_scene: of a scene, not of a folder.

    Raises:
        HypersegError: a network that was asked for by its name does not fit.
    """
    named = [name for name in asked if name != ALL]
    every = [*NETWORKS, *(PREFIX + name for name in PEERS)] if ALL in asked else []
    must = dict.fromkeys(named, True) if on_scene else {REFERENCE: True, **dict.fromkeys(named, True)}
    left_out, rows = [], list(baselines(on_scene=on_scene))
    for name in dict.fromkeys([*([] if on_scene else [REFERENCE]), *every, *named]):
        try:
            row = row_of(name)
            fits(row)
        except HypersegError as why:
            if name in must:
                raise
            left_out.append(f"left out: {name}: {why}")
            continue
        rows.append(row)
    return tuple(rows), tuple(left_out)


def row_of(name: str) -> Row:
    """The row of a network or a peer, as it is spelled.

    Raises:
        SettingError: an unknown network, or a peer for which something is not installed.
    """
    if name.startswith(PREFIX):
        if why := lacking(name[len(PREFIX) :]):
            raise SettingError(why)
        return Row(name, "peer", PEER_FAMILY)
    member, _ = parse_network(name)
    return Row(name, "network", member.family)


def known() -> list[tuple[str, str]]:
    """Name and help of everything that can be asked for."""
    peers = [(PREFIX + name, f"MONAI's {name}, by the same recipe") for name in PEERS]
    return [*((name, entry.help) for name, entry in NETWORKS.entries.items()), *peers]
