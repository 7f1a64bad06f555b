"""Layers: "same" and valid arithmetic, short cuts, adjoints, FiLM, spectral norm, groups, patch = crop of scene."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from hyperseg.backbone import (
    Conv,
    ConvBlock,
    ConvSpec,
    ConvTranspose,
    FiLM,
    ResidualBlock,
    UpBlock,
    fuse_batch_norm,
    seeded,
)  # fmt: skip
from hyperseg.backbone.layers import norm
from hyperseg.backbone.spec import out_size
from hyperseg.core import SettingError

PLAIN = {"norm": "none", "act": "none"}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 24), k=st.integers(1, 8), s=st.integers(1, 5))
def test_same_padding_gives_ceil_and_sees_every_pixel(n: int, k: int, s: int) -> None:
    layer = Conv(ConvSpec(1, **PLAIN), 1, 1, k, s)
    nn.init.ones_(layer.layer.weight)
    x = torch.zeros(1, 1, n, requires_grad=True)
    y = layer(x)
    assert y.shape[2] == -(-n // s)
    if k >= s:
        y.sum().backward()
        assert (x.grad > 0).all()


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_same_at_stride_one_is_torchs_same(k: int) -> None:
    layer = Conv(ConvSpec(2, **PLAIN), 2, 3, k).double()
    x = noise(1, 2, 7, 6)
    before, behind = (k - 1) // 2, k // 2  # what torch's padding="same" does
    want = F.conv2d(F.pad(x, (before, behind) * 2), layer.layer.weight, layer.layer.bias)
    torch.testing.assert_close(layer(x), want)


@pytest.mark.parametrize(("ndim", "kernel"), [(1, 1), (2, 1), (1, 3), (2, 3), (3, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_common_channels_are_as_if_they_were_repeated(ndim: int, kernel: int, bias: bool) -> None:
    layer = Conv(ConvSpec(ndim, **PLAIN), 5, 4, kernel, bias=bias).double()
    x, common = noise(6, 3, *(4,) * ndim), noise(2, 2, *(4,) * ndim, seed=1)
    joined = torch.cat((x, common.repeat_interleave(3, 0)), 1)
    torch.testing.assert_close(layer.beside(x, common), layer(joined))


def test_a_kernel_of_one_element_is_a_matrix() -> None:
    layer, x = Conv(ConvSpec(2, **PLAIN), 5, 4, 1).double(), noise(2, 5, 3, 3)
    matrix, bias = layer.matrix()
    assert bias is not None
    torch.testing.assert_close(layer(x)[1, :, 2, 0], matrix @ x[1, :, 2, 0] + bias)


@settings(max_examples=80, deadline=None)
@given(
    n=st.tuples(st.integers(6, 13), st.integers(6, 9), st.integers(6, 7)),
    k=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
    s=st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*[st.sampled_from(["same", "valid"])] * 3),
    axes=st.integers(1, 3),
)
def test_transposed_convolution_is_the_adjoint(n, k, s, padding, axes) -> None:
    spec = ConvSpec(axes, padding=padding[:axes], **PLAIN)
    down = Conv(spec, 2, 3, k[:axes], s[:axes], bias=False).double()
    up = ConvTranspose(spec, 3, 2, k[:axes], s[:axes], bias=False).double()
    up.layer.weight = down.layer.weight
    x = noise(2, 2, *n[:axes])
    fx = down(x)
    y = noise(*fx.shape, seed=1)
    back = up(y, n[:axes])
    assert back.shape == x.shape
    torch.testing.assert_close((fx * y).sum(), (x * back).sum())


def test_impossible_target_size_is_refused() -> None:
    up = ConvTranspose(ConvSpec(1), 2, 2, 3, 2)
    assert [up(torch.zeros(1, 2, 4), (n,)).shape[2] for n in (7, 8)] == [7, 8]
    for n in (6, 9):
        with pytest.raises(SettingError, match="cannot be upsampled"):
            up(torch.zeros(1, 2, 4), (n,))


def assert_same_function(layer: nn.Module, plain: Callable[..., torch.Tensor], x: torch.Tensor, *size: tuple) -> None:
    """Equal values, and equal gradients of the input and of every parameter."""
    leaves = (x.requires_grad_(), *layer.parameters())
    got, want = layer(x, *size), plain(x)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
    for a, b in zip(*(torch.autograd.grad(y, leaves, noise(*want.shape, seed=9)) for y in (got, want)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
        assert a.abs().max() > 1e-3


def drawn(layer: nn.Module) -> nn.Module:
    """Double, in eval mode (spectral norm's vectors rest there), with a bias, if any, that is not zero."""
    if layer.layer.bias is not None:
        nn.init.normal_(layer.layer.bias, generator=torch.Generator().manual_seed(4))
    return layer.double().eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize(
    ("padding", "bands", "kernel", "stride"),
    [
        ("valid", 7, (7, 1, 1), (1, 1, 1)),
        ("valid", 7, (7, 1, 1), (2, 1, 1)),
        ("valid", 1, (1, 1, 1), (1, 1, 1)),
        ("valid", 8, (7, 1, 1), (2, 1, 1)),  # one window too, but not all bands
        ("same", 1, (2, 1, 1), (1, 1, 1)),  # all bands only with the zero behind them
        ("valid", 1, (1, 3, 3), (1, 1, 1)),
        ("valid", 1, (1, 3, 2), (1, 2, 1)),
        ("same", 1, (1, 3, 3), (1, 1, 1)),
        ("same", 1, (1, 4, 3), (1, 1, 2)),
        ("same", 2, (1, 3, 3), (1, 1, 1)),  # depth 2: no short cut
        *[(p, 12, (k, 1, 1), (s, 1, 1)) for p in ("same", "valid") for k, s in ((7, 2), (4, 3), (1, 1), (2, 2))],
    ],
)
def test_short_cuts_are_the_3d_convolution(
    padding: str, bands: int, kernel: tuple, stride: tuple, spectral_norm: bool, bias: bool
) -> None:
    spec = ConvSpec(3, padding=padding, spectral_norm=spectral_norm, **PLAIN)
    with seeded(0):
        layer = drawn(Conv(spec, 2, 3, kernel, stride, bias=bias))
    assert isinstance(layer.layer, nn.Conv2d if kernel[1:] == (1, 1) else nn.Conv3d)
    x = noise(2, 2, bands, 5, 6)

    def plain(x: torch.Tensor) -> torch.Tensor:
        sizes = zip(x.shape[2:], kernel, stride, layer.window.pads, layer(x).shape[2:], strict=True)
        pads = [(p, max(0, (m - 1) * s + k - p - n)) for n, k, s, p, m in sizes]
        padded = F.pad(x, [zeros for axis in reversed(pads) for zeros in axis])
        weight = layer.layer.weight.reshape(3, 2, *kernel)
        return F.conv3d(padded, weight, layer.layer.bias, stride)

    assert_same_function(layer, plain, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize(
    ("padding", "size", "kernel", "stride"),
    [
        ("valid", (7, 4, 5), (7, 1, 1), (1, 1, 1)),
        ("valid", (7, 4, 5), (7, 1, 1), (2, 1, 1)),
        ("valid", (8, 4, 5), (7, 1, 1), (2, 1, 1)),  # from one band too, but a zero is left behind
        ("valid", (9, 4, 5), (7, 1, 1), (2, 1, 1)),  # from two bands: no short cut
        ("same", (1, 4, 5), (2, 1, 1), (1, 1, 1)),  # all bands, of which the last is cut off again
        ("valid", (1, 6, 5), (1, 3, 3), (1, 1, 1)),
        ("valid", (1, 7, 6), (1, 3, 2), (1, 2, 3)),
        ("same", (1, 6, 5), (1, 3, 3), (1, 1, 1)),
        ("same", (1, 6, 5), (1, 4, 3), (1, 1, 2)),
        ("same", (1, 7, 6), (1, 4, 3), (1, 1, 2)),
        ("valid", (2, 6, 5), (1, 3, 3), (1, 1, 1)),  # depth 2: no short cut
    ],
)
def test_short_cuts_back_are_the_3d_transposed_convolution(
    padding: str, size: tuple, kernel: tuple, stride: tuple, spectral_norm: bool, bias: bool
) -> None:
    spec = ConvSpec(3, padding=padding, spectral_norm=spectral_norm, **PLAIN)
    with seeded(0):
        layer = drawn(ConvTranspose(spec, 3, 2, kernel, stride, bias=bias))
    out = tuple(map(out_size, size, kernel, stride, spec.valid))

    def plain(x: torch.Tensor) -> torch.Tensor:
        """Every product, unpadded and with zeros behind, of which the pixels of `size` are kept."""
        weight = layer.layer.weight.reshape(3, 2, *kernel)
        every = F.conv_transpose3d(x, weight, None, stride)
        every = F.pad(every, [zeros for n in reversed(size) for zeros in (0, n)])
        for axis, (n, p) in enumerate(zip(size, layer.window.pads, strict=True), start=2):
            every = every.narrow(axis, p, n)
        return every if layer.layer.bias is None else every + layer.layer.bias[:, None, None, None]

    assert_same_function(layer, plain, noise(2, 3, *out), size)


@pytest.mark.parametrize(("bands", "kernel"), [(7, (7, 1, 1)), (1, (1, 3, 3))], ids=["all bands", "depth 1"])
def test_short_cuts_hold_after_batch_norm_is_folded(bands: int, kernel: tuple) -> None:
    with seeded(0):
        block = ConvBlock(ConvSpec(3, padding="valid", act="leaky_relu"), 2, 3, kernel).double()
    assert block.conv.layer.bias is None
    for seed in range(5):
        block(3 + noise(4, 2, bands, 5, 6, seed=seed))  # moves the batch statistics
    block.eval()
    x, n = noise(2, 2, bands, 5, 6, seed=7), block.finish.norm
    scale = (n.weight / (n.running_var + n.eps).sqrt())[:, None, None, None]
    y = F.conv3d(x, block.conv.layer.weight.reshape(3, 2, *kernel))
    want = F.leaky_relu((y - n.running_mean[:, None, None, None]) * scale, 0.01)
    lean = fuse_batch_norm(block)
    assert lean.conv.layer.bias.abs().max() > 0.1
    for net in (block, lean):
        torch.testing.assert_close(net(x), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_valid_block_on_a_patch_is_the_crop_of_the_scene(residual: bool, stride: int) -> None:
    spec = ConvSpec(2, padding="valid", residual=residual)
    with seeded(1):
        block = (ResidualBlock if residual else ConvBlock)(spec, 3, 4, (3, 5), stride).double().eval()
    scene = noise(1, 3, 31, 37)
    whole = block(scene)
    reach = [k + (k - 1) * stride if residual else k for k in (3, 5)]
    for row, column in ((0, 0), (2, 3), (4, 1)):
        top, left = row * stride, column * stride
        patch = block(scene[..., top : top + reach[0], left : left + reach[1]])
        assert patch.shape[2:] == (1, 1)
        torch.testing.assert_close(patch[..., 0, 0], whole[..., row, column])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("norm_name", ["batch", "none"])
def test_residual_of_zero_weights_is_the_cropped_identity(padding: str, norm_name: str) -> None:
    block = ResidualBlock(ConvSpec(2, norm=norm_name, act="none", padding=padding), 4, 4, (3, 5)).double().eval()
    nn.init.zeros_(block.conv.layer.weight)
    x = noise(2, 4, 11, 13)
    torch.testing.assert_close(block(x), x if padding == "same" else x[..., 2:-2, 4:-4], rtol=0, atol=0)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 3), (1, 2)])
