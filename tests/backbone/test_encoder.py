"""Encoders: a patch gives what the scene gives at its centre; inputs that do not fit are refused."""

import pytest
import torch

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, Stage, seeded
from hyperseg.core import SettingError


def spectral_spatial(residual: bool = False) -> BackboneSpec:
    conv = ConvSpec(3, padding=("same", "valid", "valid"), residual=residual)
    return BackboneSpec(1, (4, 4, 6), ((2, 1, 1), 1, 1), ((7, 1, 1), (1, 3, 3), (3, 3, 3)), (1, 1, 1), conv)


@pytest.mark.parametrize("residual", [False, True])
def test_patch_equals_scene(residual: bool) -> None:
    spec = spectral_spatial(residual)
    with seeded(0):
        encoder = Encoder(spec).double()
    encoder(torch.randn(2, 1, 21, 15, 15, dtype=torch.float64))  # running statistics other than 0 and 1
    encoder.eval()
    _, r, _ = spec.margin
    assert spec.margin == ((0, 4, 4) if residual else (0, 2, 2))
    scene = torch.randn(1, 1, 21, 13, 17, dtype=torch.float64)
    dense = encoder(scene)[-1]
    assert dense.shape[3:] == (13 - 2 * r, 17 - 2 * r)
    for row, column in ((r, r), (r + 1, r + 3), (12 - r, 16 - r)):
        patch = scene[..., row - r : row + r + 1, column - r : column + r + 1]
        torch.testing.assert_close(encoder(patch)[-1][..., 0, 0], dense[..., row - r, column - r])


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


def test_condition_changes_the_output_only_after_training() -> None:
    spec = BackboneSpec(1, (4,), (1,), (3,), (1,), ConvSpec(2, cond_dim=2))
    encoder, x = Encoder(spec).eval(), torch.randn(1, 1, 5, 5)
    a, b = torch.zeros(1, 2), torch.ones(1, 2)
    assert torch.equal(encoder(x, a)[0], encoder(x, b)[0])
    torch.nn.init.ones_(encoder.stages[0].blocks[0].finish.film.to_scale_shift.weight)
    assert not torch.equal(encoder(x, a)[0], encoder(x, b)[0])


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
    with pytest.raises(SettingError, match=word):
        Encoder(spectral_spatial())(torch.zeros(shape), None if cond is None else torch.zeros(cond))


def test_missing_condition_is_refused() -> None:
    spec = BackboneSpec(1, (4,), (1,), (3,), (1,), ConvSpec(2, cond_dim=2))
    for cond in (None, torch.zeros(1, 3)):
        with pytest.raises(SettingError, match=r"\(batch, 2\)"):
            Encoder(spec)(torch.zeros(1, 1, 5, 5), cond)
