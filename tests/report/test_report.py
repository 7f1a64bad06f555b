"""The report stands alone, escapes, leaves out what is missing and hides nothing; the summary fits."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hyperseg.core import RunError
from hyperseg.core.sections import Figure, Section, Table
from hyperseg.report.findings import (
    applicability_sentence,
    cautions,
    hopeless_sentence,
    leak_sentence,
    mean,
    rows,
    spread,
)
from hyperseg.report.page import print_summary, render_report, write_report
from hyperseg.report.pictures import map_figure

NAMES = ["Alfalfa", "Corn-notill", "Woods", "Stone-Steel-Towers"]
BETTER = "did better than the final map on the test pixels (OA {} against {})."
PIXEL = map_figure(np.array([[0, 1]]), ("a", "b"), ((200, 0, 0), (0, 0, 200)), title="x")
LEARNT = Section(
    "What it learnt",
    ("It learnt something.", "It may have learnt more."),
    cautions=("It looked at test pixels.",),
    figures=(Figure(PIXEL, "How it looks."),),
    tables=(
        Table("What was tried.", ("candidate", "score (%)"), (("alone", "91.00"), ("1", "92.00")), marked=1),
        Table("How it went.", (), (("diversity", "0.03", "0: none"),)),
    ),
)


def over(value: float, std: float = 0.4) -> dict[str, Any]:
    """An accuracy over three repeats."""
    return {"mean": value, "std": std, "values": [value - std, value, value + std]}


def step(
    role: str, oa: float, aa: float, kappa: float, *, window: int = 9, leak: float = 2.1, seconds: float = 1.0
) -> dict[str, Any]:
    return {
        "role": role, "OA": over(oa), "AA": over(aa), "kappa": over(kappa), "boundary_OA": over(oa - 9),
        "per_class": {n: over(v) for n, v in zip(NAMES, (math.nan, oa - 3, oa + 4, aa), strict=True)},
        "ece": over(4.2), "error_auroc": {"confidence": over(83.0)}, "seconds": [seconds, seconds, None],
        "leak": {"window": window, "a": over(leak), "b": over(3 * leak)},
    }  # fmt: skip


@pytest.fixture
def metrics() -> dict[str, Any]:
    """What a run on a scene like Indian Pines might write."""
    per_class = {n: {"train": 50, "val": 20, "test": t} for n, t in zip(NAMES, (0, 1384, 1195, 23), strict=True)}
    scene = {
        "name": "indian-pines", "shape": [145, 145], "bands": 200, "bands_usable": 198, "dtype": "uint16",
        "value_percentiles": {"1": 1010.0, "50": 2600.5, "99": 7100.0}, "band_noise": [12.5, None],
        "source": "Baumgardner et al. 2015, https://doi.org/10.4231/R7RX991C. Licence: CC BY 3.0.",
    }  # fmt: skip
    split = {
        "how": "parcels(fraction=0.3, cap=50, guard=4)", "seed": 0, "guard_px": 4, "train": 200, "val": 80,
        "test": 2602, "note": "Two parcels were cut by the border.", "per_class": per_class, "untestable": ["Alfalfa"],
        "untrainable": [], "leak": {"window": 9, "a": over(2.1), "b": over(15.5)},
    }  # fmt: skip
    steps = {
        "cnn3d + dense-crf": step("refined", 93.21, 90.07, 91.48, seconds=4.0),
        "cnn3d": step("network", 90.55, 88.64, 89.02, seconds=754.0),
        "svm": step("baseline", 80.12, 78.03, 76.91, window=1, leak=0.0, seconds=2.5),
        "rf": step("baseline", 77.77, 71.5, 73.3, window=1, leak=0.0, seconds=3.5),
    }
    training = {
        "steps": list(range(1, 1201)), "terms": {"cross-entropy": [0.5] * 1200}, "validated": [600, 1200],
        "scores": [88.0, 90.0], "ended": "no better validation in 5 attempts", "seconds": 754.0,
    }  # fmt: skip
    return {
        "scene": scene, "split": split, "chain": ["cnn3d", "dense-crf"], "repeats": 3, "steps": steps,
        "final": "cnn3d + dense-crf", "training": training,
        "confusion": [[0, 0, 0, 0, 0], [0, 1300, 50, 34, 0], [0, 5, 1190, 0, 0], [0, 1, 2, 20, 0]],
        "times_s": {"read": 0.2, "train": 754.0, "predict": 3671.0}, "peak_rss_mb": 1234.4, "device": "cpu",
        "versions": {"hyperseg": "0.1.0", "torch": "2.13.0"},
    }  # fmt: skip


class Reader(HTMLParser):
    """Collects tags with their attributes, the text outside style, and tags that are left open."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def rendered(metrics: dict[str, Any], *sections: Section, **pictures: bytes) -> str:
    return render_report(metrics, figures=pictures, sections=sections, title="Indian Pines")


