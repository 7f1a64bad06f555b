"""`write_nodules`: a folder of volumes with boxes to try a detector on; `real_pieces`: what is pasted."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.files import make_folder, new_folder
from hyperseg.core.words import counted
from hyperseg.io.cases.nifti import nibabel_for
from hyperseg.io.detections.table import Found, write_boxes
from hyperseg.io.formats.array import reading
from hyperseg.io.write.files import replacing, write_text, writing
from hyperseg.simulated.nodules import Difficulty, one_by_one
from hyperseg.simulated.pasted import Real

STEP = 100.0  # of a drawn volume: file values for one standard deviation of the texture
MM = 1.0  # of a voxel: what files say, though nothing here has a length
PACKING = 1  # gzip's level: noise packs badly at any
CROPS, BACKGROUNDS = "nodules32_trainval.npz", "full100"
IMAGES, LABELLED, EVERY, GROUPS = "images", "boxes.csv", "truth.csv", "groups.csv"
SHARE = 3  # of the volumes one in so many has boxes, where nothing else is asked for


@dataclass(frozen=True)
class Written:
    """What a folder holds now.

    Attributes:
        root: the folder.
        volumes, labelled: how many volumes, and of how many boxes.csv tells the boxes.
        objects: in labelled volumes, and in all.
        ending: of the volumes' files.
        groups: real backgrounds that volumes are windows of; 0 where volumes are drawn.
    """

    root: Path
    volumes: int
    labelled: int
    objects: tuple[int, int]
    ending: str
    groups: int = 0


def write_nodules(
    folder: str | Path, n: int = 60, *, labelled: int | None = None, side: int = 64, seed: int = 0,
    real: Real | None = None, difficulty: Difficulty | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:  # fmt: skip
    """Write `n` volumes into folder/images, the boxes of `labelled` of them into boxes.csv, and all into truth.csv.

    Volumes are NIfTI files where nibabel is installed, else .npy with a spacing.csv. The labelled ones are the first,
    but one of them at least holds an object if any volume does. Volumes of real pieces have a groups.csv, from which
    `hyperseg detect train` knows which ones share a background. The folder is there once all of it is written.

    Args:
        folder: to be made; nothing is there.
        n, labelled: how many volumes, and how many of them have boxes; a third by default.
        side: voxels along each of the three axes.
        seed: same seed, same bytes.
        real, difficulty: as of `nodules`.
        progress: told how many volumes of how many are written.

    Raises:
        SettingError: numbers that do not fit, see also `nodules`.
        DataFileError: the folder is there, or cannot be written.
    """
    root = Path(folder)
    labelled = max(1, n // SHARE) if labelled is None else labelled
    if n < 1:
        raise SettingError(f"{counted(n, 'volume')} were asked for; 1 or more were expected.")
    if not 1 <= labelled <= n:
        raise SettingError(f"{labelled} labelled volumes of {n} were asked for; 1 to {n} were expected.")
    drawn = one_by_one(n, shape=(side,) * 3, seed=seed, real=real, difficulty=difficulty)
    if root.exists():
        raise DataFileError(f"{root}: is there already; made-up nodules are written into a new folder. Choose another.")
    make_folder(root.parent)
    ending = ".nii.gz" if _has_nibabel(root) else ".npy"
    affine = np.diag([MM, MM, MM, 1.0])
    true: list[Found] = []
    groups: dict[str, str] = {}
    with writing(root), new_folder(root) as begun:
        make_folder(begun / IMAGES)
        for k, (volume, boxes, group) in enumerate(drawn):
            name = f"scan_{k + 1:03}"
            values = np.rint(volume * (STEP if real is None else 1.0)).astype(np.int16)
            _write(begun / IMAGES / f"{name}{ending}", values, affine)
            true.append(Found(name, boxes, None, (MM,) * 3, affine if ending == ".nii.gz" else None))
            groups |= {name: group} if group else {}
            if progress is not None:
                progress(k + 1, n)
        known = true[:labelled]
        if not any(len(each.boxes) for each in known):
            known = [*known[:-1], next((each for each in true if len(each.boxes)), known[-1])]
        write_boxes(begun / LABELLED, known)
        write_boxes(begun / EVERY, true)
        if groups:
            write_text(begun / GROUPS, "".join(f"{name},{group}\n" for name, group in groups.items()))
        if ending == ".npy":
            write_text(begun / "spacing.csv", f"*,{MM:g},{MM:g},{MM:g}\n")
    objects = (sum(len(each.boxes) for each in known), sum(len(each.boxes) for each in true))
    return Written(root, n, labelled, objects, ending, len(set(groups.values())))


def real_pieces(folder: Path) -> Real:
    """Crops with masks, and backgrounds with theirs, from a folder that holds nodules32_trainval.npz and full100/.

    The crops' file has `voxel` (N, s, s, s), `seg` of the same shape or with bits packed along the last axis, and
    `name`; each background is an .npz with `voxel` and `seg`. A crop that is called like a background was cut out of it
    and is left out.

    Raises:
        DataFileError: a file is missing, unreadable or of another build.
    """
    crops, rest = folder / CROPS, sorted((folder / BACKGROUNDS).glob("*.npz"))
    if not crops.is_file() or not rest:
        raise DataFileError(
            f"{folder}: a file {CROPS} and volumes {BACKGROUNDS}/*.npz were expected; "
            f"{counted(len(rest), 'such volume')} and {'the' if crops.is_file() else 'no'} file are there."
        )
    images, masks, names = _opened(crops)
    behind = [_opened(path)[:2] for path in rest]
    stems = {path.stem for path in rest}
    kept = [k for k in range(len(images)) if not names or names[k] not in stems]
    return Real(
        tuple(images[k] for k in kept), tuple(masks[k] for k in kept), tuple(image for image, _ in behind),
        tuple(mask for _, mask in behind), tuple(path.stem for path in rest),
    )  # fmt: skip


def _opened(path: Path) -> tuple[NDArray[Any], NDArray[np.bool_], list[str]]:
    """`voxel`, `seg` as one byte for each voxel, and `name`, of a file."""
    with reading(path, "an .npz with voxel and seg"), np.load(path, allow_pickle=False) as opened:
        image, mask = opened["voxel"], opened["seg"]
        names = [str(name) for name in opened["name"]] if "name" in opened.files else []
    if mask.shape != image.shape and mask.dtype == np.uint8 and mask.shape[-1] * 8 >= image.shape[-1]:
        mask = np.unpackbits(mask, axis=-1)[..., : image.shape[-1]]
    if mask.shape != image.shape:
        raise DataFileError(f"{path}: voxel has the shape {image.shape}, seg {mask.shape}; equal ones were expected.")
    return image, mask.astype(bool), names


def _has_nibabel(root: Path) -> bool:
    try:
        with nibabel_for(root):
            return True
    except DataFileError:
        return False


def _write(path: Path, values: NDArray[np.int16], affine: NDArray[np.float64]) -> None:
    with replacing(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as file:
                np.save(file, values)
            return
        with nibabel_for(path) as nibabel:
            image = nibabel.Nifti1Image(values, affine)
        image.header.set_xyzt_units("mm", "sec")
        temporary.write_bytes(gzip.compress(image.to_bytes(), PACKING, mtime=0))
