"""Everything that decides a classification run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.data.augment import SpectralNoise
from hyperseg.hsi.classical import Method as ClassicalMethod
from hyperseg.hsi.networks import Kind
from hyperseg.recipes.train import TrainSettings

Method = Literal["cnn3d", "ssrn", "hybrid", "svm", "rf"]
Refiner = Literal["dense-crf"]
METHODS: tuple[Method, ...] = ("cnn3d", "ssrn", "hybrid", "svm", "rf")
NETWORKS: dict[str, Kind] = {"cnn3d": "cnn3d", "ssrn": "ssrn", "hybrid": "hybrid"}
REFINERS: tuple[Refiner, ...] = ("dense-crf",)
LARGEST_SEED = 2**32 - 1  # of scikit-learn
CLASSICAL: dict[str, ClassicalMethod] = {"svm": "svm", "rf": "random-forest", "lda": "lda3x3"}


@dataclass(frozen=True)
class ClassifySettings:
    """Everything that decides a run; written to run.json and repeatable from it.

    Attributes:
        method: what makes the map.
        split: spelling of the split, see `hyperseg.data.splits.make_split`.
        refine: refiners after the method, in order.
        baselines: classical methods measured beside it on the same split.
        repeats: runs with seeds seed, seed + 1, ...: each draws its own split and weights.
        seed: of the first repeat, whose map is the one written.
        crf_engine: "lattice" or "pydensecrf".
        flips: average predictions over the eight flips and rotations.
        train: how networks are trained.
    """

    method: Method = "cnn3d"
    split: str = "parcels"
    refine: tuple[Refiner, ...] = ("dense-crf",)
    baselines: tuple[str, ...] = ("svm",)
    repeats: int = 3
    seed: int = 0
    crf_engine: Literal["lattice", "pydensecrf"] = "lattice"
    flips: bool = False
    train: TrainSettings = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingError(f"unknown method {self.method!r}: choose one of {', '.join(METHODS)}.")
        if self.repeats < 1:
            raise SettingError(f"repeats must be at least 1, got {self.repeats}.")
        if not 0 <= self.seed <= LARGEST_SEED - self.repeats:
            raise SettingError(f"the seed lies between 0 and {LARGEST_SEED - self.repeats}, got {self.seed}.")
        for what, given, known in (
            ("baselines", self.baselines, CLASSICAL),
            ("refiners", self.refine, REFINERS),
            ("CRF engines", (self.crf_engine,), ("lattice", "pydensecrf")),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown:
                raise SettingError(f"unknown {what} {unknown}: choose from {', '.join(known)}.")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClassifySettings:
        """The settings of a run.json; unknown keys are refused."""
        unknown = set(data) - {f.name for f in fields(ClassifySettings)}
        if unknown:
            raise SettingError(f"a classification run has no settings named {sorted(unknown)}.")
        try:
            train = dict(data.get("train", {}))
            if "noise" in train:
                train["noise"] = SpectralNoise(**train["noise"])
            plain: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "train"
            }
            return ClassifySettings(**plain, train=TrainSettings(**train))
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"the settings of a classification run cannot be read ({error}): they are those of another "
                "version of hyperseg, or were edited."
            ) from error
