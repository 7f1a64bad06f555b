"""Rows of bench_contrast.py: the three stages on one small U-Net, and the Dice of whole volumes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from contrast_plan import Plan, Row
from contrast_sets import Stack
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.backbone.pretrained import load_pretrained, read_pretrained, save_pretrained
from hyperseg.contrast.collapse import Watcher, spread
from hyperseg.contrast.global_loss import collapse_value, global_loss
from hyperseg.contrast.heads import GlobalHead, LocalHead
from hyperseg.contrast.local_loss import Regions, local_loss
from hyperseg.contrast.pairs import Pairs, views
from hyperseg.contrast.partitions import Drawn, draw_slices
from hyperseg.contrast.views import cropped, shaded
from hyperseg.medical.networks import UNet

LEVEL = 2  # of the decoder that the local loss reads: a quarter of the input


def network(plan: Plan, n_classes: int, seed: int) -> UNet:
    n = len(plan.widths)
    spec = BackboneSpec(1, plan.widths, (1,) + (2,) * (n - 1), (3,) * n, (2,) * n, ConvSpec(2))
    with seeded(seed):
        return UNet(spec, n_classes).to(memory_format=torch.channels_last)


def parts_of(plan: Plan, local: bool) -> list[str]:
    """Modules that are learnt without labels."""
    merges = range(len(plan.widths) - 2, LEVEL - 1, -1)
    return ["encoder", *(f"decoder.merges.{level}" for level in merges if local)]


def learn_global(net: UNet, stacks: Sequence[Stack], pairs: Pairs, plan: Plan, seed: int) -> dict[str, float | str]:
    """Stage 1, in place: the encoder."""
    with seeded(seed):
        head = GlobalHead(plan.widths[-1], hidden=256, out=128)
    optimiser = torch.optim.Adam([*net.encoder.parameters(), *head.parameters()], lr=plan.lr)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    asked, values, watcher = views(pairs), [], None
    for step in range(plan.steps):
        at_rate(optimiser, plan.lr, step, plan.steps)
        images, drawn = batch_of(stacks, plan, rng)
        shown = [images] if asked.original else []
        for _ in range(asked.augmented):
            shown.append(shaded(cropped(images, generator, plan.crop, plan.most), generator))
        index = (one.repeat(asked.number) for one in indices(drawn))
        image, volume, partition = index
        if watcher is None:
            watcher = Watcher(collapse_value(image, volume, partition, pairs=pairs))
        z = head(net.encoder(last(torch.cat(shown)))[-1])
        loss = global_loss(z, image, volume, partition, pairs=pairs, temperature=plan.temperature)
        descend(optimiser, loss)
        watcher.see(loss, z)
        values.append(loss.item())
    assert watcher is not None
    return told(values, z) | {"warning": watcher.told() or ""}


def learn_local(net: UNet, stacks: Sequence[Stack], plan: Plan, seed: int) -> dict[str, float | str]:
    """Stage 2, in place: the first blocks of the decoder; the encoder neither learns nor counts statistics."""
    side = stacks[0].images.shape[-1]
    regions = Regions((side // 2**LEVEL,) * 2)
    with seeded(seed):
        head = LocalHead(ConvSpec(2), plan.widths[LEVEL])
    merges = [net.decoder.merges[level] for level in range(LEVEL, len(plan.widths) - 1)]
    weights = [weight for module in (*merges, head) for weight in module.parameters()]
    optimiser = torch.optim.Adam(weights, lr=plan.lr)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    net.encoder.eval()
    values = []
    for step in range(plan.local_steps):
        at_rate(optimiser, plan.lr, step, plan.local_steps)
        images, _ = batch_of(stacks, plan, rng)
        both = last(torch.cat([shaded(images, generator) for _ in range(2)]))
        with torch.no_grad():
            pyramid = net.encoder(both)
        found = head(net.decoder(pyramid, finest=LEVEL)[0])
        loss = local_loss(*found.chunk(2), regions, temperature=plan.temperature)
        descend(optimiser, loss)
        values.append(loss.item())
    net.encoder.train()
    return told(values, regions.of(found))


def pretrain(
    path: Path, stacks: Sequence[Stack], row: Row, plan: Plan, n_classes: int, seed: int, *, first: Path | None = None
) -> None:
    """Stage 1 into a file of weights; or stage 2, from the file of stage 1 on."""
    assert row.pairs is not None
    net, began, found = network(plan, n_classes, seed), time.process_time(), {}
    if first is None:
        found["global"], spent = learn_global(net, stacks, row.pairs, plan, seed), 0.0
    else:
        given = read_pretrained(first)
        load_pretrained(given, net)
        found, spent = {"global": given.about["global"]}, given.about["seconds"]
        found["local"] = learn_local(net, stacks, plan, seed)
    found["seconds"] = round(spent + time.process_time() - began, 1)
    save_pretrained(path, net, parts_of(plan, first is not None), {"plan": asdict(plan), **found})


def tune(
    net: UNet, stacks: Sequence[Stack], plan: Plan, seed: int, *, mixup: bool, n_classes: int,
    carried: Sequence[str] = (),
) -> None:  # fmt: skip
    """Stage 3, in place: soft Dice of all classes, background too, over each image; `carried` names what was given."""
    images = torch.cat([one.images for one in stacks])[:, None]
    labels = torch.cat([one.labels for one in stacks]).long()
    given = [net.get_submodule(name) for name in carried]
    old = [weight for module in given for weight in module.parameters()]
    kept = {id(weight) for weight in old}
    groups = [{"params": [weight for weight in net.parameters() if id(weight) not in kept]}]
    groups += [{"params": old, "share": plan.carried}] if old else []
    optimiser = torch.optim.Adam(groups, lr=plan.tuning_lr)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    mixes = np.random.default_rng((seed, 1))  # of its own: batches stay what they are without
    net.train()
    for step in range(plan.tuning):
        at_rate(optimiser, plan.tuning_lr, step, plan.tuning)
        for module in given if plan.frozen else ():
            moves = step >= plan.frozen * plan.tuning
            module.train(moves).requires_grad_(moves)
        chosen = torch.from_numpy(rng.integers(len(images), size=plan.batch))
        x, y = moved(
            images[chosen], functional.one_hot(labels[chosen], n_classes).movedim(-1, 1).float(), generator, plan
        )
        x = shaded(x, generator, brightness=plan.brightness, contrast=plan.contrast)
        if mixup:
            share = torch.from_numpy(mixes.beta(plan.mix, plan.mix, size=(plan.batch, 1, 1, 1)).astype(np.float32))
            other = torch.from_numpy(mixes.permutation(plan.batch))
            x, y = share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]
        u = net(last(x)).softmax(1)
        dsc = (2 * (u * y).sum((2, 3)) + 1e-10) / (u.sum((2, 3)) + y.sum((2, 3)) + 1e-10)
        descend(optimiser, 1 - dsc.mean())


@torch.inference_mode()
def score(net: UNet, stacks: Sequence[Stack], n_classes: int) -> list[list[float]]:
    """Of every volume the Dice of each class but background; NaN of one that neither has."""
    net.eval()
    found = []
    for one in stacks:
        answer = net(last(one.images[:, None])).argmax(1)
        row = []
        for k in range(1, n_classes):
            a, b = answer == k, one.labels == k
            size = int(a.sum() + b.sum())
            row.append(2 * int((a & b).sum()) / size if size else math.nan)
        found.append(row)
    return found


def moved(x: Tensor, y: Tensor, generator: torch.Generator, plan: Plan) -> tuple[Tensor, Tensor]:
    """Each image turned, scaled and shifted by up to the plan's amounts, either way."""
    n = len(x)
    angle, grow, *shift = torch.rand((4, n), generator=generator).mul_(2).sub_(1)
    angle, scale = angle * math.radians(plan.turn), torch.exp(grow * math.log(plan.zoom))
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = (torch.stack((cos, -sin, shift[0] * plan.shift), 1), torch.stack((sin, cos, shift[1] * plan.shift), 1))
    grid = functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    turned = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return turned, functional.grid_sample(y, grid, mode="nearest", padding_mode="border", align_corners=False)


def batch_of(stacks: Sequence[Stack], plan: Plan, rng: np.random.Generator) -> tuple[Tensor, list[Drawn]]:
    drawn = draw_slices([len(one.images) for one in stacks], plan.parts, plan.volumes, rng)
    return torch.stack([stacks[one.volume].images[one.slice] for one in drawn])[:, None], drawn


def indices(drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor, Tensor]:
    """Slice, volume and partition of each image of a batch."""
    volume = torch.tensor([one.volume for one in drawn])
    return torch.arange(len(drawn)), volume, torch.tensor([one.partition for one in drawn])


def at_rate(optimiser: torch.optim.Optimizer, lr: float, step: int, steps: int) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group.get("share", 1.0) * lr * (1 + math.cos(math.pi * step / steps)) / 2


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def told(values: Sequence[float], z: Tensor) -> dict[str, float | str]:
    """First and last loss, each over a tenth, and how far vectors are from each other."""
    few = max(len(values) // 10, 1)
    return {"first": float(np.mean(values[:few])), "last": float(np.mean(values[-few:])), "spread": float(spread(z))}


def last(images: Tensor) -> Tensor:
    """Channels last in memory: a fourth faster here."""
    return images.contiguous(memory_format=torch.channels_last)


def weights_of(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())
