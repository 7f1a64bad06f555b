"""Settings declared once: refused by name, the same after JSON, changed by path, read from text."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, reject
from hypothesis import settings as tried
from hypothesis import strategies as st

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.core.settings import (
    Rule,
    changed,
    find_leaf,
    from_json,
    hints_of,
    leaves,
    option,
    parsed,
    required,
    rule_of,
    settings,
    to_json,
)
from hyperseg.crf.deconv import DeconvSpec
from hyperseg.crf.settings import DeepCRF, DenseCRF, MeanField
from hyperseg.data.augment import SpectralNoise
from hyperseg.gan.networks import GanSpec
from hyperseg.gan.settings import Weights
from hyperseg.hsi.networks import HybridSpec, NetworkSpec


@settings
class Noise:
    gain: float = option(0.0, "Spread.", low=0)
    rate: float = option(0.5, "Share.", low=0, high=1, shown="rate")


@settings
class Training:
    steps: int = option(300, "Steps.", low=1)
    rate: float = option(1e-3, "Learning rate.", above=0, below=1)
    keep: Literal["best", "last"] = option("last", "Which weights.")
    side: Literal[1, 2, 4] = option(1, "Pixels.")
    tried: tuple[float, ...] = option((0.5, 1.0), "Strengths.", low=0)
    share: float | None = option(None, "Of all edges.", low=0, high=1)
    kernel: int | tuple[int, ...] = option(3, "Pixels, for all axes or per axis.", low=1)
    groups: tuple[tuple[int, int], ...] = option((), "Bands.")
    quiet: bool = option(False, "No bars.")
    note: str = option("", "Free text.")
    noise: Noise = option(Noise(gain=0.3), "Disturbance.")

    def __post_init__(self) -> None:
        if self.steps > 1000 and self.quiet:
            raise SettingError("long and silent")


@settings
class Both:
    first: Noise = option(Noise(), "One.")
    second: Noise = option(Noise(), "Another, hidden.", hides=True)
    third: Noise = option(Noise(), "The other.")


@settings
class Spec:
    width: int = required("Channels.", low=1)
    inner: Noise = required("Disturbance.")


# one of each: what the package declares, with values other than the defaults where some are needed
REAL = (
    Training(), SpectralNoise(), DenseCRF(), MeanField(), DeepCRF(), Weights(), ConvSpec(2), GanSpec("ss", 24, 3),
    NetworkSpec(9, 2, "short"), HybridSpec(13, 2), DeconvSpec(7, 3, ((0, 4), (4, 7))),
    BackboneSpec(1, (4, 6), (1, (2, 1)), (3, 3), (1, 2), ConvSpec(2, padding=("same", "valid"))),
)  # fmt: skip
DRAWN = [type(one) for one in REAL if not isinstance(one, DeconvSpec | BackboneSpec)]  # their parts must fit


def values(hint: Any, rule: Rule) -> st.SearchStrategy[Any]:
    """Whatever a setting of this type and rule may be."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return st.one_of(*(values(kind, rule) for kind in inner))
    if origin is tuple and inner[1:] == (...,):
        return st.lists(values(inner[0], rule), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(kind, rule) for kind in inner))
    if is_dataclass(hint):
        return instances(hint)
    low, high = (-40 if rule.low is None else rule.low, 40 if rule.high is None else rule.high)
    numbers = {"min_value": max(low, rule.above or low), "max_value": min(high, rule.below or high)}
    plain: dict[Any, st.SearchStrategy[Any]] = {
        Literal: st.sampled_from(inner or (None,)), NoneType: st.none(), bool: st.booleans(), str: st.text(),
        int: st.integers(math.ceil(numbers["min_value"]), math.floor(numbers["max_value"])),
        float: st.floats(**numbers, exclude_min=rule.above is not None, exclude_max=rule.below is not None),
    }  # fmt: skip
    return plain[origin or hint]


def instances(cls: Any) -> st.SearchStrategy[Any]:
    def built(given: dict[str, Any]) -> Any:
        try:
            return cls(**given)
        except SettingError:  # what only several values together can say
            reject()

    hints = hints_of(cls)
    each = {f.name: values(hints[f.name], rule_of(f) or Rule("")) for f in fields(cls)}
    return st.fixed_dictionaries(each).map(built)