def row_of(reader_text: str, name: str) -> str:
    """The cells of the table row that starts with `name`, from the page's source."""
    found = re.search(rf"<tr[^>]*><td>{re.escape(name)}\s*(?:<span.*?</span>)?</td>(.*?)</tr>", reader_text, re.S)
    assert found, name
    return " | ".join(re.findall(r"<td[^>]*>(.*?)</td>", found[1], re.S))


def test_the_report_loads_nothing_from_outside_and_carries_the_pictures_itself(metrics: dict[str, Any]) -> None:
    page = rendered(metrics, LEARNT, map=PIXEL, other=b"abc", confusion=PIXEL)
    reader = Reader(page)
    assert reader.open == []
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "a"}
    for tag, attributes in reader.tags:
        for name in ("src", "href", "srcset", "data", "poster", "action", "style", "background"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.S))
    assert "@import" not in page
    assert "url(" not in style
    images = [a["src"] or "" for tag, a in reader.tags if tag == "img"]
    assert [base64.b64decode(i.split(",", 1)[1]) for i in images] == [PIXEL, b"abc", PIXEL, PIXEL]
    policy = [a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert (policy[0] or "").startswith("default-src 'none'")


def test_names_are_text_and_never_markup(metrics: dict[str, Any]) -> None:
    evil = '<script>alert("x")</script>&[bold]'
    text = json.dumps(metrics).replace("Stone-Steel-Towers", json.dumps(evil)[1:-1])
    changed = json.loads(text)
    changed["scene"]["source"] = changed["split"]["note"] = changed["training"]["ended"] = evil
    changed["versions"] = {evil: evil}
    table = Table(evil, (evil, evil), ((evil, evil),))
    part = Section(evil, (evil,), (evil,), (Figure(PIXEL, evil),), (table,))
    page = render_report(changed, figures={evil: PIXEL}, sections=[part], title=evil)
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 6 + 9
    changed["split"]["untestable"] = changed["cautions"] = [evil]
    assert "[bold]" in shown(changed)  # rich's markup is not interpreted either


def test_the_headline_numbers_stand_in_the_report(metrics: dict[str, Any]) -> None:
    page = rendered(metrics)
    assert row_of(page, "svm").startswith(
        "80.12 ± 0.40 | 78.03 ± 0.40 | 76.91 ± 0.40 | 71.1 ± 0.4 | 4.2 ± 0.4 | 83.0 ± 0.4 | one pixel"
    )
    assert row_of(page, "cnn3d").startswith("90.55 ± 0.40 | 88.64 ± 0.40 | 89.02 ± 0.40")
    assert row_of(page, "cnn3d + dense-crf").startswith("93.21 ± 0.40 | 90.07 ± 0.40 | 91.48 ± 0.40")
    assert row_of(page, "cnn3d").endswith("| 12 min 34 s")
    text = Reader(page).text
    for said in (
        "parcels(fraction=0.3, cap=50, guard=4)", "145 × 145 pixels, 200 bands (198 usable), 4 classes", "1 h 01 min",
        "2.1 % of the test pixels have a training pixel in their 9 × 9 window", "No test pixels: Alfalfa.",
        "Validation pixels only chose", "1234 MB",
    ):  # fmt: skip
        assert said in text


def test_a_class_that_was_not_tested_has_a_dash_for_accuracy(metrics: dict[str, Any]) -> None:
    page = rendered(metrics)
    table = page[page.index("Class by class") :]
    assert row_of(table, "Alfalfa") == "50 | 0 | – | – | – | –"
    assert row_of(table, "Woods") == "50 | 1\u202f195 | 84.1 ± 0.4 | 81.8 ± 0.4 | 94.5 ± 0.4 | 97.2 ± 0.4"
    assert "nan" not in Reader(page).text.casefold().split()


def test_a_report_from_the_file_equals_the_report_from_memory(metrics: dict[str, Any]) -> None:
    from hyperseg.io.write.files import _plain  # the JSON form turns NaN into null

    again = json.loads(json.dumps(_plain(metrics)))
    assert rendered(again) == rendered(metrics)


@pytest.fixture
def chained(metrics: dict[str, Any]) -> dict[str, Any]:
    """A run of a network with two refiners, and another refiner as a control."""
    steps = {
        "svm": step("baseline", 80.0, 80.0, 80.0),
        "unary": step("network", 85.0, 80.0, 80.0),
        "unary + dense-crf": step("control", 86.0, 80.0, 80.0) | {"by": "The dense CRF"},
        "unary + deep-crf": step("refined", 87.0, 80.0, 80.0) | {"by": "The deep CRF"},
        "unary + deep-crf + deconv": step("refined", 88.0, 80.0, 80.0) | {"by": "The deconvolution refiner"},
    }
    chain = ["unary", "deep-crf", "deconv"]
    return metrics | {"chain": chain, "steps": steps, "final": "unary + deep-crf + deconv"}


def section(page: str, heading: str) -> str:
    """The page between a heading and the next."""
    return page.partition(f"<h2>{heading}</h2>")[2].partition("<h2>")[0]


def test_every_part_has_its_section_in_the_order_given(metrics: dict[str, Any]) -> None:
    page = rendered(metrics, LEARNT, Section("Another part"), spectra=PIXEL)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[-4:-1] == ["What the classes look like", "What it learnt", "Another part"]
    part = section(page, "What it learnt")
    first = "chose, learnt and changed is that of the first repeat, whose map this is."
    text = f"{first} It learnt something. It may have learnt more. How it looks. What was tried."
    assert text in Reader(part).text
    assert part.count("<img") == 1
    assert re.findall(r'<tr class="final"><td>(.*?)</td>', part) == ["1"]
    assert "<th>score (%)</th>" in part
    assert part.count("<thead>") == 1  # the second table has no heads
    assert row_of(part, "alone") == "91.00"
    assert row_of(part, "diversity") == "0.03 | 0: none"
    assert "<" not in section(page, "Another part").strip()
    assert page.count(first) == 1
    assert first not in rendered(metrics)
    assert "first repeat" not in rendered(metrics | {"repeats": 1}, LEARNT)


def test_what_parts_have_to_say_about_the_numbers_stands_with_them_and_once(metrics: dict[str, Any]) -> None:
    said, plain = ["It looked at test pixels.", "It <b>repeats</b> itself."], cautions(metrics)
    metrics["cautions"] = said
    assert [c for c in cautions(metrics) if c not in plain] == said
    for page in (rendered(metrics, LEARNT), rendered(metrics), rendered(metrics | {"cautions": []}, LEARNT)):
        text = Reader(page).text
        assert text.partition("The leak is the share")[0].count(said[0]) == text.count(said[0]) == 1
    text = " ".join(shown(metrics).split())
    assert "- It looked at test pixels. - It <b>repeats</b> itself." in text


def test_a_control_is_no_step_on_the_way_to_the_final_map(chained: dict[str, Any]) -> None:
    table = rows(chained)
    assert [(r.name, r.role) for r in table] == [
        ("svm", "baseline"), ("unary", "network"), ("unary + dense-crf", "control"), ("unary + deep-crf", "refined"),
        ("unary + deep-crf + deconv", "refined"),
    ]  # fmt: skip
    assert [r.final for r in table] == [False] * 4 + [True]
    assert "unary + dense-crf (control)" in shown(chained)
    assert '<td>unary + dense-crf <span class="tag">control</span></td>' in rendered(chained)
    chained["steps"]["unary + dense-crf"]["OA"] = over(90.0)
    assert f"The control unary + dense-crf {BETTER.format('90.00', '88.00')}" in cautions(chained)


def test_what_a_step_is_called_says_nothing_about_its_role(chained: dict[str, Any]) -> None:
    """A refiner that left the map alone is not in the chain, yet its step is the final one."""
    chained |= {"chain": ["svm"], "final": "b"}
    chained["steps"] = {"a": step("refined", 80.0, 80.0, 80.0), "b": step("network", 80.0, 80.0, 80.0)}
    assert [(r.name, r.role, r.final) for r in rows(chained)] == [("b", "network", True), ("a", "refined", False)]


def test_a_refiner_that_made_the_map_worse_is_named(chained: dict[str, Any]) -> None:
    assert cautions(chained) == [s for s in cautions(chained) if "worse" not in s and "better" not in s]
    steps = chained["steps"]

    def found(unary: float, deep: float, deconv: float) -> list[str]:
        for name, oa in (("unary", unary), ("unary + deep-crf", deep), ("unary + deep-crf + deconv", deconv)):
            steps[name]["OA"] = over(oa)
        return [s for s in cautions(chained) if "worse" in s or "better" in s]

    worse = "The deep CRF made the map worse on the test pixels: OA {} before it, {} after."
    assert found(87.0, 86.5, 88.0) == [worse.format("87.00", "86.50")]
    # the last refiner is to blame, and that is said once
    half_way = "The map of unary + deep-crf, not refined any further, "
    assert found(85.0, 88.0, 87.0) == [half_way + BETTER.format("88.00", "87.00")]
    # the network beats the final map: which refiner lost it is another matter
    unrefined = "The unrefined map of unary " + BETTER.format("90.00", "88.00")
    assert found(90.0, 86.5, 88.0) == [unrefined, worse.format("90.00", "86.50")]
    assert found(90.0, 91.0, 90.5)[0].startswith("The map of unary + deep-crf")
    del steps["unary + deep-crf"]["by"]
    assert found(87.0, 86.5, 88.0)[0].startswith("unary + deep-crf made the map worse on the test pixels")
    assert found(87.0, 86.999, 88.0) == []  # not to be seen in the table
    assert found(math.nan, 86.0, 88.0) == []


def test_missing_parts_and_the_deviation_of_one_repeat_are_left_out(metrics: dict[str, Any]) -> None:
    whole = Reader(rendered(metrics, confusion=PIXEL, training=PIXEL, spectra=PIXEL))
    steps = {"svm": {"role": "network", "OA": over(80.0), "AA": None, "kappa": over(75.0)}}
    bare = {"chain": ["svm"], "repeats": 1, "steps": steps, "final": "svm", "training": None}
    small = Reader(rendered(bare))
    for heading in ("Class by class", "What was mistaken", "Training", "Versions", "Times", "What the classes"):
        assert (heading in whole.text, heading in small.text) == (True, False)
    for text in (small.text, shown(bare)):
        assert "80.00" in text
        assert "One repeat" in text
        assert "±" not in text  # one repeat has no deviation


def test_the_report_is_written_whole_or_not_at_all(metrics: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    given: dict[str, Any] = {"figures": {"map": PIXEL}, "sections": [LEARNT], "title": "Ä"}
    write_report(target, metrics, **given)
    assert target.read_text(encoding="utf-8") == render_report(metrics, **given)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(RunError, match=r"nowhere.*could not be written"):
        write_report(tmp_path / "nowhere" / "report.html", metrics, **given)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RunError, match="could not be written"):
        write_report(tmp_path / "folder.html", metrics, **given)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "report.html"]


