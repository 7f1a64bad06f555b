"""Level sets: curvature of known shapes, what the forces do, and that without forces nothing moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.losses import parse_loss
from hyperseg.losses.active_contour import ActiveContour as ContourLoss
from hyperseg.zoo import NETWORKS
from hyperseg.zoo.contour.dals import FARTHEST, Dals, DalsSettings, curvature, distances, evolved, slope


def grid(*size: int) -> list[Tensor]:
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in size]
    return list(torch.meshgrid(*axes, indexing="ij"))


@pytest.mark.parametrize("size", [(7, 9), (5, 6, 7), (1, 8), (8,)])
def test_a_plane_is_not_curved(size: tuple[int, ...]) -> None:
    plane = sum(n * x for n, x in enumerate(grid(*size), 1))
    assert isinstance(plane, Tensor)
    for axis in range(len(size)):
        expected = axis + 1 if size[axis] > 1 else 0
        assert torch.allclose(slope(plane[None, None], 2 + axis), torch.full_like(plane, expected))
    assert float(curvature(plane[None, None]).abs().max()) < 1e-12


@pytest.mark.parametrize(("axes", "bent"), [(2, 1), (3, 2)])
def test_a_circle_is_curved_by_one_over_its_radius(axes: int, bent: int) -> None:
    """Of a distance to a centre the border at every radius is a circle; a sphere is curved along two axes."""
    far = torch.stack([x.square() for x in grid(*(31,) * axes)]).sum(0).sqrt()
    found = curvature((far - 8)[None, None])[0, 0]
    ring = (far > 6) & (far < 12)
    assert torch.allclose(found[ring], bent / far[ring], rtol=0.03)
    assert torch.allclose(curvature((8 - far)[None, None])[0, 0][ring], -bent / far[ring], rtol=0.03)


def forces(inner: float, outer: float, bend: float, like: Tensor) -> Tensor:
    return torch.tensor([inner, outer, bend]).view(1, 3, *[1] * (like.ndim - 1)).expand(-1, -1, *like.shape[1:])


def test_without_steps_or_forces_they_stay_where_they_start() -> None:
    logits, image = torch.randn(1, 3, 6, 7), torch.randn(1, 2, 6, 7)
    assert torch.equal(evolved(logits, image, forces(1, 1, 1, logits), steps=0, rate=1), logits)
    assert torch.equal(evolved(logits, image, forces(0, 0, 0, logits), steps=4, rate=1), logits)


@pytest.mark.parametrize("steps", [0, 2])
def test_scores_and_what_they_became_are_levels(steps: int) -> None:
    spec = BackboneSpec(2, (4, 4), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    with seeded(0):
        net = Dals(spec, 3, DalsSettings(steps=steps)).eval()
    x = torch.randn(2, 2, 6, 7)
    levels = net.levels(x)
    assert len(levels) == len(net.weights) == (2 if steps else 1)
    assert torch.equal(levels[0], net(x))
    assert torch.equal(levels[0], levels[-1]) == (steps == 0)


def test_distances_by_a_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    image, inside = torch.randn(2, 4, 9, generator=rng), torch.rand(2, 3, 9, generator=rng)
    found = distances(image, inside)
    for b in range(2):
        for k in range(3):
            mean = (inside[b, k] * image[b]).sum(1) / inside[b, k].sum()
            for i in range(9):
                expected = float((image[b, :, i] - mean).square().mean())
                assert float(found[b, k, i]) == pytest.approx(min(expected, FARTHEST), abs=1e-5)


def test_a_contour_finds_an_object_and_curvature_smooths_it() -> None:
    """It starts from a disc that covers half of a bright square."""
    y, x = grid(24, 24)
    square = (y.abs() < 7) & (x.abs() < 7)
    image = (square.double() - square.double().mean()) / square.double().std()
    start = 1 - torch.stack([(y - 4).square() + (x - 3).square()]).sqrt() / 5
    logits = torch.cat([-start, start]).clamp(-2, 2)[None].float()
    found = evolved(logits, image[None, None].float(), forces(1, 1, 0.2, logits), steps=30, rate=1)
    assert float((found.argmax(1)[0] == square).double().mean()) > 0.98
    bent = evolved(logits, image[None, None].float(), forces(0, 0, 1, logits), steps=60, rate=1)
    assert int(bent.argmax(1).sum()) < int(logits.argmax(1).sum())  # a disc becomes smaller


def test_gradients_go_through_the_steps() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, image = (torch.randn(1, n, 4, 3, dtype=torch.float64, generator=rng) for n in (3, 2))
    weights = torch.rand(1, 3, 3, 4, 3, dtype=torch.float64, generator=rng)
    assert torch.autograd.gradcheck(
        lambda a, b: evolved(a, image, b, steps=2, rate=0.3), (logits.requires_grad_(), weights.requires_grad_())
    )


def test_the_network_of_the_loss_names_the_loss() -> None:
    assert parse_loss(NETWORKS["active-contour"].loss) == ContourLoss()
