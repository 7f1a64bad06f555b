"""Mean field against enumeration, exact chains and an update written edge by edge; float64 throughout."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.crf.grid import Offset, direction, ends, offsets
from hyperseg.crf.meanfield import free_energy, infer
from hyperseg.crf.settings import MeanField

ORDERS = ("parallel", "checkerboard", "sequential")
RIGHT, BELOW = (0, 1), (1, 0)


def field(
    k: int, h: int, w: int, *, kinds: Sequence[Offset] = (RIGHT, BELOW), seed: int = 0, batch: tuple[int, ...] = ()
) -> tuple[Tensor, dict[Offset, Tensor]]:
    """Normally distributed energies of nodes and edges."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*batch, *shape, dtype=torch.float64, generator=rng)

    unary = normal(k, h, w)
    sizes = {(dy, dx): (max(h - abs(dy), 0), max(w - abs(dx), 0)) for dy, dx in kinds}
    return unary, {offset: normal(k, k, *size) for offset, size in sizes.items()}


def times(factor: float, tables: dict[Offset, Tensor]) -> dict[Offset, Tensor]:
    return {offset: factor * table for offset, table in tables.items()}


def marginals_by_enumeration(unary: Tensor, tables: dict[Offset, Tensor]) -> tuple[Tensor, float]:
    """Exact marginals and log Z over all K^(h w) labellings, by plain loops over nodes and edges."""
    k, h, w = unary.shape
    marginals, z, linked = torch.zeros_like(unary), 0.0, edges(unary, tables)
    for flat in itertools.product(range(k), repeat=h * w):
        at = dict(zip(itertools.product(range(h), range(w)), flat, strict=True))
        total = sum(float(unary[label, y, x]) for (y, x), label in at.items())
        weight = math.exp(-total - sum(float(v[at[p], at[q]]) for p, q, v in linked))
        z += weight
        for (y, x), label in at.items():
            marginals[label, y, x] += weight
    return marginals / z, math.log(z)


def edges(unary: Tensor, tables: dict[Offset, Tensor]) -> list[tuple[tuple[int, int], tuple[int, int], Tensor]]:
    """(p, q, V[y_p, y_q]) of every edge, row by row."""
    _, h, w = unary.shape
    return [
        ((y, x), (y + dy, x + dx), table[:, :, y + min(dy, 0), x + min(dx, 0)])
        for (dy, dx), table in tables.items()
        for y, x in itertools.product(range(h), range(w))
        if 0 <= y + dy < h and 0 <= x + dx < w
    ]


def infer_by_loop(unary: Tensor, tables: dict[Offset, Tensor], settings: MeanField) -> tuple[Tensor, float]:
    """The same sweeps, written node by node and edge by edge."""
    _, h, w = unary.shape
    nodes = list(itertools.product(range(h), range(w)))
    step = max((abs(dy) + abs(dx) for dy, dx in tables), default=1) + 1
    match settings.order:
        case "parallel":
            groups = [nodes]
        case "sequential":
            groups = [[node] for node in nodes]
        case _ if step == 2:
            groups = [[(y, x) for y, x in nodes if (y + x) % 2 == colour] for colour in (0, 1)]
        case _:
            groups = [[(y, x) for y, x in nodes if (y % step, x % step) == c]
                      for c in itertools.product(range(step), repeat=2)]  # fmt: skip
    linked = edges(unary, tables)
    q, change = torch.softmax(-unary, 0), 0.0
    for _ in range(settings.iterations):
        before = q.clone()
        for group in groups:
            old = q.clone()
            for node in group:
                total = unary[:, *node].clone()
                for first, second, v in linked:
                    if node == first:
                        total += v @ old[:, *second]
                    if node == second:
                        total += v.T @ old[:, *first]
                new = torch.softmax(-total, 0)
                q[:, *node] = (1 - settings.damping) * new + settings.damping * old[:, *node]
        change = float((q - before).abs().max())
    return q, change


