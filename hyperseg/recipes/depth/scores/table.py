"""The table of guidance in numbers: means over seeds, and differences to unguided samples seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hyperseg.metrics.comparison import sign_test
from hyperseg.recipes.depth.settings import ALL, CHOICES, CONTROL, NONE

MOSTLY = 0.8  # share of the seeds with one sign from which a row is called better or worse, not equal: 4 of 5
FEWEST = 5  # seeds: with fewer all may have one sign by chance, and no row is called anything


@dataclass(frozen=True)
class Measure:
    """A column of the table.

    Attributes:
        key: of a cell's numbers.
        head: what it is called.
        better: "↓" or "↑": which direction is good; "" where none is.
        digits: behind the point.
        floored: real pictures have this distance from other real ones too.
        told: what it says, a sentence.
    """

    key: str
    head: str
    better: str
    digits: int
    floored: bool
    told: str


MEASURES = (
    Measure("dfd_pool8", "dFD_pool8", "↓", 4, True, "Frechet distance between the judge's depth maps of samples and of "
            "real pictures, averaged to 8x8: 64 numbers of a map."),
    Measure("dfd_net", "dFD_net", "↓", 4, True, "The same in the features of a small network that learnt to copy depth "
            "maps."),
    Measure("rgb", "RGB distance", "↓", 4, True, "Frechet distance between the pictures themselves, in the judge's "
            "features."),
    Measure("heads_apart", "|d_S - d_W|", "↓", 4, False, "Mean difference of what the strong and the weak head read "
            "in a sample, in inverse depth (0 to 1)."),
    Measure("delta1", "δ1", "↑", 4, False, "Share of pixels where the depth of the strong head is within a factor of "
            "1.25 of the judge's."),
    Measure("abs_rel", "AbsRel", "↓", 4, False, "Mean of |strong head's - judge's| / judge's depth."),
    Measure("seconds", "s/sample", "", 4, False, "Seconds of sampling for one sample."),
)  # fmt: skip


@dataclass(frozen=True)
class DepthCell:
    """The samples of one row and one seed, judged.

    Attributes:
        row: what guides, as in `CHOICES`.
        seed: of the noise.
        n: samples.
        numbers: by the keys of `MEASURES`; none where sampling failed.
        ratio, most: median and largest of a step's ratio: guidance's shift to the sampler's own step.
        note: why there are no numbers, or "".
    """

    row: str
    seed: int
    n: int
    numbers: dict[str, float]
    ratio: float | None = None
    most: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Against:
    """A row against unguided samples in one measure, seed by seed.

    Attributes:
        mean, sd: of the row over seeds; sd is NaN for one seed.
        difference: mean of row - none, or None for "none" itself.
        better, worse, ties: seeds, in the direction that is good.
        p_value: of the exact two-sided sign test.
        share: of the gap between "none" and the floor that is closed: (none - row) / (none - floor); None without one.
    """

    mean: float
    sd: float
    difference: float | None = None
    better: int = 0
    worse: int = 0
    ties: int = 0
    p_value: float | None = None
    share: float | None = None

    @property
    def seeds(self) -> int:
        return self.better + self.worse + self.ties

    @property
    def verdict(self) -> str:
        """ "better" or "worse" where four of five seeds are, "tie" otherwise, "open" with fewer seeds than five.

        The mean difference is not looked at.
        """
        if self.difference is None or not self.seeds:
            return ""
        if self.seeds < FEWEST:
            return "open"
        for word, count in (("better", self.better), ("worse", self.worse)):
            if count >= MOSTLY * self.seeds:
                return word
        return "tie"


def compare(cells: Iterable[DepthCell], floor: Mapping[str, float]) -> dict[str, dict[str, Against]]:
    """row -> key of a measure -> how it stands; rows in the order of `CHOICES`.

    Args:
        cells: of all rows and seeds; those without numbers are left out.
        floor: by key, the mean distance of real pictures from other real ones.
    """
    by_row: dict[str, dict[int, DepthCell]] = {}
    for cell in cells:
        if cell.numbers:
            by_row.setdefault(cell.row, {})[cell.seed] = cell
    plain = by_row.get(NONE, {})
    ordered = sorted(by_row, key=lambda row: CHOICES.index(row) if row in CHOICES else len(CHOICES))
    return {
        row: {m.key: _against(m, by_row[row], plain if row != NONE else {}, floor.get(m.key)) for m in MEASURES}
        for row in ordered
    }  # fmt: skip


def beside_control(cells: Iterable[DepthCell]) -> dict[str, Against]:
    """How the paper's guidance stands beside the same of another picture, by key of a measure; {} without both."""
    own = [c for c in cells if c.row in (ALL, CONTROL) and c.numbers]
    rows = [{c.seed: c for c in own if c.row == name} for name in (ALL, CONTROL)]
    if not all(rows):
        return {}
    return {m.key: _against(m, rows[0], rows[1], None) for m in MEASURES}


def _against(
    measure: Measure, row: Mapping[int, DepthCell], plain: Mapping[int, DepthCell], floor: float | None
) -> Against:  # fmt: skip
    key = measure.key
    own = np.array([cell.numbers[key] for cell in row.values()])
    mean, sd = float(own.mean()), float(own.std(ddof=1)) if len(own) > 1 else math.nan
    both = sorted(set(row) & set(plain))
    if not both:
        return Against(mean, sd)
    a, b = (np.array([cells[seed].numbers[key] for seed in both]) for cells in (row, plain))
    sign = -1.0 if measure.better == "↓" else 1.0
    signs = sign_test(sign * (a - b))
    gap = None if floor is None else float(b.mean()) - floor
    share = None if gap is None or gap <= 0 else float(b.mean() - a.mean()) / gap
    p = signs.p_value if measure.better else None
    return Against(mean, sd, float((a - b).mean()), signs.wins, signs.losses, signs.ties, p, share)
