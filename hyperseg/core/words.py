"""Words for messages: counts, lists, nearest names, runs of numbers; the same everywhere."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

UNKNOWN = "–"
LONGEST_NAME = 120
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\\\)"
)  # of terminals: colours, titles, links
JOINERS = "\u200c\u200d"  # of some scripts: formatting, but part of a word
FORMULA = ("=", "+", "-", "@", "\t")
NARROW = "\u202f"  # a space that does not break


def thousands(n: float, space: str = " ") -> str:
    """A count with a space between thousands: "1 200"."""
    return f"{int(n):,}".replace(",", space)


def number(value: float | None, digits: int = 1) -> str:
    """A number with fixed digits; a dash where it is None, NaN or infinite."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """A share given in percent, as "12.3 %"; one too small for that is not called zero."""
    return "<0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"


def duration(seconds: float) -> str:
    """A duration as a person says it; a dash where it is not known."""
    if not seconds >= 0:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def counted(n: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 repeat", "1 200 pixels"."""
    return f"{thousands(n)} {one if n == 1 else many or one + 's'}"


def listed(names: Iterable[str], *, last: str = "and", most: int | None = None) -> str:
    """Names as "a, b and c"; of more than `most` the rest is counted."""
    found = list(names)
    if most is not None and len(found) > most:
        return f"{', '.join(found[:most])} {last} {len(found) - most} more"
    return f" {last} ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def some(names: Iterable[str], most: int, between: str = ", ") -> str:
    """The first names, and how many are left: "a, b, c and 9 more"."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return between.join(found[:most]) + more


def one_line(text: str, longest: int | None = None) -> str:
    """The text without line breaks, cut with an ellipsis where it is longer than `longest`."""
    plain = " ".join(text.split())
    return plain if longest is None or len(plain) <= longest else plain[: longest - 1] + "…"


def printable(text: str) -> str:
    """The text with a question mark for every character that a terminal would obey or cannot show."""
    return "".join(c if c.isprintable() else "?" for c in text)


def clean_name(text: str, longest: int | None = LONGEST_NAME) -> str:
    """A name as it may stand in XML, tags, reports and on a terminal: one line of printable text, not too long.

    Control and formatting characters (line breaks, escape sequences, changes of the writing direction) and what is no
    character at all are left out; equal letters are spelt the same way (NFC).
    """
    text = unicodedata.normalize("NFC", ESCAPES.sub("", str(text)))
    shown = (" " if c.isspace() else c for c in text if c.isspace() or c in JOINERS or not _hidden(c))
    return one_line("".join(shown), longest)


def _hidden(c: str) -> bool:
    nothing = 0xFDD0 <= ord(c) <= 0xFDEF or ord(c) & 0xFFFE == 0xFFFE
    return nothing or unicodedata.category(c) in ("Cc", "Cf", "Cs")


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names, clean; of equal ones the later are numbered: "crop", "crop (2)"; an empty one is "unnamed"."""
    found: list[str] = []
    clean = [clean_name(name) or "unnamed" for name in names]
    taken = set(clean)
    for name in clean:
        n, new = 1, name
        while new in found or (n > 1 and new in taken):
            n += 1
            new = f"{name} ({n})"
        found.append(new)
    return tuple(found)


def as_cell(text: str) -> str:
    """A text for a table that a spreadsheet opens: what it would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(FORMULA) else text


def runs(numbers: Sequence[int]) -> str:
    """Ascending whole numbers as "0-3, 7, 9-12"."""
    found: list[list[int]] = []
    for n in numbers:
        if found and n == found[-1][1] + 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is `bare` the same, or else most alike, from a likeness (0 to 1) of `cutoff` on."""
    names = list(known)
    same = next((other for other in names if bare(other) == bare(name)), None)
    return same or next(iter(difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


def bare(name: str) -> str:
    """A name in small letters, without zeros before its numbers: spreadsheets write 1 for 001."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", name.casefold())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " Did you mean X?" with the nearest of the known names, or nothing."""
    close = nearest(name, known)
    return f" Did you mean {close}?" if close else ""
