"""Splits as parts: the table, their settings, their spelling, and one that is added."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.core.parts import Entry
from hyperseg.core.settings import from_json, leaves, to_json
from hyperseg.data.splits import SPLITS, make_split, parse_split, splits_help

LABELS = np.repeat(np.arange(3, dtype=np.int16), 30).reshape(9, 10)
NEEDED = {"random_fraction": "0.2", "random_per_class": "3", "random_total": "12"}


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_is_what_its_settings_say(name: str) -> None:
    spelled = name + (f":{NEEDED[name]}" if name in NEEDED else "")
    splitter, chosen = parse_split(spelled)
    assert splitter is SPLITS[name]
    assert splitter.name == name
    assert from_json(splitter.settings, json.loads(json.dumps(to_json(chosen)))) == chosen
    assert splitter.estimates.startswith("accuracy ")
    assert not splitter.estimates.endswith(".")
    every = list(leaves(chosen))
    assert all(leaf.rule.help.endswith(".") for leaf in every)
    (line,) = [line for line in splits_help().splitlines() if line.startswith(f"{name}:")]
    assert line.endswith(f"  {SPLITS.entries[name].help}")
    whole = line.split("  ")[0]
    assert all(f"{leaf.name}=" in whole for leaf in every)
    if name in NEEDED:
        needed = every[0].name
        assert f"{needed}={needed.upper()}" in whole
        whole = whole.replace(needed.upper(), NEEDED[name])
    assert parse_split(whole) == (splitter, chosen), "the help spells the defaults"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kfold:5", "choose from parcels, blocks, nalepa, knndm, random_fraction"),
        ("", "choose from parcels"),
        ("parcel", "Did you mean parcels?"),
        ("parcels:many", "fraction is a number, got 'many'"),
        ("random_per_class:1.5", "n is a whole number"),
        ("random_total", "lacks n. It is spelled random_total:n=N"),
        ("blocks:32,gard=3", "the split 'blocks:32,gard=3': .* Did you mean guard?"),
        ("blocks:32,16", "'16' is not understood. It is spelled blocks:block=32"),
        ("parcels:0.3,fraction=0.4", "not understood"),
        ("parcels:cap=", "not understood"),
        ("parcels:1.5", "fraction is above 0 and below 1, got 1.5"),
        ("blocks:guard=-1", "guard is 0 or more, got -1"),
        ("random_fraction:0.95", "nothing to test"),
        ("parcels,validation=parcel", "validation is one of parcels, pixels"),
    ],
)
def test_a_wrong_spelling_says_what_exists(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        parse_split(text)


def test_masks_go_with_splits_that_are_made_of_masks() -> None:
    with pytest.raises(SettingError, match="write 'fixed' to use them"):
        make_split("parcels", LABELS, 3, seed=0, train_mask=LABELS > 0)
    with pytest.raises(SettingError, match="needs a training mask"):
        make_split("fixed", LABELS, 3, seed=0)


def test_spelling_needs_neither_torch_nor_scipy() -> None:
    code = """
import sys, time
from hyperseg.data.splits import SPLITS, parse_split, splits_help
splits_help(), parse_split(SPLITS.default)
print(*({"torch", "scipy"} & set(sys.modules)), time.process_time())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.0, done.stdout


TOY = """
from hyperseg.core.settings import option, settings
from hyperseg.data.splits import Splitter

@settings
class ToySettings:
    n: int = option(1, "Training pixels per class.", low=1)

def first(draw, chosen):
    train = draw.mask(some[:chosen.n] for some in draw.pixels)
    rest = draw.mask(some[chosen.n:] for some in draw.pixels)
    return draw.finish(f"toy(n={chosen.n})", train=train, val=train & rest, test=rest)

TOY = Splitter("toy", ToySettings, first)
"""


def test_a_split_is_one_file_and_one_line_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_split.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(SPLITS.entries, "toy", Entry("toy_split:TOY", "The first pixels of every class."))
    split = make_split("toy:3", LABELS, 3, seed=0)
    assert split.counts(LABELS, 3).tolist() == [[3] * 3, [0] * 3, [27] * 3]
    assert split.how == "toy(n=3)"
    assert parse_split("toy,n=5")[1].n == 5
    assert splits_help().splitlines()[-1] == "toy:n=1  The first pixels of every class."
    with pytest.raises(SettingError, match=r"n is 1 or more, got 0\. It is spelled toy:n=1"):
        parse_split("toy:0")