def test_the_supervised_twin_stands_between_baselines_and_network(metrics: dict[str, Any]) -> None:
    changed = metrics | {
        "steps": {"twin": step("twin", 89.03, 86.0, 87.5) | {"title": "supervised twin"}} | metrics["steps"]
    }
    table = rows(changed)
    assert [r.role for r in table] == ["baseline", "baseline", "twin", "network", "refined"]
    assert [(r.name, r.title) for r in table][2:4] == [("twin", "supervised twin"), ("cnn3d", "cnn3d")]
    page = rendered(changed)
    assert row_of(page, "supervised twin").startswith("89.03 ± 0.40 | 86.00 ± 0.40")
    assert "<th>supervised twin</th>" in page[page.index("Class by class") :]
    assert "<td>twin" not in page
    names = ("svm (baseline)", "rf (baseline)", "supervised twin", "cnn3d ")
    starts = [name for line in shown(changed).splitlines() for name in names if line.startswith(name)]
    assert starts == [*names, "cnn3d "]  # the last is the refined one
    changed["steps"]["twin"]["OA"] = over(95.0)
    assert f"The supervised twin {BETTER.format('95.00', '93.21')}" in cautions(changed)


def test_a_baseline_that_wins_is_named(metrics: dict[str, Any]) -> None:
    assert not any("did better" in sentence for sentence in cautions(metrics))
    metrics["steps"]["rf"]["OA"] = over(95.5)
    assert f"The baseline rf {BETTER.format('95.50', '93.21')}" in cautions(metrics)
    metrics["steps"]["rf"]["OA"] = over(math.nan)
    metrics["steps"]["cnn3d"]["OA"] = over(94.0)
    assert any("unrefined map of cnn3d did better" in sentence for sentence in cautions(metrics))


