"""`write_toy_volumes`: invented scans of invented patients as NIfTI files, with the truth; nothing here is anatomy.

Shapes are functions of the place in millimetres, so one patient can be scanned with any spacing, and what is inside is
known exactly. All numbers are ours, chosen so that a small network learns something in seconds and still errs.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.io.cases.nifti import nibabel_for
from hyperseg.io.write import replacing, write_json

Floats = NDArray[np.float64]
Layout = Literal["folders", "decathlon"]
CLASSES = ("background", "large organ", "small organ")
BODY_MM = (26.0, 21.0, 27.0)  # semi-axes: right, front, up
ORGANS = (  # centre and semi-axes in mm: the large one to the right, the small one to the left and behind
    ((10.0, 3.0, 2.0), (11.0, 9.5, 11.0)),
    ((-12.0, -5.0, -3.0), (7.5, 7.0, 9.0)),
)
DECOYS = ((-9.0, 8.0, 9.0), (5.0, -10.0, -13.0))  # balls of no class that are as bright as the organs
DECOY_MM = 3.2
AIR, TISSUE, BRIGHT = 8.0, 100.0, (145.0, 65.0)  # of the large and the small organ
ROUGH, WAVES, WAVE_MM = 0.14, 6, 16.0  # of an organ's surface: height as a share of its radius, how many, how long
SIZES = 0.08  # standard deviation of the logarithm of every semi-axis
PLACES_MM = 1.2  # of an organ's centre
POSE_MM, GROWTH = 2.0, (1.02, 1.10)  # between two visits
IN_PLANE_MM, SLICE_MM = (1.3, 1.8), (2.2, 3.4)
EDGE_MM = 3.0  # of air around the body
BLUR_PX = 0.5  # for voxels that lie in two things
BIAS, BIAS_MM = 0.12, 70.0  # of the logarithm of the coil's field, and how long its waves are
GAIN, NOISE = 0.2, 9.0  # of the logarithm of a scan's unit; and, in that of TISSUE, of every voxel


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random function of the place, with mean 0 and variance 1 over space.

    Attributes:
        turns: (n, 3) of each wave per mm.
        phases: (n,) in radians.
    """

    turns: Floats
    phases: Floats

    def __call__(self, points: Floats) -> Floats:
        """Values (*S) at points (*S, 3) in mm."""
        return np.sqrt(2 / len(self.phases)) * np.cos(2 * np.pi * points @ self.turns.T + self.phases).sum(-1)


@dataclass(frozen=True, eq=False)
class Blob:
    """An ellipsoid with a rough surface.

    Attributes:
        centre, axes: (3,) mm; semi-axes.
        rough: height of the waves as a share of the radius; 0 is an ellipsoid.
    """

    centre: Floats
    axes: Floats
    waves: Waves
    rough: float = 0.0

    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """Whether points (*S, 3) in mm lie inside."""
        radius = np.sqrt((((points - self.centre) / self.axes) ** 2).sum(-1))
        return radius + self.rough * self.waves(points) < 1


@dataclass(frozen=True)
class Patient:
    """Blobs in mm from the middle of the body: right, front, up."""

    body: Blob
    organs: tuple[Blob, ...]
    decoys: tuple[Blob, ...]


@dataclass(frozen=True, eq=False)
class Scan:
    """A volume in the order of a NIfTI file's axes.

    Attributes:
        image: (X, Y, Z) int16.
        labels: (X, Y, Z) uint8, as in `CLASSES`.
        affine: (4, 4) from voxels to mm; the first axis runs to the left, as in most scanners' files.
    """

    image: NDArray[np.int16]
    labels: NDArray[np.uint8]
    affine: Floats


def write_toy_volumes(
    folder: str | Path, n: int = 8, *, seed: int = 0, layout: Layout = "folders", first: int = 1
) -> Path:
    """Write `n` scans with labels; every other patient comes twice, as patient01_visit1 and patient01_visit2.

    Voxels are 1.3 to 1.8 mm wide and 2.2 to 3.4 mm thick, other in every scan; about 35 x 30 x 22 of them. Brightness
    has another unit in every scan, a smooth field of 12 % on it, and noise. Two balls are as bright as the organs and
    belong to no class.

    Args:
        folder: to be made; it is empty or not there.
        n: number of scans.
        seed: same seed, same bytes; a patient of some number is another one with another seed.
        layout: "folders" is images/ and labels/; "decathlon" imagesTr/, labelsTr/ and a dataset.json with names.
        first: number of the first patient. Other numbers are other patients: images to predict come from there.

    Returns:
        `folder`.

    Raises:
        SettingError: no scan, or a layout that is unknown.
        DataFileError: the folder holds something or cannot be written, or nibabel is not installed.
    """
    root = Path(folder)
    if n < 1 or first < 1:
        raise SettingError(f"n={n}, first={first}: expected a number of scans and of a patient, from 1 on.")
    match layout:
        case "folders":
            images, labels = "images", "labels"
        case "decathlon":
            images, labels = "imagesTr", "labelsTr"
        case _:
            raise SettingError(f"layout is folders or decathlon, got {layout!r}.")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataFileError(f"{root}: is there already; toy volumes are written into a new folder. Choose another one.")
    for name in (images, labels):
        make_folder(root / name)
    names = []
    for name, scan in toy_scans(n, seed=seed, first=first):
        _write(root / images / f"{name}.nii.gz", scan.image, scan.affine)
        _write(root / labels / f"{name}.nii.gz", scan.labels, scan.affine)
        names.append(name)
    if layout == "decathlon":
        write_json(root / "dataset.json", _described(names))
    return root


