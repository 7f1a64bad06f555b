"""The report stands alone, escapes, leaves out what is missing and hides nothing; the summary fits."""

from __future__ import annotations

import copy
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
from hyperseg.report import charts as figures
from hyperseg.report.findings import cautions, leak_sentence, mean, number, refiner_sentences, rows, spread
from hyperseg.report.page import print_summary, render_report, write_report

NAMES = ["Alfalfa", "Corn-notill", "Woods", "Stone-Steel-Towers"]
PIXEL = figures.map_figure(np.array([[0, 1]]), ("a", "b"), ((200, 0, 0), (0, 0, 200)), title="x")


def over(value: float, std: float = 0.4) -> dict[str, Any]:
    """An accuracy over three repeats."""
    return {"mean": value, "std": std, "values": [value - std, value, value + std]}


def step(oa: float, aa: float, kappa: float, *, window: int, leak: float, seconds: float) -> dict[str, Any]:
    return {
        "OA": over(oa),
        "AA": over(aa),
        "kappa": over(kappa),
        "per_class": {n: over(v) for n, v in zip(NAMES, (math.nan, oa - 3, oa + 4, aa), strict=True)},
        "boundary_OA": over(oa - 9),
        "ece": over(4.2),
        "seconds": [seconds, seconds, None],
        "leak": {"window": window, "a": over(leak), "b": over(3 * leak)},
    }


def changes(*changed: int) -> list[dict[str, Any]]:
    """What a refiner did to every class, 2 pixels broken where it changed any."""
    return [
        {"name": name, "pixels": 1000, "changed": n, "fixed": max(n - 10, 0), "broken": 2 if n else 0}
        for name, n in zip(NAMES, changed, strict=True)
    ]


def crf_settings(weight: float) -> dict[str, Any]:
    return {"gaussian_weight": 3.0, "bilateral_weight": weight, "iterations": 5}


@pytest.fixture
def metrics() -> dict[str, Any]:
    """What a run on a scene like Indian Pines might write."""
    per_class = {
        n: {"train": 50, "val": 20, "test": t} for n, t in zip(NAMES, (0, 1384, 1195, 23), strict=True)
    }
    return {
        "scene": {
            "name": "indian-pines",
            "shape": [145, 145],
            "bands": 200,
            "bands_usable": 198,
            "dtype": "uint16",
            "value_percentiles": {"1": 1010.0, "50": 2600.5, "99": 7100.0},
            "band_noise": [12.5, None],
            "source": "Baumgardner et al. 2015, https://doi.org/10.4231/R7RX991C. Licence: CC BY 3.0.",
        },
        "split": {
            "how": "parcels(fraction=0.3, cap=50, guard=4)",
            "seed": 0,
            "guard_px": 4,
            "note": "Two parcels were cut by the border.",
            "train": 200,
            "val": 80,
            "test": 2602,
            "per_class": per_class,
            "untestable": ["Alfalfa"],
            "untrainable": [],
            "leak": {"window": 9, "a": over(2.1), "b": over(15.5)},
        },
        "method": "cnn3d",
        "chain": ["cnn3d", "dense-crf"],
        "repeats": 3,
        "OA": over(93.21),
        "AA": over(90.07),
        "kappa": over(91.48),
        "steps": {
            "cnn3d + dense-crf": step(93.21, 90.07, 91.48, window=9, leak=2.1, seconds=4.0),
            "cnn3d": step(90.55, 88.64, 89.02, window=9, leak=2.1, seconds=754.0),
            "svm": step(80.12, 78.03, 76.91, window=1, leak=0.0, seconds=2.5),
            "rf": step(77.77, 71.5, 73.3, window=1, leak=0.0, seconds=3.5),
        },
        "confusion": [[0, 0, 0, 0, 0], [0, 1300, 50, 34, 0], [0, 5, 1190, 0, 0], [0, 1, 2, 20, 0]],
        "refiners": [
            {
                "name": "dense-crf",
                "engine": "lattice",
                "settings": crf_settings(10.0),
                "validation_pixels": 80,
                "table": [
                    {"settings": None, "score": 91.0, "log_likelihood": -0.31, "changed": 0.0},
                    {"settings": crf_settings(3.0), "score": 92.25, "log_likelihood": -0.27, "changed": 3.3},
                    {"settings": crf_settings(10.0), "score": 93.75, "log_likelihood": -0.25, "changed": 4.4},
                ],
                "changes": changes(0, 41, 42, 0),
            }
        ],
        "training": {
            "steps": list(range(1, 1201)),
            "terms": {"cross-entropy": [0.5] * 1200},
            "validated": [600, 1200],
            "scores": [88.0, 90.0],
            "ended": "no better validation in 5 attempts",
            "seconds": 754.0,
        },
        "times_s": {"read": 0.2, "train": 754.0, "predict": 3671.0},
        "peak_rss_mb": 1234.4,
        "device": "cpu",
        "versions": {"hyperseg": "0.1.0", "torch": "2.13.0"},
    }


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


