"""What decides the numbers of a benchmark of networks."""

from __future__ import annotations

from hyperseg.core.settings import option, settings

MINUTES = 110.0  # that a whole benchmark may take, where nobody says
USUAL_STEPS = 300  # of a training, where there is time for so many
SEEDS_OF_FOLDERS, SEEDS_OF_SCENES = 1, 5
OF_FOLDERS = {
    "folds": "--folds", "cases": "--cases", "side": "--side", "width": "--width", "batch": "--batch",
    "target": "--target", "spacing": "--spacing",
}  # fmt: skip
OF_SCENES = {"split": "--split"}


@settings
class ZooBenchSettings:
    """What decides every cell: a benchmark goes on only with the same."""

    steps: int = option(
        0, f"Steps of every network's training.  [default: as many as fit into the minutes, {USUAL_STEPS} at most]",
        low=0, high=10_000_000, shown="steps",
    )  # fmt: skip
    folds: int = option(3, "Folds of cases, each tested on by networks that learnt from the others.", low=2,
                        shown="folds")  # fmt: skip
    cases: int = option(0, "Take only so many cases of a folder, drawn by the seed, groups whole; 0 takes all.", low=0,
                        shown="cases")  # fmt: skip
    side: int = option(128, "Pixels that the longest axis of a folder's images is reduced to.", low=16, high=4096,
                       shown="side")  # fmt: skip
    width: int = option(16, "Channels of the first stage of a folder's networks, at most.", low=4, high=512,
                        shown="width")  # fmt: skip
    batch: int = option(2, "Images in a step of a folder's trainings.", low=2, high=1024, shown="batch")
    split: str = option("", "How labelled pixels of a scene are divided; by default as classify does.", shown="split")
    seed: int = option(0, "Of cases and folds; weights and batches have this seed and the following.", low=0,
                       shown="seed")  # fmt: skip
    target: tuple[str, ...] = option((), "Classes of a folder that are learnt; none are all.")
    spacing: tuple[float, ...] = option((), "Millimetres of a voxel, where files say none.")
