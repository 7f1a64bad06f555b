"""From a column of a vector layer to classes: which column, which codes, names and colours."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError
from hyperseg.core.words import clean_name, did_you_mean, distinct, listed, some
from hyperseg.io.labels.qml import parse_colour
from hyperseg.io.labels.raster import MAX_CLASSES
from hyperseg.io.labels.vectors import Layer

log = logging.getLogger(__name__)
Triple = tuple[int, int, int]

# letters and digits of a column's name, lower case; the first row wins over the second
TELLING = {
    "class", "classes", "klass", "klasse", "classname", "classlabel", "crop", "crops", "croptype", "label", "labels",
    "landcover", "landuse", "lulc", "cover", "covertype", "vegetation", "species", "habitat", "lccode", "lcclass",
    "nutzung", "landnutzung", "nutzungsart", "kultur", "kulturart", "fruchtart", "klassenname", "culture", "classe",
    "occupation", "clase", "cultivo", "cobertura", "uso", "usodelsuelo",
}  # fmt: skip
WEAK = {"name", "type", "code", "category", "kind", "classid", "classcode"}
NUMBERS = {"id", "fid", "ogcfid", "objectid", "gid", "uid", "uuid", "globalid"}
COLOURS = ("colour", "color")
FEW, OWN = 8, 0.9  # of more features than this, with this share of different values, a column numbers or names them


@dataclass(frozen=True)
class Classes:
    """Which class every feature belongs to, and what classes are called."""

    of: NDArray[np.int64]  # (n,) 0..K-1, -1 for features without a class
    names: tuple[str, ...]
    codes: tuple[int, ...]
    numbered: bool  # they are told in words: codes are 1..K in the order of the names
    beside: tuple[int, ...] | None  # codes of such classes that another column tells
    colours: tuple[Triple, ...] | None  # None unless every class has one


def classes_of(layer: Layer, column: str | None) -> Classes:
    """The classes of a layer's features: text in alphabetical order, numbers in ascending order.

    Text that is numbers throughout counts as numbers. Negative numbers and empty text are no class and are skipped
    with a note; 0 is a class like any other, as nobody draws a polygon to say nothing. No `column`: guessed.

    Raises:
        LabelError: no such column, none or several to guess from, fractions, or no class in it.
    """
    name, guessed = choose_column(layer, column)
    values = layer.columns[name]
    numbers = whole_numbers(values)
    if numbers is None and values.dtype.kind not in "OUS":
        raise LabelError(
            f"{layer.path}: the column {name!r} holds {values.dtype} values; classes are text or whole numbers. "
            f"Choose another column. {columns_told(layer)}"
        )
    if numbers is not None:
        unique, inverse = np.unique(numbers, return_inverse=True)
        n_skipped = int(np.count_nonzero(unique < 0))
        present: list[Any] = unique[n_skipped:].tolist()
        of = np.maximum(inverse.reshape(-1) - n_skipped, UNLABELLED).astype(np.int64)
        codes, texts = tuple(present), tuple(str(n) for n in present)
        names, beside = _names_of_codes(layer, name, of, texts), None
    else:
        words = words_in(values)
        present = sorted(set(words) - {""}, key=lambda w: (w.casefold(), w))
        place = {w: k for k, w in enumerate(present)} | {"": UNLABELLED}
        of = np.array([place[w] for w in words], np.int64)
        texts = names = tuple(present)
        beside = _codes_of_names(layer, name, of, len(present))
        codes = tuple(range(1, len(present) + 1))
    if not present:
        raise LabelError(
            f"{layer.path}: the column {name!r} names no class: all {len(of)} values are empty or negative. "
            f"Fill it in, or choose another column. {columns_told(layer)}"
        )
    if len(present) > MAX_CLASSES:
        raise LabelError(
            f"{layer.path}: the column {name!r} holds {len(present)} different values; these are no classes."
        )
    _remark(layer, name, guessed, of, present)
    return Classes(of, distinct(names), codes, numbers is None, beside, _colours(layer, of, texts))


def named_column(layer: Layer, wanted: str, *, of: str = "") -> str:
    """The column of this name, in whatever case where only one has it; `of` what it tells, for the message.

    Raises:
        LabelError: there is no such column.
    """
    if wanted in layer.columns:
        return wanted
    same = [c for c in layer.columns if c.casefold() == wanted.casefold()]
    if len(same) == 1:
        return same[0]
    hint = did_you_mean(wanted, layer.columns)
    raise LabelError(f"{layer.path}: has no column {wanted!r}{of}. {columns_told(layer)}{hint}")


def choose_column(layer: Layer, wanted: str | None) -> tuple[str, bool]:
    """The column of the classes, and whether that is a guess."""
    if wanted is not None:
        return named_column(layer, wanted), False
    styled = layer.style.column
    if styled is not None and styled in layer.columns:
        return styled, True
    usable = {c: _plain(c) for c, v in layer.columns.items() if _plain(c) not in COLOURS and _is_class_like(v)}
    own = [c for c in usable if _own_values(layer.columns[c])]
    usable = {c: p for c, p in usable.items() if c not in own}
    usable = {c: p for c, p in usable.items() if p not in NUMBERS} or usable
    for among in (usable.keys(), *([c for c, p in usable.items() if p in row] for row in (TELLING, WEAK))):
        found = _one_of(layer, list(among))
        if found is not None:
            return found, True
    if not usable and own:
        raise LabelError(
            f"{layer.path}: (nearly) every one of {len(layer.shapes)} features has a value of its own in "
            f"{listed(own, most=8)}, and no other column could tell classes. {columns_told(layer)} Add one with the "
            "class of every polygon; if every polygon is a class of its own, say so with --class-column NAME."
        )
    if not usable:
        raise LabelError(
            f"{layer.path}: has no column that could tell classes (text or whole numbers). {columns_told(layer)} "
            "Add one with the class of every polygon."
        )
    raise LabelError(
        f"{layer.path}: which column tells the classes is unclear. {columns_told(layer)} "
        "Choose one with --class-column NAME (class_column in Python)."
    )


def _one_of(layer: Layer, names: list[str]) -> str | None:
    """The only column, or, of several well-named ones that tell the same classes, the one with numbers."""
    if not names or (len(names) > 1 and not all(_plain(n) in TELLING | WEAK for n in names)):
        return None
    first = _texts(layer.columns[names[0]])
    if not all(_same_classes(first, _texts(layer.columns[n])) for n in names[1:]):
        return None
    return next((n for n in names if whole_numbers(layer.columns[n]) is not None), names[0])


def _same_classes(a: list[str], b: list[str]) -> bool:
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


def _own_values(values: NDArray[Any]) -> bool:
    """Whether (nearly) every one of more than a few features has a value of its own, as names and numbers of fields."""
    words = [w for w in words_in(values) if w]
    return len(words) > FEW and len(set(words)) >= OWN * len(words)


def _codes_of_names(layer: Layer, column: str, of: NDArray[np.int64], n: int) -> tuple[int, ...] | None:
    """The codes of classes told in words, of the one column of whole numbers from 0 on that tells the same classes.

    One number a class says nothing where every class has one feature only.
    """
    if np.count_nonzero(of >= 0) <= n:
        return None
    found = set()
    for other, values in layer.columns.items():
        numbers = None if other == column or _plain(other) in NUMBERS else whole_numbers(values)
        if numbers is None or (numbers[of >= 0] < 0).any():
            continue
        pairs = {(k, c) for k, c in zip(of.tolist(), numbers.tolist(), strict=True) if k >= 0}
        if len(pairs) == n == len({c for _, c in pairs}):
            found.add(tuple(c for _, c in sorted(pairs)))
    return found.pop() if len(found) == 1 else None


def _names_of_codes(layer: Layer, column: str, of: NDArray[np.int64], texts: tuple[str, ...]) -> tuple[str, ...]:
    """Names of numbered classes: of a column that tells the same in words, else the style's, else "class 3"."""
    for other, values in layer.columns.items():
        text = values.dtype.kind in "OUS" and whole_numbers(values) is None
        if other == column or _plain(other) not in TELLING | WEAK or not text:
            continue
        words = words_in(values)
        pairs = {(k, w) for k, w in zip(of.tolist(), words, strict=True) if k >= 0 and w}
        if len(pairs) == len(texts) == len({k for k, _ in pairs}) == len({w for _, w in pairs}):
            return tuple(w for _, w in sorted(pairs))
    styled = {t: clean_name(name) for t, name in layer.style.names.items()}
    return tuple(f"class {t}" if styled.get(t, t) in ("", t) else styled[t] for t in texts)