def test_offsets_hold_one_of_each_pair_of_opposites() -> None:
    assert offsets(1) == (RIGHT, BELOW)
    for radius in (1, 2, 3, 5):
        found = offsets(radius)
        ball = {(y, x) for y in range(-radius, radius + 1) for x in range(-radius, radius + 1)
                if 0 < abs(y) + abs(x) <= radius}  # fmt: skip
        assert len(found) == radius * (radius + 1)
        assert {*found, *((-dy, -dx) for dy, dx in found)} == ball
        kinds = [direction(o) for o in found]
        assert kinds == sorted(kinds, reverse=True), "right ones first"
    assert len(offsets(2)) == 6


def test_every_offset_or_its_opposite_has_a_direction() -> None:
    def known(offset: Offset) -> bool:
        try:
            return direction(offset) in ("right", "below")
        except SettingError:
            return False

    for dy, dx in itertools.product(range(-3, 4), repeat=2):
        assert known((dy, dx)) + known((-dy, -dx)) == ((dy, dx) != (0, 0))
    assert (direction((-1, 1)), direction((1, 1)), direction((2, 1))) == ("right", "right", "below")
    with pytest.raises(SettingError, match=r"use \(0, 1\) with both label axes swapped"):
        direction((0, -1))


@pytest.mark.parametrize("offset", [RIGHT, BELOW, (-1, 1), (1, 1), (2, -1), (0, 2), (4, 0), (9, 3)])
def test_ends_are_apart_by_the_offset(offset: Offset) -> None:
    y, x = torch.meshgrid(torch.arange(5), torch.arange(4), indexing="ij")
    first, second = ends(offset)
    assert y[first].shape == (max(5 - abs(offset[0]), 0), max(4 - abs(offset[1]), 0))
    assert (y[second] - y[first] == offset[0]).all()
    assert (x[second] - x[first] == offset[1]).all()


@pytest.mark.parametrize("order", ORDERS)
def test_without_interaction_nothing_happens(order: str) -> None:
    unary, tables = field(3, 4, 5)
    nothing = times(0.0, tables)
    start = torch.softmax(-unary, 0)
    for n, given in ((0, tables), (1, nothing), (7, nothing), (3, {})):
        found = infer(unary, given, settings=MeanField(n, order))
        torch.testing.assert_close(found.q, start, atol=1e-15, rtol=0)
        assert found.last_change <= 0.01


@pytest.mark.parametrize("order", ORDERS)
def test_separable_tables_are_exact_after_one_step(order: str) -> None:
    """V(a, b) = f(a) + g(b) is a unary energy in disguise; f != g tells a table from its transpose."""
    unary, tables = field(3, 2, 3, seed=1)
    separable = {offset: table[:, :1] + table[:1] for offset, table in tables.items()}
    exact, log_z = marginals_by_enumeration(unary, separable)
    q = infer(unary, separable, settings=MeanField(1, order)).q
    torch.testing.assert_close(q, exact, atol=1e-12, rtol=0)
    assert float(free_energy(q, unary, separable)) == pytest.approx(-log_z, abs=1e-12)
    swapped = {offset: table.transpose(0, 1) for offset, table in separable.items()}
    assert (infer(unary, swapped, settings=MeanField(1, order)).q - exact).abs().max() > 0.1


@pytest.mark.parametrize(("h", "w"), [(2, 3), (1, 6), (6, 1)])
def test_error_falls_with_the_square_of_the_coupling(h: int, w: int) -> None:
    unary, tables = field(3, h, w, seed=0)
    errors = []
    for eps in (0.2, 0.1, 0.05, 0.025):
        weak = times(eps, tables)
        exact, _ = marginals_by_enumeration(unary, weak)
        errors.append(float((infer(unary, weak, settings=MeanField(60)).q - exact).abs().max()))
    assert errors[-1] < 1e-3
    assert all(3 < a / b < 5 for a, b in itertools.pairwise(errors)), errors


