"""Markdown tables and the figure of bench_bridged.py: means and spreads over seeds, and differences seed by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from bridged_curves import Line, Measure, final, jumps, late, level_of, spread, until, whole
from bridged_rows import BRIDGED, DEFAULT, DEPTH, LOSSES, NETS, PARAMETERS
from bridged_sets import CHOOSING, SETS
from numpy.typing import NDArray
from scipy.stats import binomtest


def measures(levels: Mapping[str, float]) -> dict[str, tuple[Measure, float, int]]:
    """Heading -> how it is read, its factor, digits."""
    return {
        "final Dice": (final, 100, 1), "micro Dice": (lambda line: line["micro"], 100, 1),
        "mean of all": (whole, 100, 1), "steps": (lambda line: late(line, levels[line["set"]]), 1, 0),
        "spread": (spread, 100, 2), "jumps": (jumps, 100, 2),
    }  # fmt: skip


def tables(lines: Sequence[Line]) -> str:
    """All that there is to say of them."""
    reported = [line for line in lines if line["seed"] < CHOOSING]
    grid = [line for line in reported if line["optimiser"] == "adam" and line["loss"] in LOSSES]
    by_set = {name: [line for line in grid if line["set"] == name] for name in SETS}
    levels = {name: level_of(some) for name, some in by_set.items() if some}
    of = measures(levels)
    found = [_rates([line for line in lines if line["seed"] >= CHOOSING])]
    found += ["\n".join(_told(name, by_set[name], level) for name, level in levels.items())]
    found += [_main(by_set, levels), _others(reported, levels), _paired(grid, of, {**_LOSS_PAIRS, **_NET_PAIRS})]
    return "\n\n".join(table for table in found if table)


def _told(name: str, lines: Sequence[Line], level: float) -> str:
    (learnt, tested), (empty, empty_tested) = lines[0]["images"], lines[0]["empty"]
    return (
        f"- `{name}`, {SETS[name].told}: {learnt} images are learnt from ({empty} empty), {tested} scored "
        f"({empty_tested} empty), {len({line['seed'] for line in lines})} seeds; steps until Dice {100 * level:.1f}."
    )


def _rates(lines: Sequence[Line]) -> str:
    rows = []
    for (optimiser, loss), some in _grouped(lines, "optimiser", "loss").items():
        by = _grouped(some, "lr")
        told = (f"{lr:g}: {_mean([100 * final(line) for line in of], 1)}" for (lr,), of in sorted(by.items()))
        rows.append([optimiser, loss, "; ".join(told)])
    return _table(["optimiser", "loss", "rate: final Dice on seeds that choose"], rows)


def _main(by_set: Mapping[str, Sequence[Line]], levels: Mapping[str, float]) -> str:
    rows = []
    for name, level in levels.items():
        for net in NETS:
            at = {loss: [x for x in by_set[name] if (x["net"], x["loss"]) == (net, loss)] for loss in LOSSES}
            if not all(at.values()):
                continue
            weights = f"{at[LOSSES[0]][0]['parameters'] / 1e3:.0f} k"
            steps = [_steps(of, level) for of in at.values()]
            shares = [_mean([100 * measure(x) for x in of], 1) for measure in (final, spread) for of in at.values()]
            rows.append([name, net, weights, *shares[:2], *steps, *shares[2:]])
    headings = [f"{what}, {loss}" for what in ("final", "steps", "spread") for loss in LOSSES]
    return _table(["set", "network", "weights", *headings], rows)


def _others(lines: Sequence[Line], levels: Mapping[str, float]) -> str:
    """Losses and optimisers side by side on the default network."""
    rows = []
    some = [line for line in lines if line["net"] == DEFAULT and line["set"] in levels]
    for (name, optimiser, loss, lr), of in _grouped(some, "set", "optimiser", "loss", "lr").items():
        cells = [name, optimiser, loss, f"{lr:g}", *(_mean([100 * m(x) for x in of], 1) for m in (final, whole))]
        micro = _mean([100 * x["micro"] for x in of], 1)
        alarms = _mean([100 * x["alarms"] for x in of if x["alarms"] is not None], 0)
        spreads = [_mean([100 * measure(x) for x in of], 2) for measure in (spread, jumps)]
        rows.append([*cells, micro, _steps(of, levels[name]), *spreads, alarms])
    headings = ["final", "mean of all", "micro", "steps", "spread", "jumps", "empty, answered"]
    return _table([f"{DEFAULT}: set", "optimiser", "loss", "rate", *headings], rows)


def _steps(lines: Sequence[Line], level: float) -> str:
    reached = [step for line in lines if (step := until(line, level)) is not None]
    short = "" if len(reached) == len(lines) else f" ({len(reached)}/{len(lines)})"
    return f"{_mean(reached, 0)}{short}" if reached else "not reached"


def _units(lines: Sequence[Line], measure: Measure, chosen: Callable[[Line], bool]) -> dict[tuple[str, int], float]:
    """Of every set and seed the mean over the trainings that are chosen."""
    found = defaultdict(list)
    for line in lines:
        if chosen(line):
            found[line["set"], line["seed"]].append(measure(line))
    return {unit: float(np.mean(values)) for unit, values in found.items()}


def _net(*names: str) -> Callable[[Line], bool]:
    return lambda line: line["net"] in names


def _loss(loss: str, *names: str) -> Callable[[Line], bool]:
    return lambda line: line["loss"] == loss and line["net"] in (names or NETS)


def _nets(end: str) -> Callable[[Line], bool]:
    return lambda line: line["net"] in BRIDGED and line["net"].endswith(end)


_MIXED = {name for name in BRIDGED if len(set(name.split(",")[0].split("/"))) == 2}
Pairs = Mapping[str, tuple[Callable[[Line], bool], Callable[[Line], bool]]]
_LOSS_PAIRS: Pairs = {
    "cosdice less dice, all networks": (_loss("cosdice"), _loss("dice")),
    "cosdice less dice, bridged": (_loss("cosdice", *BRIDGED), _loss("dice", *BRIDGED)),
    "cosdice less dice, single": (_loss("cosdice", DEPTH, PARAMETERS), _loss("dice", DEPTH, PARAMETERS)),
}
_NET_PAIRS: Pairs = {
    "bridged (all) less single of equal parameters": (_net(*BRIDGED), _net(PARAMETERS)),
    "bridged (all) less single of equal depth": (_net(*BRIDGED), _net(DEPTH)),
    "relu/relu, cat less single of equal parameters": (_net("relu/relu, cat"), _net(PARAMETERS)),
    f"{DEFAULT} less single of equal parameters": (_net(DEFAULT), _net(PARAMETERS)),
    "single: equal parameters less equal depth": (_net(PARAMETERS), _net(DEPTH)),
    "bridged: cat less add": (_nets("cat"), _nets("add")),
    "bridged: two activations less one": (_net(*_MIXED), _net(*(set(BRIDGED) - _MIXED))),
    "bridged: elu/elu less relu/relu": (_net("elu/elu, cat", "elu/elu, add"), _net("relu/relu, cat", "relu/relu, add")),
    "bridged: relu/elu less elu/relu": (_net("relu/elu, cat", "relu/elu, add"), _net("elu/relu, cat", "elu/relu, add")),
}


def _paired(lines: Sequence[Line], of: Mapping[str, tuple[Measure, float, int]], pairs: Pairs) -> str:
    """Mean differences by set; how many sets and seeds are above 0, and p of the sign test over them."""
    rows = []
    for told, (one, other) in pairs.items():
        cells = [told]
        for measure, factor, digits in of.values():
            here, there = (_units(lines, measure, chosen) for chosen in (one, other))
            units = {unit: factor * (here[unit] - there[unit]) for unit in here if unit in there}
            if not units:
                break
            by_set = [[x for (name, _), x in units.items() if name == of_set] for of_set in SETS]
            means = " / ".join(f"{np.mean(some):+.{digits}f}" if some else "–" for some in by_set)
            above, below = sum(x > 0 for x in units.values()), sum(x < 0 for x in units.values())
            p = binomtest(above, above + below).pvalue if above + below else 1.0
            cells.append(f"{means}; {above}/{above + below}, {p:.3f}")
        else:
            rows.append(cells)
    return _table([f"{' / '.join(SETS)}; above 0, p", *of], rows)


def curves_figure(lines: Sequence[Line]) -> bytes:
    """A PNG: Dice over steps of each set; the losses above (mean over networks), the networks below (over losses)."""
    from hyperseg.report.charts import LINE_COLOURS, blank, png, tidy

    grid = [x for x in lines if x["seed"] < CHOOSING and x["optimiser"] == "adam" and x["loss"] in LOSSES]
    names = [name for name in SETS if any(line["set"] == name for line in grid)]
    figure = blank(3.1 * len(names), 5.2)
    all_axes = figure.subplots(2, len(names), sharex=True, sharey="col", squeeze=False)
    kinds = {"bridged, mean of eight": _net(*BRIDGED), PARAMETERS: _net(PARAMETERS), DEPTH: _net(DEPTH)}
    rows = ({loss: _loss(loss) for loss in LOSSES}, kinds)
    for upper, (row, group) in zip((True, False), zip(all_axes, rows, strict=True), strict=True):
        for axes, name in zip(row, names, strict=True):
            for i, (told, chosen) in enumerate(group.items()):
                some = [line for line in grid if line["set"] == name and chosen(line)]
                if not some:
                    continue
                steps, mean, low, high = _curves(some)
                colour = LINE_COLOURS[i + (0 if upper else 2)]
                axes.plot(steps, mean, color=colour, linewidth=1.6, label=told)
                axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            tidy(axes)
            axes.set_title(SETS[name].told if upper else "", fontsize=9, loc="left")
            axes.set_xlabel("" if upper else "step")
        row[0].set_ylabel("validation Dice")
        row[-1].legend(frameon=False, fontsize=8, loc="lower right")
    return png(figure)


def _curves(lines: Sequence[Line]) -> tuple[NDArray[np.float64], ...]:
    """Steps, the mean over seeds, and this less and plus their standard deviation; a seed's networks are averaged."""
    seeds = [np.mean([x["curve"] for x in some], 0) for some in _grouped(lines, "seed").values()]
    mean, apart = np.mean(seeds, 0), np.std(seeds, 0, ddof=1) if len(seeds) > 1 else np.zeros(len(seeds[0]))
    steps = lines[0]["every"] * np.arange(1.0, len(mean) + 1)
    return steps, mean, mean - apart, mean + apart


def _grouped(lines: Sequence[Line], *keys: str) -> dict[tuple[Any, ...], list[Line]]:
    found: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for line in lines:
        found[tuple(line[key] for key in keys)].append(line)
    return dict(found)


def _mean(values: Iterable[float], digits: int) -> str:
    """Mean ± standard deviation; a dash where there is none."""
    known = np.array(list(values), float)
    if not len(known):
        return "–"
    apart = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{apart}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, ["---"] * len(heading), *rows))
