"""Folding batch norm changes nothing but the work."""

import pytest
import torch
from torch import nn

from hyperseg.backbone import BackboneSpec, ConvBlock, ConvSpec, Encoder, absorb_linear, fuse_batch_norm, seeded
from hyperseg.core import SettingError


def encoder(ndim: int, **options: object) -> Encoder:
    conv = ConvSpec(ndim, padding="valid", **options)  # type: ignore[arg-type]
    with seeded(0):
        net = Encoder(BackboneSpec(3, (4, 6), (1, 2), (3, 3), (1, 1), conv))
    generator = torch.Generator().manual_seed(1)
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.3, 3, generator=generator)
    return net.eval()


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("residual", [False, True])
def test_the_function_stays_the_same_and_the_norms_are_gone(ndim: int, residual: bool) -> None:
    net = encoder(ndim, residual=residual)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    lean = fuse_batch_norm(net)
    x = torch.randn(2, 3, *[15] * ndim, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        for expected, found in zip(net(x), lean(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in lean.modules())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_nets_without_batch_norm_are_copied_and_those_in_training_refused() -> None:
    net = encoder(2, norm="none")
    lean = fuse_batch_norm(net)
    assert lean is not net
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), lean.parameters(), strict=True))
    with pytest.raises(SettingError, match="eval"):
        fuse_batch_norm(encoder(2).train())


def test_absorbing_a_linear_map_is_applying_it_first() -> None:
    with seeded(3):
        block = ConvBlock(ConvSpec(2), 5, 4, 1).eval()
    matrix = torch.randn(5, 7, generator=torch.Generator().manual_seed(4))
    x = torch.randn(2, 7, 3, 6, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = block(torch.einsum("cr,brhw->bchw", matrix, x))
        absorb_linear(block, matrix)
        torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(SettingError, match="1x1 convolution of 5 channels"):
        absorb_linear(block, matrix)
