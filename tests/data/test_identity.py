"""What a scene is known again by must be the same after it was written and read: runs are resumed by it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hyperseg.data.identity import identity_of
from hyperseg.io.write.files import as_json
from hyperseg.simulated.scenes import toy_scene


@pytest.mark.parametrize("nodata", [None, -9999.0, np.nan, np.inf])
def test_it_is_json(nodata: float | None) -> None:
    found = identity_of(toy_scene(shape=(6, 5), n_bands=3).with_(nodata=nodata))
    assert json.loads(as_json(found)) == found


def test_another_nodata_is_another_scene() -> None:
    scene = toy_scene(shape=(6, 5), n_bands=3)
    assert identity_of(scene.with_(nodata=-9999.0)) != identity_of(scene.with_(nodata=0.0))
