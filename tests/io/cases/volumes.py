"""Volumes and pictures that the tests of cases write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RAS = np.diag([1.0, 1.0, 1.0, 1.0])


def write_nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64] = RAS, *, code: int = 1) -> Path:
    """A NIfTI file; `code` 0 states no place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    nib.save(image, path)
    return path


def write_picture(path: Path, array: NDArray[Any], mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def picture(seed: int = 0, shape: tuple[int, ...] = (8, 6)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def mask(full: int = 1, shape: tuple[int, ...] = (8, 6)) -> NDArray[np.uint8]:
    """The first row (or plane) is `full`, the rest 0."""
    made = np.zeros(shape, np.uint8)
    made[0] = full
    return made


def volume(seed: int = 0, shape: tuple[int, ...] = (5, 4, 3)) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-100, 100, shape, np.int16)


def pictures(root: Path, n: int = 3, full: int = 1) -> Path:
    """images/ and labels/ with n pairs of .png."""
    for i in range(n):
        write_picture(root / "images" / f"a{i}.png", picture(i))
        write_picture(root / "labels" / f"a{i}.png", mask(full))
    return root


def volumes(root: Path, n: int = 3, affine: NDArray[np.float64] = RAS) -> Path:
    """images/ and labels/ with n pairs of .nii.gz."""
    for i in range(n):
        write_nifti(root / "images" / f"a{i}.nii.gz", volume(i), affine)
        write_nifti(root / "labels" / f"a{i}.nii.gz", mask(shape=(5, 4, 3)), affine)
    return root


def oblique(order: tuple[int, int, int] = (0, 1, 2), signs: tuple[int, int, int] = (1, 1, 1)) -> NDArray[np.float64]:
    """An affine with axes of 0.5, 1 and 3 mm, permuted, flipped, and turned by some degrees about two axes."""
    a, b = np.deg2rad((12.0, -9.0))
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    plain = np.zeros((3, 3))
    for axis, (body, sign, size) in enumerate(zip(order, signs, (0.5, 1.0, 3.0), strict=True)):
        plain[body, axis] = sign * size
    made = np.eye(4)
    made[:3, :3] = about_z @ about_x @ plain
    made[:3, 3] = (-20.0, 31.0, 7.0)
    return made
