"""`Plan`: everything that is decided before training, as data; a pure function of the fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from hyperseg.core import SettingError
from hyperseg.core.words import listed
from hyperseg.medical import msd2018, v2
from hyperseg.medical.configuration import Configuration, Name, Sizes
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.spacing import axis_order, median_size, median_spacing, target_spacing
from hyperseg.medical.topology import Down, Size, Spacing, parameters_of, training_bytes, values_of
from hyperseg.medical.training import MSD2018, V2, Preset, Training, supervision

CALIBRATED = "ct"
MASKED_BELOW = 0.75  # of a case that is not zero: its zeros are background then, not values
IN_PLANE = {"v2": 3, "msd2018": 2}  # times the shortest side that the longest has


@dataclass(frozen=True)
class Facts:
    """The numbers of the fingerprint that the plan follows from, axes as in the data.

    Attributes:
        n_cases: that have labels.
        unit: of spacings: "mm", or "px" where nobody says (all are 1 then).
        spacing: median.
        size: median of the cropped images at the plan's spacing.
        kept: median share of an image that the crop to what is not zero keeps.
        channels, intensities: names, and foreground values of all cases together.
        classes, counts: names (background first), and labelled voxels.
    """

    n_cases: int
    unit: str
    spacing: Spacing
    size: Size
    kept: float
    channels: tuple[str, ...]
    intensities: tuple[Intensity, ...]
    classes: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def all_voxels(self) -> float:
        """Of the data set at its target spacing, roughly."""
        return float(prod(self.size)) * self.n_cases


@dataclass(frozen=True)
class Normalisation:
    """How one channel is scaled.

    Attributes:
        kind: "ct": clip to `low` and `high`, subtract `mean`, divide by `spread`, all of them of the foreground of the
            whole data set. "z-score": mean and deviation of each image. "masked z-score": of its voxels that are not
            zero; the others become 0. "min-max": the smallest value of each image becomes 0, the largest 1.
        low, high, mean, spread: of "ct", else None.
    """

    kind: Literal["ct", "z-score", "masked z-score", "min-max"]
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Limit:
    """What the sizes of the networks were fitted to.

    Attributes:
        gigabytes: memory of the card; None where the preset's sizes are fixed.
        patience_s: seconds that a training step may take, or None.
        pace: feature values a second that the machine gets through in training; of `patience_s`.
    """

    gigabytes: float | None
    patience_s: float | None = None
    pace: float | None = None


@dataclass(frozen=True)
class Plan:
    """How a data set is resampled, scaled and learnt. JSON by `hyperseg.core.settings.to_json` and `from_json`.

    Attributes:
        preset: the rules it was made by.
        facts: of the data set.
        axes: axis of the data that is the plan's first, second, ... one; of volumes the coarsest comes first.
        spacing, size: to which images are resampled, and their median size then; in the plan's order of axes.
        normalisations: of each channel.
        configurations: the networks; `configuration` finds one by name.
        limit: what their sizes were fitted to.
        training: the preset's numbers that depend on no data.
    """

    preset: Preset
    facts: Facts
    axes: Size
    spacing: Spacing
    size: Size
    normalisations: tuple[Normalisation, ...]
    configurations: tuple[Configuration, ...]
    limit: Limit
    training: Training

    @property
    def main(self) -> Configuration:
        """The network that the plan is mainly about: "3d" of volumes, "2d" of pictures."""
        return self.configurations[min(1, len(self.configurations) - 1)]

    def configuration(self, name: str) -> Configuration:
        """The configuration of this name.

        Raises:
            SettingError: the plan has none; it says which there are.
        """
        for one in self.configurations:
            if one.name == name:
                return one
        raise SettingError(
            f"this plan has no configuration {name!r}, but {listed(c.name for c in self.configurations)}."
        )


def make_plan(
    fingerprint: Fingerprint, *, preset: Preset = "v2", gigabytes: float | None = None, patience: float | None = None,
    pace: float | None = None,
) -> Plan:  # fmt: skip
    """Plan networks for a data set.

    Args:
        fingerprint: of the data set.
        preset: "v2" fills a memory; "msd2018" has the fixed sizes of the first paper. Never mixed.
        gigabytes: memory that a training step may take, of a GPU; 8 if left out. Presets with fixed sizes take none.
        patience: seconds that a training step may take on a machine of this `pace`, usually a CPU; smaller batches
            first, then smaller patches. A guess: time is taken to grow with feature values.
        pace: feature values a second that training gets through, see `networks.measure_pace`.

    Raises:
        SettingError: a limit that is not positive, that the preset does not know, or that no network fits.
    """
    limit = limit_of(preset, gigabytes, patience, pace)
    spacing = target_spacing(fingerprint) if preset == "v2" else median_spacing(fingerprint)
    size, axes = median_size(fingerprint, spacing), axis_order(spacing)
    facts = Facts(
        fingerprint.n_cases, fingerprint.unit, median_spacing(fingerprint), size, fingerprint.kept,
        fingerprint.channels, fingerprint.intensities, fingerprint.classes, fingerprint.counts,
    )  # fmt: skip
    space, shape = tuple(spacing[a] for a in axes), tuple(size[a] for a in axes)
    training = V2 if preset == "v2" else MSD2018
    return Plan(
        preset, facts, axes, space, shape, normalisations_of(facts),
        tuple(_configurations(preset, facts, space, shape, limit, training)), limit, training,
    )  # fmt: skip


def at_spacing(plan: Plan, spacing: Spacing) -> Plan:
    """The same data set planned for another spacing, in the plan's order of axes, by the same rules and limits."""
    size = tuple(
        max(1, round(n * old / new)) for n, old, new in zip(plan.size, plan.spacing, spacing, strict=True)
    )  # fmt: skip
    in_data = tuple(size[plan.axes.index(axis)] for axis in range(len(size)))
    facts = replace(plan.facts, size=in_data)
    made = _configurations(plan.preset, facts, spacing, size, plan.limit, plan.training)
    return replace(plan, facts=facts, spacing=spacing, size=size, configurations=tuple(made))


