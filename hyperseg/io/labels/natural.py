"""Colours of classes by their names: water is blue and forest green; all others keep their distance from these.

Every colour stays apart from the others for colour-blind viewers too, measured as in `hyperseg.io.labels.colours`:
where two natural ones are too close, they move within their family of colours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.labels.colours import LARGEST, VISIONS, Floats, Triple, candidates, difference, palette, to_lab

ENOUGH = 13.0  # CIEDE2000 to all others, whoever looks, at which a natural colour stays where it is
TOO_CLOSE = 7.5  # below this a class leaves the colours of its kind
ROUNDS = 12
LIGHTER, FULLEST = 30.0, 0.55  # how much lighter or darker (L*), and what share of the chroma at least
GREYISH = 20.0  # chroma up to which a colour has no hue to keep to


@dataclass(frozen=True)
class Kind:
    """A kind of ground: its colour, how far the hue of a class of it may turn from that, and words for it."""

    colour: Triple
    turn: float  # degrees in CIELAB
    words: tuple[str, ...]


def _kind(colour: str, turn: float, words: str) -> Kind:
    r, g, b = bytes.fromhex(colour)
    return Kind((r, g, b), turn, tuple(words.split()))


# Colours that are all 13.9 apart, whoever looks (a random search from natural ones). Words are English, German, French
# and Spanish, without accents; the first word of a name that belongs to a kind decides.
KINDS = (
    _kind("33333d", 12, "shadow shade schatten ombre sombra"),
    _kind("166fd3", 10, "water wasser gewasser gewaesser eau agua river fluss fleuve riviere rio lake lac lago "
          "sea ocean meer mer mar pond"),
    _kind("105f20", 22, "forest tree wood wald baum baume foret arbre bosque arbol"),
    _kind("99d37d", 20, "grass meadow pasture wiese grunland gruenland weide prairie herbe paturage "
          "pasto pradera prado"),
    _kind("fff03b", 18, "crop agricult farmland arable acker ackerland culture cultivo cultivated"),
    _kind("c04351", 22, "urban built building settlement residential roof house impervious siedlung gebaude "
          "gebaeude stadt bebaut dach haus versiegelt bati batiment urbain ville urbano ciudad edificio"),
    _kind("c28034", 20, "soil bare sand boden suelo sol earth erde desert rock fels"),
    _kind("8c8c8c", 14, "road asphalt street highway strasse route carretera camino calle parking"),
    _kind("e3feff", 12, "snow ice glacier schnee eis gletscher neige glace nieve hielo glaciar"),
    _kind("d7b7e0", 14, "cloud wolke nuage nube"),
)  # fmt: skip


@lru_cache(maxsize=64)
def class_colours(names: Sequence[str]) -> tuple[Triple, ...]:
    """A colour for every class: natural ones where names tell, the others far from them; beyond 64 they repeat."""
    kinds = [kind_of(name) for name in names[:LARGEST]]
    found = palette(len(kinds)) if not any(kinds) else _spread(kinds)
    return tuple(found[i % LARGEST] for i in range(len(names)))


def kind_of(name: str) -> Kind | None:
    """The kind of ground that a name tells, by its first word that tells any; a shadow is one wherever it stands."""
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss"))
    words = re.findall(r"[a-z]+", "".join(c for c in plain if not unicodedata.combining(c)))
    found = [kind for word in words for kind in KINDS if any(_tells(word, known) for known in kind.words)]
    return KINDS[0] if KINDS[0] in found else next(iter(found), None)


def _tells(word: str, known: str) -> bool:
    """Whether a word is, begins with or (as in Nadelwald) ends with a known one; short ones are whole words only."""
    if len(known) < 4:
        return word == known
    return word.startswith(known) or (word.endswith(known) and len(word) >= len(known) + 3)


def _spread(kinds: Sequence[Kind | None]) -> tuple[Triple, ...]:
    """Natural colours first, in their places; then all others where they are farthest; then exchange."""
    anchors = {kind: k for k, kind in enumerate(dict.fromkeys(k for k in kinds if k is not None))}
    lattice = np.concatenate([np.array([kind.colour for kind in anchors], np.int64), candidates()])
    labs = np.stack([to_lab(lattice, vision=vision) for vision in VISIONS])
    allowed = np.array([_family(labs, kind, anchors) for kind in kinds])  # (n, M)
    away = difference(labs[0][None], labs[0, : len(anchors)][:, None])  # (anchors, M) as most people see it

    def column(index: int) -> Floats:
        return difference(labs, labs[:, index : index + 1]).min(0)

    chosen: dict[int, int] = {}
    columns: dict[int, Floats] = {}

    def place(i: int) -> bool:
        """Put class i where it is far enough from all others, or as far as can be; whether it moved."""
        rest = np.min([*(c for k, c in columns.items() if k != i), np.full(len(lattice), np.inf)], axis=0)
        kind, own = kinds[i], np.where(allowed[i], rest, -1.0)
        index = int(own.argmax())
        if kind is not None and own[index] >= ENOUGH:  # as natural as can be
            index = int(np.where(own >= ENOUGH, away[anchors[kind]], np.inf).argmin())
        elif kind is not None and own[index] < TOO_CLOSE:
            index = int(rest.argmax())
        if i in chosen and (chosen[i] == index or (kind is None and rest[index] <= rest[chosen[i]] + 1e-9)):
            return False
        chosen[i], columns[i] = index, difference(labs, labs[:, index : index + 1]).min(0)
        return True

    order = sorted(range(len(kinds)), key=lambda i: kinds[i] is None)
    for _ in range(ROUNDS):
        if not sum(place(i) for i in order):
            break
    return tuple((int(r), int(g), int(b)) for r, g, b in lattice[[chosen[i] for i in range(len(kinds))]])


def _family(labs: Floats, kind: Kind | None, anchors: dict[Kind, int]) -> NDArray[np.bool_]:
    """(M,) the colours that a class may have: any but the natural ones of others, or those near its own."""
    if kind is not None:
        lightness, a, b = labs[0].T
        chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a))
        own = anchors[kind]
        near = np.abs(lightness - lightness[own]) <= LIGHTER
        if chroma[own] < GREYISH:
            return near & (np.hypot(a - a[own], b - b[own]) <= GREYISH / 2)
        turned = np.abs((hue - hue[own] + 180) % 360 - 180)
        return near & (turned <= kind.turn) & (chroma >= chroma[own] * FULLEST)
    free = np.ones(labs.shape[1], np.bool_)
    free[: len(anchors)] = False
    return free
