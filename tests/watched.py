"""A cube that can only be read in pieces, as a file would be, and notes what was read."""

from typing import Any

import numpy as np


class Watched:
    """Its `read` holds the shape of every block."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read: list[tuple[int, ...]] = []
        self.keys: list[Any] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        assert all(isinstance(k, slice) for k in (key if isinstance(key, tuple) else (key,)))
        block = self._array[key]
        assert block.size < self._array.size, "the whole cube was read"
        self.read.append(block.shape)
        self.keys.append(key)
        return block

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("the whole cube was read")
