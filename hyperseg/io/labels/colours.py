"""Class colours that people can tell apart, with normal and with impaired colour vision.

The distance of two colours is CIEDE2000; a colour-blind viewer is simulated by a linear map of linear RGB. A
palette maximises the smallest distance of any two of its colours over all four visions.

Sources: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula", Color Research and Application 30, 2005;
Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE
TVCG 15, 2009, matrices of severity 1.0; IEC 61966-2-1 for sRGB.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SettingError

Vision = Literal["normal", "protan", "deutan", "tritan"]
VISIONS: tuple[Vision, ...] = get_args(Vision)
Triple = tuple[int, int, int]
Floats = NDArray[np.float64]

LIGHTEST, DARKEST = 88.0, 24.0  # L* of candidates: white is paper, black is "unlabelled"
AWAY = 12.0  # CIEDE2000 of candidates from white and from black, whoever looks
LEVELS = 11  # candidates: the cube of 11 levels per channel
RESTARTS = 6
LARGEST = 64

_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_MACHADO: dict[str, Floats] = {
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@lru_cache(maxsize=32)
def palette(n: int, seed: int = 0) -> tuple[Triple, ...]:
    """Choose n colours whose smallest difference over all visions is large.

    Greedy farthest-point choice from a lattice of sRGB, then exchange: each colour in turn moves to the place
    farthest from the others, until none gains. The best of a few random starts is returned.

    Returns:
        n (1 to 64) sRGB triples 0..255, neither near white nor near black; the same seed gives the same colours.

    Raises:
        SettingError: for n outside 1..64.
    """
    if not 1 <= n <= LARGEST:
        raise SettingError(f"a palette has 1 to {LARGEST} colours, {n} were asked for: merge classes first.")
    lattice = candidates()
    labs = np.stack([to_lab(lattice, vision=vision) for vision in VISIONS])
    rng = np.random.default_rng(seed)
    found = [_spread(labs, n, int(rng.integers(len(lattice)))) for _ in range(RESTARTS)]
    _, chosen = max(found, key=lambda spread: spread[0])
    return tuple((int(r), int(g), int(b)) for r, g, b in lattice[chosen])


def candidates() -> NDArray[np.int64]:
    """(M, 3) sRGB lattice points of a lightness that shows on white and on black."""
    level = np.linspace(0, 255, LEVELS).round().astype(np.int64)
    lattice = np.stack(np.meshgrid(level, level, level, indexing="ij"), -1).reshape(-1, 3)
    lightness = to_lab(lattice)[:, 0]
    kept = (lightness >= DARKEST) & (lightness <= LIGHTEST)
    for vision in VISIONS:
        for extreme in ([0, 0, 0], [255, 255, 255]):
            kept &= difference(to_lab(lattice, vision=vision), to_lab(extreme)) >= AWAY
    return lattice[kept]


def _spread(labs: Floats, n: int, first: int) -> tuple[float, list[int]]:
    """Greedy farthest points from `first`, then exchange; labs is (visions, M, 3)."""

    def column(index: int) -> Floats:
        return difference(labs, labs[:, index : index + 1]).min(0)  # (M,) worst vision

    chosen, columns = [first], [column(first)]
    while len(chosen) < n:
        chosen.append(int(np.min(columns, axis=0).argmax()))
        columns.append(column(chosen[-1]))
    for _ in range(12 if n > 1 else 0):
        gained = False
        for i in range(n):
            rest = np.min([c for k, c in enumerate(columns) if k != i], axis=0)
            better = int(rest.argmax())
            if rest[better] > rest[chosen[i]] + 1e-9:
                chosen[i], columns[i], gained = better, column(better), True
        if not gained:
            break
    floor = min((columns[i][chosen[k]] for i in range(n) for k in range(i)), default=np.inf)
    return float(floor), chosen


def to_lab(colours: ArrayLike, *, vision: Vision = "normal") -> Floats:
    """(..., 3) CIELAB (D65) of (..., 3) sRGB 0..255 as seen with `vision`."""
    coded = np.asarray(colours, np.float64) / 255.0
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    if vision in _MACHADO:
        linear = np.clip(linear @ _MACHADO[vision].T, 0.0, 1.0)
    elif vision != "normal":
        raise SettingError(f"vision {vision!r} is unknown: use one of {', '.join(VISIONS)}.")
    white = _RGB_TO_XYZ.sum(1)
    ratio = linear @ _RGB_TO_XYZ.T / white
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def difference(lab1: Floats, lab2: Floats) -> Floats:
    """CIEDE2000 of two (..., 3) CIELAB arrays, broadcast against each other.

    Source: Sharma, Wu, Dalal 2005, equations 2 to 22 with unit weights.
    """
    lightness1, lightness2 = lab1[..., 0], lab2[..., 0]
    chroma = (np.hypot(lab1[..., 1], lab1[..., 2]) + np.hypot(lab2[..., 1], lab2[..., 2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))  # of a*, for greyish colours
    c1, h1 = _polar(lab1, stretch)
    c2, h2 = _polar(lab2, stretch)

    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(c1 * c2 == 0, 0.0, turn)
    dhue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))

    hue = np.where(c1 * c2 == 0, h1 + h2, (h1 + h2) / 2)
    far = (np.abs(h1 - h2) > 180) & (c1 * c2 != 0)
    hue = np.where(far, np.where(h1 + h2 < 360, hue + 180, hue - 180), hue)
    lightness, c = (lightness1 + lightness2) / 2, (c1 + c2) / 2

    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_lightness = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * c, 1 + 0.015 * c * t
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    dl, dc, dh = (lightness2 - lightness1) / s_lightness, (c2 - c1) / s_chroma, dhue / s_hue
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0.0))


def _polar(lab: Floats, stretch: Floats) -> tuple[Floats, Floats]:
    """Chroma and hue angle in degrees, 0..360, with a* stretched."""
    a, b = lab[..., 1] * stretch, lab[..., 2]
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