def limits_of(facts: Facts, limit: Limit) -> v2.Limits:
    """What a step of preset v2 may take and see."""
    values = None if limit.patience_s is None or limit.pace is None else limit.patience_s * limit.pace
    return v2.Limits(limit.gigabytes or v2.USUAL_GIGABYTES, values, len(facts.classes), facts.all_voxels)


def limit_of(preset: Preset, gigabytes: float | None, patience: float | None, pace: float | None) -> Limit:
    """The limits that `make_plan` was given, checked; nothing has to be read for that."""
    for name, value in (("gigabytes", gigabytes), ("patience", patience), ("pace", pace)):
        if value is not None and not 0 < value < float("inf"):
            raise SettingError(f"{name} is a number above 0, got {value}.")
    if (patience is None) != (pace is None):
        raise SettingError("patience (seconds a step) and pace (feature values a second) belong together: give both.")
    match preset:
        case "v2":
            return Limit(v2.USUAL_GIGABYTES if gigabytes is None else float(gigabytes), patience, pace)
        case "msd2018":
            if gigabytes is not None or patience is not None:
                raise SettingError("preset msd2018 has fixed sizes: leave gigabytes and patience out, or take v2.")
            return Limit(None)
        case _:
            raise SettingError(f"preset is v2 or msd2018, got {preset!r}.")


def normalisations_of(facts: Facts) -> tuple[Normalisation, ...]:
    """How nnU-Net scales each channel: a calibrated one by the foreground of all cases, others image by image."""
    return tuple(
        by_foreground(seen) if name.lower() == CALIBRATED
        else Normalisation("masked z-score" if facts.kept < MASKED_BELOW else "z-score")
        for name, seen in zip(facts.channels, facts.intensities, strict=True)
    )  # fmt: skip


def by_foreground(seen: Intensity) -> Normalisation:
    """A channel clipped to what the foreground of all cases has, and scaled by that."""
    return Normalisation("ct", seen.low, seen.high, seen.mean, seen.spread)


def _configurations(
    preset: Preset, facts: Facts, spacing: Spacing, size: Size, limit: Limit, training: Training
) -> Iterator[Configuration]:
    """By the preset's rules: the planes, and of volumes the whole, and a cascade where a patch sees too little."""
    all_voxels = facts.all_voxels
    limits = limits_of(facts, limit)

    def sizes(space: Spacing, shape: Size) -> Sizes:
        return v2.fit(space, shape, limits) if preset == "v2" else msd2018.fit(shape, all_voxels=all_voxels)

    def made(
        name: Name, space: Spacing, shape: Size, found: Sizes, *, batch_dice: bool, after: str = ""
    ) -> Configuration:
        return _configured(preset, facts, training, name, space, shape, found, batch_dice=batch_dice, after=after)

    yield made("2d", spacing[-2:], size[-2:], sizes(spacing[-2:], size[-2:]), batch_dice=True)
    if len(size) == 2:
        return
    full = sizes(spacing, size)
    if preset == "v2":
        low = v2.low_resolution(spacing, size, full, limits)
    else:
        low = msd2018.low_resolution(spacing, size, full, all_voxels=all_voxels)
    yield made("3d", spacing, size, full, batch_dice=low is not None)
    if low is not None:
        yield made("3d_low", *low, batch_dice=False)
        yield made("3d_cascade", spacing, size, full, batch_dice=True, after="3d_low")


def _configured(
    preset: Preset, facts: Facts, training: Training, name: Name, spacing: Spacing, size: Size, found: Sizes,
    *, batch_dice: bool, after: str,
) -> Configuration:  # fmt: skip
    topology, n_classes = found.topology, len(facts.classes)
    widths = v2.widths(topology) if preset == "v2" else msd2018.widths(topology)
    down: Down = "stride" if preset == "v2" else "pool"
    inputs = len(facts.channels) + (n_classes - 1 if after else 0)
    spec = topology.backbone(inputs, widths)
    weights = supervision(max(1, len(widths) - 1), supervised=training.loss.supervised)
    values = values_of(topology, widths, n_classes)
    parameters = parameters_of(spec, n_classes, heads=len(weights))
    degrees, in_plane = rotation(preset, topology.patch)
    return Configuration(
        name, spacing, size, topology.patch, spec, down, found.batch, batch_dice, weights, degrees, in_plane, after,
        values, parameters, training_bytes(values, found.batch, parameters),
    )  # fmt: skip


def rotation(preset: Preset, patch: Size) -> tuple[float, bool]:
    """Largest angle in degrees, and whether a volume's patch is so flat that it is turned within its planes only."""
    if len(patch) == 2:
        longish = preset == "v2" and max(patch) / min(patch) > 1.5
        return (15.0 if longish else 180.0), False
    shortest = patch[0] if preset == "v2" else min(patch)
    if max(patch) / shortest > IN_PLANE[preset]:
        return 180.0, True
    return (30.0 if preset == "v2" else 15.0), False
