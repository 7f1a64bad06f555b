"""What the report shows of a refiner: with what it was applied, what was tried, what changed, what it learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import NARROW, UNKNOWN, counted, listed, number, thousands
from hyperseg.report.findings import setting

FEW_NODES = 2  # with fewer labelled nodes a class has no pair of its own to learn from

Numbers = Mapping[str, Any]


def refiner_section(
    numbers: Numbers, *, title: str, sentences: Sequence[str] = (), figures: Sequence[Figure] = ()
) -> Section:
    """The section of a refiner.

    Args:
        numbers: "settings" it was applied with, None where it left the map alone; "table" of the candidates (fields
            of `hyperseg.crf.tune.Candidate`, score and changed in percent) and "validation_pixels" they were judged
            on; "changes" of test pixels (fields of `ClassChange`); where there are any, "engine", "usual": the usual
            settings stand unless they are beaten, "errors": by how many standard errors, and "not_tried": why nothing
            was tried.
        title: heading, also the refiner's name at the beginning of a sentence.
        sentences: what is to be said of this refiner only.
        figures: pictures of what it learnt.
    """
    tried, changes = numbers.get("table") or [], numbers.get("changes") or ()
    settings = numbers.get("settings")
    given = [_flat(row["settings"] or {}) for row in tried]
    varying, constant = _columns(given)
    engine = f" (engine: {numbers['engine']})" if numbers.get("engine") else ""
    if numbers.get("not_tried"):
        said = [f"It was not tried, so it left the map as it is: {numbers['not_tried']}.", *sentences]
    else:
        said = [f"{_applied(settings, tried, varying)}{engine}.", *sentences]
    changed = [change for change in changes if change["changed"]]
    if settings is not None and changes and not changed:
        said.append("It changed the class of no test pixel.")
    tables = [changes_table(changes)] if changed else []
    if tried:
        tables.append(_candidates_table(numbers, given, varying, constant))
    return Section(title, tuple(said), figures=tuple(figures), tables=tuple(tables), numbers=dict(numbers))


def _columns(given: Sequence[Numbers]) -> tuple[list[str], dict[str, Any]]:
    """Settings that vary between candidates, and the others with their value."""
    keys = dict.fromkeys(key for settings in given for key in settings)
    values = {key: [settings[key] for settings in given if key in settings] for key in keys}
    varying = [key for key, found in values.items() if len({json.dumps(value) for value in found}) > 1]
    return varying, {key: found[0] for key, found in values.items() if key not in varying}


def _applied(settings: Numbers | None, tried: Sequence[Numbers], varying: Sequence[str]) -> str:
    """With which settings a refiner was applied, or why it was not; those in the table's caption are not repeated."""
    if settings is None:
        if not tried:
            return "There were no validation pixels to choose settings on, so it left the map as it is"
        alone = [row["score"] for row in tried if row["settings"] is None]
        if alone and max(row["score"] for row in tried) > alone[0]:
            return (
                "What scored higher than leaving the map alone on the validation pixels did not gain more, on average "
                "over classes, than the standard error of that, so it left the map as it is"
            )
        return "Nothing that was tried beat leaving the map alone on the validation pixels, so it left the map as it is"
    flat = _flat(settings)
    if not tried:
        given = f" with {_listing(flat)}" if flat else " as it was trained"
        return f"There were no validation pixels to choose on; applied{given}"
    return f"Applied with {_listing({key: flat[key] for key in varying if key in flat} or flat)}"


def changes_table(changes: Sequence[Numbers]) -> Table:
    """Classes with changed pixels and, where these are several, the sum over all classes."""
    keys = ("pixels", "changed", "fixed", "broken")
    shown = [change for change in changes if change["changed"]]
    if len(shown) > 1:
        shown.append({"name": "all classes"} | {key: sum(change[key] for change in changes) for key in keys})
    return Table(
        "Test pixels whose class it changed. Fixed: wrong before, right after; broken: the other way round. Classes "
        "it left as they were are not listed.",
        ("class", "test", "changed", "fixed", "broken"),
        tuple((str(row["name"]), *(thousands(row[key], NARROW) for key in keys)) for row in shown),
    )


