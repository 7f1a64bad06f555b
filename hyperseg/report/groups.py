"""What a run found by group of classes, in words: a section of the report and a line on the screen."""

from __future__ import annotations

from typing import Any

from hyperseg.core.groups import in_words
from hyperseg.core.sections import Section, Table
from hyperseg.core.words import counted, listed, number, percent, thousands
from hyperseg.report.findings import SCORED, Metrics, rows, spread


def groups_section(metrics: Metrics) -> Section | None:
    """Accuracies by group, and what the map answers where a class would be a guess; None without groups."""
    told = metrics.get("groups")
    if not told:
        return None
    repeats = int(metrics.get("repeats") or 1)
    table = rows(metrics)
    steps = Table(
        "The same maps scored by group, in percent: a class taken for another of its group counts as right. OA by "
        "class beside it.",
        ("step", "OA", "AA", "kappa", "OA by class"),
        tuple(
            (row.title, *(spread(row.scores.get("groups", {}).get(key), repeats) for key in SCORED),
             spread(row.scores.get("OA"), repeats))
            for row in table
        ),
        marked=next(k for k, row in enumerate(table) if row.final),
    )  # fmt: skip
    final = next(row.scores for row in table if row.final)
    single = {name for classes in told["classes"].values() for name in classes}
    names = list(told["classes"])
    per_group = Table(
        "The final map, group by group: the share of its test pixels in the right group, and in the right class.",
        ("group", "right group", "right class"),
        tuple(
            (name, spread(final.get("groups", {}).get("per_group", {}).get(name), repeats, 1),
             number(_right_class(metrics, told["classes"][name])))
            for name in names
        ),
    )  # fmt: skip
    answers = Table(
        "What map-groups.tif answers, and how right that is on the test pixels, in percent.",
        ("answer", "of the map", "test pixels", "answer right", "class would be right", "group would be right"),
        tuple(
            (name, number(a["share"]), thousands(a["pixels"]), number(a["right"]), number(a["as_class"]),
             number(a["as_group"]))
            for name, a in told["answers"].items()
        ),
    )  # fmt: skip
    others = len((metrics.get("split") or {}).get("per_class") or ()) - len(single)
    alone = f" {counted(others, 'class stands', 'classes stand')} alone." if others > 0 else ""
    sentences = (f"Groups are {in_words(told['classes'])}.{alone}", answer_sentence(metrics))
    return Section("Classes and groups", sentences, tables=(steps, per_group, answers))


def answer_sentence(metrics: Metrics) -> str:
    """What the map falls back to, how often, and how right that is."""
    told = metrics["groups"]
    one, group, unsure = (told["answers"][name] for name in ("class", "group", "unsure"))
    sure, of = told["sure"], " of the first repeat" if int(metrics.get("repeats") or 1) > 1 else ""

    rest = "" if unsure["as_class"] is None else f", where the class would be right in {number(unsure['as_class'])} %"
    return (
        f"Where its class has a probability of {sure:g} or more, the map{of} answers with the class: "
        f"{percent(one['share'])} of the ground{_shown(one)}. Where only the group reaches it, with the group: "
        f"{percent(group['share'])}{_shown(group)}. Elsewhere it is unsure: {percent(unsure['share'])}{rest}."
    )


def groups_line(metrics: Metrics) -> str | None:
    """The final map by group in one line of the screen, or None without groups."""
    told = metrics.get("groups")
    if not told:
        return None
    repeats = int(metrics.get("repeats") or 1)
    scores = metrics["steps"][metrics["final"]]["groups"]
    accuracy = ", ".join(f"{key} {spread(scores.get(key), repeats)}" for key in SCORED)
    shares = [f"{name} {percent(a['share'])}{_shown(a)}" for name, a in told["answers"].items()]
    return f"As groups ({listed(told['classes'], most=6)}): {accuracy}. map-groups.tif: {', '.join(shares)}."


def _shown(answer: dict[str, Any]) -> str:
    return "" if answer["right"] is None else f" ({number(answer['right'])} % right)"


def _right_class(metrics: Metrics, classes: list[str]) -> float | None:
    """The share of the test pixels of some classes in the right class, over all repeats, in percent."""
    names = list((metrics.get("split") or {}).get("per_class") or {})
    table = metrics.get("confusion")
    if not table or not set(classes) <= set(names):
        return None
    places = [names.index(name) for name in classes]
    pixels = sum(sum(table[k]) for k in places)
    return 100 * sum(table[k][k] for k in places) / pixels if pixels else None