def test_projected_skip_is_centred_under_its_outputs(kernel: int, stride: int) -> None:
    """With symmetric kernels of ones the main path's centre of mass is the pixel the skip takes."""
    block = ResidualBlock(ConvSpec(1, padding="valid", **PLAIN), 1, 1, kernel, stride).double()
    for layer in (block.first.conv.layer, block.conv.layer):
        nn.init.constant_(layer.weight, 1 / kernel)
    if block.project is not None:
        nn.init.ones_(block.project.layer.weight)
    ramp = torch.arange(40.0, dtype=torch.float64).reshape(1, 1, -1)
    # averages of a ramp are the ramp at the centre of the window, so path + skip = twice the centre
    y = block(ramp)[0, 0]
    centres = (kernel - 1) * (1 + stride) // 2 + stride * torch.arange(len(y), dtype=torch.float64)
    torch.testing.assert_close(y, 2 * centres)


def test_film_starts_as_the_identity_and_scales_and_shifts_exactly() -> None:
    film, x, cond = FiLM(3, 2).double(), noise(2, 2, 4, 5), noise(2, 3)
    assert torch.equal(film(x, cond), x)
    nn.init.normal_(film.to_scale_shift.weight)
    scale, shift = (cond @ film.to_scale_shift.weight.T).split(2, dim=1)
    want = x * (1 + scale)[..., None, None] + shift[..., None, None]
    torch.testing.assert_close(film(x, cond), want)
    with pytest.raises(SettingError, match="cond"):
        film(x, None)


