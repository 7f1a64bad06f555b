"""One contract for every consumer of the backbone. To add one, name it in CONSUMERS."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from hyperseg.backbone import (
    BackboneSpec,
    ClassHead,
    ConvSpec,
    Decoder,
    DeepSupervision,
    Encoder,
    GroupEncoder,
    PairHead,
    seeded,
)  # fmt: skip
from hyperseg.core.settings import from_json, to_json
from hyperseg.dpm.denoise import Tapped
from hyperseg.dpm.masks.network import MaskDenoiser, MaskDenoiserSpec, Stem, mask_denoiser_spec
from hyperseg.dpm.masks.settings import MaskNetworkSettings
from hyperseg.dpm.network import Denoiser, DenoiserSpec, denoiser_spec
from hyperseg.dpm.tapped.head import HeadSpec, PixelHead
from hyperseg.gan.networks import Discriminator, GanSpec, Generator
from hyperseg.medical import networks as medical
from hyperseg.medical.bridged.network import BridgedUNet

K = 3
Net = TypeVar("Net", Denoiser, MaskDenoiser)
Shape = tuple[int, ...]
Spec = BackboneSpec | GanSpec | DenoiserSpec | MaskDenoiserSpec | HeadSpec


@dataclass(frozen=True)
class Consumer:
    """A net, how to build it from its specs, and what it makes of inputs of odd sizes.

    Attributes:
        specs: the specs it is built from.
        build: specs -> module; called inside `seeded`.
        cases: (shapes of the inputs, shape of the output), all without the batch axis.
    """

    specs: tuple[Spec, ...]
    build: Callable[..., nn.Module]
    cases: tuple[tuple[tuple[Shape, ...], Shape], ...] = ()

    def make(self, seed: int = 0) -> nn.Module:
        with seeded(seed):
            return self.build(*self.specs)

    def batch(self, n: int, case: int = 0, seed: int = 1) -> tuple[Tensor, ...]:
        random = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(n, *shape, generator=random) for shape in self.cases[case][0])

    def settled(self) -> nn.Module:
        """In eval mode, after a training step's forward (running statistics are no longer 0 and 1)."""
        net = self.make()
        net(*self.batch(4))
        return net.eval()


class SpectralSpatial(nn.Module):
    """Spectral convolutions, then spatial ones, all valid in space; scores averaged over bands."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(spec), ClassHead(spec, K, level=-1)

    def forward(self, cube: Tensor) -> Tensor:
        return self.head(self.encoder(cube)).mean(2)


class Hybrid(nn.Module):
    """A 3-D encoder, its bands folded into channels, a 2-D encoder."""

    def __init__(self, spectral: BackboneSpec, spatial: BackboneSpec) -> None:
        super().__init__()
        self.spectral, self.spatial = Encoder(spectral), Encoder(spatial)
        self.head = ClassHead(spatial, K, level=-1)

    def forward(self, cube: Tensor) -> Tensor:
        return self.head(self.spatial(self.spectral(cube)[-1].flatten(1, 2)))


class GroupedBands(nn.Module):
    """One 3-D encoder per group of bands, the last one shorter; features of all groups side by side."""

    def __init__(self, bands: BackboneSpec, plane: BackboneSpec, *, shared: bool) -> None:
        super().__init__()
        self.bands = GroupEncoder(((0, 8), (8, 16), (16, 21)), bands, shared=shared)
        self.plane, self.head = Encoder(plane), ClassHead(plane, K, level=-1)

    def forward(self, cube: Tensor) -> Tensor:
        return self.head(self.plane(self.bands(cube).flatten(1, 2)))


class Siamese(nn.Module):
    """One encoder on two inputs, scores of ordered pairs."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(spec), PairHead(spec, K, hidden=16)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(self.encoder(left)[-1], self.encoder(right)[-1])


class UNet(nn.Module):
    def __init__(self, spec: BackboneSpec, *, supervised: bool = False, **decoder: object) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(spec), Decoder(spec, **decoder)
        self.head = DeepSupervision(spec, K) if supervised else ClassHead(spec, K)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        out = self.head(self.decoder(self.encoder(x, cond), cond))
        return torch.cat([y.flatten(1) for y in out], 1) if isinstance(out, list) else out


