"""What decides the numbers of a benchmark of tricks."""

from __future__ import annotations

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

MINUTES = 30.0  # of a whole benchmark, where nobody says
SEEDS_OF_FOLDERS, SEEDS_OF_SCENES = 3, 10
OF_FOLDERS = {
    "folds": "--folds", "cases": "--cases", "steps": "--steps", "target": "--target", "spacing": "--spacing",
    "plan": "--plan", "minutes": "--minutes",
}  # fmt: skip
OF_SCENES = {"split": "--split", "refine": "--refine"}


@settings
class TricksSettings:
    """What decides every cell: a benchmark goes on only with the same."""

    method: str = option(
        "", "The baseline that tricks are added to; by default plain-unet for folders, the usual method for scenes.",
        shown="method",
    )  # fmt: skip
    folds: int = option(5, "Folds of cases, each tested on by networks that learnt from the others.", low=2,
                        shown="folds")  # fmt: skip
    cases: int = option(0, "Take only so many cases of a folder, drawn by the seed, groups whole; 0 takes all.", low=0,
                        shown="cases")  # fmt: skip
    split: str = option("", "How labelled pixels of a scene are divided; by default as classify does.", shown="split")
    steps: int = option(
        0, "Steps of every training of a folder's networks, in place of --minutes; a method of scenes has its own "
        "(--set).", low=0, high=10_000_000, shown="steps",
    )  # fmt: skip
    seed: int = option(0, "Of cases and folds; weights and batches have this seed and the following.", low=0,
                       shown="seed")  # fmt: skip
    refine: tuple[str, ...] | None = option(None, "Refiners after the method of a scene; None are its own.")
    target: tuple[str, ...] = option((), "Classes of a folder that are learnt; none are all.")
    spacing: tuple[float, ...] = option((), "Millimetres of a voxel, where files say none.")
    sets: tuple[str, ...] = option((), "Other settings of the method, NAME=VALUE.")


def changes_of(sets: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE as a dict.

    Raises:
        SettingError: a word of another form.
    """
    found = {}
    for word in sets:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not (name and equals and value):
            raise SettingError(f"--set {word}: is not understood, give NAME=VALUE.")
        found[name] = value
    return found
