"""Mean field on a grid of nodes with a full, asymmetric table of energies per edge.

Marginals are approximated by a product of one distribution per node. Every update of a node reads the tables
of its edges along both axes: as first node V[a, b] is weighted with the neighbour's b, as second node with a.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.crf.grid import Block, Link, Tables, blocks, check_grid, ends
from hyperseg.crf.settings import MeanField

SETTLED = 1e-2
MOVING = 1e-2  # share of nodes: on a large map some border always creeps
# Values per operation: small enough for a piece of the field to stay in the cache, and below torch's threshold
# for starting threads: memory sets the pace, and threads that wait for a busy core cost far more than they gain.
PIECE = 2**15 - 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Marginals:
    """What mean field found.

    Attributes:
        q: (..., K, h, w) approximate marginals.
        last_change: largest change of a probability in the last sweep (over the whole batch), 0 without sweeps.
    """

    q: Tensor
    last_change: float


def infer(
    unary: Tensor,
    tables: Tables,
    *,
    settings: MeanField | None = None,
    start: Tensor | None = None,
    live: Tensor | None = None,
    weight: float = 1.0,
    origin: tuple[int, int] = (0, 0),
    warn: bool = True,
    piece: int = PIECE,
) -> Marginals:
    """Approximate marginals of P(y) = exp(-E(y)) / Z.

    Args:
        unary: (..., K, h, w) energies.
        tables: finite energies per offset (dy, dx), (..., K, K, h - |dy|, w - |dx|), see `hyperseg.crf.grid`; their
            leading axes may be missing or 1 where all of a batch shares them. None of them is copied. One table for
            all edges of an offset, (..., K, K, 1, 1) expanded over the grid, is a matrix product per sweep: quicker.
        settings: default `MeanField()`.
        start: (..., K, h, w) marginals to start from; default softmax(-unary).
        live: (h, w) bool; other nodes take no part: they are no neighbours of any, and end as they start.
        weight: factor on the tables.
        origin: (y, x) of the first node in the grid that this one is a tile of, for the colours of the checkerboard.
        warn: log an entry where more than 1 % of the nodes have not settled, unless gradients are asked for (training
            unrolls few sweeps on purpose).
        piece: values per operation on a CPU, where no gradients are asked for.

    Returns:
        Marginals; differentiable in unary, tables and start for parallel order.

    Raises:
        SettingError: shapes that do not belong together, NaN, or gradients asked of another order.

    Source: Lin et al. 2016 (arXiv 1504.01013) for the energy; the update is the stationary point of
        `free_energy` in one node. Mean field is exact for tables f(a) + g(b) only, not even on two nodes otherwise.
    """
    settings = settings or MeanField()
    check_grid(unary, tables)
    q = torch.softmax(-unary, -3) if start is None else start
    if (q.shape, q.dtype) != (unary.shape, unary.dtype):
        raise SettingError(
            f"start must be {unary.dtype} {tuple(unary.shape)} like unary, got {q.dtype} {tuple(q.shape)}."
        )
    followed = torch.is_grad_enabled() and any(t.requires_grad for t in (q, unary, *tables.values()))
    if followed and settings.order != "parallel":
        raise SettingError(
            f'{settings.order} mean field has no gradient: use order="parallel", or torch.no_grad() to infer.'
        )
    change = moving = 0.0
    whole = q
    if live is not None:
        q = q * live  # what has no probability has no say
    if settings.iterations:
        h, w = unary.shape[-2:]
        # a GPU wants few large operations, and autograd a graph without pieces
        most = piece if unary.device.type == "cpu" and not followed else unary.numel()
        schedule = list(blocks((h, w), tables, order=settings.order, origin=origin, device=unary.device))
        field = Field(unary, tables, weight, live, most, settings.damping)
        for _ in range(settings.iterations):
            before = q
            if settings.order == "parallel":  # a single block, which holds all nodes
                q = field.updated(before, schedule[0])
                continue
            q = before.clone()
            for block in schedule:
                q[(..., *block.nodes)] = field.updated(q, block)
        changes = (q - before).detach().abs().amax(-3)
        change, moving = float(changes.max()), float((changes > SETTLED).float().mean())
    if math.isnan(change):
        raise SettingError("mean field met NaN: unary or tables hold NaN or infinite energies.")
    if warn and moving > MOVING and not followed:
        remedy = "more iterations, or damping=0.5"
        if settings.order == "parallel":
            remedy += ', or order="checkerboard", if it swings to and fro'
        logger.warning(
            "mean field has not settled: sweep %d still changed %.0f %% of the nodes, by up to %.2g. Try %s.",
            settings.iterations, 100 * moving, change, remedy,
        )  # fmt: skip
    return Marginals(q if live is None else torch.where(live, q, whole), change)


@dataclass(frozen=True, eq=False)
class Field:
    """What the nodes of a grid are updated with; attributes as for `infer`.

    Attributes:
        most: values per operation where every edge has its own table.
        damping: share of a node's old value that an update keeps.
    """

    unary: Tensor
    tables: Tables
    weight: float
    live: Tensor | None
    most: int
    damping: float

    def updated(self, q: Tensor, block: Block) -> Tensor:
        """What the nodes of a block become, given all others."""
        received = -self.unary[(..., *block.nodes)]
        own = []
        for link in block.links:
            table = self.tables[link.offset]
            if table.stride()[-2:] == (0, 0):
                self._receive_alike(received[(..., *link.inside)], table[..., 0, 0], q[(..., *link.neighbour)], link)
            else:
                own.append(link)
        self._receive(received, q, own)
        new = torch.softmax(received, -3)
        if self.live is not None:
            new = new * self.live[(..., *block.nodes)]
        if self.damping == 0 and block.chosen is None:
            return new
        old = q[(..., *block.nodes)]
        if self.damping:
            new = torch.lerp(new, old, self.damping)
        return new if block.chosen is None else torch.where(block.chosen, new, old)

    def _receive_alike(self, received: Tensor, table: Tensor, neighbours: Tensor, link: Link) -> None:
        """Subtract, in place, what neighbours send along edges that share one (..., K, K) table."""
        matrix = self.weight * (table if link.summed == -3 else table.transpose(-1, -2))
        received.sub_((matrix @ neighbours.flatten(-2)).unflatten(-1, neighbours.shape[-2:]))

    def _receive(self, received: Tensor, q: Tensor, links: list[Link]) -> None:
        """Subtract, in place, what neighbours send along edges with tables of their own."""
        views = [
            (link.summed, received[(..., *link.inside)], self.tables[link.offset][(..., *link.edge)],
             q[(..., *link.neighbour)])
            for link in links
        ]  # fmt: skip
        rows = max(1, self.most * received.shape[-2] // received.numel())
        for top in range(0, received.shape[-2] if views else 0, rows):  # both ends of an edge while its table is cached
            part = (..., slice(top, top + rows), slice(None))
            for summed, to, table, neighbours in views:
                # one label of the neighbours at a time: no product as large as the tables is ever formed
                here, slices, shares = to[part], table[part].unbind(summed), neighbours[part].unbind(-3)
                for values, share in zip(slices, shares, strict=True):
                    here.addcmul_(values, share.unsqueeze(-3), value=-self.weight)


def free_energy(q: Tensor, unary: Tensor, tables: Tables) -> Tensor:
    """F(Q) = sum Q U + sum Q Q V - entropy, the bound that mean field lowers: F >= -log Z.

    Args:
        q: (..., K, h, w) marginals.
        unary, tables: finite energies as for `infer`, errors too.

    Returns:
        (...): nats, summed over nodes and edges; differentiable.
    """
    check_grid(unary, tables)
    if q.shape != unary.shape:
        raise SettingError(f"q must be {tuple(unary.shape)} like unary, got {tuple(q.shape)}.")
    grid = (-3, -2, -1)
    total = (q * unary + torch.special.xlogy(q, q)).sum(grid)
    for offset, table in tables.items():
        first, second = ends(offset)
        here, there = q[(..., *first)], q[(..., *second)]
        for column, share in zip(table.unbind(-3), there.unbind(-3), strict=True):
            total = total + (column * here * share.unsqueeze(-3)).sum(grid)
    return total
