"""One thread for NumPy's products within a run, and as many as before after it."""

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from hyperseg.recipes.run.blas import _is_numpys, one_blas_thread


def threads() -> list[int]:
    return [lib["num_threads"] for lib in ThreadpoolController().info() if _is_numpys(lib["filepath"])]


def test_a_library_of_torch_or_of_the_system_is_left_alone() -> None:
    assert _is_numpys("/venv/lib/python3.11/site-packages/numpy.libs/libscipy_openblas64_-abc.so")
    assert not _is_numpys("/venv/lib/python3.11/site-packages/torch/lib/libopenblas.so")
    assert not _is_numpys("/env/lib/libopenblasp-r0.3.so")
    assert not _is_numpys("/venv/lib/python3.11/site-packages/numpy.libs/libgfortran.so")


def test_one_thread_within_and_as_many_as_before_afterwards() -> None:
    _ = np.eye(3) @ np.eye(3)
    with ThreadpoolController().limit(limits=2):
        before = threads()
        if 2 not in before:
            pytest.skip("this NumPy has no OpenBLAS with two threads")
        with one_blas_thread():
            assert set(threads()) == {1}
        assert threads() == before
        with pytest.raises(KeyboardInterrupt), one_blas_thread():
            raise KeyboardInterrupt
        assert threads() == before
