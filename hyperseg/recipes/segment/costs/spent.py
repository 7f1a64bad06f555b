"""What a fold has taken, for its history."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hyperseg.engine.meter import Usage
from hyperseg.engine.training import History

WHOLE = 0.9  # of the training's seconds that were measured at one go: else its energy was not


def used(history: History, trained: Usage, validated: Usage) -> dict[str, Any]:
    """What a fold took, for its history; the energy of a training that was interrupted is not known."""
    whole = trained.seconds >= WHOLE * history.seconds
    training = asdict(trained) | {"seconds": history.seconds, "joules": trained.joules if whole else None}
    return {"training": training, "validation": asdict(validated)}
