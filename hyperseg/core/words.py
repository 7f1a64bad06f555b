"""Words for messages: counts, lists, nearest names, runs of numbers; the same everywhere."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

UNKNOWN = "–"
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
    """The known name that is most alike, from a likeness (0 to 1) of `cutoff` on."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " Did you mean X?" with the nearest of the known names, or nothing."""
    close = nearest(name, known)
    return f" Did you mean {close}?" if close else ""
