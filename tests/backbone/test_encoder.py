"""Encoders: what padding costs, stages by hand; inputs that do not fit are refused."""

import pytest
import torch

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, Stage, seeded
from hyperseg.core import SettingError


def test_same_padding_inside_a_patch_is_another_function() -> None:
    """Why classifiers use valid convolutions: padded ones see zeros where the scene has pixels."""
    spec = BackboneSpec(1, (4, 4), (1, 1), (3, 3), (1, 1), ConvSpec(2, norm="none"))
    with seeded(0):
        encoder = Encoder(spec).eval()
        scene = torch.randn(1, 1, 9, 9)
    assert (encoder(scene)[-1][..., 4, 4] - encoder(scene[..., 3:6, 3:6])[-1][..., 1, 1]).abs().max() > 1e-3


def test_stages_by_hand_are_the_encoder() -> None:
    spec = BackboneSpec(2, (4, 6), (1, 2), (3, 3), (2, 1), ConvSpec(2, norm="group", cond_dim=3))
    encoder, x, cond = Encoder(spec), torch.randn(2, 2, 7, 8), torch.randn(2, 3)
    first = encoder.stages[0](x, cond)
    want = encoder(x, cond)
    assert torch.equal(want[0], first)
    assert torch.equal(want[1], encoder.stages[1](first, cond))
    wider = Stage(spec, 1, in_channels=4 + 5)
    assert wider(torch.cat((first, torch.zeros(2, 5, 7, 8)), 1), cond).shape == want[1].shape
    for bad in (None, torch.zeros(2, 4)):
        with pytest.raises(SettingError, match=r"\(batch, 3\)"):
            encoder(x, bad)


@pytest.mark.parametrize(
    ("shape", "cond", "word"),
    [
        ((1, 1, 21, 6), None, "bands as depth|Bands as depth"),
        ((1, 3, 21, 9, 9), None, r"\(batch, 1,"),
        ((1, 1, 21, 4, 9), None, "needs at least"),
        ((1, 1, 21, 9, 9), (1, 4), "cond must be None"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(shape: tuple, cond: tuple | None, word: str) -> None:
    conv = ConvSpec(3, padding=("same", "valid", "valid"))
    spec = BackboneSpec(1, (4, 4, 6), ((2, 1, 1), 1, 1), ((7, 1, 1), (1, 3, 3), (3, 3, 3)), (1, 1, 1), conv)
    with pytest.raises(SettingError, match=word):
        Encoder(spec)(torch.zeros(shape), None if cond is None else torch.zeros(cond))
