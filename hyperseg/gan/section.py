"""What the report shows of a generator: how healthy it is, and what it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import NARROW, UNKNOWN, counted, number, thousands

SPECTRA_CAPTION = (
    "Centre spectra of real pixels (solid, filled) and of generated cubes (dashed): mean and standard deviation, "
    "class by class."
)
PATCHES_CAPTION = "Real patches and generated ones in the same false colour, up to eight of every class."
MEASURES = (  # of `hyperseg.gan.collapse.Health`, what it is called, how to read it
    ("diversity", "spectral diversity", "1: spectra vary as the scene's do; 0: one spectrum for ever"),
    ("within", "diversity within a class", "the same class by class, median over the classes"),
    ("distance", "distance of the means", "0: the scene's mean spectrum; 1: off by the scene's spread"),
)
BELIEFS = (
    ("believed", "generated cubes called generated", "mean probability the discriminator gives"),
    ("doubted", "real cubes called generated", "likewise; far below the line above where it sees them"),
)


def gan_section(numbers: Mapping[str, Any], *, figures: Sequence[Figure] = ()) -> Section:
    """The section of a generator.

    Args:
        numbers: of all these, what there is: "variant"; "pool", the unlabelled pixels in words; "health", the fields
            of `hyperseg.gan.collapse.Health`; "warnings", full sentences; "generated_per_class", name -> cubes.
        figures: pictures of what it makes.
    """
    warned, health = list(numbers.get("warnings") or ()), numbers.get("health")
    pool, drawn = numbers.get("pool"), numbers.get("generated_per_class")
    said = []
    if numbers.get("variant"):
        said.append(f"Variant {numbers['variant']}.")
    if pool:
        said.append(f"Unlabelled pixels: {pool}.")
    if warned:
        said.append(f"{counted(len(warned), 'warning')} about it: see the notes on the accuracies above.")
    elif health:
        said.append("Nothing looks wrong with it.")
    if drawn:
        counts = ", ".join(f"{name} {thousands(n, NARROW)}" for name, n in drawn.items())
        said.append(f"Generated cubes drawn, by class: {counts}.")
    return Section(
        "What the generator makes",
        tuple(said),
        cautions=(*([f"Unlabelled pixels were used in training: {pool}."] if pool else []), *warned),
        figures=tuple(figures),
        tables=(_health_table(health),) if health else (),
        numbers=dict(numbers),
    )


def _health_table(health: Mapping[str, float | None]) -> Table:
    rows = [(name, number(health.get(key), 2), how) for key, name, how in MEASURES]
    for key, name, how in BELIEFS:
        value = health.get(key)
        text = number(None if value is None else 100 * value)
        rows.append((name, text if text == UNKNOWN else f"{text} %", how))
    return Table("Generated cubes beside the unlabelled pixels.", (), tuple(rows))