@pytest.mark.parametrize(
    ("share", "words", "warned"),
    [
        (0, "none of the test pixels", False),
        (0.01, "<0.1 %", False),
        (90.1, "90.1 %", True),
        (math.nan, "no test", False),
    ],
)
def test_the_leak_is_said_in_words_and_a_high_one_warns(share: float, words: str, warned: bool) -> None:
    sentence = leak_sentence({"window": 9, "a": {"mean": share}, "b": {"mean": share}})
    assert words in sentence
    assert ("Expect lower accuracies" in sentence) == warned


def test_what_the_accuracies_estimate_is_said_after_the_split(metrics: dict[str, Any]) -> None:
    said = "What this estimates: accuracy on fields that were not trained on."
    assert "What this estimates" not in rendered(metrics) + shown(metrics)
    known = metrics | {"split": metrics["split"] | {"estimates": "accuracy on fields that were not trained on"}}
    for text in (Reader(rendered(known)).text, " ".join(shown(known).split())):
        assert text.count(said) == 1
        assert text.index("drawn by parcels") < text.index(said) < text.index("Leak:")


def test_numbers_that_are_not_known_are_dashes() -> None:
    assert spread(over(80.126, 1.5), 3) == "80.13 ± 1.50"
    assert spread(over(80.0), 1) == "80.00"
    assert spread({"mean": None, "std": None}, 3) == "–"
    assert spread(12.0, 3) == "12.00"
    assert mean([1.0, None, 3.0]) == 2.0
    assert math.isnan(mean([None]))