VALID, FLAT = ConvSpec(3, padding="valid"), ConvSpec(2, padding="valid")
GAN: dict[str, Any] = {"maps": 4, "width": 8, "window": 7}


def band_groups(*, shared: bool) -> Consumer:
    bands = BackboneSpec(1, (6,), ((2, 1, 1),), ((3, 3, 3),), (1,), VALID)
    plane = BackboneSpec(3 * 6 * 4, (8,), (1,), (3,), (1,), FLAT)
    cases = ((((1, 21, 9, 7),), (K, 5, 3)), (((1, 21, 5, 6),), (K, 1, 2)))
    return Consumer((bands, plane), partial(GroupedBands, shared=shared), cases)


def planned(build: Callable[..., nn.Module], ndim: int) -> Consumer:
    """What the planner of images and volumes emits, with few channels; the first axis is halved once."""
    strides = ((1,) * ndim, (1,) + (2,) * (ndim - 1), (2,) * ndim)
    kernels = ((1,) + (3,) * (ndim - 1), (3,) * ndim, (3,) * ndim)
    spec = BackboneSpec(2, (4, 6, 8), strides, kernels, (2,) * 3, ConvSpec(ndim, "instance", "leaky_relu"))
    size = (5, 11, 9)[:ndim]
    return Consumer((spec,), partial(build, n_classes=K), ((((2, *size),), (K, *size)),))


def a_little_trained(net: Net) -> Net:
    """Layers that are zero at first are no longer."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | type(net.last.layer)):
            nn.init.normal_(layer.weight, std=0.2)  # type: ignore[arg-type]
    return net


class Told(nn.Module):
    """A denoiser that was trained a little: its last layer, zero at first, lets gradients through."""

    def __init__(self, spec: DenoiserSpec) -> None:
        super().__init__()
        self.net = a_little_trained(Denoiser(spec))

    def forward(self, x: Tensor, place: Tensor, labels: Tensor | None = None) -> Tensor:
        label = None if labels is None else (labels[:, 0] > 0).long()
        return self.net(x, 100 * place[:, 0], label)


def denoising(channels: int, size: Shape, *, classes: bool = False, **options: Any) -> Consumer:
    """A denoiser with attention at its coarse level; told a number and perhaps a class, 1 or 0, each a vector of 1."""
    spec = denoiser_spec(channels, len(size), widths=(4, 8), heads=(0, 2), cond_dim=8, n_classes=2 * classes, **options)
    out = (channels * (1 + len(spec.extras)), *size)
    return Consumer((spec,), Told, ((((channels, *size), *((1,),) * (1 + classes)), out),))


class Masked(nn.Module):
    """A network with two encoders, told a number, a vector of 1."""

    def __init__(self, spec: MaskDenoiserSpec) -> None:
        super().__init__()
        self.net = a_little_trained(MaskDenoiser(spec))

    def forward(self, x: Tensor, place: Tensor, image: Tensor) -> Tensor:
        return self.net(x, 100 * place[:, 0], image)


def masking(size: Shape, *, stem: Stem = "none") -> Consumer:
    """Masks of two channels of an image of five."""
    n = len(size)
    planned = BackboneSpec(5, (4, 6, 8), (1, 2, 2), (3,) * 3, (2,) * 3, ConvSpec(n, "instance", "leaky_relu"))
    spec = mask_denoiser_spec(
        planned, channels=2, size=(8,) * n, image_channels=5, chosen=MaskNetworkSettings(), stem=stem, cond_dim=8
    )
    return Consumer((spec,), Masked, ((((2, *size), (1,), (5, *size)), (2, *size)),))


class Reading(nn.Module):
    """A head that hears the time, to which it is deaf at first; told a number, a vector of 1."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.head = PixelHead(spec)
        if self.head.scale is not None:
            nn.init.normal_(self.head.scale.weight, std=0.2)

    def forward(self, *given: Tensor) -> Tensor:
        return self.head(Tapped(given[:-1], 100 * given[-1][:, 0]))