def _colours(layer: Layer, of: NDArray[np.int64], texts: tuple[str, ...]) -> tuple[Triple, ...] | None:
    """One colour per class: the most frequent of its features', else the style's."""
    votes: list[Counter[Triple]] = [Counter() for _ in texts]
    for values in (v for c, v in layer.columns.items() if _plain(c) in COLOURS):
        for k, value in zip(of.tolist(), values.tolist(), strict=True):
            if k >= 0 and (colour := parse_colour(value)) is not None:
                votes[k][colour] += 1
    found = [v.most_common(1)[0][0] if v else layer.style.colours.get(t) for v, t in zip(votes, texts, strict=True)]
    without = [t for t, colour in zip(texts, found, strict=True) if colour is None]
    if without and len(without) < len(texts):
        log.info("%s: no colour for %s; the colours of all classes are made up", layer.path, ", ".join(without[:8]))
    return None if without else tuple(colour for colour in found if colour is not None)


def _remark(layer: Layer, column: str, guessed: bool, of: NDArray[np.int64], present: list[Any]) -> None:
    empty = int(np.count_nonzero(of == UNLABELLED))
    if guessed and len(layer.columns) > 1:
        log.info("%s: classes from the column %r", layer.path, column)
    if empty:
        log.info("%s: features without a class in %r (empty or negative): %d of %d, skipped",
                 layer.path, column, empty, len(of))  # fmt: skip
    if present[0] == 0:
        log.info("%s: the code 0 in %r is a class of its own here, not 'unlabelled'", layer.path, column)
    if not guessed and len(of) > FEW and len(present) == np.count_nonzero(of >= 0):
        log.info("%s: every feature has a value of its own in %r: %d classes of one polygon each", layer.path, column,
                 len(present))  # fmt: skip
    alike = [w for w, n in Counter(str(w).casefold() for w in present).items() if n > 1]
    if alike:
        log.warning("%s: %s is spelt in several ways, each a class of its own", layer.path, ", ".join(alike))


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _is_class_like(values: NDArray[Any]) -> bool:
    if values.dtype.kind in "OUS":
        return all(v is None or isinstance(v, str) for v in values.tolist())
    return whole_numbers(values) is not None


