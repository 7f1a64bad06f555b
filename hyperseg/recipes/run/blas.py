"""NumPy's matrix products on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, NumPy's own OpenBLAS works in the thread that calls it, as with OPENBLAS_NUM_THREADS=1.

    What a run asks of it are thousands of products and decompositions of a few hundred rows. Its threads wait for each
    other in every one of them, spinning: beside other work on two cores the area of applicability took 18 times as
    long on two threads as on one. torch has threads of its own, which this leaves alone, as it does a library that both
    share. Sums do not depend on the number of cores then either.
    """
    from threadpoolctl import ThreadpoolController

    there = ThreadpoolController()
    with there.select(filepath=[file for file in map(_file, there.info()) if _is_numpys(file)]).limit(limits=1):
        yield


def _file(library: dict[str, Any]) -> str:
    return str(library["filepath"])


def _is_numpys(file: str) -> bool:
    """Whether the file came with NumPy or SciPy."""
    return "openblas" in Path(file).name and any(part.startswith(("numpy", "scipy")) for part in Path(file).parts)
