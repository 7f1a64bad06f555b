"""The stages on one network: heads, a frozen encoder that stays as it is, weights that are carried over, collapse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.backbone.pretrained import load_pretrained, read_pretrained, save_pretrained
from hyperseg.contrast.collapse import Watcher, spread, told
from hyperseg.contrast.global_loss import collapse_value, global_loss
from hyperseg.contrast.heads import GlobalHead, LocalHead
from hyperseg.contrast.local_loss import Regions, local_loss
from hyperseg.contrast.views import view
from hyperseg.medical.networks import UNet

SPEC = BackboneSpec(1, (4, 6, 8), (1, 2, 2), (3, 3, 3), (1, 1, 1), ConvSpec(2))
IMAGES = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))
SLICE, VOLUME, PARTITION = torch.arange(8), torch.arange(8) // 4, torch.arange(8) % 4
INDEX = tuple(one.repeat(2) for one in (SLICE, VOLUME, PARTITION))


def net(seed: int = 0) -> UNet:
    with seeded(seed):
        return UNet(SPEC, 3)


def test_a_file_of_weights_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    network, path, found = net(), tmp_path / "w.safetensors", set()
    for _ in range(8):
        save_pretrained(path, network, ["encoder"], {"kind": "folder", "cases": ["a"]})
        found.add(path.read_bytes())
    assert len(found) == 1
    assert read_pretrained(path).about == {"kind": "folder", "cases": ["a"]}


def learn_global(network: UNet, steps: int) -> list[float]:
    with seeded(1):
        head = GlobalHead(8, hidden=16, out=8)
    optimiser = torch.optim.Adam([*network.encoder.parameters(), *head.parameters()], lr=1e-2)
    generator, values = torch.Generator().manual_seed(2), []
    for _ in range(steps):
        shown = torch.cat((IMAGES, view(IMAGES, generator, use="global")))
        loss = global_loss(head(network.encoder(shown)[-1]), *INDEX, pairs="gd")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    return values


def learn_local(network: UNet, steps: int) -> None:
    with seeded(1):
        head = LocalHead(ConvSpec(2), 6)
    optimiser = torch.optim.Adam([*network.decoder.merges[1].parameters(), *head.parameters()], lr=1e-2)
    generator = torch.Generator().manual_seed(3)
    network.encoder.eval()
    for _ in range(steps):
        shown = torch.cat([view(IMAGES, generator, use="local") for _ in range(2)])
        with torch.no_grad():
            pyramid = network.encoder(shown)
        loss = local_loss(*head(network.decoder(pyramid, finest=1)[0]).chunk(2), Regions((16, 16)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in module.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(t, b[name]) for name, t in a.items())


def test_the_global_loss_is_learnt() -> None:
    values = learn_global(net(), 40)
    assert sum(values[-10:]) < 0.9 * sum(values[:10])


def test_the_local_stage_leaves_the_encoder_bit_for_bit() -> None:
    """Its running statistics too; and the blocks of the decoder that it is for do change, no others."""
    network = net()
    learn_global(network, 3)
    encoder, decoder = state(network.encoder), state(network.decoder)
    learn_local(network, 3)
    assert equal(encoder, state(network.encoder))
    assert any("running_mean" in name for name in encoder)
    after = state(network.decoder)
    changed = {name for name, t in decoder.items() if not torch.equal(t, after[name])}
    assert changed
    assert {name.split(".")[1] for name in changed} == {"1"}


def test_weights_are_carried_over_whole(tmp_path: Path) -> None:
    """The features of the encoder are equal, and a training begins with another loss."""
    network = net()
    learn_global(network, 3)
    learn_local(network, 3)
    parts = ["encoder", "decoder.merges.1"]
    save_pretrained(tmp_path / "w.safetensors", network, parts, {"made": "global+local"})
    fresh = net(5)
    labels = torch.randint(3, (8, 32, 32), generator=torch.Generator().manual_seed(0))

    def first_loss() -> float:
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(fresh.train()(IMAGES), labels))

    before = first_loss()
    fresh = net(5)
    load_pretrained(read_pretrained(tmp_path / "w.safetensors"), fresh)
    for theirs, ours in zip(network.eval().encoder(IMAGES), fresh.eval().encoder(IMAGES), strict=True):
        assert torch.equal(theirs, ours)
    wanted = network.decoder(network.encoder(IMAGES), finest=1)[0]
    assert torch.equal(fresh.decoder(fresh.encoder(IMAGES), finest=1)[0], wanted)
    assert first_loss() != before


@pytest.mark.parametrize("shape", [(9, 7), (5, 6, 4)])
def test_heads_take_any_size(shape: tuple[int, ...]) -> None:
    x = torch.randn(3, 8, *shape)
    assert GlobalHead(8, hidden=16, out=5)(x).shape == (3, 5)
    assert LocalHead(ConvSpec(len(shape), dropout=0.5, residual=True), 8, 5)(x).shape == (3, 5, *shape)
    assert all("bias" not in name for name, _ in GlobalHead(8).named_parameters())


def test_a_head_of_a_mean_does_not_see_where_things_are() -> None:
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    head = GlobalHead(4, hidden=8, out=3).double()
    assert torch.allclose(head(x), head(x.roll((2, 3), (2, 3))), atol=1e-12)


def test_spread_is_zero_of_equal_directions_and_one_of_all() -> None:
    assert float(spread(torch.ones(9, 4) * torch.arange(1.0, 10)[:, None])) < 1e-3
    axes = torch.eye(4, dtype=torch.float64)
    assert float(spread(torch.cat((axes, -axes)))) == 1


def test_collapse_is_told_where_the_loss_sits_at_its_value_and_all_is_equal() -> None:
    value = collapse_value(*INDEX, pairs="gd")
    sentence = told(value, value, 0.001)
    assert sentence is not None
    assert f"{value:.4f}" in sentence
    assert told(0.8 * value, value, 0.001) is None
    assert told(value, value, 0.4) is None


def test_a_watcher_tells_of_a_head_that_says_the_same_of_everything() -> None:
    value = collapse_value(*INDEX, pairs="gd")
    same, other = Watcher(value, steps=5), Watcher(value, steps=5)
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        assert same.told() is None, step  # too early to say
        for watcher, noise in ((same, 1e-4), (other, 1.0)):
            z = 1 + noise * torch.randn(16, 8, generator=generator)
            watcher.see(global_loss(z, *INDEX, pairs="gd"), z)
    assert same.told() is not None
    assert other.told() is None
