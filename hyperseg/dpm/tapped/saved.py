"""Trained heads as JSON and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hyperseg.core import SettingError
from hyperseg.core.parts import Arrays, Saved, prefixed
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import one_line
from hyperseg.dpm.tapped.head import HeadSpec, PixelHead


def saved_heads(heads: Mapping[str, PixelHead]) -> Saved:
    """What the heads are, by name, and their weights as `name.*`."""
    arrays: Arrays = {}
    for name, head in heads.items():
        arrays |= prefixed(name, {key: value.detach().cpu().numpy() for key, value in head.state_dict().items()})
    return Saved({"heads": {name: to_json(head.spec) for name, head in heads.items()}}, arrays)


def load_heads(saved: Saved) -> dict[str, PixelHead]:
    """What `saved_heads` gave, on the CPU, in evaluation mode.

    Raises:
        SettingError: weights that do not fit the head that is saved with them.
    """
    heads = {}
    for name, spec in saved.record["heads"].items():
        heads[name] = head = PixelHead(from_json(HeadSpec, spec))
        state = {key: torch.from_numpy(array.copy()) for key, array in saved.within(name).items()}
        try:
            head.load_state_dict(state)
        except RuntimeError as error:
            raise SettingError(
                f"the weights of the head {name!r} do not fit it ({one_line(str(error), 100)}): train it again."
            ) from error
        head.eval()
    return heads