def words_in(values: NDArray[Any]) -> list[str]:
    """Clean text; "" where there is none."""
    texts = _texts(values)
    known = {t: clean_name(t, None) for t in set(texts)}
    return [known[t] for t in texts]


def _texts(values: NDArray[Any]) -> list[str]:
    return ["" if v is None else str(v) for v in values.tolist()]


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int64] | None:
    """Whole numbers, -1 for none; None if the column holds anything else. Missing numbers make a column float."""
    if values.dtype.kind in "biu":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        if known.any() and (np.abs(values[known]) < 2**53).all() and not np.mod(values[known], 1).any():
            return np.where(known, values, -1).astype(np.int64)
        return None
    if values.dtype.kind in "OUS":
        words = words_in(values)
        if any(words) and all(w.isascii() and w.lstrip("-").isdigit() and len(w) < 18 for w in words if w):
            return np.array([int(w) if w else -1 for w in words], np.int64)
    return None


def columns_told(layer: Layer) -> str:
    """Every column with some of its values, for messages."""
    shown = []
    for name, values in layer.columns.items():
        few = [clean_name(t, 24) for t in dict.fromkeys(_texts(values[:200])) if t.strip()]
        shown.append(f"{clean_name(name, 60)} ({', '.join(few[:4]) or 'empty'}{', ...' if len(few) > 4 else ''})")
    return f"Its columns: {some(shown, 10, '; ')}." if shown else "It has no columns."
