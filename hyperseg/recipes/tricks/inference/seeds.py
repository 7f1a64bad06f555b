"""The seeds of an ensemble's members."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperseg.core.runtime import Runtime


def member_seed(seed: int, member: int) -> int:
    """Of a member of a run with this seed: the first has the run's own; below 2**31, and mixed.

    So no member of a run is one of the run with the next seed.
    """
    if member == 0:
        return seed
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0] >> 1)


def member_runtime(runtime: Runtime, member: int, of: int) -> Runtime:
    """For work on one member, counted from 0: its seed, and files and bars with its number."""
    name = f"member{member + 1}"
    return replace(runtime.within(f"member {member + 1} of {of}", name), seed=member_seed(runtime.seed, member))
