"""What the table says in sentences: the survey's ordering, where it is reproduced and where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hyperseg.core.words import counted, listed, number
from hyperseg.recipes.bench.rows import Row
from hyperseg.recipes.bench.showing.table import distance_of as _fd
from hyperseg.recipes.bench.showing.table import equal, groups, leaders_of, spread_of

LONG = 200  # calls from which sampling is no longer short
SHORT = (10, 20)  # calls at which solvers are compared with it
TOLD = (20, 10, 4)  # calls at which the best are told, beside the most
MOST_NAMED = 6
FAR = 5  # times the distance of held-out data from which a network is called far from the data


def findings(rows: Iterable[Row]) -> list[str]:
    """Sentences on the ordering of the survey's table, the last steps of it that cannot be judged left out."""
    scored = [row for row in rows if row.fd is not None]
    plain = [row for row in scored if row.kind == "sampler"]
    reference = _reference(plain)
    return [*_best(scored), *_solvers(plain, reference), *_raw(scored), *_chosen(scored), *_speedups(scored)]


def told_at(rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
    """The numbers of calls whose best are told, and those best: one, or all that are equal within the spread."""
    found = groups(rows)
    most = max((asked for asked, _ in found), default=0)
    return [(asked, leaders_of(group)) for asked, group in found if asked in (most, *TOLD) and leaders_of(group)]


def far_from_real(rows: Iterable[Row], floor: float | None, *, distance: str, given: bool) -> str | None:
    """A caution where even the best samples are far from real data, or None.

    Args:
        floor: distance of held-out data.
        distance: what it is called.
        given: the network was trained elsewhere.
    """
    best = min((row.fd for row in rows if row.fd is not None), default=None)
    if best is None or floor is None or best <= FAR * floor:
        return None
    how = "take a --model that was trained longer" if given else "train longer (--train-steps)"
    return (
        f"The network itself is far from real data (best {distance} {number(best, 1)}, held-out {number(floor, 1)}): "
        f"{how} before ranking samplers."
    )


def _best(rows: Sequence[Row]) -> list[str]:
    return [
        f"At {counted(asked, 'call')} equal within the spread: {listed(map(_named, leaders), most=MOST_NAMED)}."
        for asked, leaders in told_at(rows) if len(leaders) > 1
    ]  # fmt: skip


def _reference(rows: Sequence[Row]) -> Row | None:
    """The best of the longest runs of methods that add noise: what DDPM with all its steps is in the survey."""
    noisy = [row for row in rows if row.order is None and row.asked >= LONG]
    longest = max((row.asked for row in noisy), default=0)
    return min((row for row in noisy if row.asked == longest), key=_fd, default=None)


def _solvers(rows: Sequence[Row], reference: Row | None) -> list[str]:
    if reference is None:
        return []
    told = [
        f"Reference: {reference.label} with {reference.nfe} calls, {_told(reference)}, the best of the methods that "
        "add noise at that number of calls."
    ]
    for calls in SHORT:
        group = [row for row in rows if row.asked == calls]
        high = [row for row in group if (row.order or 0) >= 2]
        first = [row for row in group if row.order == 1]
        noisy = [row for row in group if row.order is None]
        if not high:
            continue
        good = sorted((row for row in high if _as_good(row, reference)), key=_fd)
        bad = sorted((row for row in high if not _as_good(row, reference)), key=_fd)
        if good:
            told.append(f"As good at {calls} calls (within two spreads or better): {listed(map(_named, good))}.")
        if bad:
            told.append(f"Not as good at {calls} calls: {listed(map(_named, bad))}.")
        if first and noisy:
            told.append(_between(calls, first, high, [r for r in noisy if r.method == reference.method] or noisy))
    return told


def _between(calls: int, first: Sequence[Row], high: Sequence[Row], noisy: Sequence[Row]) -> str:
    one, solver, noise = (min(group, key=_fd) for group in (first, high, noisy))
    holds = _fd(solver) <= _fd(one) <= _fd(noise)
    begin = f"At {calls} calls first order ({_named(one)}) is"
    if same := [row for row in (solver, noise) if equal(one, row)]:
        return f"{begin} equal within the spread to {listed(map(_named, same))}."
    if holds:
        return f"{begin} between the best of higher order ({_named(solver)}) and {_named(noise)}."
    return f"{begin} not between: higher order {_named(solver)}, and {_named(noise)}."


def _raw(rows: Sequence[Row]) -> list[str]:
    averaged = {(row.method, row.asked): row for row in rows if row.kind == "sampler"}
    pairs = [(averaged[key], row) for row in rows if row.kind == "raw" and (key := (row.method, row.asked)) in averaged]
    if not pairs:
        return []
    same = sum(equal(*pair) for pair in pairs)
    better = sum(_fd(a) < _fd(raw) and not equal(a, raw) for a, raw in pairs)
    smooth, raw = min(pairs, key=lambda pair: _fd(pair[0]))
    return [
        f"Averaged weights are ahead of raw ones in {better} of {len(pairs)} cells of {smooth.method}, behind in "
        f"{len(pairs) - better - same}, equal within the spread in {same}; at {smooth.nfe} calls "
        f"{number(smooth.fd, 2)} against {number(raw.fd, 2)}."
    ]


def _chosen(rows: Sequence[Row]) -> list[str]:
    usual = {(row.method, row.asked): row for row in rows if row.kind == "sampler"}
    pairs = [(usual[key], row) for row in rows if row.kind == "chosen" and (key := (row.method, row.asked)) in usual]
    if not pairs:
        return []
    told = [f"{row.nfe} calls: {number(row.fd, 2)} against {number(other.fd, 2)}" for other, row in pairs]
    return [
        f"{pairs[0][0].method} on steps chosen by dynamic programming (best in the variational bound, not in the "
        f"distance) against its usual steps: {listed(told)}."
    ]


def _speedups(rows: Sequence[Row]) -> list[str]:
    trained = sorted((row for row in rows if row.kind == "speed-up"), key=lambda row: row.nfe)
    told = []
    for nfe in sorted({row.asked for row in trained}):
        best = min((row for row in trained if row.asked == nfe), key=_fd)
        others = [row for row in rows if row.kind == "sampler" and row.asked == nfe]
        if others:
            other = min(others, key=_fd)
            word = "ahead of" if _fd(best) < _fd(other) else "behind"
            word = "equal within the spread to" if equal(best, other) else word
            told.append(f"at {nfe} {_named(best)} is {word} the best that is only sampled ({_named(other)})")
    return [f"Methods that train for few calls: {'; '.join(told)}."] if told else []


def _as_good(row: Row, reference: Row) -> bool:
    return _fd(row) <= _fd(reference) + spread_of(row, reference)


def _named(row: Row) -> str:
    return f"{row.label} {number(row.fd, 2)}"


def _told(row: Row) -> str:
    return f"{number(row.fd, 2)} ± {number(row.fd_sd, 2)}"
