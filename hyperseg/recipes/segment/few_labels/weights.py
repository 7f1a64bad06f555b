"""Weights that were learnt without labels: the plan that they belong to, and whether they have seen too much."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import from_json
from hyperseg.core.words import counted, listed, some
from hyperseg.engine.progress import say
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.resuming.files import image_prints
from hyperseg.recipes.tricks.pretraining.given_weights import file_of, spelled

SEEN = "seen_without_labels"  # key among what was found: names of held-out cases by fold


def about(file: Path) -> dict[str, Any]:
    """What a file of weights says of itself; nothing where it is of another kind.

    Raises:
        RunError: no file of weights.
    """
    from hyperseg.backbone.pretrained import read_pretrained

    return read_pretrained(file).about


def with_weights(tricks: Sequence[str], file: str | Path | None) -> tuple[str, ...]:
    """Tricks as they are spelled, with the one that begins with a file of weights where there is one.

    Raises:
        SettingError: such a trick is among them already.
    """
    if file is None:
        return tuple(tricks)
    if (other := file_of(tricks)) is not None:
        raise SettingError(f"--weights {file} and a --trick with the weights {other}: give one of them.")
    return (*tricks, spelled(str(file)))


def plan_of_weights(
    file: Path, folder: CaseFolder, networks: Sequence[str], *, quiet: bool
) -> tuple[Plan | None, Sequence[str]]:  # fmt: skip
    """The plan that weights were learnt by and the networks to train, which are theirs where none are named.

    Raises:
        RunError, SettingError: as `plan_within`.
    """
    found = plan_within(file, folder)
    if found is None:
        return None, networks
    plan, name = found
    say(f"the plan is the one that {file} was learnt by; its network is {name}", quiet=quiet)
    return plan, networks or (name,)


def plan_within(file: Path, folder: CaseFolder) -> tuple[Plan, str] | None:
    """The plan that weights were learnt by and the name of their configuration; None where the file has none.

    Raises:
        RunError: no weights, those of a scene, or a plan that cannot be read.
        SettingError: they are of other images: of other channels, axes or classes.
    """
    told = about(file)
    if told.get("kind", "folder") != "folder":
        raise RunError(f"{file}: was learnt from a {told['kind']}, for hyperseg classify; this is a folder of images.")
    if not told.get("plan"):
        return None
    try:
        plan = from_json(Plan, told["plan"], "the plan")
    except SettingError as error:
        raise RunError(
            f"{file}: the plan in it cannot be read ({error}). Learn it anew by hyperseg pretrain."
        ) from None
    for what, its, here in (
        ("channels", plan.facts.channels, folder.channels), ("classes", plan.facts.classes, folder.classes),
    ):  # fmt: skip
        if its != here:
            raise SettingError(
                f"{file}: was learnt by a plan for the {what} {listed(its)}; {folder.root} has {listed(here)}. Give "
                "--plan, a plan of this folder with the same network, or learn weights from this folder by hyperseg "
                "pretrain."
            )
    name: str = told["configuration"]
    plan.configuration(name)
    return plan, name


def seen_by(
    tricks: Iterable[str], folds: Sequence[Collection[str]], folder: CaseFolder, *, quiet: bool
) -> dict[str, list[str]]:  # fmt: skip
    """Held-out cases, by fold, whose images were learnt from without labels by the weights that a method begins with.

    Args:
        tricks: as they are spelled.
        folds: names that each fold holds out.
        folder: of the run; images are known again by what they hold, whatever they are called.
        quiet: no progress.

    Raises:
        RunError: the file of weights cannot be read.
    """
    file = file_of(tricks)
    if file is None:
        return {}
    learnt = set(about(Path(file)).get("prints", {}).values())
    if not learnt:
        return {}
    prints = image_prints(folder, folder.cases, quiet=quiet)
    names = {name for name, one in prints.items() if one in learnt}
    return {str(fold): found for fold, held in enumerate(folds) if (found := sorted(names & set(held)))}


def about_seen(seen: dict[str, list[str]], trained: Collection[int]) -> str:
    """A sentence about the folds that are trained; "" where their cases were not seen."""
    here = {fold: names for fold, names in seen.items() if int(fold) in trained}
    if not here:
        return ""
    every = sorted({name for names in here.values() for name in names})
    return (
        f"Transductive: images of {counted(len(every), 'held-out case')} ({some(every, 3)}) were seen without labels "
        "when the weights were learnt. Dice of new patients may be lower; hyperseg pretrain --fold leaves the images "
        "of a fold out."
    )
