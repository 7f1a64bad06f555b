"""Splits: what a maker promises, checked on made-up fields and on the real ground truths."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import distance_transform_cdt, label

from hyperseg.core import LabelError, SettingError, Split, SplitError
from hyperseg.data.splits import SPLITS, make_split

parcels, blocks = SPLITS["parcels"], SPLITS["blocks"]
random_fraction, random_per_class, random_total = (SPLITS[f"random_{n}"] for n in ("fraction", "per_class", "total"))
Labels = NDArray[np.int16]
SQUARE = np.ones((3, 3))


def fields(n_classes: int = 4, cells: int = 8, side: int = 9, seed: int = 0) -> Labels:
    """Rectangular fields on a chessboard of cells, a gap of unlabelled pixels between them."""
    rng = np.random.default_rng(seed)
    labels = np.full((cells * side, cells * side), -1, np.int16)
    crops = rng.permutation(np.arange(cells * cells) % n_classes).reshape(cells, cells)
    for r in range(cells):
        for c in range(cells):
            height, width = rng.integers(4, side, 2)
            labels[r * side : r * side + height, c * side : c * side + width] = crops[r, c]
    return labels


def fixed(labels: Labels, n_classes: int, train: object, test: object = None, **options: object) -> Split:
    made = SPLITS["fixed"](labels, n_classes, train_mask=train, test_mask=test, **{"seed": 0, **options})
    assert isinstance(made, Split)
    return made


# what the small fields above ask for; other options, and other splits, keep their defaults
OPTIONS = {
    "random_fraction": {"fraction": 0.2},
    "random_per_class": {"n": 12},
    "random_total": {"n": 77},
    "blocks": {"block": 12, "guard": 4},
    "fixed": {"val_fraction": 0.25},
}
VARIANTS = [(name, OPTIONS.get(name, {})) for name in SPLITS] + [("parcels", {"validation": "pixels"})]


@pytest.fixture(params=VARIANTS, ids=str)
def maker(request: pytest.FixtureRequest) -> Callable[..., Split]:
    name, options = request.param
    splitter = SPLITS[name]
    masks = {"train_mask": np.indices((72, 72))[1] < 36} if splitter.needs_masks else {}
    return partial(splitter, **options, **masks)


def same(a: Split, b: Split) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in ((a.train, b.train), (a.val, b.val), (a.test, b.test)))


def test_masks_hold_labelled_valid_pixels_only_and_none_twice(maker: Callable[..., Split]) -> None:
    labels, valid = fields(), np.ones((72, 72), bool)
    valid[:, 30:34] = False
    split = maker(labels, 4, seed=3, valid=valid)
    stacked = np.stack([split.train, split.val, split.test])
    assert stacked.sum(0).max() == 1
    assert not (stacked.any(0) & ((labels < 0) | ~valid)).any()
    assert stacked.any((1, 2)).all()


def test_same_seed_same_bytes_other_seed_other_masks(maker: Callable[..., Split]) -> None:
    labels = fields()
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    first = maker(labels, 4, seed=0)
    np.random.seed(2)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert same(first, maker(labels, 4, seed=0))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert not same(first, maker(labels, 4, seed=1))


def test_renumbering_the_classes_changes_nothing(maker: Callable[..., Split]) -> None:
    labels, renumber = fields(5), np.array([3, 0, 4, 1, 2, -1], np.int16)
    assert same(maker(labels, 5, seed=7), maker(renumber[labels], 5, seed=7))


def test_a_class_nobody_labelled_is_named_and_moves_nothing(maker: Callable[..., Split]) -> None:
    labels = fields()
    split = maker(labels, 6, seed=2)
    assert set(split.untrainable) >= {4, 5}
    assert set(split.untestable) >= {4, 5}
    assert same(split, maker(labels, 4, seed=2))


def test_one_trainable_class_and_untranslated_codes_are_refused(maker: Callable[..., Split]) -> None:
    with pytest.raises(SplitError):
        maker(np.where(fields() == 0, np.int16(0), np.int16(-1)), 4, seed=0)
    with pytest.raises(LabelError, match="translate"):
        maker(fields() + 1, 4, seed=0)


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_a_seed_is_a_whole_number(maker: Callable[..., Split], seed: object) -> None:
    with pytest.raises(SettingError, match="seed"):
        maker(fields(), 4, seed=seed)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 90), min_size=2, max_size=6), extra=st.integers(0, 200), seed=st.integers(0, 9))
def test_random_total_draws_exactly_n(sizes: list[int], extra: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int16)[None]
    n = min(len(sizes) + extra, labels.size)
    split = random_total(labels, len(sizes), n=n, seed=seed)
    train, val, test = split.counts(labels, len(sizes))
    assert split.train.sum() == n
    assert train.min() >= 1
    assert (train + val + test).tolist() == sizes
    quota = n * np.array(sizes) / sum(sizes)
    assert np.all(train <= np.maximum(np.ceil(quota), 1)), "nobody gets more than the quota rounded up, or one"
    if quota.min() >= 1:
        assert np.all(train >= np.floor(quota)), "largest remainder keeps the quota"


def test_random_total_is_the_largest_remainder() -> None:
    labels = np.repeat([0, 1, 2], [47, 16, 37]).astype(np.int16)[None]  # quotas of 10: 4.7, 1.6, 3.7
    assert random_total(labels, 3, n=10, seed=0).counts(labels, 3)[0].tolist() == [5, 1, 4]


@pytest.mark.parametrize("n", [3, 10_000])
def test_random_total_refuses_what_cannot_be_drawn(n: int) -> None:
    with pytest.raises(SplitError, match="from 4"):
        random_total(fields(), 4, n=n, seed=0)


def test_random_fraction_counts() -> None:
    labels = np.repeat([0, 1, 2, 3, 4], [100, 40, 3, 2, 1]).astype(np.int16)[None]
    split = random_fraction(labels, 5, fraction=0.2, seed=0)
    assert split.counts(labels, 5).tolist() == [[20, 8, 1, 1, 1], [10, 4, 1, 0, 0], [70, 28, 1, 1, 0]]
    assert (split.untestable, split.untrainable) == ((4,), ())


def test_validation_does_not_move_training_pixels() -> None:
    labels = fields()
    for text in ("random_fraction:0.2", "random_per_class:9", "random_total:90"):
        with_val, without = (make_split(text + more, labels, 4, seed=1) for more in ("", ",val=0"))
        assert np.array_equal(with_val.train, without.train)
        assert np.array_equal(with_val.val | with_val.test, without.test)
        assert not without.val.any()


def test_random_per_class_counts_and_names_small_classes() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 45, 60, 1]).astype(np.int16)[None]
    split = random_per_class(labels, 4, n=30, seed=5)
    assert split.counts(labels, 4).tolist() == [[30, 22, 30, 1], [10, 10, 10, 0], [60, 13, 20, 0]]
    assert "classes 1, 3" in split.note
    assert split.untestable == (3,)


def test_every_pixel_is_drawn_about_equally_often() -> None:
    labels = np.repeat([0, 1], 10).astype(np.int16)[None]
    drawn = sum(random_per_class(labels, 2, n=3, seed=s).train.astype(int) for s in range(400))
    assert np.all(np.abs(drawn - 120) < 5 * np.sqrt(400 * 0.3 * 0.7))


def test_fixed_reads_masks_and_rasters_alike() -> None:
    labels = fields()
    row = np.arange(72)[:, None]
    train, test = (labels >= 0) & (row < 30), (labels >= 0) & (row >= 36)
    expected = fixed(labels, 4, train, test)
    codes = [np.where(m, labels + 1, 0).astype(np.uint8) for m in (train, test)]
    memory = [np.where(m, labels, -1).astype(np.int16) for m in (train, test)]
    assert np.array_equal(expected.train, train)
    assert np.array_equal(expected.test, test)
    assert not expected.val.any()
    assert same(expected, fixed(labels, 4, *codes))
    assert same(expected, fixed(labels, 4, *memory))
    assert np.array_equal(fixed(labels, 4, train).test, (labels >= 0) & ~train)


def test_fixed_drops_and_counts_pixels_outside_the_ground_truth() -> None:
    labels = fields()
    train = np.indices(labels.shape)[0] < 20
    split, outside = fixed(labels, 4, train), int((labels[:20] < 0).sum())
    assert f"{outside} of {train.sum()} given training pixels" in split.note
    assert not (split.train & (labels < 0)).any()


def test_fixed_refuses_overlap_and_other_shapes() -> None:
    labels = fields()[:50]
    mask = labels >= 0
    with pytest.raises(SplitError, match="both the training and the test"):
        fixed(labels, 4, mask, mask)
    with pytest.raises(SplitError, match="transposed"):
        fixed(labels, 4, mask.T)
    with pytest.raises(SettingError, match="choose one"):
        fixed(labels, 4, mask, val_mask=~mask, val_fraction=0.1)


def test_fixed_takes_validation_from_training_only_on_request() -> None:
    labels = fields()
    train = (labels >= 0) & (np.arange(72) < 40)
    plain, held = fixed(labels, 4, train), fixed(labels, 4, train, val_fraction=0.25, seed=1)
    assert np.array_equal(held.test, plain.test)
    assert np.array_equal(held.train | held.val, plain.train)
    counts = held.counts(labels, 4)
    assert np.all(np.abs(counts[1] - 0.25 * (counts[0] + counts[1])) <= 0.5)


@pytest.mark.parametrize("guard", [0, 4, 10])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_go_whole_and_keep_their_distance(guard: int, seed: int) -> None:
    labels = fields(cells=10)
    split = blocks(labels, 4, block=15, guard=guard, seed=seed)
    side = split.train | split.val
    assert distance_transform_cdt(~side, "chessboard")[split.test].min() > guard
    number = np.arange(36).reshape(6, 6).repeat(15, 0).repeat(15, 1)
    homes = [set(np.unique(number[m])) for m in (split.train, split.val, split.test)]
    assert sum(map(len, homes)) == len(homes[0] | homes[1] | homes[2])
    inside = np.isin(number, list(homes[0] | homes[1])) & (labels >= 0)
    assert np.array_equal(inside, side), "a training block trains whole"
    beyond = (labels >= 0) & ~inside & (distance_transform_cdt(~side, "chessboard") > guard)
    assert np.array_equal(beyond, split.test), "nothing else was dropped"


def test_blocks_need_two_blocks_and_never_hold_out_the_last_one_of_a_class() -> None:
    with pytest.raises(SplitError, match="smaller blocks"):
        blocks(fields()[:30, :30], 4, block=32, seed=0)
    labels = fields(8, cells=10)
    for seed in range(20):
        held, plain = (blocks(labels, 8, block=15, guard=4, seed=seed, val=v) for v in (0.5, 0.0))
        assert held.untrainable == plain.untrainable
        assert np.array_equal(held.test, plain.test)


def parcel_numbers(labels: Labels) -> NDArray[np.int64]:
    numbers, last = np.zeros(labels.shape, np.int64), 0
    for k in range(labels.max() + 1):
        found, n = label(labels == k, SQUARE)
        numbers[found > 0] = found[found > 0] + last
        last += n
    return numbers


@pytest.mark.parametrize("validation", ["parcels", "pixels"])
@pytest.mark.parametrize("seed", range(4))
def test_parcels_go_whole_and_keep_their_distance(seed: int, validation: str) -> None:
    labels = fields(cells=10)
    numbers = parcel_numbers(labels)
    split = parcels(labels, 4, guard=4, cap=20, validation=validation, seed=seed)
    homes = [set(np.unique(numbers[m])) for m in (split.train, split.val, split.test)]
    assert not (homes[0] | homes[1]) & homes[2]
    assert bool(homes[0] & homes[1]) == (validation == "pixels")
    material = np.isin(numbers, list(homes[0] | homes[1]))
    assert distance_transform_cdt(~material, "chessboard")[split.test].min() > 4, "from the parcel, any class"
    train, val, _ = split.counts(labels, 4)
    assert train.tolist() == [20] * 4
    assert val.max() <= 10
    for k in range(4):
        share = np.count_nonzero(material & (labels == k)) / np.count_nonzero(labels == k)
        assert 0.2 < share < 0.4, "about the fraction asked for (every parcel was met at least by one drawn pixel)"


@pytest.mark.parametrize("guard", [0, 1, 4])
def test_parcels_drop_nothing_but_the_guard(guard: int) -> None:
    labels = fields(cells=10)
    split = parcels(labels, 4, guard=guard, cap=10_000, val_cap=0, seed=5)
    beyond = distance_transform_cdt(~split.train, "chessboard") > guard
    assert np.array_equal(split.test, (labels >= 0) & beyond)
    dropped = np.count_nonzero((labels >= 0) & ~split.train & ~split.test)
    assert f"the guard dropped {dropped} pixels" in split.note


def test_a_parcel_is_eight_connected() -> None:
    labels = np.full((40, 40), -1, np.int16)
    diagonal = np.arange(20)
    labels[diagonal, diagonal] = 0  # one parcel by its corners
    labels[30, ::2] = 1  # twenty parcels
    split = parcels(labels, 2, guard=0, seed=0)
    assert "cut in two: classes 0" in split.note
    assert split.counts(labels, 2)[:, 0].sum() == 20


def test_a_dominant_parcel_is_cut_across_its_long_axis() -> None:
    labels = np.full((30, 120), -1, np.int16)
    rows, columns = np.mgrid[:30, :120]
    band = np.abs(rows - columns / 6 - 5) < 3  # a slanted strip 120 long
    labels[band] = 0
    labels[28:, 100:103] = 0  # a crumb below 10 % of the area
    labels[26:, :40] = 1
    ends = set()
    for seed in range(12):
        split = parcels(labels, 2, guard=0, cap=10_000, val_cap=0, seed=seed)
        mine = split.train & (labels == 0)
        assert mine.sum() == round(0.35 * band.sum())
        other = split.test & band
        along = columns + rows / 6  # the strip's direction
        end = np.sign(along[mine].mean() - along[other].mean())
        # the principal axis of a finite strip is not exactly its direction: 1 pixel of tolerance
        assert (end * along[mine]).min() > (end * along[other]).max() - 1.0
        assert split.test[28:, 100:103].all(), "crumbs test"
        ends.add(int(end))
    assert ends == {-1, 1}, "the seed chooses the end"


def test_the_guard_holds_between_the_two_ends_of_a_cut_parcel() -> None:
    labels = np.full((20, 100), -1, np.int16)
    labels[:8], labels[12:] = 0, 1
    split = parcels(labels, 2, guard=6, cap=10_000, val_cap=0, seed=0)
    assert distance_transform_cdt(~split.train, "chessboard")[split.test].min() == 7
    assert split.guard_px == 6


def test_held_out_parcels_leave_one_for_training_and_the_note_names_the_rest() -> None:
    labels = fields(3, cells=10)
    labels[labels == 2] = -1
    labels[80:, 40:] = -1
    labels[85:, 50:] = 2  # one parcel: validated on itself
    split = parcels(labels, 3, cap=20, seed=1)
    assert "own training parcels (reads too high): classes 2" in split.note
    assert split.untrainable == ()
    assert parcels(labels, 3, val_cap=0, seed=1).val.sum() == 0
    numbers = parcel_numbers(labels)
    for k in (0, 1):
        mine = labels == k
        assert not set(numbers[split.val & mine]) & set(numbers[split.train & mine])


def test_classes_lost_to_the_guard_are_named() -> None:
    labels = np.full((40, 40), -1, np.int16)
    labels[:10, :10], labels[30:, :] = 0, 1
    labels[20, 20], labels[0, 39], labels[1, 38] = 2, 3, 3
    split = parcels(labels, 4, guard=4, seed=0)
    assert split.untestable == (2, 3)
    assert split.untrainable == ()


def test_the_spelling_means_the_maker() -> None:
    labels = fields()
    mask = (labels >= 0) & (np.arange(72) < 36)
    for text, made_by, options in (
        ("parcels", parcels, {}),
        ("parcels:0.5", parcels, {"fraction": 0.5}),
        (" Parcels:0.5, guard=2,cap=9,validation=pixels", parcels,
         {"fraction": 0.5, "guard": 2, "cap": 9, "validation": "pixels"}),
        ("parcels,guard=2", parcels, {"guard": 2}),
        ("blocks:12", blocks, {"block": 12}),
        ("blocks:12,guard=0,fraction=0.4", blocks, {"block": 12, "guard": 0, "fraction": 0.4}),
        ("random_fraction:0.1", random_fraction, {"fraction": 0.1}),
        ("random-per-class:30", random_per_class, {"n": 30}),
        ("random_total:200,val=20", random_total, {"n": 200, "val": 20}),
    ):  # fmt: skip
        made, expected = make_split(text, labels, 4, seed=3), made_by(labels, 4, seed=3, **options)
        assert same(made, expected), text
        assert made.how == expected.how
    assert same(make_split("fixed", labels, 4, seed=3, train_mask=mask), fixed(labels, 4, mask, seed=3))


@pytest.mark.shared_data
def test_published_masks_of_real_scenes(shared_data: Path) -> None:
    pavia = shared_data / "hsi" / "pavia_university"
    labels = loadmat(pavia / "PaviaU_gt.mat")["hyperimg_gt"].astype(np.int16) - 1
    train, official, test = (
        loadmat(pavia / f"{n}.mat")[n[:8]] for n in ("TRpaviaU_in_gt2774", "TRpaviaU_official3921", "TSpaviaU_40002")
    )
    split = fixed(labels, 9, train, test)
    assert (split.train.sum(), split.test.sum(), split.note) == (2774, 40002, "")
    from_official = fixed(labels, 9, official, test)
    assert np.array_equal(from_official.train, split.train)
    assert "1147 of 3921" in from_official.note
    indian = np.load(shared_data / "hsi" / "indian_pines" / "disjoint_split_stdids.npz")
    labels = loadmat(shared_data / "hsi" / "indian_pines" / "Indian_pines_gt.mat")["indian_pines_gt"]
    split = fixed(labels.astype(np.int16) - 1, 16, indian["train"], indian["test"])
    assert "26 of 695" in split.note
    assert "230 of 9671" in split.note


@pytest.mark.shared_data
def test_parcels_of_indian_pines(shared_data: Path) -> None:
    labels = loadmat(shared_data / "hsi" / "indian_pines" / "Indian_pines_gt.mat")["indian_pines_gt"]
    labels = labels.astype(np.int16) - 1
    for seed in range(6):
        split = parcels(labels, 16, seed=seed)
        train, _, test = split.counts(labels, 16)
        assert (split.untrainable, train.max()) == ((), 50)
        assert 4000 < test.sum() < 6500
        assert test[[0, 6, 8]].max() <= 8, "alfalfa, grass-pasture-mowed and oats can hardly be tested"
