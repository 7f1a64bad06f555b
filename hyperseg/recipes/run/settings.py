"""Everything that decides a classification run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from hyperseg.core import SettingError
from hyperseg.core.settings import from_json
from hyperseg.crf.settings import DeepCRF
from hyperseg.data.augment import SpectralNoise
from hyperseg.gan.settings import Weights
from hyperseg.hsi.classical import Method as ClassicalMethod
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
from hyperseg.recipes.training.gan import GanSettings
from hyperseg.recipes.training.joint import JointSettings
from hyperseg.recipes.training.network import Kind, TrainSettings

Method = Literal["cnn3d", "ssrn", "hybrid", "gan", "twin", "deep-crf", "svm", "rf"]
Refiner = Literal["dense-crf", "deep-crf", "deconv"]
METHODS: tuple[Method, ...] = get_args(Method)
TWIN = "twin"  # the discriminator of "gan" trained on the labels alone: a step of every "gan", and a method
UNARY = "unary"  # step of the band-group network that "deep-crf" refines
NETWORKS: dict[str, Kind] = {"cnn3d": "cnn3d", "ssrn": "ssrn", "hybrid": "hybrid", UNARY: "groups"}
REFINERS: tuple[Refiner, ...] = get_args(Refiner)
LARGEST_SEED = 2**32 - 1  # of scikit-learn
CLASSICAL: dict[str, ClassicalMethod] = {"svm": "svm", "rf": "random-forest", "lda": "lda3x3"}


@dataclass(frozen=True)
class ClassifySettings:
    """Everything that decides a run; written to run.json and repeatable from it.

    Attributes:
        method: what makes the map.
        split: spelling of the split, see `hyperseg.data.splits.make_split`.
        refine: refiners after the method, in order, each once; None is the method's own: see `refiners`.
        baselines: classical methods measured beside it on the same split.
        repeats: runs with seeds seed, seed + 1, ...: each draws its own split and weights.
        seed: of the first repeat, whose map is the one written.
        crf_engine: "lattice" or "pydensecrf".
        flips: average predictions over the eight flips and rotations.
        train: how the networks "cnn3d", "ssrn" and "hybrid" are trained.
        gan: how "gan" is, and "twin".
        deep: the refiner "deep-crf".
        deconv: the refiner "deconv".
    """

    method: Method = "cnn3d"
    split: str = "parcels"
    refine: tuple[Refiner, ...] | None = None
    baselines: tuple[str, ...] = ("svm",)
    repeats: int = 3
    seed: int = 0
    crf_engine: Literal["lattice", "pydensecrf"] = "lattice"
    flips: bool = False
    train: TrainSettings = field(default_factory=TrainSettings)
    gan: GanSettings = field(default_factory=GanSettings)
    deep: DeepCrfSettings = field(default_factory=DeepCrfSettings)
    deconv: DeconvSettings = field(default_factory=DeconvSettings)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingError(f"unknown method {self.method!r}: choose one of {', '.join(METHODS)}.")
        if self.repeats < 1:
            raise SettingError(f"repeats must be at least 1, got {self.repeats}.")
        if not 0 <= self.seed <= LARGEST_SEED - self.repeats:
            raise SettingError(f"the seed lies between 0 and {LARGEST_SEED - self.repeats}, got {self.seed}.")
        for what, given, known in (
            ("baselines", self.baselines, CLASSICAL),
            ("refiners", self.refiners, REFINERS),
            ("CRF engines", (self.crf_engine,), ("lattice", "pydensecrf")),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown:
                raise SettingError(f"unknown {what} {unknown}: choose from {', '.join(known)}.")

        if len(set(self.refiners)) < len(self.refiners):
            raise SettingError(f"every refiner once: got {', '.join(self.refiners)}.")
        if self.method == "deep-crf" and self.refiners and "deep-crf" not in self.refiners:
            raise SettingError(
                "--method deep-crf is the band-group network refined by deep-crf; with other refiners alone name "
                "deep-crf among them, or choose another method."
            )
        joint = self.deep.joint.steps > 0 and "deep-crf" in self.refiners
        if joint and (
            self.base not in NETWORKS or self.refiners[0] != "deep-crf" or self.deep.crf.stride > 1
        ):
            raise SettingError(
                "joint training changes the unary network: the deep CRF must come first, with nodes of one pixel, "
                f"after a network trained on the labels alone ({', '.join(NETWORKS)}), not as number "
                f"{self.refiners.index('deep-crf') + 1} after {self.base} with a stride of {self.deep.crf.stride}."
            )

    @property
    def refiners(self) -> tuple[Refiner, ...]:
        """The refiners in order: those asked for, or the method's own."""
        if self.refine is not None:
            return self.refine
        return ("deep-crf", "deconv") if self.method == "deep-crf" else ("dense-crf",)

    @property
    def base(self) -> str:
        """Name of the step whose map is refined."""
        return UNARY if self.method == "deep-crf" else self.method

    @property
    def steps(self) -> tuple[str, ...]:
        """What is fitted on every split: baselines, the supervised twin of a GAN, the method."""
        twin = (TWIN,) if self.method == "gan" else ()
        return (*(b for b in self.baselines if b != self.method), *twin, self.base)

    @property
    def controls(self) -> tuple[tuple[str, tuple[Refiner, ...]], ...]:
        """(step, refiners) measured beside the method's own chain: what that has to beat.

        The dense CRF beside the deep one; after a GAN the same CRF on its supervised twin.
        """
        if self.method == "deep-crf" and self.refiners[:1] == ("deep-crf",):
            return ((UNARY, ("dense-crf",)),)
        if self.method == "gan" and self.refiners[:1] == ("dense-crf",):
            return ((TWIN, ("dense-crf",)),)
        return ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClassifySettings:
        """The settings of a run.json; unknown keys are refused."""
        unknown = set(data) - {f.name for f in fields(ClassifySettings)}
        if unknown:
            raise SettingError(f"a classification run has no settings named {sorted(unknown)}.")
        try:
            nested: dict[str, Callable[[Any], Any]] = {
                "train": lambda part: TrainSettings(**_with(part, noise=SpectralNoise)),
                "gan": lambda part: GanSettings(**_with(part, noise=SpectralNoise, weights=Weights)),
                "deep": lambda part: DeepCrfSettings(**_with(part, crf=_crf_from, joint=_joint_from)),
                "deconv": lambda part: DeconvSettings(**_with(part, noise=SpectralNoise)),
            }
            return ClassifySettings(
                **{k: nested[k](v) if k in nested else _plain(v) for k, v in data.items()}
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise SettingError(
                f"the settings of a classification run cannot be read ({error}): they are those of another "
                "version of hyperseg, or were edited."
            ) from error


def _with(data: Mapping[str, Any], **types: Callable[..., Any]) -> dict[str, Any]:
    """A copy of `data` whose entries named in `types` are built from the mappings they hold."""
    return {k: types[k](**v) if k in types else _plain(v) for k, v in data.items()}


def _crf_from(**data: Any) -> DeepCRF:
    return from_json(DeepCRF, data)


def _joint_from(**data: Any) -> JointSettings:
    return JointSettings(**_with(data, noise=SpectralNoise))


def _plain(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(value) if isinstance(value, list) else value