def test_spectral_norm_makes_the_largest_singular_value_one() -> None:
    with seeded(0):
        down = Conv(ConvSpec(2, spectral_norm=True), 6, 8, 3)
        up = ConvTranspose(ConvSpec(2, spectral_norm=True), 6, 8, 3)
    for _ in range(300):  # power iteration runs in training forwards
        down(torch.zeros(1, 6, 5, 5)), up(torch.zeros(1, 6, 5, 5), (5, 5))
    for matrix in (down.layer.weight.flatten(1), up.layer.weight.transpose(0, 1).flatten(1)):
        assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=1e-3)
    assert torch.linalg.matrix_norm(Conv(ConvSpec(2), 6, 8, 3).layer.weight.flatten(1), 2).item() > 1.2


@pytest.mark.parametrize(("kernel", "bands"), [((7, 1, 1), 7), ((7, 1, 1), 9), ((1, 3, 3), 1), ((3, 3, 3), 5)])
def test_one_forward_is_one_step_of_the_power_iteration(kernel: tuple, bands: int) -> None:
    spec = ConvSpec(3, padding="valid", spectral_norm=True, **PLAIN)
    with seeded(0):
        down = Conv(spec, 4, 5, kernel)
        up = ConvTranspose(spec, 5, 4, kernel)
    size = (bands, 5, 6)
    for layer, shape in ((down, (1, 4, *size)), (up, (1, 5, *(n - k + 1 for n, k in zip(size, kernel, strict=True))))):
        once = deepcopy(layer)
        _ = once.layer.weight  # what torch's own layer does in a forward
        layer(torch.zeros(shape), *([size] if layer is up else []))
        got, want = (dict(net.named_buffers())["layer.parametrizations.weight.0._u"] for net in (layer, once))
        assert torch.equal(got, want)


