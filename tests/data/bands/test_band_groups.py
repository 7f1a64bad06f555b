"""Cutting bands into groups: every band in one group, in order, at the borders the data have."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.data.bands.groups import cut_bands, neighbour_correlation

Groups = tuple[tuple[int, int], ...]


def sizes(groups: Groups) -> list[int]:
    return [stop - start for start, stop in groups]


def spectra(*blocks: int, n: int = 300, noise: float = 0.3, seed: int = 0) -> NDArray[np.float64]:
    """(n, sum of blocks): bands of one block share one random value per pixel, blocks are independent."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(n, len(blocks))), blocks, axis=1)
    return shared + noise * rng.normal(size=shared.shape)


def options(how: str, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    extra = {"gaps": {"wavelengths_nm": np.sort(rng.uniform(400, 2500, n))}, "equal": {}}
    return {"how": how, **extra.get(how, {"spectra": rng.normal(size=(30, n)).cumsum(1)})}


@pytest.mark.parametrize("how", ["equal", "gaps", "correlation"])
@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 39, 103])
def test_groups_are_all_bands_in_order(how: str, length: int, n: int) -> None:
    groups = cut_bands(n, length=length, **options(how, n))
    assert [band for start, stop in groups for band in range(start, stop)] == list(range(n))
    assert 1 <= min(sizes(groups)) <= max(sizes(groups)) <= length
    assert all(type(band) is int for group in groups for band in group)  # for JSON
    if how == "correlation" and n >= length:
        assert min(sizes(groups)) >= length / 2


def test_numpy_integers_become_plain_ones() -> None:
    assert json.loads(json.dumps(cut_bands(np.int64(5), length=np.int64(2)))) == [[0, 2], [2, 4], [4, 5]]  # type: ignore[arg-type]


def test_equal_groups_leave_the_rest_to_the_last() -> None:
    assert cut_bands(50, how="equal", length=20) == ((0, 20), (20, 40), (40, 50))
    assert cut_bands(40, how="equal", length=20) == ((0, 20), (20, 40))
    assert len(cut_bands(200, how="equal")) == 10


@pytest.mark.parametrize("how", ["auto", "equal", "gaps", "correlation"])
def test_fewer_bands_than_a_group_are_one_group(how: str) -> None:
    given = {"wavelengths_nm": np.arange(400, 530, 10)} if how == "gaps" else {}
    extra = {"spectra": spectra(6, 7)} if how == "correlation" else given
    assert cut_bands(13, how=how, **extra) == ((0, 13),)  # type: ignore[arg-type]


def test_gaps_are_cut_where_they_are() -> None:
    full = 400 + 10.0 * np.arange(220)
    kept = np.r_[0:104, 108:150, 163:220]  # 4 and 13 bands of water vapour are gone
    n, centres = len(kept), full[kept]
    groups = cut_bands(n, how="gaps", wavelengths_nm=centres)
    assert {104, 104 + 42} < {start for start, _ in groups}
    assert sizes(groups) == [17, 17, 18, 17, 17, 18, 14, 14, 14, 19, 19, 19]
    assert cut_bands(n, wavelengths_nm=centres) == groups  # what "auto" means
    assert cut_bands(n, wavelengths_nm=centres[::-1]) == cut_bands(n, how="gaps", wavelengths_nm=-centres[::-1])


@pytest.mark.parametrize("missing", [0, 1, 2, 3, 4])
def test_a_gap_is_three_missing_bands_whatever_the_rounding(missing: int) -> None:
    rng = np.random.default_rng(missing)
    centres = 0.4 + 0.01 * np.delete(np.arange(30), range(10, 10 + missing)) + rng.normal(0, 1e-4, 30 - missing)
    whole = len(cut_bands(len(centres), how="gaps", length=40, wavelengths_nm=centres))
    assert whole == (2 if missing >= 3 else 1)


def test_detectors_that_overlap_are_no_gap() -> None:
    first, second = (400 + 10.0 * np.arange(30), 680 + 9.5 * np.arange(30))  # the second starts below the first's end
    both = np.r_[first, second]
    both[45] = both[44]  # and one centre is given twice
    assert cut_bands(60, how="gaps", length=60, wavelengths_nm=both) == ((0, 60),)
    assert cut_bands(8, how="gaps", length=4, wavelengths_nm=np.full(8, 550.0)) == ((0, 4), (4, 8))