def toy_scans(n: int, *, seed: int = 0, first: int = 1) -> Iterator[tuple[str, Scan]]:
    """The scans that `write_toy_volumes` writes, with their names, one at a time."""
    made, number = 0, first
    while made < n:
        rng = np.random.default_rng([seed, number])
        patient = draw_patient(rng)
        for visit in range(1, 1 + min(1 + number % 2, n - made)):
            if visit > 1:
                patient = grown(patient, rng.uniform(*GROWTH))
            yield f"patient{number:02}_visit{visit}", scan(patient, rng)
            made += 1
        number += 1


def draw_patient(rng: np.random.Generator) -> Patient:
    """A body with two organs and two decoys; sizes, places and surfaces are random."""

    def blob(centre: Sequence[float], axes: Sequence[float], rough: float) -> Blob:
        place = np.array(centre) + rng.normal(0, PLACES_MM, 3)
        return Blob(place, np.array(axes) * np.exp(rng.normal(0, SIZES, 3)), draw_waves(WAVES, WAVE_MM, rng), rough)

    body = replace(blob((0, 0, 0), BODY_MM, 0.0), centre=np.zeros(3))
    organs = tuple(blob(centre, axes, ROUGH) for centre, axes in ORGANS)
    return Patient(body, organs, tuple(blob(centre, (DECOY_MM,) * 3, 0.0) for centre in DECOYS))


def draw_waves(n: int, length_mm: float, rng: np.random.Generator) -> Waves:
    """Waves in random directions, `length_mm` long."""
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Waves(directions / length_mm, rng.uniform(0, 2 * np.pi, n))


def grown(patient: Patient, factor: float) -> Patient:
    """The same patient with organs so many times as long; their middles stay where they are."""

    def larger(blob: Blob) -> Blob:
        around = blob.waves.turns / factor
        shift = 2 * np.pi * (blob.waves.turns - around) @ blob.centre  # the surface grows with the organ
        return replace(blob, axes=blob.axes * factor, waves=Waves(around, blob.waves.phases + shift))

    return replace(patient, organs=tuple(map(larger, patient.organs)))


def scan(patient: Patient, rng: np.random.Generator, *, spacing: tuple[float, float, float] | None = None) -> Scan:
    """What a scanner sees of a patient who does not lie quite straight in it.

    Args:
        spacing: mm along the axes of the file; drawn where it is left out.
    """
    drawn = (side := rng.uniform(*IN_PLANE_MM), side, rng.uniform(*SLICE_MM))
    space = np.array(drawn if spacing is None else spacing)
    size = np.ceil(2 * (patient.body.axes + EDGE_MM) / space).astype(int)
    affine = np.diag([*(space * (-1, 1, 1)), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((size - 1) / 2)  # the scanner's middle is the volume's
    points = np.moveaxis(np.indices(size), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    inside = points - rng.normal(0, POSE_MM / 2, 3)
    values, labels = np.full(size, AIR), np.zeros(size, np.uint8)
    values[patient.body.holds(inside)] = TISSUE
    for k, (organ, decoy) in enumerate(zip(patient.organs, patient.decoys, strict=True)):
        values[decoy.holds(inside)] = BRIGHT[k]
        labels[organ.holds(inside)] = k + 1
    values = np.where(labels > 0, np.array((0.0, *BRIGHT))[labels], values)
    bias = np.exp(BIAS * draw_waves(3, BIAS_MM, rng)(points))
    seen = gaussian_filter(values, BLUR_PX) * bias + rng.normal(0, NOISE, size)
    unit = np.exp(rng.normal(0, GAIN))
    return Scan(np.rint(np.abs(seen) * unit).astype(np.int16), labels, affine)


def _write(path: Path, array: NDArray[Any], affine: Floats) -> None:
    """A compressed NIfTI file whose header states the place in mm."""
    with nibabel_for(path) as nibabel:
        image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def _described(names: Sequence[str]) -> dict[str, Any]:
    """dataset.json of the Medical Segmentation Decathlon."""
    files = [{kind: f"./{kind}sTr/{name}.nii.gz" for kind in ("image", "label")} for name in names]
    return {
        "name": "toy volumes", "description": "simulated: no patient, no scanner", "tensorImageSize": "3D",
        "modality": {"0": "MRI"}, "labels": {str(k): name for k, name in enumerate(CLASSES)},
        "numTraining": len(files), "numTest": 0, "training": files, "test": [],
    }  # fmt: skip
