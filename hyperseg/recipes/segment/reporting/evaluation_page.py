"""What an evaluation shows: a figure, a page, and a row for each network."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import counted, listed, number, thousands
from hyperseg.metrics.overlap import RULE
from hyperseg.recipes.segment.evaluation.figures import Figures
from hyperseg.recipes.segment.evaluation.found import Evaluation
from hyperseg.recipes.segment.prediction.answer import CONFIDENCE, DISAGREEMENT, ENTROPY
from hyperseg.recipes.segment.reporting.examples import chosen, named
from hyperseg.report.page import write_page
from hyperseg.report.segment.honesty import Honesty, honesty_figure
from hyperseg.report.segment.slices import slices_figure

WORST = 50  # images in the table of a page; metrics.json has all
SHARES, DISTANCES = ("dice", "iou"), ("hd95", "assd")
BY = {"samples": "samples", "calls": "calls of a sample", "fusion": "rule"}
LEGEND = (
    "Dice, IoU and distances are means over classes of their means over images. ECE: mean gap between "
    "confidence and accuracy over all labelled pixels; Brier: mean squared distance of the probabilities from the "
    "truth (0 to 2); both are 0 at best. AUROC: how often a wrong pixel is more doubtful than a right one (0.5 tells "
    "nothing), by the doubt that --uncertainty writes (how far drawn masks disagree, else the entropy) and by 1 - "
    "confidence. Calls: how often networks look at each window of an image."
)
CURVES = (
    "From the left: how many pixels are right among those of about one confidence; mean Dice against what is paid for "
    "it, where masks are drawn; and how well doubt tells wrong pixels."
)


def heads(found: Evaluation) -> tuple[str, ...]:
    """Of the columns of `rows`, in one line or two."""
    return (
        "network", "Dice", "IoU", f"HD95\n{found.unit}", "ECE\n%", "Brier", "AUROC\ndoubt", "AUROC\n1-conf.", "calls",
        "s per\nimage",
    )  # fmt: skip


def rows(found: Evaluation) -> list[tuple[str, ...]]:
    """What matters most, a row for each network."""
    return [
        (
            one.name, *(number(one.mean(figure), 3) for figure in SHARES), number(one.mean("hd95"), 2),
            number(100 * one.reliability.ece, 2), number(one.brier, 4),
            number(one.auroc[written_doubt(one)], 3), number(one.auroc[CONFIDENCE], 3), thousands(one.calls),
            number(one.seconds, 2),
        )
        for one in found.networks
    ]  # fmt: skip


def written_doubt(one: Figures) -> str:
    """What `predict --uncertainty` writes: how far drawn masks disagree, of others the entropy; no choice by AUROC."""
    return DISAGREEMENT if DISAGREEMENT in one.auroc else ENTROPY


def verdicts(found: Evaluation) -> tuple[str, ...]:
    """A sentence for each method beside: which of the two is ahead in Dice, at what cost, and which in ECE."""
    first, *others = found.networks
    return tuple(_verdict(first, other) for other in others)


def _verdict(one: Figures, other: Figures) -> str:
    pair = (one, other)
    dice, ece = [each.mean("dice") for each in pair], [each.reliability.ece for each in pair]
    parts = [
        _ahead("Dice", pair, [number(value, 3) for value in dice], best=int(dice[1] > dice[0]), calls=True),
        _ahead("ECE", pair, [f"{number(100 * value, 2)} %" for value in ece], best=int(ece[1] < ece[0])),
    ]
    return f"{'; '.join(parts)}."


def _ahead(what: str, pair: Sequence[Figures], told: Sequence[str], *, best: int, calls: bool = False) -> str:
    """Who is ahead; nobody where the figures that are shown are the same."""
    ahead, behind = pair[best], pair[1 - best]
    cost = ""
    if calls and ahead.calls != behind.calls:
        cost = f" with {counted(ahead.calls, 'call')} instead of {thousands(behind.calls)}"
    if told[0] == told[1]:
        return f"{ahead.name} and {behind.name} have the same {what} ({told[0]}){cost and ',' + cost}"
    return f"{ahead.name} is ahead in {what} ({told[best]} against {told[1 - best]}){cost}"


def evaluation_figure(found: Evaluation) -> bytes:
    """The figure of all networks, see `honesty_figure`; a PNG file."""
    return honesty_figure(
        [Honesty(one.name, one.bins, one.mean("dice"), one.auroc, one.compared) for one in found.networks]
    )


def write_evaluation_page(target: Path, found: Evaluation, figure: bytes) -> None:
    """Write the page, which holds everything but the scores of single images, of which the worst are shown."""
    first = found.networks[0]
    doubt = written_doubt(first)
    tiles = [
        ("mean Dice", number(first.mean("dice"), 3)), ("mean IoU", number(first.mean("iou"), 3)),
        ("ECE", f"{number(100 * first.reliability.ece, 2)} %"), (f"AUROC of {doubt}", number(first.auroc[doubt], 3)),
    ]  # fmt: skip
    lead = (
        f"{listed(one.name for one in found.networks)} of {found.root} on {counted(len(first.worths), 'image')} of "
        f"{found.data}: {found.asked}.",
    )
    write_page(
        target, sections(found, figure), title=f"Evaluation of {found.root.resolve().name}", lead=lead, tiles=tiles
    )


def sections(found: Evaluation, figure: bytes) -> list[Section]:
    """What the page shows, in its order."""
    summary = Table(LEGEND, heads(found), tuple(rows(found)))
    first = Section(
        "How good and how honest",
        verdicts(found),
        cautions=(RULE, *found.notes),
        figures=(Figure(figure, CURVES),),
        tables=(summary,),
    )
    each = [section for one in found.networks for section in (_classes(found, one), _drawn(one)) if section.tables]
    return [first, *each, _images(found)]


def _classes(found: Evaluation, one: Figures) -> Section:
    """Every class of a network, and averages over all pixels at once."""
    lines = []
    for code, name in one.scored.classes.items():
        summary = one.scored.summary(code)
        cells = [
            number(None) if (got := summary[f]) is None else f"{number(got['mean'], 3)} ± {number(got['std'], 3)}"
            for f in (*SHARES, *DISTANCES)
        ]
        lines.append((name, *cells))
    lines.append(("mean", *(number(one.mean(f), 3) for f in (*SHARES, *DISTANCES))))
    lines.append(("all images as one", *(number(one.micro(f), 3) for f in SHARES), "", ""))
    caption = "Mean over images ± their standard deviation, as papers tell it; and with all images counted as one."
    table = Table(caption, ("class", "Dice", "IoU", f"HD95 {found.unit}", f"ASSD {found.unit}"), tuple(lines))
    doubts = tuple((name, number(value, 3)) for name, value in one.auroc.items())
    told = "AUROC of wrong pixels by each doubt: the mean over images that have some."
    return Section(one.name, tables=(table, Table(told, ("doubt", "AUROC"), doubts)))


def _drawn(one: Figures) -> Section:
    """What samples say together; no table where no answer was made of samples."""
    if not one.compared:
        return Section("")
    settings = ", ".join(f"{name} {value}" for name, value in one.drawn.items())
    told = (
        f"Drawn with {settings}. Generalised energy distance to the truth {number(one.distance, 4)} (0 at best), "
        f"diversity of the samples {number(one.diversity, 4)}: both by 1 - IoU, means over images.",
    )
    tables = [
        Table(
            f"Mean Dice by {BY[what]}.", (BY[what], "Dice"), tuple((value, number(d, 4)) for value, d in ways.items())
        )
        for what, ways in one.compared.items()
    ]
    return Section(f"{one.name}: samples", told, tables=tuple(tables))


def _images(found: Evaluation) -> Section:
    """The images, worst first, and slices of three."""
    first = found.networks[0]
    ranked = sorted((value, name) for name in first.worths if not isnan(value := first.scored.of_case(name)))
    caption = f"Mean Dice of every image, lowest of {first.name} first"
    more = f"; the {WORST} worst of {len(ranked)}" if len(ranked) > WORST else ""
    lines = [
        (name, *(number(one.scored.of_case(name), 3) for one in found.networks)) for _, name in ranked[:WORST]
    ]  # fmt: skip
    table = Table(f"{caption}{more}.", ("image", *(one.name for one in found.networks)), tuple(lines))
    figures: Sequence[Figure] = ()
    if shown := named(chosen(found.slices)):
        png = slices_figure(shown, found.classes, title=f"Images by {first.name}, with mean Dice")
        told = (
            "Above the image; below it the truth as a line and the answer as a surface; below that how uncertain the "
            f"answer is ({found.doubt}), black for 0 and pale yellow for 1. Of a volume: the slice with most of them."
        )
        figures = [Figure(png, told)]
    return Section("Image by image", figures=tuple(figures), tables=(table,))
