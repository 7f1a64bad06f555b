"""CRF as RNN: mean field by loops over all pairs of pixels, its limits, and its gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.zoo.graphical.crf_as_rnn import CrfAsRnn, CrfSettings, DenseMeanField, guide_of

H, W, K = 6, 5, 3


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer(chosen: CrfSettings | None = None, *, random: bool = True) -> DenseMeanField:
    made = DenseMeanField(K, chosen or CrfSettings(steps=2)).double()
    if random:
        made.weights.data = drawn(2, K, seed=5).abs()
        made.compatibility.data = drawn(K, K, seed=6)
    return made


def looped(made: DenseMeanField, logits: Tensor, x: Tensor, steps: int) -> Tensor:
    """One image, pixel by pixel and class by class."""
    chosen, n = made.chosen, H * W
    told = guide_of(x[None], chosen.guide)[0].tolist()
    place = [(i // W, i % W) for i in range(n)]

    def kernel(i: int, j: int, *, bilateral: bool) -> float:
        far = sum((a - b) ** 2 for a, b in zip(place[i], place[j], strict=True))
        if not bilateral:
            return math.exp(-far / chosen.gaussian_px**2 / 2)
        apart = sum((a - b) ** 2 for a, b in zip(told[i], told[j], strict=True))
        return math.exp(-(far / chosen.bilateral_px**2 + apart / chosen.bilateral_sd**2) / 2)

    unary = logits.flatten(1).T.tolist()
    both = [[[kernel(i, j, bilateral=b) for j in range(n)] for i in range(n)] for b in (False, True)]
    sums = [[sum(row) for row in k] for k in both]
    weights, table = made.weights.tolist(), made.compatibility.tolist()
    field = unary
    for _ in range(steps):
        q = [[math.exp(a) / sum(map(math.exp, row)) for a in row] for row in field]
        field = []
        for i in range(n):
            message = [
                sum(
                    weights[m][c] * sum(both[m][i][j] / math.sqrt(sums[m][i] * sums[m][j]) * q[j][c] for j in range(n))
                    for m in range(2)
                )
                for c in range(K)
            ]
            field.append([unary[i][a] - sum(table[a][b] * message[b] for b in range(K)) for a in range(K)])
    return torch.tensor(field, dtype=torch.float64).T.view(K, H, W)


def test_it_equals_loops_over_all_pairs_of_pixels() -> None:
    made, logits, x = layer(CrfSettings(steps=2, steps_mapping=3, bilateral_px=4)), drawn(2, K, H, W), drawn(2, 7, H, W)
    for steps, training in ((2, True), (3, False)):
        found = made.train(training)(logits, x)
        for each, mine, image in zip(found, logits, x, strict=True):
            assert torch.allclose(each, looped(made, mine, image, steps), atol=1e-10)


def test_without_weights_it_is_the_softmax_of_its_scores() -> None:
    made, logits = layer(), drawn(2, K, H, W)
    made.weights.data.zero_()
    assert torch.equal(made(logits, drawn(2, 3, H, W)), logits)


def test_it_starts_as_potts() -> None:
    """What disagrees costs the same for all pairs; one step takes a pixel towards what is around it."""
    made = layer(CrfSettings(), random=False)
    assert torch.equal(made.compatibility, 1 - torch.eye(K, dtype=torch.float64))
    assert bool((made.weights == 1).all())
    logits = torch.zeros(1, K, H, W, dtype=torch.float64)
    logits[:, 1] = 1
    logits[:, :, 3, 2] = 0
    after = made(logits, torch.zeros(1, 1, H, W, dtype=torch.float64))
    assert int(after[0, :, 3, 2].argmax()) == 1


def test_a_border_of_the_image_stops_messages() -> None:
    made = layer(CrfSettings(bilateral_sd=0.1, gaussian_px=0.1), random=False)
    x = torch.zeros(1, 1, H, W, dtype=torch.float64)
    x[..., 3:] = 1
    logits = torch.zeros(1, K, H, W, dtype=torch.float64)
    logits[0, 0, :, 0], logits[0, 2, :, 4] = 2, 2
    found = made(logits, x).argmax(1)[0]
    assert bool((found[:, :3] == 0).all())
    assert bool((found[:, 3:] == 2).all())


@pytest.mark.parametrize("size", [(3, 4), (26, 25), (2, 3, 2)])
def test_gradients_of_scores_weights_and_table(size: tuple[int, ...]) -> None:
    """By the matrix, and of 650 pixels by the lattice."""
    made, x = layer(), drawn(1, 2, *size)
    scores, weights, table = (
        t.detach().requires_grad_() for t in (drawn(1, K, *size), made.weights, made.compatibility)
    )
    mixed = drawn(K * math.prod(size), 4, seed=3)

    def answer(logits: Tensor, a: Tensor, b: Tensor) -> Tensor:
        found = torch.func.functional_call(made, {"weights": a, "compatibility": b}, (logits, x))
        return found.flatten() @ mixed

    if math.prod(size) < 20:
        assert torch.autograd.gradcheck(answer, (scores, weights, table))
    else:
        assert torch.autograd.gradcheck(lambda a, b: answer(scores.detach(), a, b), (weights, table))
        shift = drawn(1, K, *size, seed=8)
        (slope,) = torch.autograd.grad(answer(scores, weights, table)[0], scores)
        with torch.no_grad():
            ahead, behind = (answer(scores + h * shift, weights, table)[0] for h in (1e-5, -1e-5))
        assert float((slope * shift).sum()) == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-6)


def test_the_guide_has_the_distances_of_the_image_and_no_scale() -> None:
    x = drawn(2, 3, 4, 5)
    few = guide_of(x, 3)
    assert torch.allclose(few.square().sum(2).mean(1), torch.ones(2, dtype=torch.float64))
    assert torch.allclose(guide_of(7 * x + 3, 3), few)
    mixed = torch.einsum("dc,bchw->bdhw", torch.linalg.qr(drawn(9, 3, seed=4)).Q, x)
    assert torch.allclose(torch.cdist(guide_of(mixed, 3), guide_of(mixed, 3)), torch.cdist(few, few))
    assert guide_of(drawn(1, 200, 4, 5), 2).shape == (1, 20, 2)


def test_an_image_with_a_value_that_is_no_number_has_no_answer_and_the_other_has() -> None:
    spec = BackboneSpec(2, (4, 4), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    with seeded(0):
        net = CrfAsRnn(spec, K, CrfSettings()).eval()
    for size in ((8, 9), (27, 28)):
        x = drawn(2, 2, *size).float()
        x[0, 0, 2, 2] = math.nan
        with torch.no_grad():
            found = net(x)
            assert bool(found[0].isnan().all())
            assert torch.allclose(found[1:], net(x[1:]), atol=1e-5)
