"""Every trick of the table: what it says of itself, what it costs to import, and that without any nothing changes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from running import Hyperseg, Quick
from safetensors.torch import load_file

from hyperseg.core import Scene
from hyperseg.core.parts import Phase, Trick, read_settings, respelt, split_spelling
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import rule_of
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.io.cases import open_cases
from hyperseg.recipes.run.steps import run_repeat
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import fold_folder, read_run
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.reporting.run_page import write_run_page
from hyperseg.recipes.segment.training import Order, train_cases
from hyperseg.recipes.tricks import TRICKS
from hyperseg.recipes.tricks.choosing import parse_trick
from hyperseg.recipes.tricks.words import FOLDERS as FOLDERS_OF_CASES
from hyperseg.recipes.tricks.words import SCENES, described

PHASES = get_args(Phase)
FOLDERS = [phase.replace("-", "") for phase in PHASES]
FAMILIES = {"loss", "ensemble"}
WHERE = {(FOLDERS_OF_CASES, SCENES): "both", (FOLDERS_OF_CASES,): "folders", (SCENES,): "scenes"}


def folder_of(name: str) -> str:
    """Where it lies among the tricks."""
    return TRICKS.entries[name].where.removeprefix("hyperseg.recipes.tricks.").partition(".")[0]


@pytest.mark.parametrize("name", TRICKS)
def test_it_is_what_the_table_says(name: str) -> None:
    trick: Trick = TRICKS[name]
    assert trick.name == name
    assert trick.phase in PHASES
    assert trick.on_cases or trick.on_scene or trick.refiner
    assert not (trick.on_scene and trick.refiner)
    assert trick.family in FAMILIES | {""}
    assert folder_of(name) == trick.phase.replace("-", "")
    help = TRICKS.entries[name].help
    assert help
    assert not help.endswith(".")


def test_the_table_is_in_the_order_of_the_phases() -> None:
    places = [FOLDERS.index(folder_of(name)) for name in TRICKS]
    assert places == sorted(places)
    assert set(places) == set(range(len(PHASES)))


@pytest.mark.parametrize("name", TRICKS)
def test_its_settings_have_help_and_can_be_spelled(name: str) -> None:
    cls = TRICKS[name].settings
    given = {f.name: "x" for f in fields(cls) if f.default is MISSING}
    for f in fields(cls):
        rule = rule_of(f)
        assert rule is not None, f.name
        assert rule.help.strip(), f.name
    made = cls(**given)
    for chosen in (made, *other_values(cls, given)):
        text = respelt(name, chosen)
        assert split_spelling(text)[0] == name
        assert read_settings(cls, split_spelling(text)[1], name) == chosen
        assert parse_trick(text)[1] == chosen


def other_values(cls: type, given: dict[str, str]) -> list[object]:
    """Settings with one value that is not the default, of numbers and switches."""
    found = []
    for f in fields(cls):
        rule = rule_of(f)
        if isinstance(f.default, bool):
            found.append(cls(**given, **{f.name: not f.default}))
        elif isinstance(f.default, int | float):
            for value in (f.default * 2 + 1, f.default / 2 if isinstance(f.default, float) else f.default + 1):
                if rule is not None and rule.fault(value) is None:
                    found.append(cls(**given, **{f.name: value}))
                    break
    return found


@pytest.mark.parametrize("name", TRICKS)
def test_its_functions_say_what_they_do_and_where_it_comes_from(name: str) -> None:
    texts = described(name).told.values()
    assert texts
    assert all(texts)
    assert any("Source: " in text for text in texts), texts


def test_none_of_them_imports_torch() -> None:
    code = (
        "import sys\n"
        "from hyperseg.recipes.tricks import TRICKS\n"
        "for name in TRICKS:\n"
        "    _ = TRICKS[name]\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TRICKS)
def test_it_is_listed_and_told(hyperseg: Hyperseg, name: str) -> None:
    answer = hyperseg("tricks", name)
    assert answer.code == 0, answer.err
    assert TRICKS.entries[name].help[1:] in " ".join(answer.out.split())  # it begins with a capital there
    for f in fields(TRICKS[name].settings):
        assert f"{f.name}:" in answer.out


def test_all_are_listed_in_lines_of_a_terminal(hyperseg: Hyperseg) -> None:
    answer = hyperseg("tricks")
    assert answer.code == 0, answer.err
    assert max(map(len, answer.out.splitlines())) <= 80
    words = answer.out.replace(":", " ").split()
    assert set(TRICKS) <= set(words)
    lines = answer.out.splitlines()
    assert [line for line in lines if line in PHASES] == list(PHASES)
    rows = json.loads(hyperseg("tricks", "--json").out)
    assert [row["name"] for row in rows] == list(TRICKS)
    for row in rows:
        family = TRICKS[row["name"]].family
        same = [other for other in TRICKS if family and TRICKS[other].family == family]
        assert {*row["excludes"], row["name"]} == {*same, row["name"]}
        assert row["works_on"]


def test_the_page_of_tricks_tells_of_each_in_the_order_of_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "tricks.md"
    if not page.is_file():
        pytest.skip("the package is tested without its documents")
    lines = page.read_text(encoding="utf-8").splitlines()
    rows = [tuple(line.split(" | ")[:2]) for line in lines if line.startswith("| `")]
    wanted = [(f"| `{name}`", WHERE[described(name).works_on]) for name in TRICKS]
    assert rows == wanted


def write_discs(folder: Path) -> Path:
    """Six pictures of a bright disc, each with a speck beside it."""
    rows, columns = np.indices((24, 24))
    for i in range(6):
        rng = np.random.default_rng(i)
        middle, radius = rng.integers(8, 16, 2), rng.integers(4, 7)
        labels = ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2).astype(np.uint8)
        labels[0, 0] = 1
        for kind, array in (("images", labels + 0.3 * rng.normal(size=labels.shape)), ("labels", labels)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"c{i}.npy", array.astype(np.float32 if kind == "images" else np.uint8))
    return folder


def test_all_tricks_off_is_the_baseline_bit_for_bit(tmp_path: Path) -> None:
    """The same weights for the same seed, also with tricks that change predictions alone: those change Dice only."""
    folder = open_cases(write_discs(tmp_path / "discs"))
    plan = plan_cases(folder)
    narrow = [
        replace(one, backbone=replace(one.backbone, widths=(8,) * len(one.backbone.widths)), batch=2)
        for one in plan.configurations
    ]
    plan = replace(plan, configurations=tuple(narrow))

    def weights(name: str, **more: Any) -> dict[str, bytes]:
        order = Order(Budget(steps=2), ("2d",), 0, method=case_method(**more))
        root = tmp_path / name
        train_cases(folder, plan, root, order, Runtime(quiet=True))
        found = load_file(fold_folder(root, "2d", 0) / "weights.safetensors")
        return {k: v.numpy().tobytes() for k, v in found.items()}

    off = weights("off", tricks=())
    assert weights("after", tricks=("small-areas:pixels=4", "largest-component")) == off
    assert read_run(tmp_path / "off").record.tricks == ()
    assert read_run(tmp_path / "after").record.tricks == ("largest-component", "small-areas:pixels=4")
    page = write_run_page(read_run(tmp_path / "after")).read_text(encoding="utf-8")
    assert "with the tricks largest-component and small-areas:pixels=4" in page


def test_all_tricks_off_is_the_same_map_of_a_scene(toy: Scene, quick: Quick) -> None:
    assert toy.labels is not None
    split = make_split("random_per_class:8", toy.labels, toy.n_classes, seed=0, valid=toy.valid)
    task = Task((toy,), (split,))
    plain, off = (
        run_repeat(task, quick(**more), Runtime(quiet=True)).final.map.probs.tobytes() for more in ({}, {"tricks": ()})
    )
    assert off == plain


def test_beside_itself_without_tricks(toy: Scene, quick: Quick, tmp_path: Path) -> None:
    """Both are what they are alone, and neither goes on with the training of the other."""
    assert toy.labels is not None
    split = make_split("random_per_class:8", toy.labels, toy.n_classes, seed=0, valid=toy.valid)
    task, given = Task((toy,), (split,)), {"method": "cnn3d", "changes": {"window": 1}}

    def maps(name: str, **more: Any) -> dict[str, bytes]:
        made = run_repeat(task, quick(**given, **more), Runtime(quiet=True, checkpoints=tmp_path / name))
        return {step.name: step.map.probs.tobytes() for step in made.steps}

    tricks = ("oversampling", "pixel-augmentation")
    both = maps("both", tricks=tricks, baselines=("cnn3d + trees",))
    mine = "cnn3d with oversampling and pixel-augmentation"
    assert list(both) == ["cnn3d", mine, "cnn3d + trees"]
    assert both["cnn3d"] == maps("plain")["cnn3d"]
    assert both[mine] == maps("tricked", tricks=tricks)["cnn3d"] != both["cnn3d"]
