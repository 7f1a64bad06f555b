"""Cards, colours, opening, verifying and fetching; no network anywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg.core import DataFileError, SettingError
from hyperseg.io import catalog
from hyperseg.io.card import Card, ClassEntry, FileEntry, read_card
from hyperseg.io.catalog import (
    cards,
    find_card,
    load_card,
    locate,
    open_card,
    to_labels,
    verify_cube,
    verify_labels,
    whereabouts,
)
from hyperseg.io.fetch import fetch
from hyperseg.io.labels.colours import VISIONS, difference, palette, to_lab

# smallest CIEDE2000 over all four visions that the stored colours reach, by number of classes
FLOORS = {6: 27.0, 9: 20.5, 13: 15.5, 14: 15.0, 15: 14.0, 16: 13.5}


@pytest.fixture
def tiny() -> Card:
    """A card of a 3x4 scene with two bands, two classes with odd codes and fetchable files."""
    classes = (ClassEntry(3, "corn", 2, (255, 0, 0)), ClassEntry(7, "oats", 1, (0, 0, 255)))
    files = (
        FileEntry("cube", "Tiny.npy", "tiny", "http://nowhere.invalid/Tiny.npy"),
        FileEntry("labels", "Tiny_gt.npy", "tiny_gt", "http://nowhere.invalid/Tiny_gt.npy"),
    )
    card = replace(load_card("salinas"), name="tiny", title="Tiny", aliases=(), classes=classes, files=files)
    card = replace(card, size=(3, 4), bands=2, rgb_bands=(1, 0, 0), wavelengths_nm=(500.0, 600.0), drop_bands=(1,))
    return replace(card, low=0, high=23, exact=True, groups=None)


@pytest.fixture
def tiny_arrays() -> dict[str, np.ndarray]:
    labels = np.zeros((3, 4), np.uint8)
    labels[0, 0], labels[0, 1], labels[2, 3] = 3, 3, 7
    return {"Tiny.npy": np.arange(24, dtype=np.uint16).reshape(3, 4, 2), "Tiny_gt.npy": labels}


def _save(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / name, array)


# --- colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # published test pairs of Sharma, Wu, Dalal 2005
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_difference_has_the_published_values(first: Any, second: Any, expected: float) -> None:
    assert difference(np.array(first), np.array(second)) == pytest.approx(expected, abs=5e-5)
    assert difference(np.array(second), np.array(first)) == pytest.approx(expected, abs=5e-5)


def test_lab_of_white_red_and_black() -> None:
    assert to_lab([255, 255, 255]) == pytest.approx([100, 0, 0], abs=1e-3)
    assert to_lab([255, 0, 0]) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert to_lab([0, 0, 0]) == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize("vision", VISIONS)
def test_grey_looks_grey_to_everybody(vision: Any) -> None:
    assert np.abs(to_lab([[40] * 3, [128] * 3, [230] * 3], vision=vision)[:, 1:]).max() < 0.1


def smallest_difference(colours: Any, vision: Any = "normal") -> float:
    """Of any two of the colours."""
    lab = to_lab(colours, vision=vision)
    first, second = np.triu_indices(len(lab), k=1)
    return float(difference(lab[first], lab[second]).min(initial=np.inf))


def test_red_and_green_are_close_for_the_red_green_blind_only() -> None:
    pair = [(170, 100, 0), (110, 130, 0)]
    assert smallest_difference(pair, vision="deutan") < 0.3 * smallest_difference(pair)
    assert smallest_difference(pair, vision="tritan") > 0.7 * smallest_difference(pair)


def test_unknown_vision_is_refused() -> None:
    with pytest.raises(SettingError, match="protan"):
        to_lab([(10, 200, 30)], vision="cat")


@pytest.mark.parametrize("n", [1, 5, 16])
def test_palette_is_repeatable_and_distinct(n: int) -> None:
    assert palette(n, seed=3) == palette(n, seed=3)
    assert len(set(palette(n, seed=3))) == n
    assert min(smallest_difference(palette(n, seed=3), vision=v) for v in VISIONS) > 12


def test_palette_refuses_absurd_sizes() -> None:
    for n in (0, 65):
        with pytest.raises(SettingError, match="1 to 64"):
            palette(n)


@pytest.mark.parametrize("name", sorted(cards()))
def test_card_colours_can_be_told_apart(name: str) -> None:
    colours = load_card(name).colours
    for vision in VISIONS:
        assert smallest_difference(colours, vision=vision) >= FLOORS[len(colours)], vision
        for extreme in ((0, 0, 0), (255, 255, 255)):
            nearest = min(smallest_difference([c, extreme], vision=vision) for c in colours)
            assert nearest > 10, (vision, extreme)


# --- cards ----------------------------------------------------------------------------------------


def test_published_totals() -> None:
    expected = {
        "indian-pines": 10249,
        "pavia-university": 42776,
        "pavia-centre": 148152,
        "salinas": 54129,
        "salinas-a": 5348,
        "ksc": 5211,
        "botswana": 3248,
        "houston-2013": 2832 + 12197,
    }
    assert {name: card.labelled for name, card in cards().items()} == expected


@pytest.mark.parametrize("name", sorted(cards()))
def test_bands_add_up_and_splits_fit(name: str) -> None:
    card = load_card(name)
    assert card.licence
    assert card.sources
    assert card.range_nm[0] < card.range_nm[1]
    if card.removed_bands:
        removed = sum(last - first + 1 for first, last in card.removed_bands)
        assert card.recorded_bands - removed == card.bands
    if card.wavelengths_nm:
        red, green, blue = (card.wavelengths_nm[band] for band in card.rgb_bands)
        assert (red, green, blue) == pytest.approx((660, 550, 470), abs=15)
    for split in card.splits:
        train, test = map(int, split.name.split()[1].split("/"))
        assert (sum(split.train), sum(split.test)) == (train, test)


def test_salinas_a_keeps_names_and_codes_of_salinas() -> None:
    whole = {entry.code: entry.name for entry in load_card("salinas").classes}
    assert all(whole[entry.code] == entry.name for entry in load_card("salinas-a").classes)


def test_every_name_title_and_alias_finds_its_own_card_only() -> None:
    for card in cards().values():
        for word in (card.name, card.title, *card.aliases, card.name.upper().replace("-", "_")):
            assert find_card(word) is card, word
    assert find_card("atlantis") is None


def test_unknown_name_lists_names_and_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"Did you mean pavia-university\?.*botswana.*salinas"):
        load_card("pavia univercity")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bands = 200", "bands = 199", "200 wavelengths for 199"),
        ("bands = 200", "bnads = 200", "'bands'"),
        ("code = 2\n", "code = 1\n", "codes must differ"),
        ('sensor = "AVIRIS"', 'sensor = "AVIRIS"\nspeed = 3', "speed"),
        ("train = [15, ", "train = [", "16 counts"),
        ("rgb_bands = [", "rgb_bands = [900, ", "rgb_bands"),
        ('name = "indian-pines"', "name = ", "TOML"),
    ],
)
def test_a_broken_card_is_named_with_its_fault(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = next(f for f in (Path(catalog.__file__).parents[1], Path(catalog.__file__).parents[2])
                  if (f / "datasets").is_dir()) / "datasets"  # fmt: skip
    text = (folder / "indian-pines.toml").read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "broken.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataFileError, match=r"broken\.toml") as caught:
        read_card(broken)
    assert message in str(caught.value)


# --- opening and verifying ------------------------------------------------------------------------


def test_indian_pines_is_built_in_and_its_content_is_the_published_one() -> None:
    pytest.importorskip("tensorly", reason="carries the scene")
    card = load_card("ip")
    assert whereabouts(card) == "built in"
    scene = open_card(card)
    assert (scene.shape, scene.n_bands) == ((145, 145), 200)
    assert scene.class_counts().tolist() == list(card.counts)
    assert scene.colours == card.colours
    assert scene.wavelengths_nm[[102, 103]] == pytest.approx([1352.68, 1412.39])  # 104-108 of 220 are left out
    assert "CC BY 3.0" in scene.source


def test_built_in_files_are_found_without_importing_the_package() -> None:
    code = (
        "import sys; from hyperseg.io.catalog import load_card, open_card; open_card(load_card('ip'));"
        "print([m for m in ('tensorly', 'pooch', 'scipy', 'torch') if m in sys.modules])"
    )
    pytest.importorskip("tensorly", reason="carries the scene")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_codes_become_classes(tmp_path: Path, tiny: Card, tiny_arrays: dict[str, np.ndarray]) -> None:
    _save(tmp_path, tiny_arrays)
    scene = open_card(tiny, cache=tmp_path)
    assert scene.labels.tolist() == [[0, 0, -1, -1], [-1] * 4, [-1, -1, -1, 1]]
    assert scene.labels.dtype == np.int16
    assert scene.good_bands.tolist() == [True, False]
    assert scene.grid.spacing == (tiny.pixel_m, tiny.pixel_m)
    assert "none stated" in scene.source
    assert str(tmp_path) in scene.source


def test_renumbered_codes_mean_the_same(tiny: Card, tiny_arrays: dict[str, np.ndarray]) -> None:
    raw = tiny_arrays["Tiny_gt.npy"]
    renumbered = np.where(raw == 3, 1, np.where(raw == 7, 2, 0))
    assert np.array_equal(to_labels(tiny, [raw]), to_labels(tiny, [renumbered]))
    with pytest.raises(DataFileError, match=r"\[9\]"):
        to_labels(tiny, [np.where(raw == 7, 9, raw)])


def test_label_files_are_merged(tiny: Card, tiny_arrays: dict[str, np.ndarray]) -> None:
    raw = tiny_arrays["Tiny_gt.npy"]
    parts = [np.where(raw == 3, raw, 0), np.where(raw == 7, raw, 0)]
    assert np.array_equal(to_labels(tiny, parts), to_labels(tiny, [raw]))


def test_verify_says_what_was_found_and_expected(tiny: Card, tiny_arrays: dict[str, np.ndarray]) -> None:
    cube, labels = tiny_arrays["Tiny.npy"], to_labels(tiny, [tiny_arrays["Tiny_gt.npy"]])
    verify_cube(tiny, cube)
    verify_labels(tiny, labels)
    with pytest.raises(DataFileError, match=r"\(4, 3, 2\), expected \(3, 4, 2\).*permuted"):
        verify_cube(tiny, cube.transpose(1, 0, 2))
    with pytest.raises(DataFileError, match="0 to 46, expected exactly 0 to 23"):
        verify_cube(tiny, cube * 2)
    with pytest.raises(DataFileError, match="corn: 3 pixels, expected 2"):
        verify_labels(tiny, np.where(labels == 1, 0, np.where(labels == 0, 0, -1)).astype(np.int16))
    measured = replace(tiny, counts_measured=True)
    for card, doubt in ((tiny, True), (measured, False)):
        with pytest.raises(DataFileError) as caught:
            verify_labels(card, np.full((3, 4), -1, np.int16))
        assert ("the card is wrong" in str(caught.value)) == doubt
    loose = replace(tiny, exact=False, low=0, high=65535)
    verify_cube(loose, cube * 2)
    for useless in (np.zeros_like(cube), np.full(cube.shape, np.nan)):
        with pytest.raises(DataFileError, match="different values within"):
            verify_cube(loose, useless)


def test_missing_files_are_named_with_the_way_to_get_them(tmp_path: Path, tiny: Card) -> None:
    with pytest.raises(DataFileError, match=r"Tiny\.npy, Tiny_gt\.npy not found.*fetch tiny.*ehu\.eus") as caught:
        open_card(tiny, cache=tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_cache_variable_and_subfolder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Card, tiny_arrays: dict[str, np.ndarray]
) -> None:
    monkeypatch.setenv("HYPERSEG_CACHE", str(tmp_path))
    assert whereabouts(tiny) == "not here"
    _save(tmp_path / "tiny", {"Tiny.npy": tiny_arrays["Tiny.npy"]})
    assert whereabouts(tiny) == "incomplete"
    _save(tmp_path / "tiny", tiny_arrays)
    assert whereabouts(tiny) == "in cache"
    assert open_card(tiny).n_classes == 2


def test_real_label_files_have_the_counts_of_the_cards(shared_data: Path) -> None:
    for name, folder in (("pavia-university", "pavia_university"), ("houston-2013", "houston2013")):
        card = load_card(name)
        found = locate(card, cache=shared_data / "hsi" / folder)
        entries = [entry for entry in card.files if entry.role == "labels"]
        raw = [np.asarray(catalog.read_file(entry, found[entry.name])) for entry in entries]
        verify_labels(card, to_labels(card, raw))


def test_published_mat_files_of_indian_pines_open(shared_data: Path) -> None:
    scene = open_card(load_card("ip"), cache=shared_data / "hsi" / "indian_pines")
    assert "indian_pines/Indian_pines_corrected.mat" in scene.source


# --- fetching -------------------------------------------------------------------------------------


class _Web:
    """Stands in for pooch.retrieve: writes the published arrays, or fails the first times."""

    def __init__(self, arrays: dict[str, np.ndarray], *, failures: int = 0) -> None:
        self.arrays, self.failures, self.asked = arrays, failures, []

    def retrieve(self, *, url: str, fname: str, path: Path, **options: Any) -> str:
        self.asked.append(fname)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no route to host")
        assert not (path / fname).exists(), "pooch would keep a file that is there"
        _save(path, {fname: self.arrays[fname]})
        return str(path / fname)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tiny_arrays: dict[str, np.ndarray]) -> _Web:
    pooch = pytest.importorskip("pooch")
    web = _Web(tiny_arrays)
    monkeypatch.setattr(pooch, "retrieve", web.retrieve)
    return web


def test_fetch_brings_what_is_missing_once(tmp_path: Path, tiny: Card, web: _Web) -> None:
    fetch(tiny, cache=tmp_path)
    assert web.asked == ["Tiny.npy", "Tiny_gt.npy"]
    assert open_card(tiny, cache=tmp_path).n_bands == 2
    lines: list[str] = []
    fetch(tiny, cache=tmp_path, tell=lines.append)
    assert web.asked == ["Tiny.npy", "Tiny_gt.npy"]
    assert all("already here" in line for line in lines)


def test_fetch_tries_again(tmp_path: Path, tiny: Card, web: _Web) -> None:
    web.failures = 2
    fetch(tiny, cache=tmp_path, wait_s=0)
    assert web.asked == ["Tiny.npy"] * 3 + ["Tiny_gt.npy"]


def test_a_damaged_file_is_named_and_fetched_again(tmp_path: Path, tiny: Card, web: _Web) -> None:
    fetch(tiny, cache=tmp_path)
    whole = (tmp_path / "Tiny.npy").read_bytes()
    (tmp_path / "Tiny.npy").write_bytes(whole[:-10])
    lines: list[str] = []
    fetch(tiny, cache=tmp_path, tell=lines.append)
    assert web.asked[2:] == ["Tiny.npy"]
    assert (tmp_path / "Tiny.npy").read_bytes() == whole
    assert "Tiny.npy is damaged" in lines[0]


def test_without_a_network_the_way_by_hand_is_told(tmp_path: Path, tiny: Card, web: _Web) -> None:
    web.failures = 99
    (tmp_path / "Tiny.npy").write_bytes(b"half")
    with pytest.raises(DataFileError, match=r"no route to host.*Tiny\.npy, Tiny_gt\.npy by hand") as caught:
        fetch(tiny, cache=tmp_path, tries=2, wait_s=0)
    assert f"{tiny.sources[-1]} and put them into {tmp_path}" in str(caught.value)
    assert (tmp_path / "Tiny.npy").read_bytes() == b"half"  # what was there keeps its name


def test_a_wrong_download_is_refused_and_set_aside(tmp_path: Path, tiny: Card, web: _Web) -> None:
    web.arrays = {**web.arrays, "Tiny.npy": np.ones((3, 4, 3))}
    with pytest.raises(DataFileError, match=r"not the published data.*\(3, 4, 3\), expected \(3, 4, 2\)"):
        fetch(tiny, cache=tmp_path)
    assert not (tmp_path / "Tiny.npy").exists()
    assert (tmp_path / "Tiny.npy.damaged").exists()


def test_a_scene_without_an_address_is_never_asked_for(tmp_path: Path, web: _Web) -> None:
    with pytest.raises(DataFileError, match=r"no public download address.*TRLabel\.mat"):
        fetch(load_card("houston-2013"), cache=tmp_path)
    assert web.asked == []