@pytest.mark.parametrize("channels", [2, 3, 4, 7, 16, 30, 64, 320])
def test_group_norm_never_is_instance_norm(channels: int) -> None:
    layer = norm(ConvSpec(2, norm="group"), channels)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups <= channels // 2
    one_pixel = layer(noise(1, channels, 1, 1).float())
    assert one_pixel.abs().max() > 0.1  # instance norm would give zeros


def test_norms_that_cannot_work_say_so() -> None:
    with pytest.raises(SettingError, match="one channel"):
        norm(ConvSpec(2, norm="group"), 1)
    block = ConvBlock(ConvSpec(2, norm="instance"), 2, 4, 3).eval()
    block(torch.zeros(1, 2, 2, 1))
    with pytest.raises(SettingError, match="one element"):
        block(torch.zeros(1, 2, 1, 1))


@pytest.mark.parametrize(("norm_name", "has_bias"), [("none", True), ("batch", False), ("instance", False)])
def test_bias_only_where_no_norm_follows(norm_name: str, has_bias: bool) -> None:
    assert (Conv(ConvSpec(1, norm=norm_name), 2, 3, 1).layer.bias is not None) is has_bias


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_dropout_drops_channels_in_training_only(ndim: int) -> None:
    block = ConvBlock(ConvSpec(ndim, dropout=0.5, **PLAIN), 1, 64, 1).double()
    nn.init.ones_(block.conv.layer.weight)
    x = torch.ones(1, 1, *(3,) * ndim, dtype=torch.float64)
    with seeded(3):
        kept = block(x).flatten(2)[0]
    assert torch.equal(kept, kept[:, :1].expand_as(kept))  # a channel lives or dies as a whole
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(block.eval()(x), torch.ones(1, 64, *(3,) * ndim, dtype=torch.float64))