def test_two_nodes_are_already_approximate() -> None:
    """A tree does not make mean field exact: the mean error over seeds is a few per cent."""
    errors = []
    for seed in range(20):
        unary, tables = field(3, 1, 2, seed=seed)
        exact, _ = marginals_by_enumeration(unary, tables)
        found = infer(unary, tables, settings=MeanField(200, "sequential"))
        assert found.last_change <= 0.01
        errors.append(float((found.q - exact).abs().max()))
    assert 0.01 < sum(errors) / len(errors) < 0.2


@pytest.mark.parametrize("radius", [1, 2])
def test_known_neighbours_give_the_exact_conditional(radius: int) -> None:
    """With every other node fixed, the update of a node is P(y_p | rest), its energies counted directly."""
    unary, tables = field(3, 5, 7, kinds=offsets(radius), seed=5)
    labels = torch.randint(3, (5, 7), generator=torch.Generator().manual_seed(6))
    frozen = torch.nn.functional.one_hot(labels, 3).movedim(-1, 0).double()
    q = infer(unary, tables, settings=MeanField(1), start=frozen).q
    for node in itertools.product(range(5), range(7)):
        energies = []
        for label in torch.eye(3, dtype=torch.float64):
            changed = frozen.clone()
            changed[:, *node] = label
            energies.append(float(free_energy(changed, unary, tables)))  # without entropy: all nodes are known
        conditional = torch.softmax(-torch.tensor(energies, dtype=torch.float64), 0)
        torch.testing.assert_close(q[:, *node], conditional, atol=1e-12, rtol=0)


