"""What bench_contrast.py compares: beginnings of a fine-tuning, and the sizes and steps that all of them share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from hyperseg.contrast.pairs import Pairs


class Row(NamedTuple):
    """What a fine-tuning begins with, and whether it mixes images."""

    pairs: Pairs | None
    local: bool = False
    mixup: bool = False


ROWS = {
    "random": Row(None),
    "G^R": Row("gr"),
    "G^{D-}": Row("gd-"),
    "G^D": Row("gd"),
    "G^D + L^R": Row("gd", local=True),
    "random + Mixup": Row(None, mixup=True),
    "G^D + L^R + Mixup": Row("gd", local=True, mixup=True),
}


@dataclass(frozen=True)
class Plan:
    """Sizes and steps; the defaults were chosen on draws that are not reported."""

    widths: tuple[int, ...] = (8, 16, 32, 64, 64)
    parts: int = 4
    volumes: int = 3
    steps: int = 400
    local_steps: int = 200
    tuning: int = 300
    batch: int = 8
    lr: float = 1e-3
    tuning_lr: float = 1e-2
    temperature: float = 0.1
    crop: float = 100 / 192
    most: float = 100 / 192
    mix: float = 0.2
    turn: float = 30.0
    zoom: float = 1.25
    shift: float = 0.2
    brightness: float = 0.2
    contrast: float = 0.4
    carried: float = 1.0  # share of the rate of fine-tuning that carried weights get
    frozen: float = 0.0  # share of the steps of fine-tuning that carried weights wait

    def learning(self) -> dict[str, object]:
        """What weights learnt without labels depend on."""
        names = "widths parts volumes steps local_steps lr temperature crop most"
        return json.loads(json.dumps({name: getattr(self, name) for name in names.split()}))
