"""What is wrong with a data set, found in one pass over its files before any training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hyperseg.core.words import counted, listed, some
from hyperseg.io.cases.case import CT, CaseFolder, Fault
from hyperseg.io.cases.classes.codes import FULL, MOST_CLASSES, too_many, two_spellings, with_codes
from hyperseg.io.cases.decode import in_colours
from hyperseg.io.cases.look import Look, look_at
from hyperseg.io.cases.names import VOLUMES
from hyperseg.io.cases.nifti import nibabel_for
from hyperseg.io.cases.open import Progress

AIR_HU = range(-3100, -899)  # the lowest value of a tomogram: air, or what stands outside of the tube
AXES = ("depth", "rows", "columns")
ALIKE = 0.01  # spacings that differ by less are the same


@dataclass(frozen=True)
class Survey:
    """A data set as it was found.

    Attributes:
        folder: with the classes that its labels hold.
        faults: errors first.
        voxels: of each class in the labelled cases.
        sizes, spacings: of each readable case to learn from, as (depth, rows, columns), whatever its file's axes are.
    """

    folder: CaseFolder
    faults: tuple[Fault, ...]
    voxels: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]
    spacings: tuple[tuple[float, ...], ...]

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity == "error")

    def to_json(self) -> dict[str, Any]:
        """Everything that is told, for a file."""
        folder, held_back = self.folder, sum(case.label is not None for case in self.folder.unlabelled)
        groups, axes = len({case.group for case in folder.cases}), AXES[-len(self.sizes[0]) :] if self.sizes else ()
        return {
            "folder": str(folder.root), "layout": folder.layout, "rule": folder.rule, "cases": len(folder.cases),
            "unlabelled": len(folder.unlabelled), "held_back": held_back, "groups": groups, "axes": axes,
            "channels": list(folder.channels), "classes": list(folder.classes), "codes": list(folder.codes),
            "voxels": list(self.voxels), "sizes": sorted(set(self.sizes)), "spacings_mm": sorted(set(self.spacings)),
            "errors": len(self.errors), "remarks": len(self.faults) - len(self.errors), "faults": list(self.faults),
        }  # fmt: skip


def check_cases(folder: CaseFolder, *, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a data set, see `survey`."""
    return list(survey(folder, progress=progress).faults)


def survey(folder: CaseFolder, *, progress: Progress | None = None) -> Survey:
    """Look at every file of a folder once, one case in memory at a time.

    Args:
        folder: of `list_cases` or `open_cases`.
        progress: told how many cases of how many are done.

    Raises:
        DataFileError: there are NIfTI files, and nibabel is not installed.
    """
    seen: list[Look] = []
    every = (*folder.cases, *folder.unlabelled)
    for path in (path for case in every for path in case.images if path.name.lower().endswith(VOLUMES)):
        with nibabel_for(path):  # without it every file would be called faulty
            break
    for done, case in enumerate(every, start=1):
        seen.append(look_at(case, folder))
        if progress is not None:
            progress(done, len(every))
    learnt = seen[: len(folder.cases)]
    if not folder.stated and not folder.instances:
        folder = with_codes(folder, [set(look.voxels) for look in learnt])
    voxels: Counter[int | None] = Counter()
    for look in learnt:
        for code, n in look.voxels.items():
            voxels[_class_of(folder, code)] += n
    faults = [*folder.faults, *(fault for look in seen for fault in look.faults)]
    for find in (_of_numbers, _of_classes, _of_mixture):
        faults += find(folder, learnt)
    faults += _of_held_back(folder, seen[len(folder.cases) :])
    faults += _of_duplicates(folder, seen)
    readable = [look for look in learnt if look.shape is not None]
    return Survey(
        folder,
        tuple(sorted(faults, key=lambda fault: fault.severity != "error")),
        tuple(voxels[k] for k in range(len(folder.codes))),
        tuple(look.shape for look in readable if look.shape is not None),
        tuple(look.spacing for look in readable if look.spacing is not None),
    )


def _class_of(folder: CaseFolder, code: int) -> int | None:
    """The class that a code means, None where it means none."""
    return min(code, 1) if folder.instances else folder.class_of.get(code)


def _of_numbers(folder: CaseFolder, learnt: Sequence[Look]) -> Iterator[Fault]:
    groups = {case.group for case in folder.cases}
    place = str(folder.root)
    if not learnt:
        yield Fault(place, "no image has a label", "two labelled cases at least",
                    "Add labels, see `hyperseg segment --help` for their names.", "error", "no labels")  # fmt: skip
    elif len(groups) < 2:
        found = "one labelled case only" if len(learnt) == 1 else f"{counted(len(learnt), 'case')} of one group only"
        yield Fault(place, found, "two groups at least, one to learn from and one to test on",
                    "Label more, or cut the image in two.", "error", "one case")  # fmt: skip


