"""Made-up nodules: boxes are those of the ellipsoids, nothing touches, same seed same bytes, real crops stay whole."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.simulated.nodules import Difficulty, Ellipsoid, drawn, nodules, texture
from hyperseg.simulated.pasted import Real

BARE = Difficulty(contrasts=(1000.0, 1000.0), tubes=0, long=0, noise=0)


def apart(a: np.ndarray, b: np.ndarray) -> bool:
    n = len(a) // 2
    return bool(((a[:n] >= b[n:]) | (b[:n] >= a[n:])).any())


@pytest.mark.parametrize("shape", [(40, 44, 36), (60, 52)])
def test_a_box_is_what_is_brighter_than_half_the_contrast(shape: tuple[int, ...]) -> None:
    """The texture is lost beside a contrast of 1000, so the boxes can be read from the volume itself."""
    from scipy.ndimage import find_objects, label

    n = len(shape)
    volume, boxes = drawn(shape, 4, BARE, np.random.default_rng(5))
    parts, found = label(volume > 500, np.ones((3,) * n))
    seen = {(*(s.start for s in part), *(s.stop for s in part)) for part in find_objects(parts)}
    assert found == len(boxes) > 1
    assert seen == {tuple(box.astype(int)) for box in boxes}


def test_a_ball_has_the_volume_and_the_radius_of_a_ball() -> None:
    ball = Ellipsoid(np.array([15.2, 14.9, 15.4]), np.full(3, 9.0), np.eye(3))
    inside = ball.radius(np.zeros(3, int), np.full(3, 31)) < 1
    assert inside.sum() == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.01)
    stretched = Ellipsoid(
        ball.centre, np.array([9.0, 4.5, 3.0]), np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    )
    share = (stretched.radius(np.zeros(3, int), np.full(3, 31)) < 1).sum() / inside.sum()
    assert share == pytest.approx(1 / 6, rel=0.03)


def test_same_seed_same_bytes_and_the_first_volumes_do_not_depend_on_how_many() -> None:
    a, b, c = (
        nodules(4, shape=(32,) * 3, seed=3),
        nodules(2, shape=(32,) * 3, seed=3),
        nodules(2, shape=(32,) * 3, seed=4),
    )
    for k in range(2):
        assert a.volumes[k].tobytes() == b.volumes[k].tobytes() != c.volumes[k].tobytes()
        assert np.array_equal(a.boxes[k], b.boxes[k])


def test_boxes_lie_inside_apart_and_in_the_stated_sizes_and_some_volumes_have_none() -> None:
    made = nodules(24, shape=(40, 36, 32), seed=0)
    counts = [len(boxes) for boxes in made.boxes]
    assert 0 in counts
    assert max(counts) > 1
    for volume, boxes in zip(made.volumes, made.boxes, strict=True):
        assert volume.dtype == np.float32
        assert np.isfinite(volume).all()
        assert boxes.shape[1] == 6
        assert (boxes[:, :3] >= 0).all()
        assert (boxes[:, 3:] <= (40, 36, 32)).all()
        size = boxes[:, 3:] - boxes[:, :3]
        assert ((size >= 2) & (size <= 12 * 1.4 + 1)).all()
        assert all(apart(a, b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_texture_has_the_unit_and_neighbours_that_are_alike() -> None:
    made = texture((40,) * 3, np.random.default_rng(0))
    assert made.std() == pytest.approx(1)
    assert made.mean() == pytest.approx(0, abs=1e-12)
    assert np.corrcoef(made[1:].ravel(), made[:-1].ravel())[0, 1] > 0.7


def test_brightness_alone_does_not_tell_nodules() -> None:
    """Most of the brightest thousandth of all voxels is no nodule: tubes and long bodies are as bright."""
    made = nodules(12, shape=(48,) * 3, seed=1)
    bright = of_nodules = 0
    for volume, boxes in zip(made.volumes, made.boxes, strict=True):
        at = np.argwhere(volume > np.quantile(volume, 0.999))
        bright += len(at)
        of_nodules += sum(((at >= box[:3]) & (at < box[3:])).all(1).sum() for box in boxes)
    assert 0.05 < of_nodules / bright < 0.6


def real_pieces() -> Real:
    crops = np.full((2, 12, 12, 12), 100.0)
    masks = np.zeros((2, 12, 12, 12), bool)
    masks[0, 4:8, 3:8, 5:7] = True
    masks[1, 4:7, 4:7, 4:7] = True
    masks[1, 0, 0, 0] = True  # a smaller part, which is not meant
    crops[masks] = 200
    known = np.zeros((24, 24, 24), bool)
    known[10:13, 10:13, 10:13] = True
    return Real(tuple(crops), tuple(masks), (np.zeros((24, 24, 24)),), (known,))


def test_a_pasted_crop_stands_whole_in_its_box_and_the_background_keeps_its_own() -> None:
    made = nodules(6, shape=(24, 24, 24), seed=0, real=real_pieces())
    for volume, boxes in zip(made.volumes, made.boxes, strict=True):
        assert list(boxes[0]) == [10, 10, 10, 13, 13, 13]
        for box in boxes[1:]:
            size = tuple(int(k) for k in box[3:] - box[:3])
            assert size in ((4, 5, 2), (3, 3, 3))
            assert (volume[tuple(slice(int(a), int(b)) for a, b in zip(box[:3], box[3:], strict=True))] == 200).all()
            assert (volume == 200).sum() == sum(np.prod(b[3:] - b[:3]) for b in boxes[1:])
        assert volume.min() == 0
        between = volume[(volume > 0) & (volume < 100)]
        assert len(boxes) == 1 or len(between) > 0  # the edge is soft


def test_a_cut_object_of_the_background_gives_what_is_left_of_it() -> None:
    made = nodules(8, shape=(12, 12, 12), seed=0, real=real_pieces())
    assert all((boxes >= 0).all() and (boxes <= 12).all() for boxes in made.boxes)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(SettingError, match="2 or 3 axes of 21 voxels"):
        nodules(1, shape=(48, 48, 8), seed=0)
    with pytest.raises(SettingError, match="number of volumes"):
        nodules(0, shape=(48, 48, 48), seed=0)
    with pytest.raises(SettingError, match="0 of 1 backgrounds are as large"):
        nodules(1, shape=(48, 48, 48), seed=0, real=real_pieces())
    pieces = real_pieces()
    with pytest.raises(SettingError, match="a mask for each"):
        nodules(1, shape=(24, 24, 24), seed=0, real=Real(pieces.crops, pieces.masks[:1], pieces.backgrounds))
