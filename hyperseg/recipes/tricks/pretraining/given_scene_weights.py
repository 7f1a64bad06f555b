"""Given weights on a scene: spectral and spatial stage begin with what was learnt without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method
from hyperseg.core.words import listed

if TYPE_CHECKING:
    from hyperseg.data.preprocess import Preprocess


def on_scene(method: Method, chosen: Any) -> Method:
    """All of the network but its head begins with the weights of the file, which `hyperseg pretrain SCENE` writes.

    The file is read when a training begins; a saved run maps without it.

    Args:
        chosen: has `file`.

    Raises:
        SettingError: the method has no single network that could begin with something.
    """
    if method.begins is None:
        raise SettingError("it has no single network that could begin with given weights: take the default method.")

    def begin(net: Any, preprocess: Preprocess) -> str:
        from hyperseg.backbone.pretrained import read_pretrained
        from hyperseg.hsi.carried import carry_over

        given = read_pretrained(chosen.file)
        carry_over(given, net, preprocess)
        return told(Path(chosen.file), given.about)

    begun = method.begins(begin)
    return replace(method, fit=begun.fit, check=begun.check)


def told(file: Path, about: dict[str, Any]) -> str:
    """What the report says of it, the leak included."""
    seen = listed(about.get("cases") or ["other scenes"], most=3)
    return (
        f"The network began with weights ({file.name}) that were learnt without labels from the spectra of all pixels "
        f"of {seen}: where that is this scene, test pixels were seen, their labels were not (transductive)."
    )