@pytest.mark.parametrize("order", ["sequential", "checkerboard"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_updates_one_after_the_other_never_raise_the_free_energy(order: str, damping: float) -> None:
    unary, tables = field(3, 2, 3, seed=8)
    tables = times(2.0, tables)
    _, log_z = marginals_by_enumeration(unary, tables)
    q = torch.softmax(-unary, 0)
    values = [float(free_energy(q, unary, tables))]
    for _ in range(12):
        q = infer(unary, tables, settings=MeanField(1, order, damping), start=q).q
        values.append(float(free_energy(q, unary, tables)))
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(values))
    assert values[0] - values[-1] > 0.1
    assert values[-1] >= -log_z


def test_free_energy_of_a_labelling_is_its_energy() -> None:
    unary, tables = field(3, 4, 5, kinds=offsets(2), batch=(2,), seed=9)
    labels = torch.randint(3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    q = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).double()
    by_loop = []
    for i, at in enumerate(labels):
        linked = edges(unary[i], {o: t[i] for o, t in tables.items()})
        total = sum(float(unary[i, at[y, x], y, x]) for y in range(4) for x in range(5))
        by_loop.append(total + sum(float(v[at[first], at[second]]) for first, second, v in linked))
    torch.testing.assert_close(free_energy(q, unary, tables), torch.tensor(by_loop, dtype=torch.float64))


def test_answers_are_stationary_points_of_the_free_energy() -> None:
    """Where mean field has settled, the derivative of F along the simplex is zero."""
    unary, tables = field(3, 3, 4, seed=10)
    tables = times(0.5, tables)
    q = infer(unary, tables, settings=MeanField(300, "sequential")).q.requires_grad_()
    (slope,) = torch.autograd.grad(free_energy(q, unary, tables), q)
    assert (slope - slope.mean(0)).abs().max() < 1e-9


SIZES = [(1, 5, 7), (2, 5, 7), (3, 5, 4), (2, 1, 1), (1, 1, 6), (2, 7, 2), (3, 2, 9), (3, 4, 2)]
ALONE = [(-1, 1), (1, 1), (2, 1), (0, 3)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kinds", "h", "w"), [*((offsets(r), h, w) for r, h, w in SIZES), *(((offset,), 5, 6) for offset in ALONE)]
)
def test_grids_equal_the_loop_over_edges(order: str, kinds: Sequence[Offset], h: int, w: int) -> None:
    unary, tables = field(3, h, w, kinds=kinds, seed=11)
    settings = MeanField(3, order, damping=0.2)
    found = infer(unary, tables, settings=settings)
    by_loop, change = infer_by_loop(unary, tables, settings)
    torch.testing.assert_close(found.q, by_loop, atol=1e-12, rtol=0)
    assert found.last_change == pytest.approx(change, abs=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_one_table_for_all_edges_is_that_table_at_every_edge(order: str, radius: int, batch: tuple[int, ...]) -> None:
    unary, tables = field(3, 5, 7, kinds=offsets(radius), seed=12)
    unary = unary.expand(*batch, *unary.shape)
    shared = {offset: table[..., :1, :1].expand_as(table) for offset, table in tables.items()}
    copied = {offset: table.contiguous() for offset, table in shared.items()}
    settings = MeanField(4, order, damping=0.2)
    found, wanted = infer(unary, shared, settings=settings), infer(unary, copied, settings=settings)
    assert all(table.stride()[-2:] != (0, 0) for table in copied.values())
    torch.testing.assert_close(found.q, wanted.q, atol=1e-13, rtol=0)
    assert (found.q - infer(unary, tables, settings=settings).q).abs().max() > 1e-3


@pytest.mark.parametrize("shared", [False, True])
def test_a_weight_scales_the_tables(shared: bool) -> None:
    unary, tables = field(3, 5, 7, seed=12)
    if shared:
        tables = {offset: table[..., :1, :1].expand_as(table) for offset, table in tables.items()}
    scaled = {offset: 0.3 * table for offset, table in tables.items()}
    found = infer(unary, tables, settings=MeanField(4), weight=0.3).q
    torch.testing.assert_close(found, infer(unary, scaled, settings=MeanField(4)).q, atol=1e-13, rtol=0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shared", [False, True])
def test_nodes_that_are_not_live_are_as_if_their_edges_had_no_energy(order: str, shared: bool) -> None:
    unary, tables = field(3, 5, 7, kinds=offsets(2), seed=14)
    live = torch.rand(5, 7, generator=torch.Generator().manual_seed(3)) > 0.3
    assert 5 < live.sum() < 30
    if shared:
        tables = {offset: table[..., :1, :1].expand_as(table) for offset, table in tables.items()}
    cut = {}
    for offset, table in tables.items():
        first, second = ends(offset)
        cut[offset] = torch.where(live[first] & live[second], table, 0.0)
    settings = MeanField(4, order, damping=0.2)
    found = infer(unary, tables, settings=settings, live=live).q
    torch.testing.assert_close(found, infer(unary, cut, settings=settings).q, atol=1e-12, rtol=0)
    torch.testing.assert_close(found[:, ~live], torch.softmax(-unary, 0)[:, ~live], atol=1e-15, rtol=0)


@pytest.mark.parametrize("order", ["parallel", "checkerboard"])
def test_pieces_do_not_show(order: str) -> None:
    unary, tables = field(3, 13, 6, kinds=offsets(2), seed=13)
    at_once = infer(unary, tables, settings=MeanField(3, order)).q
    pieces = infer(unary, tables, settings=MeanField(3, order), piece=2 * 3 * 6).q  # two rows
    torch.testing.assert_close(pieces, at_once, atol=1e-14, rtol=0)


@pytest.mark.parametrize(("axis", "kind"), [(-1, RIGHT), (-2, BELOW)])
def test_mirrored_scenes_give_mirrored_answers(axis: int, kind: Offset) -> None:
    """In the mirror the first node of an edge becomes the second: the table's arguments swap."""
    unary, tables = field(3, 5, 7, seed=14)
    mirrored = {offset: table.flip(axis) for offset, table in tables.items()}
    same_arguments = infer(unary.flip(axis), mirrored).q
    mirrored[kind] = mirrored[kind].transpose(0, 1)
    q = infer(unary, tables).q
    torch.testing.assert_close(infer(unary.flip(axis), mirrored).q, q.flip(axis), atol=1e-12, rtol=0)
    assert (same_arguments - q.flip(axis)).abs().max() > 0.1


@pytest.mark.parametrize("order", ["parallel", "checkerboard"])
@pytest.mark.parametrize("radius", [1, 2])
def test_the_inside_of_a_tile_equals_the_whole_grid(order: str, radius: int) -> None:
    n = {("parallel", 1): 3, ("parallel", 2): 2, ("checkerboard", 1): 2, ("checkerboard", 2): 1}[order, radius]
    settings = MeanField(n, order)
    halo = settings.reach(radius)
    h, w, (y, x), (inner_h, inner_w) = 2 * halo + 11, 2 * halo + 8, (5, 2), (5, 4)
    unary, tables = field(2, h, w, kinds=offsets(radius), seed=15)
    tile_h, tile_w = inner_h + 2 * halo, inner_w + 2 * halo
    crop = {
        (dy, dx): table[..., y : y + tile_h - abs(dy), x : x + tile_w - abs(dx)] for (dy, dx), table in tables.items()
    }
    part = infer(unary[:, y : y + tile_h, x : x + tile_w], crop, settings=settings, origin=(y, x)).q
    whole = infer(unary, tables, settings=settings).q[:, y : y + tile_h, x : x + tile_w]
    inside = (slice(None), slice(halo, halo + inner_h), slice(halo, halo + inner_w))
    torch.testing.assert_close(part[inside], whole[inside], atol=1e-12, rtol=0)
    assert (part - whole).abs().max() > 1e-3, "the halo itself differs"


def test_a_tile_needs_its_origin() -> None:
    """Without it the colours of an odd tile are exchanged."""
    unary, tables = field(2, 20, 21, seed=16)
    settings = MeanField(2, "checkerboard")
    whole = infer(unary, tables, settings=settings).q[..., 1:]
    crop = {offset: table[..., 1:] for offset, table in tables.items()}
    for origin, same in (((0, 1), True), ((0, 0), False)):
        part = infer(unary[..., 1:], crop, settings=settings, origin=origin).q
        difference = float((part - whole)[..., settings.reach(1) :].abs().max())
        assert (difference < 1e-12) == same


@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_is_one_by_one(order: str) -> None:
    unary, tables = field(3, 4, 5, kinds=offsets(2), batch=(2, 3), seed=17)
    settings = MeanField(4, order, 0.1)
    together = infer(unary, tables, settings=settings)
    for i, j in itertools.product(range(2), range(3)):
        own = {offset: table[i, j] for offset, table in tables.items()}
        alone = infer(unary[i, j], own, settings=settings)
        torch.testing.assert_close(together.q[i, j], alone.q, atol=1e-14, rtol=0)
        torch.testing.assert_close(free_energy(together.q, unary, tables)[i, j], free_energy(alone.q, unary[i, j], own))
    shared = {offset: table[0, 0] for offset, table in tables.items()}
    spread = {offset: table.expand_as(tables[offset]) for offset, table in shared.items()}
    for function in (lambda t: infer(unary, t, settings=settings).q, lambda t: free_energy(together.q, unary, t)):
        torch.testing.assert_close(function(shared), function(spread), atol=1e-12, rtol=0)


def repulsive(h: int, w: int) -> tuple[Tensor, dict[Offset, Tensor]]:
    """Neighbours that must differ: parallel sweeps change all of them at once, again and again."""
    unary, tables = field(2, h, w, seed=18)
    unary = 0.01 * unary + torch.tensor([0.0, 0.5], dtype=torch.float64)[:, None, None]
    apart = 3.0 * torch.eye(2, dtype=torch.float64)[:, :, None, None]
    return unary, {offset: apart.expand_as(table) for offset, table in tables.items()}


def test_strong_tables_swing_in_parallel_and_settle_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    unary, tables = repulsive(6, 7)
    with caplog.at_level(logging.WARNING, "hyperseg"):
        swinging = infer(unary, tables, settings=MeanField(100))
    assert swinging.last_change > 0.5
    for word in ("has not settled", "checkerboard", "damping", "more iterations"):
        assert word in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "hyperseg"):
        settled = [infer(unary, tables, settings=MeanField(100, order)) for order in ORDERS[1:]]
        damped = infer(unary, tables, settings=MeanField(100, damping=0.5))
    assert not caplog.text
    for found in (*settled, damped):
        assert found.last_change < 1e-6
        again = infer(unary, tables, settings=MeanField(1), start=found.q)
        assert again.last_change < 1e-5, "a fixed point of every order"


def test_start_is_left_as_it_was() -> None:
    unary, tables = field(3, 4, 4, seed=19)
    start = torch.softmax(unary, 0)
    kept = start.clone()
    for order in ORDERS:
        other = infer(unary, tables, settings=MeanField(2, order), start=start).q
        assert torch.equal(start, kept)
        assert (other - infer(unary, tables, settings=MeanField(2, order)).q).abs().max() > 1e-3


def test_gradients_through_the_unrolled_sweeps() -> None:
    unary, tables = field(2, 2, 3, seed=20)
    inputs = [t.requires_grad_() for t in (unary, tables[RIGHT], tables[BELOW])]

    def unrolled(u: Tensor, right: Tensor, below: Tensor) -> Tensor:
        return infer(u, {RIGHT: right, BELOW: below}, settings=MeanField(3, damping=0.2)).q

    def bound(u: Tensor, right: Tensor, below: Tensor) -> Tensor:
        return free_energy(unrolled(u, right, below), u, {RIGHT: right, BELOW: below})

    assert torch.autograd.gradcheck(unrolled, inputs)
    assert torch.autograd.gradcheck(bound, inputs)


def test_following_gradients_changes_no_value_and_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    unary, tables = field(3, 7, 8, kinds=offsets(2), seed=21)
    plain = infer(unary, tables, settings=MeanField(2)).q
    caplog.clear()
    followed = infer(unary.requires_grad_(), tables, settings=MeanField(2))
    assert followed.last_change > 0.01
    assert not caplog.text
    torch.testing.assert_close(followed.q.detach(), plain, atol=1e-14, rtol=0)
    for order in ORDERS[1:]:
        with pytest.raises(SettingError, match="has no gradient"):
            infer(unary, tables, settings=MeanField(2, order))
        with torch.no_grad():
            infer(unary, tables, settings=MeanField(2, order))


def test_reach() -> None:
    assert MeanField(4).reach(3) == 12
    assert MeanField(4, "checkerboard").reach(1) == 8
    assert MeanField(2, "checkerboard").reach(2) == 36
    with pytest.raises(SettingError, match="whole grid"):
        MeanField(1, "sequential").reach(1)


def test_mistakes_are_named() -> None:
    unary, tables = field(3, 4, 5)
    right = tables[RIGHT]
    for message, given, wrong in (
        (r"\(3, 3, 4, 5\).*must be \(3, 3, 4, 4\)", unary, {RIGHT: torch.zeros(3, 3, 4, 5, dtype=torch.float64)}),
        ("must be", unary, {RIGHT: right.expand(2, 3, 3, 4, 4)}),
        ("neither right nor below", unary, {(0, -1): right}),
        ("float32", unary, {RIGHT: right.float()}),
        ("floating point", torch.zeros(3, 0, 5), {}),
        ("NaN", unary * float("nan"), tables),
    ):
        with pytest.raises(SettingError, match=message):
            infer(given, wrong)
    with pytest.raises(SettingError, match="start"):
        infer(unary, tables, start=unary[:2])
    with pytest.raises(SettingError, match="radius"):
        offsets(0)
    with pytest.raises(SettingError, match="q must be"):
        free_energy(unary[:2], unary, tables)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("order", ORDERS)
def test_cuda_equals_cpu(order: str) -> None:
    unary, tables = field(4, 33, 21, kinds=offsets(2), batch=(2,), seed=22)
    settings = MeanField(3, order, 0.1)
    on_gpu = infer(unary.cuda(), {o: t.cuda() for o, t in tables.items()}, settings=settings)
    on_cpu = infer(unary, tables, settings=settings)
    torch.testing.assert_close(on_gpu.q.cpu(), on_cpu.q, atol=1e-12, rtol=0)
