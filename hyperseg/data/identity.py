"""What tells one scene from another: its size, what is known about it, and a checksum of its values."""

from __future__ import annotations

import math
import os
import zlib
from typing import Any

import numpy as np

from hyperseg.core import Scene
from hyperseg.io.look.sample import row_spans, stored_together
from hyperseg.io.look.valid import FULL_SCAN_BYTES
from hyperseg.io.read import split_key

SAMPLED_PX = 20000


def identity_of(scene: Scene) -> dict[str, Any]:
    """What a scene is known again by, as JSON: the same after it was written and read.

    Values that are not finite are empty whatever `nodata` says, and have no JSON: such a `nodata` is None here.
    All values of a cube of up to 512 MiB count. Of a larger one stretches of rows do, about 20 000 pixels, and size and
    time of its file, so that a changed file is another scene whatever changed in it.
    """
    known = [scene.wavelengths_nm, scene.good_bands, scene.valid]
    facts = b"".join(np.ascontiguousarray(a).tobytes() if a is not None else b"-" for a in known)
    found = {
        "name": scene.name,
        "shape": list(scene.cube.shape),
        "dtype": np.dtype(scene.cube.dtype).name,
        "nodata": scene.nodata if scene.nodata is not None and math.isfinite(scene.nodata) else None,
        "known": zlib.crc32(facts),
    }
    cube, checksum = scene.cube, 0
    if int(np.prod(cube.shape)) * np.dtype(cube.dtype).itemsize <= FULL_SCAN_BYTES:
        step = stored_together(cube)[0]
        for row in range(0, cube.shape[0], step):
            checksum = zlib.crc32(np.ascontiguousarray(cube[row : row + step]).data, checksum)
        return found | {"values": checksum}
    for row, span in row_spans(cube, SAMPLED_PX):
        checksum = zlib.crc32(np.ascontiguousarray(cube[row, span]).data, checksum)
    file = split_key(scene.source)[0]
    stat = os.stat(file) if scene.source and os.path.exists(file) else None
    return found | {
        "values": checksum,
        "bytes": None if stat is None else stat.st_size,
        "changed": None if stat is None else stat.st_mtime_ns,
    }
