"""Simulated scenes, ready to use: invented ones that need no data, one on a real ground truth, one of real spectra.

The work is done by `hyperseg.simulated.render`; the spectra come from `hyperseg.simulated.spectra` and
`hyperseg.simulated.usgs`, label maps with known pairwise energies from `hyperseg.simulated.potts`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, HypersegError, Scene, SettingError
from hyperseg.simulated.potts import interaction, sample_fields
from hyperseg.simulated.render import Colours, Simulated, simulate, smooth_fields
from hyperseg.simulated.spectra import PAVIA_CLASSES, ClassSpectra, make_up_spectra, pavia_spectra, snr_profile
from hyperseg.simulated.usgs import USGS_NAMES, usgs_spectra

# The pairs of `simulate_usgs_potts`, as indices into USGS_NAMES. Never neighbours:
USGS_APART = ((0, 3), (1, 4), (2, 5))
# (a, b): b may lie to the right of or below a, a never to the right of or below b. The order goes round in two
# circles of three; (1, 2) and (4, 5) are also the pairs whose spectra are hard to tell apart.
USGS_ORDER = ((0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3))


def potts_labels(
    shape: tuple[int, int], n_classes: int, *, seed: int, smoothness_px: float = 3.5, unlabelled: float = 0.0
) -> NDArray[np.int16]:
    """(H, W) int16 label map of smooth regions with about equal class areas.

    Looks like a sample of a Potts model but is not one: every pixel takes the class whose smooth Gaussian
    field is largest there, which needs no sweeps.

    Args:
        shape: rows and columns.
        n_classes: K; there must be at least K pixels.
        seed: same seed, same map.
        smoothness_px: length over which the fields vary; regions are a few times larger.
        unlabelled: share of pixels set to -1: those where two classes are closest, as along parcel edges.
    """
    if n_classes < 1 or n_classes > shape[0] * shape[1] or not 0 <= unlabelled < 1:
        raise SettingError(f"cannot draw {n_classes} classes with {unlabelled} unlabelled on {shape} pixels.")
    fields = smooth_fields(n_classes, shape, smoothness_px, np.random.default_rng(seed)).reshape(n_classes, -1)
    for step in np.geomspace(1.0, 0.05, 40):  # raise the classes that have too little area
        area = np.bincount(fields.argmax(0), minlength=n_classes) / fields.shape[1]
        fields += (step * (1 - n_classes * area)[:, None]).astype(np.float32)
    labels = fields.argmax(0).astype(np.int16)
    n_bare = round(unlabelled * labels.size)
    if n_bare and n_classes > 1:
        top = np.partition(fields, -2, axis=0)[-2:]
        labels[np.argsort(top[1] - top[0], kind="stable")[:n_bare]] = UNLABELLED
    return labels.reshape(shape)


def simulate_potts(
    shape: tuple[int, int], spectra: ClassSpectra, *, seed: int, unlabelled: float = 0.0, **options: Any
) -> Simulated:
    """A simulated scene on an invented label map (`potts_labels`). Further options go to `simulate`."""
    labels = potts_labels(shape, spectra.n_classes, seed=seed, unlabelled=unlabelled)
    return simulate(labels, spectra, seed=seed, **{"name": "potts", "source": "an invented label map", **options})


def toy_scene(*, shape: tuple[int, int] = (32, 28), n_bands: int = 20, n_classes: int = 3, seed: int = 0) -> Scene:
    """A small scene with made-up spectra, 15 % of it unlabelled; needs no data and takes milliseconds."""
    spectra = make_up_spectra(n_classes, n_bands, seed=seed)
    return simulate_potts(shape, spectra, seed=seed, unlabelled=0.15, noise_snr=15.0, name="toy").scene


def simulate_pavia_university(data_folder: str | Path, *, seed: int = 0, **options: Any) -> Simulated:
    """A full-size stand-in for Pavia University: real ground truth, simulated spectra. Not a benchmark.

    The label map is the real one (610 x 340, 9 classes, 42 776 labelled pixels); `pavia_spectra` says how the
    class spectra were reconstructed and how little some of them rest on. Unlabelled pixels are covered by the
    nearest class. The defaults below make an RBF-SVM about as good as on the real scene; they are ours.

    Args:
        data_folder: the folder with `hsi/pavia_university/`, or that folder itself.
        seed: same seed, same bytes.
        **options: override the defaults of this scene, or any other option of `simulate`.

    Raises:
        DataFileError: a file is absent.
    """
    folder = _pavia_folder(Path(data_folder))
    labels = _pavia_labels(folder / "PaviaU_gt.mat")
    spectra = pavia_spectra(folder / "paviaU_lr80x50.npz")
    defaults: dict[str, Any] = {
        "variability": 1.5,
        "illumination_std": 0.15,
        "noise_snr": snr_profile(spectra.wavelengths_nm, peak=60.0),
        "colours": _pavia_colours(),
        "name": "pavia-university",
        "source": "the real ground truth of Pavia University (PaviaU_gt.mat)",
    }
    return simulate(labels, spectra, seed=seed, **{**defaults, **options})


def simulate_usgs_potts(
    data_folder: str | Path, *, shape: tuple[int, int] = (96, 96), seed: int = 0, unlabelled: float = 0.0,
    **options: Any,
) -> Simulated:  # fmt: skip
    """A scene of real library spectra on a label map whose pairwise energies are known. Not a benchmark.

    The six classes are `USGS_NAMES`; `usgs_spectra` says what of their spectra is measured and what is invented. The
    map is a draw by `sample_fields` from `interaction(6, apart=USGS_APART, order=USGS_ORDER)`, for right and for below;
    an external field (`balance` 1) keeps areas about equal. All of that is invented, without any geology behind it, so
    that neighbours tell what a noisy spectrum does not.

    The defaults below are ours: noise (signal-to-noise ratio 3.5) and overlap of the classes make an RBF-SVM
    trained on 5 % random pixels right on 70 to 76 % of the rest (six seeds).

    Args:
        data_folder: the one with `hsi/usgs_splib07/`, that folder itself, or its .npz file.
        shape: rows and columns.
        seed: same seed, same bytes.
        unlabelled: share of pixels whose label is set to -1, in smooth patches that do not follow the classes, like
            ground that nobody visited. Their spectra are those of their true classes.
        **options: override the defaults of this scene, or any other option of `simulate`.

    Raises:
        DataFileError: the file is absent.
        SettingError: an option outside its range.
    """
    if not 0 <= unlabelled < 1:
        raise SettingError(f"unlabelled={unlabelled}: expected a share of the pixels from 0 to below 1.")
    spectra = usgs_spectra(data_folder)
    energies = interaction(len(USGS_NAMES), apart=USGS_APART, order=USGS_ORDER)
    (labels,) = sample_fields(1, shape, energies, seed=seed, sweeps=120, balance=1.0)
    defaults: dict[str, Any] = {
        "psf_sigma_px": 0.5,
        "parcel_share": 0.1,
        "smooth_share": 0.2,
        "noise_snr": 3.5,
        "name": "usgs-potts",
        "source": "a Markov random field with known energies",
    }
    found = simulate(labels, spectra, seed=seed, **{**defaults, **options})
    n_bare = min(round(unlabelled * labels.size), labels.size - 1)
    if not n_bare:
        return found
    # a stream of its own: the cube stays the same whatever is unlabelled
    rng = np.random.default_rng([seed, 1])
    patches = smooth_fields(1, shape, 4.0, rng)[0].ravel()
    labels.flat[np.argsort(patches, kind="stable")[:n_bare]] = UNLABELLED
    return replace(found, scene=replace(found.scene, labels=labels))


def _pavia_folder(data_folder: Path) -> Path:
    tried = [data_folder / "hsi" / "pavia_university", data_folder / "pavia_university", data_folder]
    needed = ("PaviaU_gt.mat", "paviaU_lr80x50.npz")
    for folder in tried:
        if all((folder / name).is_file() for name in needed):
            return folder
    raise DataFileError(
        f"{data_folder} holds no {' and '.join(needed)} (looked in {', '.join(map(str, tried))}). Give the "
        "folder that contains hsi/pavia_university/, or use `toy_scene`, which needs no files."
    )


def _pavia_labels(file: Path) -> NDArray[np.int16]:
    from scipy.io import loadmat

    maps = [v for k, v in loadmat(file).items() if not k.startswith("__")]
    if len(maps) != 1 or maps[0].ndim != 2 or maps[0].max() != 9:
        raise DataFileError(f"{file}: expected one 2-D array of codes 0..9, found {[m.shape for m in maps]}.")
    return maps[0].astype(np.int16) - 1


def _pavia_colours() -> Colours | None:
    """The colours of the data set's card, or None (evenly spaced hues) where there is no card."""
    from hyperseg.io.catalog import load_card

    try:
        colours = tuple((r, g, b) for r, g, b in load_card("pavia-university").colours)
    except HypersegError:
        return None
    return colours if len(colours) == len(PAVIA_CLASSES) else None