def reading(size: Shape, outputs: int, **options: Any) -> Consumer:
    """A head that reads two of three levels, 4, 6 and 5 channels, of any odd size."""
    spec = HeadSpec(len(size), (5, 6, 4), (0, 1), outputs, hidden=(8, 6), cond_dim=8, **options)
    levels = [(width, *(-(-n // 2**i) for n in size)) for i, width in enumerate((4, 6, 5))]
    return Consumer((spec,), Reading, (((*levels, (1,)), (outputs, *size)),))


CONSUMERS = {
    "3-D CNN": Consumer(
        (BackboneSpec(
            1, (8, 8, 16), ((2, 1, 1), 1, (2, 1, 1)), ((7, 1, 1), (5, 1, 1), (3, 3, 3)), (1, 1, 2),
            ConvSpec(3, padding=("same", "valid", "valid"), dropout=0.1),
        ),),
        SpectralSpatial, ((((1, 21, 9, 7),), (K, 5, 3)), (((1, 20, 5, 5),), (K, 1, 1))),
    ),
    "hybrid": Consumer(
        (BackboneSpec(1, (4,), ((3, 1, 1),), ((7, 1, 1),), (1,), VALID),
         BackboneSpec(20, (16, 16), (1, 1), (3, 3), (1, 1), ConvSpec(2, padding="valid", residual=True))),
        Hybrid, ((((1, 20, 11, 13),), (K, 3, 5)),),
    ),
    "band groups": band_groups(shared=True),
    "band groups, one encoder each": band_groups(shared=False),
    "siamese": Consumer(
        (BackboneSpec(
            1, (4, 8), ((2, 1, 1), (2, 1, 1)), ((7, 1, 1), (8, 3, 3)), (1, 1),
            ConvSpec(3, norm="group", act="leaky_relu", padding="valid"),
        ),),
        Siamese, ((((1, 21, 5, 7),) * 2, (K * K, 1, 3, 5)),),
    ),
    "U-Net 2-D": Consumer(
        (BackboneSpec(5, (8, 12, 16), (1, 2, 2), (3, 3, 3), (2, 1, 1), ConvSpec(2)),),
        UNet, ((((5, 13, 11),), (K, 13, 11)), (((5, 9, 7),), (K, 9, 7))),
    ),
    "U-Net 3-D": Consumer(
        (BackboneSpec(
            1, (4, 8, 8), (1, (1, 2, 2), 2), ((1, 3, 3), 3, 3), (1, 1, 1),
            ConvSpec(3, norm="instance", act="leaky_relu", residual=True),
        ),),
        partial(UNet, supervised=True, skips="add", up="interpolate"),
        ((((1, 5, 11, 9),), (K * (5 * 11 * 9 + 5 * 6 * 5),)),),
    ),
    "U-Net FiLM": Consumer(
        (BackboneSpec(2, (8, 16), (1, 2), (3, 3), (1, 1), ConvSpec(2, "group", "silu", residual=True, cond_dim=6)),),
        UNet, ((((2, 11, 7), (6,)), (K, 11, 7)),),
    ),
    "planned U-Net 3-D": planned(medical.UNet, 3),
    "planned U-Net 2-D, pooled": planned(partial(medical.UNet, down="pool"), 2),
    "bridged U-Net 2-D": planned(partial(BridgedUNet, bridge="add", reads="first"), 2),
    "bridged U-Net 3-D, pooled": planned(partial(BridgedUNet, down="pool"), 3),
    "generator": Consumer((GanSpec("ss", 24, K, noise=6, **GAN),), Generator, ((((6,),), (1, 24, 7, 7)),)),
    "generator of all bands": Consumer(
        (GanSpec("spa", 11, K, noise=6, **GAN),), Generator, ((((6,),), (1, 11, 7, 7)),)
    ),
    "discriminator": Consumer(
        (GanSpec("ss", 23, K, norm="none", spectral_norm=True, dropout=0.2, **GAN),),
        Discriminator, ((((1, 23, 7, 9),), (K, 1, 3)), (((1, 24, 11, 8),), (K, 5, 2))),
    ),
    "discriminator 3-D": Consumer(
        (GanSpec("conv", 23, K, norm="batch", dropout=0.2, **GAN),), Discriminator, ((((1, 23, 7, 9),), (K, 1, 3)),)
    ),
    "denoiser of spectra": denoising(1, (23,)),
    "denoiser of images": denoising(3, (9, 7), classes=True),
    "denoiser of cubes": denoising(1, (7, 5, 3), extras=("share", "squared", "residual")),
    "head of numbers, spectra": reading((23,), 1),
    "head of classes, images": reading((9, 7), K),
    "coarse head of numbers, cubes": reading((7, 5, 3), 1, coarse=True),
    "two encoders, images": masking((9, 7)),
    "two encoders, volumes": masking((7, 5, 6)),
    "two encoders, spectra": masking((9, 7), stem="pixel"),
    "two encoders, cubes": masking((9, 7), stem="cube"),
}  # fmt: skip


@pytest.fixture(params=CONSUMERS.values(), ids=CONSUMERS.keys())
def consumer(request: pytest.FixtureRequest) -> Consumer:
    return request.param


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: t.contiguous() for name, t in net.state_dict().items()}


def test_specs_survive_json_and_build_the_same_net(consumer: Consumer) -> None:
    again = tuple(from_json(type(s), json.loads(json.dumps(to_json(s)))) for s in consumer.specs)
    assert again == consumer.specs
    assert save(state(Consumer(again, consumer.build).make())) == save(state(consumer.make()))


def test_seed_decides_every_byte(consumer: Consumer) -> None:
    nets = [consumer.make(seed) for seed in (0, 0, 1)]
    assert save(state(nets[0])) == save(state(nets[1])) != save(state(nets[2]))
    outputs = []
    for net in nets[:2]:
        with seeded(5):  # dropout
            outputs.append(net(*consumer.batch(2)))
    assert torch.equal(*outputs)


def test_no_tensor_is_registered_twice(consumer: Consumer) -> None:
    net = consumer.make()
    places = [t.data_ptr() for t in net.state_dict().values() if t.numel()]
    assert len(places) == len(set(places))
    assert len(list(net.parameters())) == len(list(net.named_parameters(remove_duplicate=False)))


def test_every_parameter_gets_a_finite_gradient(consumer: Consumer) -> None:
    net = consumer.make()
    out = net(*consumer.batch(3))
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    (out * weights).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_output_shapes_at_odd_sizes(consumer: Consumer) -> None:
    net = consumer.settled()
    for case, (_, out) in enumerate(consumer.cases):
        assert tuple(net(*consumer.batch(2, case)).shape) == (2, *out)


def test_eval_is_deterministic_and_samples_are_independent(consumer: Consumer) -> None:
    net, batch = consumer.settled(), consumer.batch(3)
    with torch.no_grad():
        together = net(*batch)
        assert torch.equal(together, net(*batch))
        for i in range(3):
            alone = net(*(x[i : i + 1] for x in batch))
            torch.testing.assert_close(alone[0], together[i], rtol=1e-5, atol=1e-5)
        assert (together[0] - together[1]).abs().max() > 1e-4  # and the samples do matter


def test_state_survives_safetensors(consumer: Consumer) -> None:
    net, other = consumer.settled(), consumer.make(seed=9).eval()
    batch = consumer.batch(2)
    with torch.no_grad():
        assert not torch.equal(net(*batch), other(*batch))
        other.load_state_dict(load(save(state(net))))
        assert torch.equal(net(*batch), other(*batch))


def test_bfloat16_autocast_stays_close(consumer: Consumer) -> None:
    net, batch = consumer.settled(), consumer.batch(2)
    exact = net(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = net(*batch)
        net.train()(*batch).float().square().mean().backward()
    assert rough.isfinite().all()
    assert (rough.float() - exact).norm() < 0.1 * exact.norm()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