@pytest.mark.parametrize("cls", DRAWN, ids=lambda cls: cls.__name__)
@tried(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_json_brings_back_the_same(cls: Any, data: st.DataObject) -> None:
    made = data.draw(instances(cls))
    assert from_json(cls, json.loads(json.dumps(to_json(made)))) == made


def wrong_values(hint: Any, rule: Rule) -> list[Any]:
    """One of another type, and one beyond each bound."""
    beyond = [
        None if rule.low is None else rule.low - 1, None if rule.high is None else rule.high + 1, rule.above, rule.below
    ]  # fmt: skip
    numbers = [bound for bound in beyond if bound is not None]
    numbers += [True, "1", math.nan] if hint in (int, float) else []
    return [object(), *((n,) if get_origin(hint) is tuple else n for n in numbers)]


@pytest.mark.parametrize("one", REAL, ids=lambda one: type(one).__name__)
def test_every_setting_has_help_and_keeps_its_bounds(one: Any) -> None:
    assert from_json(type(one), json.loads(json.dumps(to_json(one)))) == one
    for f in fields(one):
        rule = rule_of(f)
        assert rule is not None
        assert rule.help.endswith("."), f.name
        for wrong in wrong_values(hints_of(type(one))[f.name], rule):
            with pytest.raises(SettingError, match=f.name):
                replace(one, **{f.name: wrong})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": 0}, "steps is 1 or more, got 0."),
        ({"steps": 2.0}, "steps is a whole number, got 2.0."),
        ({"rate": 1}, "rate is above 0 and below 1, got 1.0."),
        ({"rate": "fast"}, "rate is a number, got 'fast'."),
        ({"keep": "bets"}, "keep is one of best, last, got 'bets'. Did you mean best?"),
        ({"side": 3}, "side is one of 1, 2, 4, got 3."),
        ({"side": True}, "side is one of 1, 2, 4, got True."),
        ({"tried": 0.5}, "tried is a list, got 0.5."),
        ({"tried": [0.5, -1]}, "tried[1] is 0 or more, got -1.0."),
        ({"share": 2}, "share is 0 or more and at most 1, got 2.0."),
        ({"kernel": 0}, "kernel is 1 or more, got 0."),
        ({"kernel": (3, 0)}, "kernel[1] is 1 or more, got 0."),
        ({"kernel": "3"}, "kernel is a whole number, got '3'."),
        ({"groups": [[0, 4], [4]]}, "groups[1] has 2 entries, got [4]."),
        ({"quiet": 1}, "quiet is true or false, got 1."),
        ({"note": 3}, "note is a text, got 3."),
        ({"noise": 0.1}, "noise is of the kind Noise, got 0.1."),
        ({"noise": {"gain": -1}}, "gain is 0 or more, got -1.0."),
        ({"noise": {"gian": 1}}, "noise has no setting named gian. Did you mean gain?"),
        ({"steps": 2000, "quiet": True}, "long and silent"),
        ({"stesp": 3}, "Training has no setting named stesp. Did you mean steps?"),
        ({"xyz": 3, "uvw": 4}, "Training has no setting named xyz and uvw."),
    ],
)
def test_what_cannot_be_is_said_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        from_json(Training, given)
    assert str(caught.value) == words


def test_json_of_another_thing_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^Spec lacks width and inner\.$"):
        from_json(Spec, {})
    with pytest.raises(SettingError, match=r"Spec is a mapping of width, inner, got \[3\]"):
        from_json(Spec, [3])  # type: ignore[arg-type]


def test_values_become_what_the_type_says() -> None:
    made = Training(rate=0.5, tried=[1, 2], groups=[[0, 4], (4, 9)], noise={"gain": 1})  # type: ignore[arg-type]
    assert (made.tried, made.groups, made.noise) == ((1.0, 2.0), ((0, 4), (4, 9)), Noise(gain=1.0))
    assert type(Training(share=1).share) is float
    assert from_json(Training, {}) == Training()
    assert hash(made) != hash(Training())


def test_leaves_are_every_single_setting_in_order() -> None:
    found = list(leaves(Training()))
    assert [leaf.path for leaf in found][-3:] == ["note", "noise.gain", "noise.rate"]
    assert len(found) == 12
    assert (found[-2].name, found[-2].value, found[-2].hint, found[-2].rule.low) == ("gain", 0.3, float, 0)
    shown = [leaf.rule.shown for leaf in leaves(Both())]
    assert shown == [None, "rate", None, None, None, "rate"]  # a hidden group has no options


def test_settings_are_changed_by_path_or_by_the_end_of_one_path() -> None:
    of = Training()
    assert changed(of, {"noise.gain": 1, "steps": 5}) == replace(of, steps=5, noise=Noise(gain=1))
    assert changed(of, {"gain": 1}) == replace(of, noise=Noise(gain=1))
    assert changed(of, {"rate": 0.2}).noise == of.noise  # a whole path goes before the end of another
    assert find_leaf(of, "speed") is None
    assert changed(replace(of, quiet=True), {"steps": 2000, "quiet": False}).steps == 2000  # checked together
    with pytest.raises(SettingError, match=r"Training has no setting named stesp\. Did you mean steps"):
        changed(of, {"stesp": 1})
    with pytest.raises(SettingError, match="gain is 0 or more, got -1"):
        changed(of, {"noise.gain": -1})
    two = Both(third=Noise(rate=0.7))
    with pytest.raises(SettingError, match=r"gain may be first\.gain or third\.gain: give more of its path"):
        changed(two, {"gain": 1})
    hidden = changed(two, {"second.rate": 0.4})  # the end alone does not name what a group hides
    assert (hidden.second.rate, hidden.first, hidden.third) == (0.4, two.first, two.third)


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3", int, 3), ("3e-4", float, 3e-4), ("on", bool, True), ("No", bool, False), ("a b", str, "a b"),
        ("none", float | None, None), ("0.5", float | None, 0.5), ("0.1, 0.2", tuple[float, ...], (0.1, 0.2)),
        ("best", Literal["best", "last"], "best"), ("2", Literal[1, 2, 4], 2), ("3", int | tuple[int, ...], 3),
    ],
)  # fmt: skip
def test_values_are_read_from_text(text: str, hint: Any, value: Any) -> None:
    found = parsed(text, hint, "it")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "hint"), [("3.5", int), ("fast", float), ("perhaps", bool), ("1,x", tuple[int, ...])])
def test_text_of_another_type_is_refused(text: str, hint: Any) -> None:
    with pytest.raises(SettingError, match=r"^rate is .*, got"):
        parsed(text, hint, "rate")
