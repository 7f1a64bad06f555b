"""The network with two encoders: Eq. 3, what is cached, the twin, sizes, and that everything in it is learnt."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.dpm.masks.conditioning import DynamicEncoding
from hyperseg.dpm.masks.network import MaskDenoiser, MaskDenoiserSpec, Stem, mask_denoiser_spec
from hyperseg.dpm.masks.settings import MaskNetworkSettings
from hyperseg.engine.step.adam import AdamW

WIDTHS = (8, 12, 16, 16, 16)
PLACE = 600.0
ON_ZEROS = tuple(  # weights of a twin that multiply the blank mask, or what a convolution makes of it
    f"mask.0.blocks.0.{name}.weight"
    for name in ("first.conv.layer", "first.finish.norm", "project.layer", "project_norm")
)
PLAIN = {"dynamic": False, "ff_parser": False}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spec(
    ndim: int = 2, stages: int = 4, *, channels: int = 3, masks: int = 2, stem: Stem = "none", **chosen: Any
) -> MaskDenoiserSpec:
    planned = BackboneSpec(
        channels, WIDTHS[:stages], (1,) + (2,) * (stages - 1), (3,) * stages, (2,) * stages,
        ConvSpec(ndim, "instance", "leaky_relu", dropout=0.2),
    )  # fmt: skip
    return mask_denoiser_spec(
        planned, channels=masks, size=(16,) * ndim, image_channels=channels, chosen=MaskNetworkSettings(**chosen),
        stem=stem, cond_dim=16,
    )  # fmt: skip


def network(of: MaskDenoiserSpec, seed: int = 0) -> MaskDenoiser:
    """In evaluation, as if it had been trained a little: nothing in it is zero any more."""
    with seeded(seed):
        net = MaskDenoiser(of)
        for weight in net.parameters():
            weight.data.add_(0.1 * torch.randn(weight.shape))
    return net.eval()


def batch(of: MaskDenoiserSpec, *size: int, n: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return noise(n, of.backbone.in_channels, *size), PLACE * torch.rand(n), noise(n, of.image_channels, *size, seed=1)


@pytest.mark.parametrize("norm", ["channel", "all"])
def test_equation_3_by_hand(norm: Any) -> None:
    encoding = DynamicEncoding(4, norm)
    image, mask = noise(2, 4, 3, 5), noise(2, 4, 3, 5, seed=1)
    axes = 1 if norm == "channel" else (1, 2, 3)

    def normed(x: Tensor) -> Tensor:
        return (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + 1e-5).sqrt()

    torch.testing.assert_close(encoding(image, mask), normed(image) * (1 + normed(mask)) * image)
    nn.init.zeros_(encoding.mask.bias)
    torch.testing.assert_close(encoding(image, mask), normed(image) * normed(mask) * image)
    assert (encoding(image, mask) - encoding(mask, image)).abs().max() > 0.1


@pytest.mark.parametrize(("stages", "wanted"), [(2, [0]), (3, [0, 1]), (4, [1, 2]), (5, [1, 2])])
def test_the_middle_two_stages_are_fused(stages: int, wanted: list[int]) -> None:
    assert list(spec(stages=stages).fused) == wanted
    assert not spec(stages=stages, **PLAIN).fused


@pytest.mark.parametrize(("ndim", "size"), [(2, (37, 41)), (3, (11, 37, 41))])
@pytest.mark.parametrize("stages", [2, 4])
def test_odd_sizes_and_two_calls_agree_to_the_bit(ndim: int, size: tuple[int, ...], stages: int) -> None:
    of = spec(ndim, stages)
    net, given = network(of), batch(of, *size, n=1)
    with torch.no_grad():
        said = net(*given)
        assert said.shape == (1, 2, *size)
        assert torch.equal(said, net(*given))


@pytest.mark.parametrize("chosen", [{}, PLAIN, {"skips": "mask", "norm": "all"}])
@pytest.mark.parametrize("stages", [2, 3, 5])
def test_a_cached_condition_changes_nothing(stages: int, chosen: dict[str, Any]) -> None:
    of = spec(stages=stages, **chosen)
    net, (x, place, image) = network(of), batch(of, 13, 10)
    known = net.condition(image)
    assert len(known.maps) == (stages - 1 if chosen == PLAIN else of.fused.start + 1)
    with torch.no_grad():
        torch.testing.assert_close(net(x, place, known), net(x, place, image), rtol=1e-6, atol=1e-6)
        three = noise(6, 2, 13, 10, seed=3)
        together = net(three, place.repeat_interleave(3), known.repeated(3))
        for i in range(6):
            alone = net(three[i : i + 1], place[i // 3, None], image[i // 3, None])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chosen", [{}, PLAIN, {"skips": "mask", "norm": "all"}, {"ff_parser": False}])
@pytest.mark.parametrize("blank", [False, True])
def test_every_parameter_is_learnt_from_the_start(chosen: dict[str, Any], *, blank: bool) -> None:
    """After some steps, for what stands before a layer that starts at zero; the twin learns from images too."""
    of = spec(stages=4, masks=1, depth=2, **chosen)
    with seeded(1):
        net = MaskDenoiser(of)
    x, place, image = batch(of, 16, 16, n=3)
    adam, wanted = AdamW(net.parameters(), lr=1e-3), noise(3, 1, 16, 16, seed=5)
    for _ in range(4):
        said = net.blank(image, PLACE) if blank else net(x, place, image)
        adam.zero_grad()
        (said - wanted).square().mean().backward()
        adam.step()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        if not (blank and name in ON_ZEROS):
            assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("norm", ["channel", "all"])
def test_image_and_mask_are_both_heard(norm: str) -> None:
    of = spec(norm=norm)
    net, (x, place, image) = network(of), batch(of, 16, 16)
    x.requires_grad_()
    image.requires_grad_()
    net(x, place, image).square().sum().backward()
    for given in (x, image):
        assert given.grad is not None
        assert given.grad.abs().max() > 0


def test_the_twin_is_the_network_that_is_shown_no_mask() -> None:
    of = spec()
    net, (x, _, image) = network(of), batch(of, 9, 14)
    with torch.no_grad():
        twin = net.blank(image, PLACE)
        assert torch.equal(twin, net(torch.zeros_like(x), torch.full((2,), PLACE), image))
        assert torch.equal(twin, net.blank(net.condition(image), PLACE))


@pytest.mark.parametrize("stages", [2, 5])
def test_a_blank_mask_has_gradients_of_ordinary_size(stages: int) -> None:
    """Norms of a map that is zero everywhere multiply gradients by 300 each."""
    of = spec(stages=stages)
    with seeded(0):
        net = MaskDenoiser(of)
        nn.init.normal_(net.last.layer.weight, std=0.1)  # type: ignore[arg-type]
    net.blank(batch(of, 16, 16)[2], PLACE).square().mean().backward()
    sizes = [float(weight.grad.norm()) for weight in net.parameters() if weight.grad is not None]
    assert max(sizes) < 10


def test_it_says_zero_at_first() -> None:
    of = spec()
    assert MaskDenoiser(of)(*batch(of, 8, 8)).abs().max() == 0


@pytest.mark.parametrize("channels", [1, 3, 103, 200])
@pytest.mark.parametrize("stem", ["pixel", "cube"])
def test_stems_read_any_number_of_bands(channels: int, stem: Stem) -> None:
    of = spec(stages=3, channels=channels, stem=stem)
    net, given = network(of), batch(of, 9, 7)
    said = net(*given)
    assert said.shape == (2, 2, 9, 7)
    said.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_a_pixel_stem_sees_one_pixel_a_cube_stem_few() -> None:
    for stem, reach in (("pixel", 0), ("cube", 1)):
        net = network(spec(channels=20, stem=stem))
        for norm in [m for m in net.stem.modules() if isinstance(m, nn.GroupNorm)]:
            norm.forward = nn.Identity().forward  # type: ignore[method-assign]
        image = noise(1, 20, 9, 9).requires_grad_()
        net.stem(image)[:, :, 4, 4].sum().backward()
        assert image.grad is not None
        rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        assert rows.tolist() == list(range(4 - reach, 5 + reach))


def test_state_and_spec_survive_a_round_trip() -> None:
    of = spec(norm="all")
    net, again = network(of), MaskDenoiser(from_json(MaskDenoiserSpec, to_json(of))).eval()
    again.load_state_dict(net.state_dict())
    given = batch(of, 11, 9)
    names = set(net.state_dict())
    with torch.no_grad():
        assert torch.equal(net(*given), again(*given))
    assert set(net.state_dict()) == names  # nothing is born in forward


def test_the_spec_takes_shape_from_the_plan_and_the_rest_from_the_user() -> None:
    body = spec(depth=3).backbone
    assert (body.widths, body.depths) == (WIDTHS[:4], (3,) * 4)
    assert body.conv == ConvSpec(2, "group", "silu", residual=True, cond_dim=16)


def test_what_does_not_fit_is_refused() -> None:
    of = spec()
    net, (x, place, image) = network(of), batch(of, 8, 8)
    with pytest.raises(SettingError, match="repeat its condition"):
        net(torch.cat((x, x)), place.repeat(2), net.condition(image))
    with pytest.raises(SettingError, match="expected"):
        net(x, place, image[:, :2])
    with pytest.raises(SettingError, match="FF-Parser"):
        replace(of, dynamic=False)
    with pytest.raises(SettingError, match="spatial axes"):
        replace(of, size=(8,))
    with pytest.raises(SettingError, match="2 spatial axes"):
        spec(3, stem="cube")
    with pytest.raises(SettingError, match="stride 1"):
        replace(of, backbone=replace(of.backbone, strides=(2,) * 4))
    with pytest.raises(SettingError, match="two stages"):
        spec(stages=1)