def _of_classes(folder: CaseFolder, learnt: Sequence[Look]) -> Iterator[Fault]:
    """Classes that no case has, that one group has, and codes that are no classes 0 to K-1."""
    place = str(folder.root)
    readable = [look for look in learnt if look.voxels]
    if not readable:
        return
    where: dict[int | None, set[str]] = defaultdict(set)
    for look in readable:
        for code in look.voxels:
            where[_class_of(folder, code)].add(look.case.group)
    called = (name if name.startswith("class ") else f"class {name}" for name in folder.classes)
    for k, (name, code) in enumerate(zip(called, folder.codes, strict=True)):
        if not where[k]:
            yield Fault(place, f"no label holds {name} (code {code})", "every class in several cases",
                        "Add cases with it, or take it out of dataset.json.", "error", "absent class")  # fmt: skip
        elif len(where[k]) == 1 and len(folder.cases) > 1:
            yield Fault(place, f"only {next(iter(where[k]))} holds {name} (code {code})",
                        "every class in several groups", "Label more of it: it cannot be learnt and tested.",
                        "remark", "rare class")  # fmt: skip
    if folder.instances:
        return
    if len(folder.codes) > MOST_CLASSES and not folder.stated:
        file = max(readable, key=lambda look: len(look.voxels)).case.label
        assert file is not None
        found, _, remedy = too_many(file, len(folder.codes)).removeprefix(f"{file}: ").partition(". ")
        yield Fault(str(file), found, "class numbers", remedy, "error", "no classes")
        return
    if len(folder.codes) == 1:
        yield Fault(place, f"all labels are {folder.codes[0]} everywhere", "two classes at least",
                    "Look at the labels.", "error", "one class")  # fmt: skip
    if not folder.stated and two_spellings([set(look.voxels) for look in readable]):
        files = [str(look.case.label) for look in readable if FULL in look.voxels]
        yield Fault(files[0], f"{counted(len(files), 'label')} with 255 for the foreground, the others with 1",
                    "one number", "Nothing, if both mean the same; they are read so.", "remark",
                    "two codes")  # fmt: skip
    if not folder.stated and FULL in folder.codes and len(folder.codes) > 2:
        yield Fault(place, "255 stands beside other codes; it is a class of its own here", "255 for a class",
                    'Where it means "no label", name it in dataset.json: "ignore": 255.', "remark",
                    "code 255")  # fmt: skip
    if folder.codes != tuple(range(len(folder.codes))):
        yield Fault(place, f"codes of labels are {listed(map(str, folder.codes), most=8)}",
                    f"0 to {len(folder.codes) - 1}", "Nothing: they are translated, and predictions have them again.",
                    "remark", "codes")  # fmt: skip


def _of_mixture(folder: CaseFolder, learnt: Sequence[Look]) -> Iterator[Fault]:
    """Images of several kinds in one folder."""
    place = str(folder.root)
    looks = [look for look in learnt if look.shape is not None]
    kinds = Counter(len(look.shape or ()) for look in looks)
    if len(kinds) > 1:
        few = kinds.most_common()[-1][0]
        odd = next(look for look in looks if len(look.shape or ()) == few)
        yield Fault(str(odd.case.images[0]), f"has {few} axes", f"{kinds.most_common()[0][0]}, as most here",
                    "Images and volumes do not mix: put them in two folders.", "error", "mixed axes")  # fmt: skip
    turns = Counter(look.orientation for look in looks if look.orientation)
    if len(turns) > 1:
        told = listed(f"{name} in {n}" for name, n in turns.most_common())
        yield Fault(place, f"orientations {told}", "one", "Nothing: all are turned to RAS, and predictions back.",
                    "remark", "orientations")  # fmt: skip
    spacings = [look.spacing for look in looks if look.spacing is not None]
    for axis in range(len(spacings[0]) if len({len(each) for each in spacings}) == 1 else 0):
        low, high = (find(each[axis] for each in spacings) for find in (min, max))
        if high > low * (1 + ALIKE):
            which = AXES[axis - len(spacings[0])]
            yield Fault(place, f"spacing of {which} is {low:.4g} to {high:.4g} mm", "one spacing",
                        "Nothing: images are resampled.", "remark", "spacings")  # fmt: skip
    air = sum(look.lowest in AIR_HU for look in looks)
    if air > 0.9 * len(looks) > 0 and CT not in folder.channels:
        yield Fault(place, f"{air} of {len(looks)} volumes have values below {AIR_HU[-1]}, as tomograms do",
                    f'a channel called "{CT}", if they are',
                    "Say so in a dataset.json: values keep their meaning then.", "remark", "modality")  # fmt: skip
    depth = Counter(look.channels for look in looks)
    if set(depth) == {1, 3} and all(in_colours(look.case.images[0], len(look.shape or ())) for look in looks):
        yield Fault(place, f"{depth[1]} grey and {depth[3]} in colours, of all images", "one kind",
                    "Nothing: grey is read as three equal channels.", "remark", "grey and colours")  # fmt: skip


def _of_held_back(folder: CaseFolder, others: Sequence[Look]) -> Iterator[Fault]:
    """Labels that are for scores alone, with classes that nothing is learnt of."""
    for look in others:
        new = set(look.voxels) - folder.class_of.keys()
        if new and not folder.instances and not folder.stated:
            yield Fault(str(look.case.label), f"holds the code {listed(map(str, sorted(new)), most=4)}",
                        f"the codes of the other labels ({listed(map(str, folder.codes), most=8)})",
                        "Correct the label.", "error", "unknown class")  # fmt: skip


def _of_duplicates(folder: CaseFolder, seen: Sequence[Look]) -> Iterator[Fault]:
    """The same image twice: an error where labels differ, a leak where one is learnt from and the other tested on."""
    twins: dict[str, list[Look]] = defaultdict(list)
    for look in seen:
        if look.pixels:
            twins[look.pixels].append(look)
    for first, *more in (looks for looks in twins.values() if len(looks) > 1):
        file = str(first.case.images[0])
        names = some((str(look.case.images[0]) for look in more), 2)
        labels = {look.label for look in (first, *more) if look.label}
        if len(labels) > 1:
            yield Fault(file, f"is the same image as {names}, with another label", "one label for an image",
                        "Keep the right one.", "error", "duplicate")  # fmt: skip
        elif len({look.case.group for look in (first, *more)}) > 1:
            yield Fault(file, f"is the same image as {names}", "images that differ",
                        "Leave one out, or give both one group in groups.csv: scores are too good else.", "remark",
                        "duplicate")  # fmt: skip