def read(metrics: dict[str, Any], pictures: dict[str, bytes] | None = None) -> Reader:
    return Reader(render_report(metrics, figures=pictures or {}, title="Indian Pines"))


def row_of(reader_text: str, name: str) -> str:
    """The cells of the table row that starts with `name`, from the page's source."""
    found = re.search(
        rf"<tr[^>]*><td>{re.escape(name)}\s*(?:<span.*?</span>)?</td>(.*?)</tr>", reader_text, re.S
    )
    assert found, name
    return " | ".join(re.findall(r"<td[^>]*>(.*?)</td>", found[1], re.S))


def test_the_report_loads_nothing_from_outside(metrics: dict[str, Any]) -> None:
    page = render_report(metrics, figures={"map": PIXEL, "confusion": PIXEL}, title="Indian Pines")
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
    images = [a["src"] for tag, a in reader.tags if tag == "img"]
    assert len(images) == 2
    policy = [a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none'")


def test_the_report_carries_the_pictures_themselves(metrics: dict[str, Any]) -> None:
    import base64

    images = [
        a["src"] or "" for tag, a in read(metrics, {"map": PIXEL, "other": b"abc"}).tags if tag == "img"
    ]
    assert [base64.b64decode(i.split(",", 1)[1]) for i in images] == [PIXEL, b"abc"]


def test_names_are_text_and_never_markup(metrics: dict[str, Any]) -> None:
    evil = '<script>alert("x")</script>&[bold]'
    text = json.dumps(metrics).replace("Stone-Steel-Towers", json.dumps(evil)[1:-1])
    changed = json.loads(text)
    changed["scene"]["source"] = changed["split"]["note"] = changed["training"]["ended"] = evil
    changed["versions"] = {evil: evil}
    page = render_report(changed, figures={evil: PIXEL}, title=evil)
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 6
    changed["split"]["untestable"] = [evil]
    assert "[bold]" in shown(changed)  # rich's markup is not interpreted either


def test_the_headline_numbers_stand_in_the_report(metrics: dict[str, Any]) -> None:
    page = render_report(metrics, figures={}, title="Indian Pines")
    assert row_of(page, "svm").startswith(
        "80.12 ± 0.40 | 78.03 ± 0.40 | 76.91 ± 0.40 | 71.1 ± 0.4 | 4.2 ± 0.4 | 0.0"
    )
    assert row_of(page, "cnn3d").startswith("90.55 ± 0.40 | 88.64 ± 0.40 | 89.02 ± 0.40")
    assert row_of(page, "cnn3d + dense-crf").startswith("93.21 ± 0.40 | 90.07 ± 0.40 | 91.48 ± 0.40")
    text = Reader(page).text
    assert "parcels(fraction=0.3, cap=50, guard=4)" in text
    assert "2.1 % of the test pixels have a training pixel in their 9 × 9 window" in text
    assert "No test pixels: Alfalfa." in text
    assert "Validation pixels only chose" in text
    assert "145 × 145 pixels, 200 bands (198 usable), 4 classes" in text
    assert row_of(page, "cnn3d").endswith("| 12 min 34 s")
    assert "1 h 01 min" in text
    assert "1234 MB" in text


def test_a_class_that_was_not_tested_has_a_dash_for_accuracy(metrics: dict[str, Any]) -> None:
    page = render_report(metrics, figures={}, title="x")
    table = page[page.index("Class by class") :]
    assert row_of(table, "Alfalfa") == "50 | 0 | – | – | – | –"
    assert row_of(table, "Woods") == "50 | 1\u202f195 | 84.1 ± 0.4 | 81.8 ± 0.4 | 94.5 ± 0.4 | 97.2 ± 0.4"
    assert "nan" not in Reader(page).text.casefold().split()


def test_a_report_from_the_file_equals_the_report_from_memory(metrics: dict[str, Any]) -> None:
    from hyperseg.io.write.files import _plain  # the JSON form turns NaN into null

    again = json.loads(json.dumps(_plain(metrics)))
    assert render_report(again, figures={}, title="x") == render_report(metrics, figures={}, title="x")


def test_the_chosen_candidate_is_marked_and_constant_settings_are_said_once(metrics: dict[str, Any]) -> None:
    page = render_report(metrics, figures={}, title="x")
    table = page[page.index("What was tried") :]
    assert re.findall(r'<tr class="final"><td>(\d)</td>\s*<td>10</td>', table) == ["2"]
    assert "gaussian_weight = 3, iterations = 5" in table
    assert "<th>bilateral_weight</th>" in table
    assert "<th>iterations</th>" not in table
    assert "judged on 80 validation pixels only" in table
    text = Reader(page).text
    assert "Applied with bilateral_weight = 10 (engine: lattice)." in text  # what is constant is said once
    assert text.count("iterations = 5") == 1


def test_a_refiner_that_left_the_map_alone_says_why(metrics: dict[str, Any]) -> None:
    crf = metrics["refiners"][0]
    crf |= {"settings": None, "table": [], "validation_pixels": 0, "changes": changes(0, 0, 0, 0)}
    text = read(metrics).text
    assert (
        "no validation pixels to choose settings on, so it left the map as it is (engine: lattice)." in text
    )
    assert "It changed" not in text.partition("The dense CRF")[2]
    alone = {"settings": None, "score": 91.0, "log_likelihood": None, "changed": 0.0}
    crf["table"] = [
        alone,
        {"settings": crf_settings(3.0), "score": 90.0, "log_likelihood": -1.0, "changed": 1.0},
    ]
    page = render_report(metrics, figures={}, title="x")
    assert "Nothing that was tried beat leaving the map alone" in page
    assert '<tr class="final"><td>leave the map as it is</td>' in page
    # a higher score was not taken: a reader must be told why
    crf["table"][1] |= {"score": 91.5, "gain": 0.005, "gain_error": 0.0125}
    page = render_report(metrics, figures={}, title="x")
    assert "Nothing that was tried" not in page
    assert "did not gain more, on average over classes" in page
    table = page[page.index("What was tried") :]
    assert "<th>gain (%)</th>" in table
    assert "<td>0.50 ± 1.25</td>" in table
    crf["table"][1] |= {"gain_error": math.inf}
    assert "<td>0.50 ± –</td>" in render_report(metrics, figures={}, title="x")


DEEP = {
    "stride": 1,
    "counting": "ratio",
    "inference": {"iterations": 10, "order": "parallel", "damping": 0.0},
}


@pytest.fixture
def chained(metrics: dict[str, Any]) -> dict[str, Any]:
    """A run of the band-group network with two refiners, and the dense CRF as a control."""
    steps = {
        name: step(oa, 80.0, 80.0, window=9, leak=2.1, seconds=1.0)
        for name, oa in (
            ("svm", 80.0), ("unary", 85.0), ("unary + dense-crf", 86.0), ("unary + deep-crf", 87.0),
            ("unary + deep-crf + deconv", 88.0),
        )
    }  # fmt: skip
    deep = {
        "name": "deep-crf",
        "settings": DEEP | {"weight": 2.0},
        "validation_pixels": 1200,
        "table": [
            {"settings": None, "score": 80.0, "log_likelihood": -0.5, "changed": 0.0, "gain": 0.0, "gain_error": 0.0},
            *(
                {"settings": DEEP | {"weight": weight}, "score": 80 + weight, "log_likelihood": -0.4, "changed": 2.0,
                 "gain": 0.02, "gain_error": 0.01}
                for weight in (0.5, 2.0)
            ),
        ],
        "changes": changes(0, 30, 0, 0),
        "pairs": {"right": {"same": 1240, "different": 310}, "below": {"same": 1, "different": 280}},
        "pairs_within": 4,
        "nodes_per_class": dict(zip(NAMES, (1, 50, 50, 0), strict=True)),
        "class_table": {"right": [[0.25] * 4] * 4, "below": [[0.25] * 4] * 4},
    }  # fmt: skip
    deconv = {
        "name": "deconv",
        "settings": {"strength": 1.0},
        "validation_pixels": 0,
        "table": [],
        "changes": changes(0, 20, 12, 0),
        "band_groups": [[0, 20], [20, 38], [38, 57]],
        "held_out_parts": 3,
    }
    chain = ["unary", "deep-crf", "deconv"]
    return metrics | {
        "method": "deep-crf",
        "chain": chain,
        "steps": steps,
        "refiners": [deep, deconv],
        "OA": over(88.0),
    }


def section(page: str, heading: str) -> str:
    """The page between a heading and the next."""
    return page.partition(f"<h2>{heading}</h2>")[2].partition("<h2>")[0]


def test_every_refiner_has_its_section_in_the_order_of_the_chain(chained: dict[str, Any]) -> None:
    page = render_report(chained, figures={"adjacency": PIXEL}, title="x")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert [h for h in headings if h.endswith(("CRF", "refiner"))] == [
        "The deep CRF",
        "The deconvolution refiner",
    ]
    deep, deconv = section(page, "The deep CRF"), section(page, "The deconvolution refiner")
    assert deep.count("<img") == page.count("<img") == 1
    assert Reader(page).open == []
    text = Reader(deep).text
    assert "Applied with weight = 2." in text
    assert "judged on 1 200 validation pixels only" in text.replace("\u202f", " ").replace("\u00a0", " ")
    assert "inference iterations = 10, inference order = parallel, inference damping = 0" in text
    assert "{" not in Reader(page).text  # no setting is shown as code
    assert re.findall(r'<tr class="final"><td>(\d)</td>\s*<td>2</td>', deep) == ["2"]
    assert "<td>2.00 ± 1.00</td>" in deep
    assert row_of(deep, "Corn-notill") == "1\u202f000 | 30 | 20 | 2"
    assert "Woods" not in deep  # it was left as it was
    assert "all classes" not in deep  # of one class there is no sum
    text = Reader(deconv).text
    assert "There were no validation pixels to choose on; applied with strength = 1." in text
    assert "trained on 3 maps, each made without one of 3 parts" in text
    assert "3 groups of 18 to 20 bands" in text
    assert row_of(deconv, "all classes") == "4\u202f000 | 32 | 12 | 4"
    assert page.count("is that of the first repeat") == 1
    assert "is that of the first repeat" not in render_report(chained | {"repeats": 1}, figures={}, title="x")


def test_what_the_deep_crf_learnt_from_and_cannot_know(chained: dict[str, Any]) -> None:
    deep = chained["refiners"][0]
    said = " ".join(refiner_sentences(deep)).replace("\u202f", " ").replace("\u00a0", " ")
    assert "training nodes at most 4 nodes apart" in said
    assert "side by side 1 240 pairs of equal and 310 pairs of unequal classes" in said
    assert "one above the other 1 pair of equal and 280 pairs of unequal classes" in said
    assert "Fewer than 2 training nodes: Alfalfa and Stone-Steel-Towers." in said
    assert "correlation" not in said
    assert "neighbours are alike" not in said
    deep["agreement"] = {"rank": 0.714, "asymmetry": math.nan}
    deep["pairs"]["below"]["different"] = 0
    deep["nodes_per_class"] = {"Woods": 2}
    said = " ".join(refiner_sentences(deep))
    assert "rank correlation of 0.71" in said
    assert "correlates with –." in said
    assert (
        "Without unequal pairs one above the other it can only have learnt that neighbours are alike." in said
    )
    assert "Fewer than" not in said
    assert refiner_sentences({"name": "deep-crf"}) == refiner_sentences({"name": "dense-crf"}) == []


def test_a_deconvolution_that_was_not_cross_fitted_says_so() -> None:
    said = " ".join(refiner_sentences({"name": "deconv", "held_out_parts": 1, "band_groups": [[0, 5]]}))
    assert "knows the training pixels better" in said
    assert "in 1 group of 5 bands." in said


def test_a_refiner_that_changed_nothing_says_so(chained: dict[str, Any]) -> None:
    chained["refiners"][1]["changes"] = changes(0, 0, 0, 0)
    deconv = section(render_report(chained, figures={}, title="x"), "The deconvolution refiner")
    assert "It changed the class of no test pixel." in deconv
    assert "<table" not in deconv


def test_no_refiners_no_sections(chained: dict[str, Any]) -> None:
    for none in ({"refiners": []}, {"refiners": None}, {}):
        bare = {k: v for k, v in chained.items() if k != "refiners"} | none
        page = render_report(bare, figures={"adjacency": PIXEL}, title="x")
        assert not re.search(r"<h2>The (dense|deep|deconvolution)", page)
        assert "first repeat" not in page


def test_a_control_is_no_step_on_the_way_to_the_final_map(chained: dict[str, Any]) -> None:
    table = rows(chained)
    assert [(r.name, r.role, r.final) for r in table] == [
        ("svm", "baseline", False),
        ("unary", "network", False),
        ("unary + dense-crf", "control", False),
        ("unary + deep-crf", "refined", False),
        ("unary + deep-crf + deconv", "refined", True),
    ]
    assert "unary + dense-crf (control)" in shown(chained)
    assert '<td>unary + dense-crf <span class="tag">control</span></td>' in render_report(
        chained, figures={}, title="x"
    )
    chained["steps"]["unary + dense-crf"]["OA"] = over(90.0)
    assert (
        "The control unary + dense-crf did better than the final map on the test pixels (OA 90.00 against 88.00)."
        in (cautions(chained))
    )


def test_the_step_of_a_refiner_that_left_the_map_alone_is_still_the_final_one(
    chained: dict[str, Any],
) -> None:
    """Other repeats may have been changed by it, and the run's accuracy is that of all repeats."""
    chained["refiners"][0]["settings"] = None
    chained["chain"] = ["unary", "deconv"]
    table = rows(chained)
    assert [r.name for r in table if r.final] == ["unary + deep-crf + deconv"]
    assert len(table) == 5


def test_a_refiner_that_made_the_map_worse_is_named(chained: dict[str, Any]) -> None:
    assert cautions(chained) == [s for s in cautions(chained) if "worse" not in s and "better" not in s]
    steps = chained["steps"]

    def found(unary: float, deep: float, deconv: float) -> list[str]:
        for name, oa in (("unary", unary), ("unary + deep-crf", deep), ("unary + deep-crf + deconv", deconv)):
            steps[name]["OA"] = over(oa)
        return [s for s in cautions(chained) if "worse" in s or "better" in s]

    worse = "The {} made the map worse on the test pixels: OA {} before it, {} after."
    better = "did better than the final map on the test pixels (OA {} against {})."
    assert found(87.0, 86.5, 88.0) == [worse.format("deep CRF", "87.00", "86.50")]
    # the last refiner is to blame, and that is said once
    assert found(85.0, 88.0, 87.0) == [
        "The map of unary + deep-crf, not refined any further, " + better.format("88.00", "87.00")
    ]
    # the network beats the final map: which refiner lost it is another matter
    assert found(90.0, 86.5, 88.0) == [
        "The unrefined map of unary " + better.format("90.00", "88.00"),
        worse.format("deep CRF", "90.00", "86.50"),
    ]
    assert found(90.0, 91.0, 90.5)[0].startswith("The map of unary + deep-crf")
    assert found(87.0, 86.999, 88.0) == []  # not to be seen in the table
    assert found(math.nan, 86.0, 88.0) == []


def test_missing_parts_are_left_out(metrics: dict[str, Any]) -> None:
    whole = read(metrics, {"confusion": PIXEL, "training": PIXEL, "spectra": PIXEL})
    bare = {
        "method": "svm",
        "chain": ["svm"],
        "repeats": 1,
        "OA": over(80.0),
        "AA": None,
        "kappa": over(75.0),
        "refiners": [],
        "training": None,
    }
    headings = [
        "Class by class", "What was mistaken", "Training", "The dense CRF", "Versions", "Times", "What the classes"
    ]  # fmt: skip
    small = read(bare)
    for heading in headings:
        assert heading in whole.text
        assert heading not in small.text
    assert "80.00" in small.text
    assert "±" not in small.text
    assert shown(bare)
    metrics["refiners"], metrics["steps"] = None, {"svm": metrics["steps"]["svm"]}
    assert "fixed" not in read(metrics).text


def test_the_report_is_written_whole_or_not_at_all(metrics: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(target, metrics, figures={"map": PIXEL}, title="Ä")
    assert target.read_text(encoding="utf-8") == render_report(metrics, figures={"map": PIXEL}, title="Ä")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(RunError, match=r"nowhere.*could not be written"):
        write_report(tmp_path / "nowhere" / "report.html", metrics, figures={}, title="x")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RunError, match="could not be written"):
        write_report(tmp_path / "folder.html", metrics, figures={}, title="x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "report.html"]


def test_rows_run_from_the_baselines_to_the_final_map(metrics: dict[str, Any]) -> None:
    table = rows(metrics)
    assert [(r.name, r.role, r.final) for r in table] == [
        ("svm", "baseline", False),
        ("rf", "baseline", False),
        ("cnn3d", "network", False),
        ("cnn3d + dense-crf", "refined", True),
    ]


def with_gan(metrics: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same run as a semi-supervised one, with its supervised twin."""
    steps = {"twin": step(89.03, 86.0, 87.5, window=9, leak=2.1, seconds=300.0)} | metrics["steps"]
    health = {"diversity": 0.034, "within": None, "believed": 0.998, "doubted": 0.25, "distance": 1.256}
    gan = {
        "variant": "ss",
        "pool": "whole scene (transductive): 21,025 pixels, test pixels included",
        "health": health,
        "warnings": ["The generator has collapsed: it <b>repeats</b> itself.", "Another sentence."],
        "generated_per_class": {"Alfalfa": 0, "Woods": 1200},
    }
    return metrics | {"steps": steps, "gan": gan | changes}


def test_the_supervised_twin_stands_between_baselines_and_network(metrics: dict[str, Any]) -> None:
    changed = with_gan(metrics)
    table = rows(changed)
    assert [r.role for r in table] == ["baseline", "baseline", "twin", "network", "refined"]
    assert [(r.name, r.title) for r in table][2:4] == [("twin", "supervised twin"), ("cnn3d", "cnn3d")]
    page = render_report(changed, figures={}, title="x")
    assert row_of(page, "supervised twin").startswith("89.03 ± 0.40 | 86.00 ± 0.40")
    assert "<th>supervised twin</th>" in page[page.index("Class by class") :]
    assert "<td>twin" not in page
    names = ("svm (baseline)", "rf (baseline)", "supervised twin", "cnn3d ")
    starts = [name for line in shown(changed).splitlines() for name in names if line.startswith(name)]
    assert starts == [*names, "cnn3d "]  # the last is the refined one
    changed["steps"]["twin"]["OA"] = over(95.0)
    assert (
        "The supervised twin, trained on the labels alone, did better than the final map on the test pixels "
        "(OA 95.00 against 93.21)." in cautions(changed)
    )


def test_unlabelled_pixels_and_a_sick_generator_are_said_with_the_numbers(metrics: dict[str, Any]) -> None:
    changed = with_gan(metrics)
    pool = "Unlabelled pixels were used in training: whole scene (transductive): 21,025 pixels, test pixels included."
    assert [s for s in cautions(changed) if s not in cautions(metrics)] == [pool, *changed["gan"]["warnings"]]
    notes = read(changed).text.partition("The leak is the share")[0]
    assert pool in notes
    assert "The generator has collapsed: it <b>repeats</b> itself." in notes
    assert pool in " ".join(shown(changed).split())
    without = with_gan(metrics, pool="", warnings=[])
    assert cautions(without) == cautions(metrics)


def test_what_the_generator_makes_has_a_section_of_its_own(metrics: dict[str, Any]) -> None:
    pictures = {"generated_spectra": PIXEL, "generated_patches": PIXEL, "map": PIXEL}
    page = render_report(with_gan(metrics), figures=pictures, title="x")
    assert page.count("<img") == 3  # none of them after the map as well
    section = page.partition("<h2>What the generator makes</h2>")[2].partition("<h2>")[0]
    assert section.count("<img") == 2
    assert "2 warnings about it" in section
    assert row_of(section, "spectral diversity").startswith("0.03 ")
    assert row_of(section, "diversity within a class").startswith("– ")
    assert row_of(section, "distance of the means").startswith("1.26 ")
    assert row_of(section, "generated cubes called generated").startswith("99.8 % ")
    assert "Alfalfa 0, Woods 1\u202f200." in section
    assert "Nothing looks wrong" in render_report(with_gan(metrics, warnings=[]), figures={}, title="x")
    page = render_report(with_gan(metrics, health=None, generated_per_class={}), figures={}, title="x")
    assert "What the generator makes" in page
    assert "spectral diversity" not in page
    page = render_report(metrics, figures=pictures, title="x")
    assert "generator" not in Reader(page).text
    assert page.count("<img") == 1


def test_a_baseline_that_wins_is_named(metrics: dict[str, Any]) -> None:
    assert not any("did better" in sentence for sentence in cautions(metrics))
    changed = copy.deepcopy(metrics)
    changed["steps"]["rf"]["OA"] = over(95.5)
    assert (
        "The baseline rf did better than the final map on the test pixels (OA 95.50 against 93.21)."
        in cautions(changed)
    )
    changed["steps"]["rf"]["OA"] = over(math.nan)
    changed["steps"]["cnn3d"]["OA"] = over(94.0)
    assert any("unrefined map of cnn3d did better" in sentence for sentence in cautions(changed))


@pytest.mark.parametrize(
    ("share", "words", "warned"),
    [
        (0.0, "none of the test pixels", False),
        (0.01, "<0.1 %", False),
        (90.1, "90.1 %", True),
        (math.nan, "no test", False),
    ],
)
def test_the_leak_is_said_in_words_and_a_high_one_warns(share: float, words: str, warned: bool) -> None:
    sentence = leak_sentence({"window": 9, "a": {"mean": share}, "b": {"mean": share}})
    assert words in sentence
    assert ("Expect lower accuracies" in sentence) == warned


def test_numbers_that_are_not_known_are_dashes() -> None:
    assert [number(v) for v in (None, math.nan, math.inf, 0.0, 99.96)] == ["–", "–", "–", "0.0", "100.0"]
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
    find = {
        key: next(line for line in lines if line.startswith(key))
        for key in ("svm", "cnn3d +", "Map:", "Report:")
    }
    assert re.findall(r"\d+\.\d+ ± 0\.40", find["svm"]) == ["80.12 ± 0.40", "78.03 ± 0.40", "76.91 ± 0.40"]
    assert "svm (baseline) " in find["svm"]
    final = ["93.21 ± 0.40", "90.07 ± 0.40", "91.48 ± 0.40"]
    assert re.findall(r"\d+\.\d+ ± 0\.40", find["cnn3d +"]) == final
    assert "runs/pines/map.tif" in find["Map:"].replace("\\", "/")
    assert "runs/pines/report.html" in find["Report:"].replace("\\", "/")
    flat = " ".join(text.split())
    assert "2.1 % of the test pixels have a training pixel in their 9 × 9 window" in flat
    assert "No test pixels: Alfalfa." in flat


def test_one_repeat_has_no_deviation(metrics: dict[str, Any]) -> None:
    metrics["repeats"] = 1
    text = shown(metrics)
    assert "±" not in text
    assert "93.21" in text
    assert "One repeat" in text


@pytest.fixture
def areas() -> dict[str, Any]:
    """Areas as a run writes them: one class nobody tested, one whose estimate is known well."""
    entry = {"mapped": 1234.5, "mapped_percent": 61.7, "estimated": 1100.0, "low": 1050.2, "high": 1149.8,
             "users": 88.0, "users_error": 2.5, "producers": 91.25, "producers_error": None}  # fmt: skip
    unknown = dict.fromkeys(entry, math.nan) | {"mapped": 0.0421, "mapped_percent": 0.002}
    return {
        "unit": "ha",
        "OA": 90.0,
        "OA_error": 1.25,
        "sample": "Test pixels are no <random> sample.",
        "per_class": {"Woods": entry, "Alfalfa": unknown, "Corn-notill": entry | {"estimated": 0.5}},
        "notes": ["No test pixel belongs to Alfalfa: the area is not known."],
    }


def test_areas_have_a_section_that_says_what_they_rest_on(
    metrics: dict[str, Any], areas: dict[str, Any]
) -> None:
    assert "How much of each class" not in render_report(metrics, figures={}, title="x")
    page = render_report(metrics | {"areas": areas}, figures={}, title="x")
    part = section(page, "How much of each class there is")
    assert (
        row_of(part, "Woods")
        == "1\u202f234 | 61.7 | 1\u202f100 | 1\u202f050 – 1\u202f150 | 88.0 ± 2.5 | 91.2"
    )
    assert row_of(part, "Alfalfa") == "0.0421 | 0.0 | – | – | – | –"
    text = Reader(part).text
    assert "Areas in ha of the map of the first repeat" in text
    assert "Test pixels are no <random> sample." in text
    assert "OA is 90.0 ± 1.2 %" in text
    assert "No test pixel belongs to Alfalfa" in text
    assert Reader(page).open == []


def test_the_summary_names_the_largest_areas(metrics: dict[str, Any], areas: dict[str, Any]) -> None:
    text = " ".join(shown(metrics | {"areas": areas}).replace("\u202f", " ").split())
    assert "Areas in ha, corrected for the errors of the map (95 %): Woods 1 100 (1 050 – 1 150)" in text
    assert "Corn-notill 0.500 (1 050 – 1 150); 1 more in areas.csv." in text
    areas["per_class"] = {"Alfalfa": areas["per_class"]["Alfalfa"]} | {}
    assert "none can be estimated" in " ".join(shown(metrics | {"areas": areas}).split())


def test_long_names_do_not_push_numbers_off_the_screen(metrics: dict[str, Any]) -> None:
    metrics["method"], metrics["chain"] = "m" * 60, ["m" * 60]
    metrics["steps"] = {"m" * 60: metrics["steps"]["cnn3d"], "svm": metrics["steps"]["svm"]}
    text = shown(metrics)
    assert max(map(len, text.splitlines())) <= 80
    assert "90.55 ± 0.40" in text


def test_the_summary_survives_a_terminal_without_the_characters(metrics: dict[str, Any]) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    metrics["split"]["untestable"] = ["Bäume"]
    print_summary(metrics, folder="runs/pines", console=Console(file=file, width=80))
    file.flush()
    text = raw.getvalue().decode("ascii")
    assert "93.21 +- 0.40" in text
    assert "9 x 9" in text


def test_usual_settings_stand_unless_beaten(metrics: dict[str, Any]) -> None:
    metrics["refiners"][0]["table"][1]["gain"] = 1.0
    assert "usual settings" not in render_report(metrics, figures={}, title="t")
    metrics["refiners"][0]["usual"] = True
    assert "usual settings" in render_report(metrics, figures={}, title="t")
