"""How many stages a network needs of its backbone."""

from __future__ import annotations

from hyperseg.backbone import BackboneSpec
from hyperseg.core import SettingError


class TooFewStagesError(SettingError):
    """A backbone has fewer stages than a network needs.

    Attributes:
        least: that it needs.
    """

    def __init__(self, message: str, least: int) -> None:
        super().__init__(message)
        self.least = least


def check_stages(spec: BackboneSpec, least: int, title: str) -> None:
    """Raise for a backbone of fewer stages.

    Args:
        title: of the network, which begins the message; who planned the backbone knows what to do, and ends it.
    """
    if len(spec.widths) < least:
        raise TooFewStagesError(f"{title} needs {least} stages or more, and {len(spec.widths)} are planned.", least)
