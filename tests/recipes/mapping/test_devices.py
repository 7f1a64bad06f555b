"""Workers take one CUDA device each, counted here with devices that are not there."""

from __future__ import annotations

import logging

import pytest

from hyperseg.core import SettingError
from hyperseg.recipes.mapping.devices import Place, assigned, check_workers


@pytest.mark.parametrize("workers", [1, 2, 11])
def test_workers_of_one_machine_take_one_device_after_the_other(workers: int) -> None:
    places = {str(i): Place("here", None, workers) for i in reversed(range(workers))}
    for asked in ("auto", "cuda"):
        assert assigned(asked, places) == {str(i): f"cuda:{i}" for i in range(workers)}


def test_machines_count_by_themselves() -> None:
    places = {f"{host}{i}": Place(host, None, 2) for i in range(2) for host in "ab"}
    assert assigned("auto", places) == {"a0": "cuda:0", "a1": "cuda:1", "b0": "cuda:0", "b1": "cuda:1"}


def test_workers_that_see_devices_of_their_own_take_the_first() -> None:
    """As dask-cuda gives them: all devices, every worker's own one first; or one each."""
    turned = {"x": Place("here", "0,1,2", 3), "y": Place("here", "1,2,0", 3), "z": Place("here", "2,0,1", 3)}
    single = {"x": Place("here", "0", 1), "y": Place("here", "1", 1)}
    for places in (turned, single):
        assert set(assigned("cuda", places).values()) == {"cuda:0"}


def test_more_workers_than_devices(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = assigned("auto", {str(i): Place("here", None, 2) for i in range(3)})
    assert found == {"0": "cuda:0", "1": "cuda:1", "2": "cuda:0"}
    assert "3 workers on here share 2 CUDA devices" in caplog.text
    with pytest.raises(SettingError, match=r"--workers 3 for 2 CUDA devices: .* Give --workers 2, or --device cpu"):
        check_workers(3, "cuda:0", devices=2)
    for workers, device in ((2, "cuda:0"), (3, "cpu")):
        check_workers(workers, device, devices=2)


def test_where_a_worker_has_none() -> None:
    places = {"a": Place("here", None, 1), "b": Place("there", None, 0)}
    assert set(assigned("auto", places).values()) == {"cpu"}
    with pytest.raises(SettingError, match=r"1 of 2 workers see no CUDA device \(b\)"):
        assigned("cuda", places)
    for asked in ("cpu", "cuda:1"):
        assert assigned(asked, places) == {"a": asked, "b": asked}