def shown(metrics: dict[str, Any], **options: Any) -> str:
    """What the summary prints on a plain stream of 80 columns."""
    file = io.StringIO()
    print_summary(metrics, folder="runs/pines", console=Console(file=file, width=80, **options))
    return file.getvalue()


def test_the_summary_fits_80_columns_and_says_what_matters(metrics: dict[str, Any]) -> None:
    text = shown(metrics)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    lines = text.splitlines()
    find = {key: next(line for line in lines if line.startswith(key)) for key in ("svm", "cnn3d +", "Map:", "Report:")}
    assert "svm (baseline) " in find["svm"]
    assert re.findall(r"[\d.]+ ± 0\.40", find["svm"]) == ["80.12 ± 0.40", "78.03 ± 0.40", "76.91 ± 0.40"]
    assert re.findall(r"[\d.]+ ± 0\.40", find["cnn3d +"]) == ["93.21 ± 0.40", "90.07 ± 0.40", "91.48 ± 0.40"]
    assert "runs/pines/map.tif" in find["Map:"].replace("\\", "/")
    assert "runs/pines/report.html" in find["Report:"].replace("\\", "/")
    assert "2.1 % of the test pixels have a training pixel in their 9 × 9 window" in " ".join(text.split())
    assert "No test pixels: Alfalfa." in text