def _candidates_table(numbers: Numbers, given: Sequence[Numbers], varying: Sequence[str], constant: Numbers) -> Table:
    """A column per setting that varies; what is constant is said once, and the chosen row is marked."""
    tried, pixels = numbers["table"], numbers.get("validation_pixels")
    gain, taken = ["gain (%)"] if any(row.get("gain") for row in tried) else [], ""
    much = numbers.get("errors", 1)
    error = "its standard error" if much == 1 else f"{number(much)} of its standard errors"
    rise = f"the mean rise in accuracy over classes, exceeds {error}"
    if numbers.get("usual"):
        taken = f": the usual settings, unless the gain of others over them, {rise}"
    elif gain:
        taken = f": the best score among those whose gain, {rise}"
    judged = counted(pixels, "validation pixel") if pixels else "validation pixels"
    same = f" The same for all: {_listing(constant)}." if constant else ""
    rows = [
        (
            "leave the map as it is" if row["settings"] is None else str(i),
            *(setting(flat[key]) if key in flat else UNKNOWN for key in varying),
            number(row["score"], 2),
            *([_gain(row)] if gain else []),
            number(row["log_likelihood"], 3),
            number(row["changed"]),
        )
        for i, (row, flat) in enumerate(zip(tried, given, strict=True))
    ]
    columns = ("candidate", *varying, "score (%)", *gain, "log-likelihood", "changed (%)")
    marked = next((i for i, row in enumerate(tried) if row["settings"] == numbers.get("settings")), None)
    caption = f"What was tried, judged on {judged} only. The shaded row was taken{taken}.{same}"
    return Table(caption, columns, tuple(rows), marked)


def _gain(row: Numbers) -> str:
    if row["settings"] is None:
        return UNKNOWN
    error = row.get("gain_error")
    return f"{number(100 * (row.get('gain') or 0), 2)} ± {number(None if error is None else 100 * error, 2)}"


def _flat(settings: Numbers) -> dict[str, Any]:
    """Settings on one level: an entry of a part is named "part entry"."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= {f"{key} {inner}": v for inner, v in _flat(value).items()}
        else:
            found[key] = value
    return found


def _listing(settings: Numbers) -> str:
    return ", ".join(f"{key} = {setting(value)}" for key, value in settings.items())


def deep_crf_sentences(numbers: Numbers) -> list[str]:
    """What a deep CRF learnt from and what it cannot know.

    Args:
        numbers: of "pairs" and "pairs_within", "heads_trusted", "nodes_per_class" and "agreement" what there is.
    """
    found, within = [], numbers.get("pairs_within")
    places = {"right": "side by side", "below": "one above the other"}
    pairs = {where: (numbers.get("pairs") or {}).get(key) for key, where in places.items()}
    if any(pairs.values()):
        near = "" if within is None else f" at most {counted(within, 'node')} apart"
        said = [
            f"{where} {counted(n['same'], 'pair')} of equal and {counted(n['different'], 'pair')} of unequal classes"
            for where, n in pairs.items()
            if n
        ]
        found.append(
            f"It learnt which classes lie beside each other from pairs of training nodes{near}: {'; '.join(said)}."
        )
    alike = [where for where, n in pairs.items() if n and not n["different"]]
    if alike:
        found.append(f"Without unequal pairs {listed(alike)} it can only have learnt that neighbours are alike.")
    if numbers.get("heads_trusted") is False:
        lead = "That is" if found else "No two labelled nodes are near each other, which is"
        found.append(
            f"{lead} too little to learn borders from: unless validation pixels spoke for it, it used the table of "
            "neighbours of the map alone."
        )
    few = [name for name, n in (numbers.get("nodes_per_class") or {}).items() if n < FEW_NODES]
    if few:
        found.append(
            f"Fewer than {FEW_NODES} training nodes: {listed(few)}. It can hardly know what lies beside "
            f"{'this class' if len(few) == 1 else 'these classes'}."
        )
    agreed = numbers.get("agreement") or {}
    if agreed:
        found.append(
            "Over pairs of unequal classes, what it learnt and what the ground truth holds have a rank correlation "
            f"of {number(agreed.get('rank'), 2)} (1: the same order; 0: unrelated); which of two classes is rather "
            f"the left or upper one correlates with {number(agreed.get('asymmetry'), 2)}."
        )
    return found


def deconv_sentences(numbers: Numbers) -> list[str]:
    """What a deconvolution learnt from and how it reads the spectrum: "held_out_parts" and "band_groups"."""
    if numbers.get("not_tried"):
        return []
    found, parts = [], numbers.get("held_out_parts")
    if numbers.get("of_parts"):
        found.append(
            f"It was trained on the map made without the first of {numbers['of_parts']} parts of the training pixels "
            "only: it set no more validation pixels right, so the other parts were not tried."
        )
    elif parts == 1:
        found.append(
            "It was trained on the map as it is, which knows the training pixels better than any others, and may "
            "trust it too much."
        )
    elif parts:
        found.append(
            f"It was trained on {parts} maps, each made without one of {parts} parts of the training pixels and used "
            "at the pixels it was made without."
        )
    sizes = sorted(b - a for a, b in numbers.get("band_groups") or ())
    if sizes:
        each = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
        bands = "band" if sizes[-1] == 1 else "bands"
        found.append(f"It reads the spectrum in {counted(len(sizes), 'group')} of {each} {bands}.")
    return found
