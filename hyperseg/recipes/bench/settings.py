"""What decides the numbers of a benchmark of samplers, and which cells of its table are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import leaves, option, rule_of, settings
from hyperseg.recipes.bench.data import PICTURES

ALL = "all"
NFES = (1000, 100, 50, 20, 10, 8, 5, 4, 2, 1)  # a selection of the survey's
MOST_NFE = 10_000  # calls of a sample: ten times the survey's most
MANY = 60  # more calls than that by default only where noise is added on the way: the others have converged there
MOST = 200  # more than that by default only of one sampler of each family


@settings
class BenchSettings:
    """What decides every cell: a benchmark goes on only with the same."""

    data: str = option(PICTURES.default, "What is generated: a set by its name, or a folder of images.", shown="data")
    objective: str | None = option(
        None, "What the network learns; by default the velocity, which small networks learn best.", shown="objective"
    )
    schedule: str | None = option(
        None, "Noise schedule; by default the one that the objective goes with.", shown="schedule"
    )
    samples: int = option(500, "How many samples are made and judged in every cell.", low=16, shown="samples")
    steps: int = option(3000, "Training steps of the network.", low=1, shown="train-steps")
    inception: str = option(
        "", "Weights of Inception (FID and IS); by default a classifier is trained on the data.", shown="inception"
    )
    feature_steps: int = option(600, "Training steps of that classifier.", low=1, shown="feature-steps")
    model: str = option("", "A model of another benchmark, instead of training one.", shown="model")
    seed: int = option(0, "Of weights, batches and all noise.", low=0, shown="seed")


@dataclass(frozen=True)
class Asked:
    """Which cells are asked for; a benchmark that goes on may be asked for more.

    Attributes:
        methods: names of samplers and speed-ups; none are all that can be used here.
        nfes: network calls of a sample; none are the usual ones.
    """

    methods: tuple[str, ...] = ()
    nfes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if wrong := [n for n in self.nfes if n < 1]:
            raise SettingError(f"nfe: network calls of a sample are whole numbers from 1, got {wrong[0]}.")
        if max(self.nfes, default=1) > MOST_NFE:
            raise SettingError(f"nfe: network calls of a sample are {MOST_NFE} at most, got {max(self.nfes)}.")


def asked_now(samplers: tuple[str, ...] | None, nfes: tuple[int, ...] | None, begun: Mapping[str, Any]) -> Asked:
    """What is asked for: each of both as a benchmark was begun where nothing is said of it now.

    Args:
        samplers, nfes: see `Asked`; None where nothing is said.
        begun: "samplers" and "nfes" as bench.json tells them; empty where it tells nothing.
    """
    methods = begun.get("samplers", ()) if samplers is None else samplers
    calls = begun.get("nfes", ()) if nfes is None else nfes
    return Asked(tuple(map(str, methods)), tuple(map(int, calls)))


def refuse_unread(settings: BenchSettings, given: Mapping[str, Any]) -> None:
    """Refuse settings of a training that is not done.

    Args:
        given: what the user said, by name.

    Raises:
        SettingError: naming the first of them.
    """
    for brought, names in (("model", ("objective", "schedule", "steps")), ("inception", ("feature_steps",))):
        if getattr(settings, brought) and (unread := [name for name in names if name in given]):
            shown = next(leaf.rule.shown for leaf in leaves(settings) if leaf.name == unread[0])
            raise SettingError(f"--{shown} is of a training, and --{brought} brings what is trained: leave one out.")


def refuse_other(begun: Any, now: Any, where: object) -> None:
    """Refuse to go on with other settings than a benchmark was begun with.

    Args:
        begun, now: of one class of settings.
        where: the folder.

    Raises:
        RunError: naming the first setting that differs, and both values.
    """
    for f in fields(begun):
        before, after = getattr(begun, f.name), getattr(now, f.name)
        if before != after:
            raise RunError(
                f"{where}: this benchmark was begun with {f.name} {_told(before)}, now {_told(after)} is asked for "
                f"({_help(f)}). Leave the option out to go on as begun, or take another --out."
            )


def _told(value: Any) -> str:
    return repr(value) if value != "" else "not given"


def _help(f: Any) -> str:
    rule = rule_of(f)
    return "" if rule is None else rule.help.rstrip(".").lower()
