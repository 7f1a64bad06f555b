"""How a folder without a dataset.json is laid out: two folders, pairs, files that hold both, a folder each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperseg.core.words import counted, listed, some
from hyperseg.io.cases.case import CT, Case, Fault
from hyperseg.io.cases.case_folders import case_folders
from hyperseg.io.cases.listing import TWICE, Listing, folders_of, missing_channels, name_twice, names_twice
from hyperseg.io.cases.names import (
    LABEL_WORDS,
    OBJECTS,
    PACKED,
    by_channel,
    case_of_label,
    ending_of,
    files_in,
    plain_names,
    stem_of,
    without_word,
)

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "imagestr", "volumes", "scans")
LABEL_FOLDERS = (
    "labels", "label", "labelstr", "masks", "mask", "annotations", "annotation", "segmentations", "segmentation",
    "seg", "gt", "ground_truth", "groundtruth", "instances",
)  # fmt: skip
PREDICTED_FOLDERS = ("imagests", "images_test", "test_images")
HELD_BACK = ("test", "testing", "test_set")  # subfolders whose cases are never learnt from
IMAGE_KEYS = ("image", "images", "img", "volume", "voxel", "data", "x")
LABEL_KEYS = ("label", "labels", "mask", "masks", "seg", "segmentation", "gt", "y")


def plain_layout(root: Path) -> Listing | None:
    """The listing of a folder, or of those of its subfolders that are laid out like one; None where none is."""
    return _here(root) or _subfolders(root)


def _here(root: Path) -> Listing | None:
    return _two_folders(root) or _pairs(root) or _packed(root) or case_folders(root)


def _two_folders(root: Path) -> Listing | None:
    """Images in one folder, labels in another."""
    there = folders_of(root)
    images = next((there[name] for name in IMAGE_FOLDERS if name in there and files_in(there[name])), None)
    labels = next((there[name] for name in LABEL_FOLDERS if name in there and files_in(there[name])), None)
    if images is None or labels is None:
        return None
    found = paired(files_in(images), files_in(labels), f"folders {images.name}/ and {labels.name}/")
    if labels.name.lower() == "instances":
        found = replace(found, instances=True)
    more = [path for name in PREDICTED_FOLDERS if name in there for path in files_in(there[name])]
    if more:
        extra = paired(more, (), "")
        twice = (fault for fault in extra.faults if fault.kind == TWICE)
        found = replace(
            found, unlabelled=(*found.unlabelled, *extra.unlabelled), faults=(*found.faults, *twice)
        )  # fmt: skip
    return found


def _pairs(root: Path) -> Listing | None:
    """X.png and X_mask.png in one folder."""
    files = [path for path in files_in(root) if ending_of(path) not in PACKED]
    labels = [path for path in files if without_word(stem_of(path), LABEL_WORDS)]
    if not labels or len(labels) == len(files):
        return None
    return paired([path for path in files if path not in set(labels)], labels, "images and labels in one folder")


def _packed(root: Path) -> Listing | None:
    """Files that hold an image and its label as two arrays; in the folder or in the only folder in it that has any."""
    files = [path for path in files_in(root) if ending_of(path) in PACKED]
    if not files:
        inner = [
            folder for folder in folders_of(root).values() if any(ending_of(p) in PACKED for p in files_in(folder))
        ]
        return _packed(inner[0]) if len(inner) == 1 else None
    keys: tuple[str, str] | None = None
    for path in files:
        both = _both(path)
        if both and (shapes := [entry.shape for _, entry in both])[1] in (shapes[0], shapes[0][:-1]):
            keys = both[0][0], both[1][0]
            break
    if keys is None:
        return None
    cases = [Case(stem_of(path), (Path(f"{path}:{keys[0]}"),), Path(f"{path}:{keys[1]}")) for path in files]
    return Listing(
        "files that hold both", tuple(cases), told=(f"every file holds an image ({keys[0]}) and a label ({keys[1]})",)
    )


def _both(path: Path) -> list[tuple[str, Any]]:
    """Key and entry of the image and of the label in a file; empty where it has not both."""
    from hyperseg.io.formats import list_arrays

    try:
        arrays = {key.lower(): (key, entry) for key, entry in list_arrays(path).items() if entry is not None}
    except Exception:  # a broken file, which says nothing
        return []
    found = [next((arrays[k] for k in names if k in arrays), None) for names in (IMAGE_KEYS, LABEL_KEYS)]
    return [each for each in found if each is not None] if None not in found else []


def unlike_shapes(files: Iterable[Path]) -> str:
    """A sentence on the first file that holds an image and a label of shapes that do not fit; empty without one."""
    for path in (path for path in files if ending_of(path) in PACKED):
        if both := _both(path):
            told = " and ".join(f"{key} of {'x'.join(map(str, entry.shape))}" for key, entry in both)
            return f"{path.name} holds {told}: image and label of the same rows and columns were expected."
    return ""


def _subfolders(root: Path) -> Listing | None:
    """The folders in a folder, one listing each; those called "test" are to predict."""
    found = {path: listing for path in folders_of(root).values() if (listing := _here(path)) is not None}
    if not found:
        return None
    counts = Counter(case.name for each in found.values() for case in (*each.cases, *each.unlabelled))
    cases: list[Case] = []
    unlabelled: list[Case] = []
    for path, listing in found.items():
        held_back = path.name.lower() in HELD_BACK and len(found) > 1
        for part, mine in ((unlabelled if held_back else cases, listing.cases), (unlabelled, listing.unlabelled)):
            part += [
                case if counts[case.name] == 1 else replace(case, name=f"{path.name}_{case.name}") for case in mine
            ]
    kinds = sorted({listing.layout for listing in found.values()})
    told = [f"in {path.name}/ {', '.join(listing.told)}" for path, listing in found.items()]
    told += [f"{path.name}/ is only predicted" for path in found if path.name.lower() in HELD_BACK and len(found) > 1]
    return Listing(
        f"subfolders with {listed(kinds)}",
        tuple(sorted(cases, key=lambda case: case.name)),
        tuple(sorted(unlabelled, key=lambda case: case.name)),
        next((listing.channels for listing in found.values() if listing.channels), ()),
        tuple(told),
        any(listing.instances for listing in found.values()),
        tuple(fault for listing in found.values() for fault in listing.faults),
    )


def paired(images: Sequence[Path], labels: Iterable[Path], layout: str) -> Listing:
    """Images and labels by their names; what is left over on either side is told."""
    labels = list(labels)
    of, apart, twice = by_channel(images, labels)
    channels = tuple(sorted({channel for files in of.values() for channel in files}))
    plain = plain_names(of)
    masks: dict[str, list[tuple[int, Path]]] = {}
    faults = [*(name_twice(*both) for both in twice), *names_twice(labels)]
    for path in labels:
        match = case_of_label(path, of, plain)
        if match is None:
            faults.append(_without_image(path, of, plain))
        else:
            masks.setdefault(match[0], []).append((match[1], path))
    cases: list[Case] = []
    alone: list[Case] = []
    for name, files in sorted(of.items()):
        if absent := [channel for channel in channels if channel not in files]:
            faults.append(missing_channels(name, next(iter(files.values())), absent))
            continue
        mine = [path for _, path in sorted(masks.get(name, []))]
        images = tuple(files[channel] for channel in channels)
        case = Case(name, images, mine[0] if mine else None, also=tuple(mine[1:]))
        (cases if mine else alone).append(case)
    if cases and alone:
        faults.append(
            Fault(
                str(alone[0].images[0].parent), f"no label for {counted(len(alone), 'image')} ({_names(alone)})",
                "a label of the same name", "Add it, if it should be learnt from; it is only predicted else.",
                "remark", "image without label",
            )
        )  # fmt: skip
    told = [f"{counted(len(cases), 'image')} and labels paired by name{_how(cases)}"]
    if any(case.also for case in cases):
        told.append(f"several masks of an image ({_names([c for c in cases if c.also])}) are joined")
    if apart:
        told.append(f"channels by the ends of names ({listed(f'_{channel}' for channel in channels)})")
    objects = any(OBJECTS.search(stem_of(case.label)) for case in cases if case.label is not None)
    names = tuple(CT if channel == CT.lower() else channel for channel in channels) if apart else ()
    return Listing(layout, tuple(cases), tuple(alone), names, tuple(told), objects, tuple(faults))


def _without_image(path: Path, of: Mapping[str, dict[str, Path]], plain: Mapping[str, str]) -> Fault:
    """The fault of a label; an image whose name differs in capitals alone is named."""
    remedy = "Add the image, correct the name, or move the label away."
    small = {name.lower(): name for name in of}, {name.lower(): case.lower() for name, case in plain.items()}
    if match := case_of_label(path.with_name(path.name.lower()), *small):
        image = next(iter(of[small[0][match[0]]].values())).name
        remedy = f"Is {image} meant? The names differ in capitals alone: rename one of them."
    return Fault(
        str(path), "belongs to no image", "an image of the same name, or the name without _mask or _label", remedy,
        "error", "label without image",
    )  # fmt: skip


def _names(cases: Sequence[Case]) -> str:
    return some((case.name for case in cases), 2)


def _how(cases: Sequence[Case]) -> str:
    """An example of a pair whose names differ."""
    for case in cases:
        if case.label is not None and stem_of(case.label) != stem_of(case.images[0]):
            return f" ({case.images[0].name} with {case.label.name})"
    return ""
