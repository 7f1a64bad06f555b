"""Data sets whose plans are known, and their fingerprints.

Reconstruction: spacings and sizes are recalled; the rows follow from the published rules by another implementation.
"""

from __future__ import annotations

from dataclasses import dataclass

from hyperseg.medical.fingerprint import Fingerprint, Intensity

Size = tuple[int, ...]


@dataclass(frozen=True)
class Golden:
    """What is given, and what preset v2 makes of it: patch, batch, pools, values in 3-D, then in 2-D."""

    spacing: tuple[float, float, float]
    size: tuple[int, int, int]
    n_cases: int
    n_channels: int
    n_classes: int
    solid: tuple[Size, int, Size, int]
    flat: tuple[Size, int, Size, int]


FINE, CT = 0.767578125, (512, 512)
GOLDEN = {
    "Hippocampus": Golden(
        (1, 1, 1), (36, 50, 35), 260, 1, 3,
        ((40, 56, 40), 9, (3, 3, 3), 19_174_400), ((56, 40), 366, (3, 3), 651_840),
    ),
    "BrainTumour": Golden(
        (1, 1, 1), (138, 170, 138), 484, 4, 4,
        ((128,) * 3, 2, (5, 5, 5), 454_893_568), ((192, 160), 105, (5, 5), 9_676_800),
    ),
    "Prostate": Golden(
        (3.6, 0.62, 0.62), (20, 320, 319), 32, 2, 3,
        ((20, 320, 256), 2, (2, 6, 6), 483_315_200), ((320, 320), 32, (6, 6), 32_332_800),
    ),
    "Heart": Golden(
        (1.37, 1.25, 1.25), (115, 320, 232), 20, 1, 2,
        ((80, 192, 160), 2, (4, 5, 5), 528_211_200), ((320, 256), 40, (6, 6), 25_784_320),
    ),
    "Liver": Golden(
        (1, FINE, FINE), (482, 512, 512), 131, 1, 3,
        ((128,) * 3, 2, (5, 5, 5), 452_796_416), (CT, 12, (7, 7), 82_886_656),
    ),
    "Lung": Golden(
        (1.24, 0.785, 0.785), (252, 512, 512), 63, 1, 2,
        ((80, 192, 160), 2, (4, 5, 5), 528_211_200), (CT, 12, (7, 7), 82_624_512),
    ),
    "Pancreas": Golden(
        (2.5, 0.803, 0.803), (96, 512, 512), 281, 1, 3,
        ((40, 224, 224), 2, (3, 5, 5), 539_611_520), (CT, 12, (7, 7), 82_886_656),
    ),
}  # fmt: skip


def fingerprint(task: str, *, channel: str = "MRI", kept: float = 1.0) -> Fingerprint:
    """Of a golden data set; all its cases are the median one."""
    row = GOLDEN[task]
    return Fingerprint(
        (tuple(map(float, row.spacing)),) * row.n_cases, (row.size,) * row.n_cases, kept,
        (channel,) * row.n_channels, (Intensity(10.0, 2.0, -5.0, 30.0),) * row.n_channels,
        ("background", *(f"class {k}" for k in range(1, row.n_classes))), (100,) * row.n_classes,
    )  # fmt: skip