@pytest.fixture
def areas() -> dict[str, Any]:
    """Areas as a run writes them: one class nobody tested, one whose estimate is known well."""
    entry = {"mapped": 1234.5, "mapped_percent": 61.7, "estimated": 1100.0, "low": 1050.2, "high": 1149.8,
             "users": 88.0, "users_error": 2.5, "producers": 91.25, "producers_error": None}  # fmt: skip
    unknown = dict.fromkeys(entry, math.nan) | {"mapped": 0.0421, "mapped_percent": 0.002}
    return {
        "unit": "ha", "OA": 90.0, "OA_error": 1.25, "sample": "Test pixels are no <random> sample.",
        "per_class": {"Woods": entry, "Alfalfa": unknown, "Corn-notill": entry | {"estimated": 0.5}},
        "notes": ["No test pixel belongs to Alfalfa: the area is not known."],
    }  # fmt: skip


def test_areas_have_a_section_that_says_what_they_rest_on(metrics: dict[str, Any], areas: dict[str, Any]) -> None:
    assert "How much of each class" not in rendered(metrics)
    page = rendered(metrics | {"areas": areas})
    part = section(page, "How much of each class there is")
    assert row_of(part, "Woods") == "1\u202f234 | 61.7 | 1\u202f100 | 1\u202f050 – 1\u202f150 | 88.0 ± 2.5 | 91.2"
    assert row_of(part, "Alfalfa") == "0.0421 | 0.0 | – | – | – | –"
    text = Reader(part).text
    for said in ("Areas in ha of the map of the first repeat", "OA is 90.0 ± 1.2 %", areas["sample"], *areas["notes"]):
        assert said in text
    assert Reader(page).open == []


def test_the_summary_names_the_largest_areas(metrics: dict[str, Any], areas: dict[str, Any]) -> None:
    text = " ".join(shown(metrics | {"areas": areas}).replace("\u202f", " ").split())
    assert "Areas of this map in ha, corrected for the errors of the map (95 %): Woods 1 100 (1 050 – 1 150)" in text
    assert "Corn-notill 0.500 (1 050 – 1 150); 1 more in areas.csv." in text
    assert areas["sample"] in text  # what they rest on stands on the screen too
    assert "Areas in ha," in " ".join(shown(metrics | {"areas": areas, "repeats": 1}).split())
    assert "no interval" not in text
    areas["per_class"]["Woods"] |= {"low": math.nan, "high": math.nan}
    assert "Woods 1 100 (no interval)" in " ".join(shown(metrics | {"areas": areas}).split())
    areas["per_class"] = {"Alfalfa": areas["per_class"]["Alfalfa"]}
    assert "none can be estimated" in " ".join(shown(metrics | {"areas": areas}).split())


def test_the_map_stands_beside_the_mean_over_repeats(metrics: dict[str, Any]) -> None:
    metrics["map"] = {"repeat": 0, "OA": 89.9, "AA": 88.8, "kappa": 87.7}
    metrics |= {"OA": over(94.7, 4.2), "AA": over(93.0), "kappa": over(92.0)}
    text = " ".join(shown(metrics).split())
    assert "This map is that of the first of 3 repeats: OA 89.90 (over the repeats 94.70 ± 4.20)" in text
    assert "In the first repeat 200 training pixels" in text
    page = Reader(rendered(metrics)).text
    assert "over 3 repeats; this map 89.90" in page
    assert "This map is" not in shown(metrics | {"repeats": 1})
    assert "this map" not in rendered(metrics | {"repeats": 1})


def test_the_leak_stands_beside_every_accuracy(metrics: dict[str, Any]) -> None:
    lines = shown(metrics).splitlines()
    found = {line.split("  ")[0]: line for line in lines}
    assert found["cnn3d"].endswith("2.1 (9)")
    assert found["svm (baseline)"].endswith("one pixel")
    page = rendered(metrics)
    assert "2.1 (9)" in row_of(page, "cnn3d")
    metrics["split"]["leak"] = metrics["steps"]["svm"]["leak"]
    for text in (Reader(rendered(metrics)).text, " ".join(shown(metrics).split())):
        assert "the method looks at single pixels" in text
        assert "none of the test pixels" not in text