def test_independent_blocks_are_told_apart() -> None:
    assert cut_bands(33, how="correlation", length=20, spectra=spectra(15, 18)) == ((0, 15), (15, 33))
    inner = {stop for _, stop in cut_bands(60, how="correlation", length=20, spectra=spectra(13, 19, 17, 11))}
    assert inner == {13, 32, 49, 60}
    # bands that copy each other in reverse belong together too
    signs = np.r_[np.tile([1, -1], 7), np.ones(18)]
    assert cut_bands(32, how="correlation", length=20, spectra=signs * spectra(14, 18)) == ((0, 14), (14, 32))


def test_a_border_that_no_group_can_keep_is_given_up() -> None:
    """A block of 3 bands is below half a length: its borders cost more than they bring."""
    groups = cut_bands(23, how="correlation", length=20, spectra=spectra(3, 20))
    assert len(groups) == 2
    assert min(sizes(groups)) >= 10


@pytest.mark.parametrize(("n", "length"), [(9, 4), (11, 5), (12, 4), (13, 6)])
def test_no_other_cut_has_less_correlation_across_borders(n: int, length: int) -> None:
    """Against all ways to cut."""
    given = spectra(*[1] * n, seed=n)
    r = neighbour_correlation(given)
    worth = r - np.median(r)

    def ways(start: int) -> list[list[int]]:
        ends = range(start + -(-length // 2), min(start + length, n) + 1)
        return [[e, *rest] for e in ends for rest in ([[]] if e == n else ways(e))]

    least = min(worth[np.array(w[:-1], int) - 1].sum() for w in ways(0))
    found = cut_bands(n, how="correlation", length=length, spectra=given)
    assert worth[[stop - 1 for _, stop in found[:-1]]].sum() == pytest.approx(least, abs=1e-5)
    assert len(ways(0)) > 1


def test_without_a_reason_to_cut_groups_are_few_and_equal() -> None:
    copies = np.repeat(np.random.default_rng(0).normal(size=(9, 1)), 50, axis=1)
    groups = cut_bands(50, how="correlation", length=20, spectra=copies)
    assert sorted(sizes(groups)) == [16, 17, 17]
    assert cut_bands(50, how="correlation", length=20, spectra=np.ones((9, 50))) == groups  # constant bands


def test_correlation_of_neighbours_is_that_of_numpy_whatever_the_units() -> None:
    given = spectra(4, 5, n=40) * np.geomspace(1e-6, 1e6, 9) + 3
    expected = [abs(np.corrcoef(given[:, i], given[:, i + 1])[0, 1]) for i, _ in pairwise(range(9))]
    found = neighbour_correlation(given)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-9)
    assert np.isnan(found[0])  # 3 and a millionth of spread: constant, as preprocessing has it
    given[:, 4] = 7.3
    assert np.isnan(neighbour_correlation(given)).nonzero()[0].tolist() == [0, 3, 4]


def test_broken_spectra_are_left_out() -> None:
    given = spectra(15, 18)
    broken = np.vstack([given, np.full(33, np.nan), np.full(33, np.inf)])
    assert cut_bands(33, how="correlation", spectra=broken) == cut_bands(33, how="correlation", spectra=given)


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (0, {}, "at least 1 band"),
        (9, {"length": 0}, "length=0"),
        (9, {"how": "watershed"}, "watershed"),
        (9, {"how": "gaps"}, "needs the wavelengths"),
        (9, {"wavelengths_nm": np.arange(8)}, r"9 bands .*\(8,\)"),
        (9, {"how": "gaps", "wavelengths_nm": np.r_[np.nan, 1:9]}, "1 not finite"),
        (9, {"how": "correlation"}, "needs training spectra"),
        (9, {"how": "correlation", "spectra": np.ones((5, 8))}, r"\(n, 9\).*\(5, 8\)"),
        (9, {"how": "correlation", "spectra": np.ones((1, 9))}, "at least 2 spectra .*got 1"),
        (9, {"how": "correlation", "spectra": np.full((4, 9), np.nan)}, "got 0"),
    ],
)
def test_what_cannot_be_cut_is_refused(n: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        cut_bands(n, **options)