@pytest.mark.parametrize("act", ["relu", "leaky_relu", "elu", "silu", "gelu", "none"])
@pytest.mark.parametrize("norm_name", ["none", "batch", "group"])
def test_gradients_through_activations_in_place(act: str, norm_name: str) -> None:
    with seeded(0):
        block = ResidualBlock(ConvSpec(1, norm=norm_name, act=act, cond_dim=2), 2, 4, 3).double()
    x, cond = noise(2, 2, 5).requires_grad_(), noise(2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: block(a, b), (x, cond))


def test_seeded_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    weights = []
    for _ in range(2):
        with seeded(0):
            weights.append(Conv(ConvSpec(2), 2, 3, 3).layer.weight)
        assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(*weights)


@pytest.mark.parametrize("act", ["relu", "none"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (6, 3)])
def test_initialisation_keeps_the_mean_square(act: str, kernel: int, stride: int) -> None:
    """He: E[y^2] = E[x^2] through a layer and its mirror; torch's default gives a sixth of it."""
    spec = ConvSpec(1, norm="none", act=act, padding="valid")
    with seeded(0), torch.no_grad():
        x = torch.randn(4, 128, 300)
        down = ConvBlock(spec, 128, 256, kernel, stride)(x)
        up = UpBlock(spec, 128, 256, kernel, stride)(x, ((300 - 1) * stride + kernel,))
    for y in (down, up[..., kernel:-kernel]):
        assert y.square().mean().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("depth", "kernel"), [(2, (3, 3, 3)), (3, (5, 3, 3)), (4, (5, 1, 3)), (2, (3, 1, 1))])
@pytest.mark.parametrize("stride", [1, (1, 2, 2)])
def test_gradients_in_bfloat16_are_those_in_float32_where_a_kernel_is_longer_than_the_first_axis(
    depth: int, kernel: tuple[int, int, int], stride: int | tuple[int, int, int]
) -> None:
    with seeded(0):
        layer = Conv(ConvSpec(ndim=3), 8, 16, kernel, stride)
        x = torch.randn(2, 8, depth, 7, 6, requires_grad=True)
        y = layer(x)
        way = torch.randn_like(y)
    wanted = torch.autograd.grad(y, [x, *layer.parameters()], way)
    with torch.autocast("cpu", torch.bfloat16):
        z = layer(x)
    found = torch.autograd.grad(z, [x, *layer.parameters()], way.to(z.dtype))
    for a, b in zip((y, *wanted), (z, *found), strict=True):
        assert torch.linalg.norm(a - b.float()) < 0.02 * torch.linalg.norm(a)