@pytest.mark.parametrize(
    ("left", "val", "said"),
    [
        ([True] * 3, 80, "left the map alone: nothing beat it"),
        ([True] * 3, 0, "left the map alone: no validation pixels"),
        ([False, True, False], 80, "left the map alone in 1 of 3 repeats: nothing beat it"),
        ([False] * 3, 80, ""),
    ],
)
def test_a_refiner_that_changed_nothing_is_said_so(
    metrics: dict[str, Any], left: list[bool], val: int, said: str
) -> None:
    metrics["steps"]["cnn3d + dense-crf"]["left_alone"] = left
    metrics["split"]["val"] = val
    assert (said or "absent") in Reader(rendered(metrics)).text + ("absent" if not said else "")
    label = " ".join(line[:27].strip() for line in shown(metrics).splitlines())
    assert ("left the map alone" in label) == bool(said)
    assert said in label


def test_long_names_do_not_push_numbers_off_the_screen(metrics: dict[str, Any]) -> None:
    metrics["final"], metrics["chain"] = "m" * 60, ["m" * 60]
    wide = {key: over(100.0, 10.0) for key in ("OA", "AA", "kappa")} | {"left_alone": [True] * 3}
    leak = {"window": 129, "a": over(100.0), "b": over(100.0)}
    metrics["steps"] = {"m" * 60: metrics["steps"]["cnn3d"] | wide | {"leak": leak}, "svm": metrics["steps"]["svm"]}
    text = shown(metrics)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("100.00 ± 10.00") == 3
    assert "100.0 (129)" in text
    assert "80.12 ± 0.40" in text


def test_the_summary_survives_a_terminal_without_the_characters(metrics: dict[str, Any]) -> None:
    raw = io.BytesIO()
    metrics["split"]["untestable"] = ["Bäume"]
    file = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    print_summary(metrics, folder="runs/pines", console=Console(file=file, width=80))
    text = raw.getvalue().decode("ascii")
    assert "93.21 +- 0.40" in text
    assert "9 x 9" in text


def test_the_area_of_applicability_in_a_sentence() -> None:
    values = {"outside": 30.0, "OA_inside": 60.0, "OA_outside": 40.5}
    told = {k: {"mean": v + 1, "std": 2.0, "values": [v, v + 2]} for k, v in values.items()}
    metrics = {"applicability": told | {"test_inside": 1200, "test_outside": 1}}
    first = "30.0 % of the map is unlike the training pixels; OA 40.5 on 1 test pixel outside, OA 60.0 on 1 200 test"
    assert first in applicability_sentence(metrics)
    many = applicability_sentence(metrics | {"repeats": 2})
    assert many.endswith("Over the repeats 31.0 ± 2.0 % outside, OA 41.5 ± 2.0 there and 61.0 ± 2.0 inside.")
    none = told | {"test_inside": 9, "test_outside": 0, "OA_outside": {"mean": None, "std": None, "values": [None]}}
    assert "; no test pixel outside, OA 60.0" in applicability_sentence({"applicability": none})
    assert applicability_sentence({}) is None


def test_classes_that_are_hardly_ever_right_are_named_with_what_they_are_taken_for() -> None:
    def found(right: list[float | None], table: list[list[int]]) -> str | None:
        per_class = {name: {"mean": value} for name, value in zip("abc", right, strict=True)}
        step = {"role": "network", "per_class": per_class}
        return hopeless_sentence({"steps": {"net": step}, "final": "net", "confusion": table})

    said = found([90.0, 5.0, None], [[9, 1, 0, 0], [3, 1, 16, 0], [0, 0, 0, 0]])  # the last column: no class
    assert said == "Hardly to be found on this map: b (5.0 % right, mostly taken for c)."
    assert found([90.0, 80.0, None], [[9, 1, 0], [2, 8, 0], [0, 0, 0]]) is None
