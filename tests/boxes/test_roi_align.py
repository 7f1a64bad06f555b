"""RoIAlign: exact on ramps, the identity on the whole image, and centred on pixels."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from hyperseg.boxes.roi_align import CELLS, level_of, roi_align, roi_align_levels


def centres(n: int, stride: float = 1.0) -> Tensor:
    """Places of the centres of cells, in pixels of the image."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) * stride


def ramp(size: Sequence[int], slopes: Sequence[float], stride: float = 1.0) -> Tensor:
    """(1, *S) sum of slope times place."""
    grids = torch.meshgrid(*(centres(n, stride) for n in size), indexing="ij")
    return sum(a * grid for a, grid in zip(slopes, grids, strict=True))[None]  # type: ignore[index]


@pytest.mark.parametrize(("stride", "samples"), [(1.0, 1), (1.0, 2), (4.0, 2), (2.0, 3)])
def test_a_ramp_is_read_exactly_at_the_centres_of_bins(stride: float, samples: int) -> None:
    """Linear interpolation is exact on a * y + b * x, and the mean of a bin's samples is the value at its centre."""
    features = ramp((20, 30), (0.7, -1.3), stride)
    box = torch.tensor([[3.3, 5.1, 15.9, 24.7]], dtype=torch.float64) * stride
    read = roi_align(features, box, (7, 5), stride=(stride, stride), samples=samples)
    height, width = (box[0, 2:] - box[0, :2]).tolist()
    y = box[0, 0] + (torch.arange(7, dtype=torch.float64) + 0.5) / 7 * height
    x = box[0, 1] + (torch.arange(5, dtype=torch.float64) + 0.5) / 5 * width
    assert read.dtype == torch.float64
    torch.testing.assert_close(read[0, 0], 0.7 * y[:, None] - 1.3 * x[None])


def test_a_ramp_of_three_axes() -> None:
    features = ramp((8, 9, 10), (1.0, -2.0, 0.5))
    box = torch.tensor([[1.0, 2.0, 2.5, 7.0, 6.0, 8.5]], dtype=torch.float64)
    read = roi_align(features, box, (3, 2, 4), stride=(1, 1, 1))
    z, y, x = (
        box[0, k] + (torch.arange(n, dtype=torch.float64) + 0.5) / n * (box[0, 3 + k] - box[0, k])
        for k, n in enumerate((3, 2, 4))
    )
    torch.testing.assert_close(read[0, 0], z[:, None, None] - 2 * y[:, None] + 0.5 * x)


def test_the_whole_image_with_a_sample_for_each_pixel_is_the_image() -> None:
    features = torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = torch.tensor([[0.0, 0.0, 6.0, 9.0]], dtype=torch.float64)
    torch.testing.assert_close(roi_align(features, whole, (6, 9), stride=(1, 1), samples=1)[0], features)


def test_pixels_have_their_centres_at_halves() -> None:
    """A box of one pixel reads that pixel; moved by half a pixel it reads the mean of two neighbours."""
    features = torch.zeros(1, 5, 5, dtype=torch.float64)
    features[0, 2, 3] = 1.0
    boxes = torch.tensor([[2.0, 3.0, 3.0, 4.0], [2.0, 3.5, 3.0, 4.5], [2.0, 4.0, 3.0, 5.0]], dtype=torch.float64)
    read = roi_align(features, boxes, (1, 1), stride=(1, 1), samples=1)
    torch.testing.assert_close(read.flatten(), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64))


def test_a_stride_is_a_change_of_unit() -> None:
    features = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    box = torch.tensor([[1.2, 0.4, 5.0, 6.6]], dtype=torch.float64)
    fine = roi_align(features, box, (3, 3), stride=(1, 1))
    torch.testing.assert_close(roi_align(features, box * 8, (3, 3), stride=(8, 8)), fine)


def test_gradients_run_into_the_map() -> None:
    features = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    box = torch.tensor([[0.3, 0.7, 4.1, 5.2]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, box, (2, 3), stride=(1, 1)), (features,))


def test_levels_follow_the_size_of_boxes() -> None:
    """A box of 14 to 28 cells of a level is read there; smaller ones from the finest, larger ones from the coarsest."""
    strides = ((2, 2), (4, 4), (8, 8))
    sides = torch.tensor([1.0, 2.0, 3.99, 4.01, 8.0, 99.0]) * CELLS
    boxes = torch.stack([torch.zeros(6), torch.zeros(6), sides, sides], 1)
    assert level_of(boxes, strides).tolist() == [0, 0, 0, 1, 2, 2]
    pyramid = [torch.full((2, 1, 64, 64), float(level)) for level in range(3)]
    read = roi_align_levels(pyramid, [boxes[:4], boxes[4:]], (2, 2), strides=strides)
    assert read.shape == (6, 1, 2, 2)
    assert read[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 2, 2]


def test_no_box_gives_nothing() -> None:
    assert roi_align(torch.zeros(3, 4, 4), torch.zeros(0, 4), (2, 2), stride=(1, 1)).shape == (0, 3, 2, 2)
