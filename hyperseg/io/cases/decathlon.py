"""Folders with a dataset.json: the Medical Segmentation Decathlon's, and nnU-Net's raw data of its second version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hyperseg.core import DataFileError
from hyperseg.core.words import clean_name, counted, listed, some
from hyperseg.io.cases.beside.table import in_capitals
from hyperseg.io.cases.case import Case, CaseFolder, Fault
from hyperseg.io.cases.listing import missing_channels, name_twice, names_twice
from hyperseg.io.cases.names import ending_of, files_in, stem_of

FILE = "dataset.json"
CHANNELS = ("channel_names", "modality")
IGNORE = "ignore"  # the name of what carries no label


def described(root: Path) -> CaseFolder:
    """The data set that a dataset.json describes; cases have no groups yet.

    `training` (and `test`) lists files by name in the Decathlon's way, with "image" and "label"; without it files of
    imagesTr are NAME_0000.ext for channel 0, labels NAME.ext in labelsTr. Classes are {"1": "liver"} or {"liver": 1}.

    Raises:
        DataFileError: no JSON, or without channels or classes.
    """
    file = root / FILE
    about = _read(file)
    channels = _channels(file, about)
    classes, codes, ignore = _classes(file, about)
    faults: list[Fault] = []
    training = about.get("training")
    listed_files = isinstance(training, list) and any(
        isinstance(each, Mapping) and "image" in each for each in training
    )
    named = isinstance(about.get("dataset"), Mapping)
    if listed_files or named:
        entries = _named(about["dataset"]) if named else list(training or ())
        cases = [_listed(root, entry, len(channels), faults) for entry in entries]
        rule = f"{FILE} names {counted(len(cases), 'image')} with labels"
        test = about.get("test") or ()
        alone = [_listed(root, entry, len(channels), faults) for entry in test]
        faults += _not_named(root, cases, file)
    else:
        cases = _numbered(root, "imagesTr", "labelsTr", len(channels), faults)
        alone = []
        rule = f"names in imagesTr with _0000 for a channel, and without it in labelsTr ({counted(len(cases), 'case')})"
    if not alone and (root / "imagesTs").is_dir():
        alone = _numbered(root, "imagesTs", "labelsTs", len(channels), faults, labelled=False)
    found = sorted((case for case in cases if case is not None), key=lambda case: case.name)
    return CaseFolder(
        root, f"{FILE} with imagesTr/ and labelsTr/", tuple(found),
        tuple(sorted((case for case in alone if case is not None), key=lambda case: case.name)),
        channels, classes, codes, rule, ignore, stated=True, faults=tuple(faults),
    )  # fmt: skip


def _read(file: Path) -> Mapping[str, Any]:
    try:
        about = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataFileError(f"{file}: is no JSON ({error}). Correct it, or remove it: folders pair by name.") from error
    if not isinstance(about, Mapping):
        raise DataFileError(f"{file}: holds no object; {{'labels': ..., 'training': ...}} was expected.")
    return about


def _channels(file: Path, about: Mapping[str, Any]) -> tuple[str, ...]:
    names = next((about[key] for key in CHANNELS if key in about), None)
    if isinstance(names, Mapping) and names and all(str(key).isdigit() for key in names):
        return tuple(clean_name(names[key]) for key in sorted(names, key=int))
    raise DataFileError(
        f'{file}: does not name the channels of images; expected "modality" or "channel_names", for example '
        '{"0": "MRI"} or {"0": "CT"}.'
    )


def _classes(file: Path, about: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...], int | None]:
    """Names in the order of their codes, the codes, and that of what carries no label."""
    labels = about.get("labels")
    if not isinstance(labels, Mapping) or len(labels) < 2:
        raise DataFileError(
            f'{file}: does not name the classes; expected "labels", as {{"0": "background", "1": "x"}}.'
        )
    of: dict[int, str] = {}
    for key, value in labels.items():
        code, name = (key, value) if str(key).isdigit() and not isinstance(value, int) else (value, key)
        if isinstance(code, Sequence) and not isinstance(code, str):
            raise DataFileError(
                f"{file}: the class {name} is a region of several codes ({listed(map(str, code))}); a code for every "
                "class was expected. Give each its own number, and join regions after the prediction."
            )
        if not str(code).isdigit() or int(code) in of:
            raise DataFileError(
                f"{file}: the code {code} of {name} is no whole number, or stands for another class too."
            )
        of[int(code)] = clean_name(name)
    ignore = next((code for code, name in of.items() if name.lower() == IGNORE), None)
    codes = tuple(sorted(code for code in of if code != ignore))
    return tuple(of[code] for code in codes), codes, ignore


def _named(entries: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of "dataset": {name: {"images": [...], "label": ...}}, with their names."""
    return [{"name": name, **entry} for name, entry in entries.items() if isinstance(entry, Mapping)]


