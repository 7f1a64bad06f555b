"""Ranks of costs stand in the order of the costs, equal ones in an order that is drawn."""

import numpy as np
import pytest

from hyperseg.regions.ward import _ranks


@pytest.mark.parametrize("equal", [False, True])
def test_ranks_are_in_the_order_of_costs_and_of_what_is_drawn(equal: bool) -> None:
    rng = np.random.default_rng(0)
    cost = np.unique(rng.lognormal(0, 20, 500).astype(np.float32))
    cost = rng.permutation(np.concatenate([cost, cost[:50], [0, 0, np.inf, np.inf]]) if equal else cost)
    cost = cost.astype(np.float32)
    drawn = np.random.default_rng(7).permutation(len(cost))
    rank = _ranks(cost, np.random.default_rng(7))
    assert len(np.unique(rank)) == len(cost)
    np.testing.assert_array_equal(np.argsort(rank), np.lexsort((drawn, cost)))


def test_nothing_is_drawn_where_nothing_is_equal() -> None:
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    _ranks(np.arange(5, dtype=np.float32), rng)
    assert rng.random() == untouched.random()
