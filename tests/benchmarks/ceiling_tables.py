"""Tables of bench_ceiling.py: the fields of a scene, and Markdown from the lines of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bench_accuracy import difference, spread
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.data.splits.components import parcel_numbers

REFERENCE, FEWEST, LOW = "cnn3d + trees", 3, 15  # seeds in which a field is tested; percent
Ints = NDArray[np.integer[Any]]
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Fields:
    """The fields of a scene: number (*S), -1 for none; class, pixels and middle (row, column) of each."""

    number: Ints
    of_class: Ints
    pixels: Ints
    middle: list[tuple[int, int]]

    @staticmethod
    def of(scene: Scene) -> Fields:
        assert scene.labels is not None
        number = parcel_numbers(scene.labels)
        places = [np.argwhere(number == i) for i in range(number.max() + 1)]
        of_class = np.array([scene.labels[tuple(p[0])] for p in places])
        middle = [(int(row), int(column)) for row, column in (np.median(p, axis=0) for p in places)]
        return Fields(number, of_class, np.array([len(p) for p in places]), middle)

    def answers(self, predicted: Ints, test: NDArray[np.bool_], n_classes: int) -> Ints:
        """(F, K) test pixels of every field by the class they are taken for."""
        cells = self.number[test] * n_classes + predicted[test]
        return np.bincount(cells, minlength=len(self.pixels) * n_classes).reshape(-1, n_classes)

    def told(self, i: int, scene: Scene) -> str:
        row, column = self.middle[i]
        return f"{scene.classes[self.of_class[i]]} | {self.pixels[i]} | {row}, {column}"


def percent_of(rows: Rows, fields: Fields, name: str) -> NDArray[np.float64]:
    """(seeds, F) percent of the test pixels of every field that a step gets right; NaN where it is not tested."""
    counts = np.array([r["fields"][name] for r in rows], float)
    right = counts[:, np.arange(len(fields.pixels)), fields.of_class]
    return np.divide(100 * right, counts.sum(-1), out=np.full(right.shape, np.nan), where=counts.any(-1))


def mean_of_seeds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F) mean of the seeds that have a value; NaN where none has."""
    there = ~np.isnan(values)
    return np.divide(
        np.where(there, values, 0).sum(0), there.sum(0), out=np.full(values.shape[1], np.nan), where=there.any(0)
    )


def taken_for(counts: Ints, scene: Scene) -> str:
    shares = 100 * counts / counts.sum()
    return ", ".join(f"{scene.classes[k]} {shares[k]:.0f} %" for k in np.argsort(-shares)[:2] if shares[k] >= 5)


def oracle_table(rows: Rows) -> str:
    lines = [f"| map | OA | AA | OA - {REFERENCE}, paired |\n|---|---|---|---|"]
    for name in rows[0]["scores"]:
        oa, aa = np.array([r["scores"][name] for r in rows]).T
        pairs = np.stack([oa, [r["scores"][REFERENCE][0] for r in rows]], 1)
        against = "–" if name == REFERENCE or len(rows) < 2 else difference(pairs)
        lines.append(f"| {name} | {spread(oa)} | {spread(aa)} | {against} |")
    return "\n".join(lines)


def left_out_table(rows: Rows, seeds: Rows, fields: Fields, scene: Scene) -> str:
    """Fields left out in turn; the column of parcels is the mean over the seeds in which the same field is tested."""
    assert scene.groups is not None
    names, order = (list(dict.fromkeys(r[key] for r in rows)) for key in ("step", "field"))
    columns = ["left out", "pixels", "row, column", *names, f"{REFERENCE}: crop", f"parcels: {REFERENCE}", "taken for"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    values, crop = np.full((len(order), len(names) + 2), np.nan), np.array(scene.groups.of_class)
    few = mean_of_seeds(percent_of(seeds, fields, REFERENCE))
    for i, field in enumerate(order):
        says = ""
        for j, name in enumerate(names):
            mine = [r["counts"] for r in rows if (r["field"], r["step"]) == (field, name)]
            if mine:
                counts = np.sum(mine, 0)
                values[i, j] = 100 * counts[fields.of_class[field]] / counts.sum()
                if name == REFERENCE:
                    says = taken_for(counts, scene)
                    values[i, -2] = 100 * counts[crop == crop[fields.of_class[field]]].sum() / counts.sum()
        values[i, -1] = few[field]
        cells = ["–" if np.isnan(v) else f"{v:.0f}" for v in values[i]]
        lines.append(f"| {fields.told(field, scene)} | {' | '.join(cells)} | {says} |")
    for what, weight in (("mean of fields", np.ones(len(order))), ("weighted by pixels", fields.pixels[order])):
        means = [np.average(v[~np.isnan(v)], weights=weight[~np.isnan(v)]) for v in values.T]
        lines.append(f"| **{what}** | | | {' | '.join(f'**{m:.1f}**' for m in means)} | |")
    return "\n".join(lines)


def reach_tables(rows: Rows, fields: Fields, scene: Scene) -> str:
    """Shares of the test area by what the best step gets right there, and the fields that none gets right."""
    names = list(rows[0]["fields"])
    by_step = np.stack([mean_of_seeds(percent_of(rows, fields, name)) for name in names])
    counts = np.array([[r["fields"][name] for r in rows] for name in names])  # (steps, seeds, F, K)
    area, tested = counts[0].sum((0, 2)), counts[0].any(-1).sum(0)
    enough, cut = tested >= FEWEST, np.isin(np.arange(len(area)), [i for r in rows for i in r["cut"]])
    best = np.where(enough, by_step.max(0, initial=0, where=~np.isnan(by_step)), np.nan)
    share = 100 * area / area.sum()
    own = counts[names.index(REFERENCE)]
    each, right = own.sum(-1), own[:, np.arange(len(area)), fields.of_class]
    low, high = (
        100 * each[m].sum() / area.sum() for m in (100 * right <= LOW * each, 100 * right >= (100 - LOW) * each)
    )
    right = right.sum(0)
    lines = [
        f"{enough.sum()} of {len(area)} fields are tested in {FEWEST} seeds or more; they hold "
        f"{share[enough].sum():.1f} % of the test area. {share[cut].sum():.1f} % of it lies in fields that are cut in "
        f"two, as their class has no other: there {REFERENCE} gets {100 * right[cut].sum() / area[cut].sum():.1f} % "
        f"right, in all others {100 * right[~cut].sum() / area[~cut].sum():.1f} %. "
        f"In single seeds, {low:.1f} % of the area lies in fields of which it gets {LOW} % or less right, "
        f"{high:.1f} % in fields of which it gets {100 - LOW} % or more.\n",
        "| the best of the methods gets at most | fields | share of the test area |\n|---|---|---|",
    ]
    for most in (LOW, 30, 50, 70, 100):
        lines.append(f"| {most} % | {(best <= most).sum()} | {share[best <= most].sum():.1f} % |")
    lines.append(
        f"\n| field | pixels | row, column | seeds | {' | '.join(names)} | share of the test area | taken for |"
    )
    lines.append("|" + "---|" * (len(names) + 6))
    for i in np.argsort(best)[: min(max(int((best <= LOW).sum()), 10), int(enough.sum()))]:
        says = taken_for(counts[:, :, i].sum((0, 1)), scene)
        cells = " | ".join(f"{v:.0f}" for v in by_step[:, i])
        lines.append(f"| {fields.told(i, scene)} | {tested[i]} | {cells} | {share[i]:.1f} % | {says} |")
    return "\n".join(lines)
