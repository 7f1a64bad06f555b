"""`ScenePlan`: the U-Net of a scene and how it is trained, decided before training; a pure function of `SceneFacts`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hyperseg.backbone.spec import BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.data.facts import SceneFacts

STEP, SMALLEST, LARGEST = 8, 9, 33  # sides of windows: 9, 17, 25, 33
PARCELS_WIDE = 1.0  # parcels that a window is as wide as
COARSEST = 4  # pixels a side of the coarsest map has at least
QUIET = 0.4  # share of a band's spread that noise may be, or bands are averaged
FEWEST_GROUPS = 8  # that bands are averaged to at most
MAPS_A_CLASS, NARROWEST, WIDEST = 4, 32, 64
STEP_PX, FEWEST, MOST = 9_216, 16, 64  # pixels of a step, and windows
EPOCHS, FEWEST_STEPS, MOST_STEPS = 10, 200, 3_000


@dataclass(frozen=True)
class Given:
    """What the user, or the method for them, decided; 0 is left to the plan.

    Attributes:
        window, groups, width, depth, batch, steps: as in `ScenePlan`.
        usual: which of these are the method's own.
    """

    window: int = 0
    groups: int = 0
    width: int = 0
    depth: int = 0
    batch: int = 0
    steps: int = 0
    usual: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the choices that are the user's."""
        return tuple(name for name, value in vars(self).items() if value and name not in ("usual", *self.usual))


@dataclass(frozen=True)
class ScenePlan:
    """How a scene is learnt. JSON by `hyperseg.core.settings.to_json` and `from_json`.

    Attributes:
        facts: what it follows from.
        window: side of the windows that are trained on, in pixels, odd.
        groups: neighbouring bands that are averaged before anything else; 1 leaves them as they are.
        width: feature maps of the finest stage.
        depth: stages; each but the first halves the maps.
        batch: windows in a step.
        steps: of the training.
        backbone: the U-Net that follows, on features of single pixels.
        given: what the user decided.
    """

    facts: SceneFacts
    window: int
    groups: int
    width: int
    depth: int
    batch: int
    steps: int
    backbone: BackboneSpec
    given: Given = Given()


def plan_scene(facts: SceneFacts, given: Given | None = None) -> ScenePlan:
    """Plan the U-Net of a scene; what follows from a choice follows from the user's, where there is one.

    The rules are ours, in nnU-Net's spirit: what a training has to fit (the parcels, the noise, the labels) decides.
    Their numbers were chosen on other splits than those that are reported (docs/benchmarks.md).

    Raises:
        SettingError: an even window, or one that so many stages do not fit in.
    """
    given = given or Given()
    window = given.window or window_of(facts)
    depth = given.depth or depth_of(window)
    if window % 2 == 0:
        raise SettingError(f"window is an odd number of pixels, a pixel and what is around it, got {window}.")
    if window < 2 ** (depth - 1):
        raise SettingError(
            f"a window of {window} pixels cannot be halved {depth - 1} times: give fewer stages (depth)."
        )
    width = given.width or width_of(facts)
    batch = given.batch or batch_of(window)
    return ScenePlan(
        facts, window, min(given.groups or groups_of(facts.noise, facts.bands), facts.bands), width, depth, batch,
        given.steps or steps_of(facts, batch), backbone_of(width, depth), given,
    )  # fmt: skip


def window_of(facts: SceneFacts) -> int:
    """As wide as a parcel, no larger than the scene."""
    most = min(LARGEST, 2 * min(facts.rows, facts.columns) - 1)
    wanted = SMALLEST + STEP * round((PARCELS_WIDE * facts.parcel_px - SMALLEST) / STEP)
    return max(min(wanted, most), min(SMALLEST, most | 1))


def depth_of(window: int) -> int:
    """As many stages as leave maps of `COARSEST` pixels a side or more, as nnU-Net's do."""
    depth = 1
    while ceil(window / 2**depth) >= COARSEST:
        depth += 1
    return depth


def groups_of(noise: float, bands: int) -> int:
    """Bands whose mean has a noise of `QUIET` of the spread: noise falls with the root of their number."""
    wanted = ceil((noise / QUIET) ** 2) if noise > QUIET else 1
    return max(min(wanted, bands // FEWEST_GROUPS), 1)


def width_of(facts: SceneFacts) -> int:
    """The smallest power of two with `MAPS_A_CLASS` feature maps for each class, within bounds."""
    width = NARROWEST
    while width < min(MAPS_A_CLASS * facts.classes, WIDEST):
        width *= 2
    return width


def batch_of(window: int) -> int:
    """Windows that have `STEP_PX` pixels together; a step has to see many places, so never few."""
    return max(FEWEST, min(MOST, round(STEP_PX / window**2)))


def steps_of(facts: SceneFacts, batch: int) -> int:
    """`EPOCHS` passes over the training pixels, but neither few nor endless."""
    return max(FEWEST_STEPS, min(EPOCHS * ceil(facts.labels / batch), MOST_STEPS))


def backbone_of(width: int, depth: int) -> BackboneSpec:
    """One residual block a stage down and one up; with batch norms, which can be centred on a scene."""
    strides = (1, *(2,) * (depth - 1))
    return BackboneSpec(width, (width,) * depth, strides, (3,) * depth, (1,) * depth, ConvSpec(2, residual=True))
