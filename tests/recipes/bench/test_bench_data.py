"""Data of generative benchmarks: named sets, folders of images, smaller problems, and what is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hyperseg.core import DataFileError, SettingError
from hyperseg.recipes.bench.data import PICTURES, Pictures, load_pictures, name_of
from hyperseg.recipes.bench.data.cifar10 import CLASSES, FILE
from hyperseg.recipes.bench.data.pictures import divided, scaled


def check(found: Pictures) -> None:
    """What all sets promise."""
    for x, labels in ((found.x, found.labels), (found.test_x, found.test_labels)):
        assert x.dtype == torch.float32
        assert x.min() >= -1
        assert x.max() <= 1
        if labels is not None:
            assert labels.dtype == torch.int64
            assert labels.shape == x.shape[:1]
            assert 0 <= labels.min() <= labels.max() < len(found.classes)
        if found.levels is not None:
            steps = (x.double() + 1) * (found.levels - 1) / 2
            assert (steps - steps.round()).abs().max() < 1e-2
    assert found.x.shape[1:] == found.test_x.shape[1:]
    assert found.note.endswith(".")


@pytest.fixture(scope="module")
def digits() -> Pictures:
    return load_pictures("digits")


def test_digits_are_those_of_scikit_learn(digits: Pictures) -> None:
    from sklearn.datasets import load_digits

    check(digits)
    assert digits.x.shape == (1297, 1, 8, 8)
    assert digits.test_x.shape == (500, 1, 8, 8)
    assert (digits.levels, digits.name, len(digits.classes)) == (17, "digits", 10)
    ours = np.concatenate([digits.x.numpy(), digits.test_x.numpy()]).reshape(1797, 64)
    theirs = load_digits().data / 8 - 1
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert digits.labels is not None
    assert digits.test_labels is not None
    share = torch.bincount(digits.test_labels) / torch.bincount(torch.cat([digits.labels, digits.test_labels]))
    assert (share - 500 / 1797).abs().max() < 0.006  # to within one sample of each class


def test_a_checksum_tells_other_data(digits: Pictures) -> None:
    assert digits.checksum == load_pictures("digits").checksum
    x = digits.x.clone()
    x[5, 0, 3, 3] += 1e-6
    assert digits.labels is not None
    changed = [replace(digits, x=x), replace(digits, labels=digits.labels.roll(1)), replace(digits, test_labels=None)]
    changed.append(replace(digits, x=digits.x.reshape(1297, 1, 64)))
    assert len({digits.checksum, *(one.checksum for one in changed)}) == 5


def test_divisions_are_stratified_and_always_the_same() -> None:
    labels = np.repeat([0, 1, 2], [70, 25, 5])
    train, test = divided(labels, 21)
    assert np.bincount(labels[test]).tolist() == [15, 5, 1]
    assert sorted([*train, *test]) == list(range(100))
    assert (divided(labels, 21)[1] == test).all()


def test_a_smaller_problem(digits: Pictures) -> None:
    found = load_pictures("digits:size=4,classes=3+8,n=60")
    check(found)
    assert found.name == name_of("digits:size=4,classes=3+8,n=60") == "digits-2classes-4px-60"
    assert found.classes == ("3", "8")
    assert found.x.shape == (60, 1, 4, 4)
    assert found.test_x.shape == (60, 1, 4, 4)
    assert found.levels == 17
    small = load_pictures("digits:size=4")
    exact = (digits.x + 1).reshape(1297, 4, 2, 4, 2).mean((2, 4)) - 1
    assert (small.x[:, 0] - exact).abs().max() <= 1 / 16 + 1e-6  # rounded to the nearest level
    assert load_pictures("digits:classes=2").classes == ("0", "1")
    assert len({load_pictures(f"digits:{word}").checksum for word in ("size=4", "size=2", "n=60", "classes=2")}) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("digts", "no such folder.*Did you mean digits"),
        ("digits:sise=4", "'sise=4' is not understood.*Did you mean size"),
        ("digits:size=three", "size"),
        ("digits:size=3", "a size divides 8"),
        ("digits:classes=cat+3", "two or more of 0, 1"),
        ("digits:classes=11", "two or more of 0, 1"),
        ("digits:classes=1", "two or more of 0, 1"),
        ("digits:n=5", "ask for 40 to 1297"),
        ("digits:n=5000", "ask for 40 to 1297"),
    ],
)
def test_names_that_mean_nothing_are_refused(text: str, told: str) -> None:
    with pytest.raises((DataFileError, SettingError), match=told):
        load_pictures(text)


def picture(path: Path, seed: int, *, size: tuple[int, int] = (6, 5), mode: str = "L") -> None:
    rng = np.random.default_rng(seed)
    shape = {"RGB": (*size, 3), "RGBA": (*size, 4)}.get(mode, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "I;16":
        Image.fromarray(rng.integers(0, 60000, shape).astype(np.uint16)).save(path)
    elif mode == "F":
        Image.fromarray(rng.normal(5, 2, shape).astype(np.float32)).save(path)
    elif mode == "1":
        Image.fromarray(rng.random(shape) > 0.5).save(path)
    else:
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode).save(path)


def fill(folder: Path, n: int, ending: str = "png", **how: object) -> None:
    for i in range(n):
        picture(folder / f"{i:03d}.{ending}", i, **how)  # type: ignore[arg-type]


def test_a_flat_folder(tmp_path: Path) -> None:
    fill(tmp_path / "my scans", 100)
    (tmp_path / "my scans" / "notes.txt").write_text("no image")
    found = load_pictures(str(tmp_path / "my scans"))
    check(found)
    assert found.name == "my-scans"
    assert (found.x.shape, found.test_x.shape) == ((80, 1, 6, 5), (20, 1, 6, 5))
    assert found.labels is None
    assert (found.classes, found.levels) == ((), 256)
    with Image.open(tmp_path / "my scans" / "000.png") as image:
        first = scaled(np.asarray(image), 256)
    both = torch.cat([found.x, found.test_x])[:, 0]
    assert (both == torch.from_numpy(first)).all((1, 2)).sum() == 1


@pytest.mark.parametrize(
    ("mode", "ending", "levels"), [("RGB", "jpg", 256), ("I;16", "tif", 2**16), ("F", "tif", None), ("1", "png", 2)]
)
def test_kinds_of_images(mode: str, ending: str, levels: int | None, tmp_path: Path) -> None:
    for of in ("cats", "dogs"):
        fill(tmp_path / of, 30, ending, mode=mode)
    found = load_pictures(str(tmp_path))
    check(found)
    assert (found.classes, found.levels) == (("cats", "dogs"), levels)
    assert found.x.shape[1] == (3 if mode == "RGB" else 1)
    assert found.test_labels is not None
    assert torch.bincount(found.test_labels).tolist() == [8, 8]
    assert found.x.std() > 0.2


def test_some_of_a_set_are_of_all_its_classes(tmp_path: Path) -> None:
    """The first hundred are held out for bits per dimension, the first 256 fitted to: files come class by class."""
    for of in ("cats", "dogs"):
        fill(tmp_path / of, 60)
    found = load_pictures(str(tmp_path))
    for labels in (found.labels, found.test_labels):
        assert labels is not None
        assert set(labels[:12].tolist()) == {0, 1}
    images = load_pictures("cifar10", folder=archive(tmp_path / "c", 20, classes=CLASSES).parent)
    assert images.labels is not None
    assert len(set(images.labels[:30].tolist())) > 5
    shade = (images.x[:, 0].mean((1, 2)) + 1) * 127.5
    assert (shade - 20 * images.labels).abs().max() < 4  # labels go with their images


def test_folders_called_train_and_test_divide_the_set(tmp_path: Path) -> None:
    for part, n in (("Train", 25), ("test", 10)):
        for of in ("a", "b"):
            fill(tmp_path / part / of, n)
    found = load_pictures(str(tmp_path))
    check(found)
    assert (len(found.x), len(found.test_x)) == (50, 20)
    (tmp_path / "test" / "b").rename(tmp_path / "test" / "c")
    with pytest.raises(DataFileError, match=r"has the classes c, .* has a, b only"):
        load_pictures(str(tmp_path))


def spoil_size(folder: Path) -> None:
    fill(folder, 60)
    picture(folder / "044.png", 0, size=(6, 6))


def spoil_channels(folder: Path) -> None:
    fill(folder, 60)
    picture(folder / "044.png", 0, mode="RGB")


def spoil_depth(folder: Path) -> None:
    fill(folder, 60)
    picture(folder / "044.png", 0, mode="I;16")


def spoil_file(folder: Path) -> None:
    fill(folder, 60)
    whole = (folder / "044.png").read_bytes()
    (folder / "044.png").write_bytes(whole[: len(whole) // 2])


def spoil_order(folder: Path) -> None:
    fill(folder, 30)
    fill(folder / "more", 30)


def other_files(folder: Path) -> None:
    (folder / "a.csv").write_text("1")


def huge(folder: Path) -> None:
    for i in range(60):
        Image.new("1", (9000, 9000)).save(folder / f"{i}.png") if i == 0 else (folder / f"{i}.png").symlink_to("0.png")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: None, r"no images \(it is empty\)"),
        (other_files, r"no images \(it holds .csv\).*\.png"),
        (lambda folder: fill(folder, 20), "20 images, at least 40 to learn from and 16 to test"),
        (spoil_size, "044.png: is 6 x 6 with 1 channel, 000.png is 6 x 5 with 1 channel"),
        (spoil_channels, "044.png: is 6 x 5 with 3 channels, 000.png is 6 x 5 with 1 channel"),
        (spoil_depth, "044.png: has values of type uint16, those of 000.png are uint8"),
        (spoil_file, "044.png: cannot be read"),
        (spoil_order, "holds 30 images and more with images too"),
        (huge, "more than 2 GB"),
    ],
)
def test_folders_that_no_model_learns_from(spoil: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(DataFileError, match=told) as error:
        load_pictures(str(folder))
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def archive(folder: Path, n: int, *, size: int = 32, classes: tuple[str, ...] = CLASSES) -> Path:
    """A small CIFAR-10: one grey value an image, files in any order."""
    target = folder / "natural" / "cifar10" / FILE
    target.parent.mkdir(parents=True)
    with tarfile.open(target, "w:xz") as tar:
        for i in reversed(range(n)):
            for k, of in enumerate(classes):
                for part in ("train", "test"):
                    held = io.BytesIO()
                    Image.new("RGB", (size, size), (20 * k, i, 100)).save(held, "JPEG", quality=95)
                    info = tarfile.TarInfo(f"cifar/{part}/{of}/{i:04d}.jpg")
                    info.size = len(held.getvalue())
                    tar.addfile(info, io.BytesIO(held.getvalue()))
    return target


def test_cifar10_from_its_archive(tmp_path: Path) -> None:
    archive(tmp_path, 5)
    found = load_pictures("cifar10", folder=tmp_path)
    check(found)
    assert found.x.shape == (50, 3, 32, 32)
    assert found.labels is not None
    shade = (found.x[:, 0].mean((1, 2)) + 1) * 127.5
    assert (shade - 20 * found.labels).abs().max() < 4  # each class has its own grey
    assert "no published number" in found.note
    some = load_pictures("cifar10:size=16,classes=ship+cat,n=40", folder=archive_of(tmp_path / "b", 20))
    assert (some.x.shape, some.classes) == ((40, 3, 16, 16), ("ship", "cat"))
    assert some.labels is not None
    assert torch.bincount(some.labels).tolist() == [20, 20]
    assert not list(tmp_path.rglob("*.np*"))  # nothing is written


def archive_of(folder: Path, n: int) -> Path:
    return archive(folder, n, classes=("cat", "ship")).parent


def test_archives_that_are_not_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYPERSEG_DATA", raising=False)
    with pytest.raises(DataFileError, match="set HYPERSEG_DATA"):
        load_pictures("cifar10")
    with pytest.raises(DataFileError, match=f"holds no {FILE}"):
        load_pictures("cifar10", folder=tmp_path)
    file = archive(tmp_path, 2, classes=("cat",))
    with pytest.raises(DataFileError, match="no images under train/airplane"):
        load_pictures("cifar10", folder=tmp_path)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataFileError, match=r"truncated|unpacked"):
        load_pictures("cifar10", folder=tmp_path)
    with pytest.raises(DataFileError, match=r"\(16, 16, 3\)"):
        load_pictures("cifar10", folder=archive(tmp_path / "small", 2, size=16).parent)


@pytest.mark.parametrize(("name", "shape"), [("indian-pines", (3, 9, 9)), ("indian-pines-spectra", (1, 200))])
def test_indian_pines(name: str, shape: tuple[int, ...], shared_data: Path) -> None:
    found = load_pictures(name, folder=shared_data)
    check(found)
    assert found.x.shape[1:] == shape
    assert found.levels is None
    assert len(found.x) > 3000
    assert len(found.test_x) > 1000
    assert len(found.classes) == 16
    assert found.x.std() > 0.2
    seen = {row.tobytes() for row in found.x.numpy()}
    assert not any(row.tobytes() in seen for row in found.test_x.numpy())
    assert "different fields" in found.note


def test_every_named_set_has_a_line_of_help() -> None:
    assert PICTURES.default == "digits"
    assert all(entry.help for entry in PICTURES.entries.values())