def _listed(root: Path, entry: Any, channels: int, faults: list[Fault]) -> Case | None:
    """A case whose files are named; None, and a fault, where one is not there."""
    if isinstance(entry, str):
        entry = {"image": entry}
    images = entry.get("images", entry.get("image")) if isinstance(entry, Mapping) else None
    names = [images] if isinstance(images, str) else images
    label = entry.get("label") if isinstance(entry, Mapping) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in (*names, label or "")):
        faults.append(
            Fault(str(root / FILE), f"an entry names no image ({str(entry)[:60]})", '{"image": FILE, "label": FILE}',
                  "Correct the entry.", "error", "dataset.json")
        )  # fmt: skip
        return None
    files = [_place(root, name) for name in (*names, *([label] if label else []))]
    if len(names) == 1 and not files[0].exists() and (several := _channel_files(files[0], channels)):
        files[:1] = several
    gone = [path for path in files if not path.exists()]
    if gone:
        faults.append(
            Fault(
                str(gone[0]), f"is not there; {FILE} names it", "every file that is named",
                f"Copy it, or take the case out of {FILE}.", "error", "missing file",
            )
        )  # fmt: skip
        return None
    count = len(files) - bool(label)
    name = str(entry.get("name") or stem_of(_place(root, names[0])))
    return Case(clean_name(name, None), tuple(files[:count]), files[count] if label else None)


def _place(root: Path, name: str) -> Path:
    """Where a name (./imagesTr/x.nii.gz) is; those of other machines are looked for by their last two parts."""
    path = root / PurePosixPath(name.replace("\\", "/"))
    return path if path.exists() else root.joinpath(*PurePosixPath(name.replace("\\", "/")).parts[-2:])


def _channel_files(path: Path, channels: int) -> list[Path]:
    """NAME_0000.ext and so on, where NAME.ext is named but files of channels are there."""
    found = [path.with_name(f"{stem_of(path)}_{n:04d}{ending_of(path)}") for n in range(channels)]
    return found if all(file.exists() for file in found) else []


def _numbered(
    root: Path, images: str, labels: str, channels: int, faults: list[Fault], *, labelled: bool = True
) -> list[Case | None]:
    """Cases of NAME_0000.ext, one file per channel, and NAME.ext; images of one file without a number are taken too."""
    files = files_in(root / images) if (root / images).is_dir() else []
    label_files = files_in(root / labels) if (root / labels).is_dir() else []
    faults += names_twice(label_files)
    masks = {stem_of(path): path for path in label_files}
    of: dict[str, dict[str, Path]] = {}
    for path in files:
        name, mark, number = stem_of(path).rpartition("_")
        if not (mark and len(number) == 4 and number.isdigit()):
            name, number = stem_of(path), "0000"
        if (first := of.setdefault(name, {}).setdefault(number, path)) is not path:
            faults.append(name_twice(path, first))
    found: list[Case | None] = []
    for name, parts in sorted(of.items()):
        absent = [f"{n:04d}" for n in range(channels) if f"{n:04d}" not in parts]
        whole = len(parts) == 1 and next(iter(parts)) == "0000"  # one file may hold all
        if absent and not (whole and stem_of(parts["0000"]) == name):
            faults.append(missing_channels(name, next(iter(parts.values())), absent))
        elif labelled and name not in masks:
            faults.append(
                Fault(
                    str(parts[min(parts)]), f"{name} has no label in {labels}",
                    f"{labels}/{name}{ending_of(parts[min(parts)])}",
                    "Add the label, or move the image to imagesTs.", "error", "image without label",
                )
            )  # fmt: skip
        else:
            found.append(Case(name, tuple(parts[number] for number in sorted(parts)), masks.get(name)))
    if labelled:
        faults += [_without_image(path, of) for name, path in masks.items() if name not in of]
    return found


def _not_named(root: Path, cases: Sequence[Case | None], file: Path) -> list[Fault]:
    """Images that lie in imagesTr and that dataset.json does not name."""
    known = {path.resolve() for case in cases if case is not None for path in case.images}
    folder = root / "imagesTr"
    rest = [path for path in (files_in(folder) if folder.is_dir() else []) if path.resolve() not in known]
    if not rest:
        return []
    names = some((path.name for path in rest), 2)
    return [
        Fault(
            str(folder), f"{counted(len(rest), 'image')} ({names}) stand in no entry of {file.name}", "an entry each",
            "Add them, if they should be learnt from; they are left out else.", "remark", "not named",
        )
    ]  # fmt: skip


def _without_image(path: Path, names: Iterable[str]) -> Fault:
    remedy = "Add the image, correct the name, or move the label away."
    if own := in_capitals(stem_of(path), names):
        remedy = f"Is the image {own} meant? The names differ in capitals alone: rename one of them."
    return Fault(
        str(path), "belongs to no image", f"imagesTr/{stem_of(path)}_0000{ending_of(path)}", remedy, "error",
        "label without image",
    )  # fmt: skip
