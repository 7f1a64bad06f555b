"""What bench_medsegdiff.py measures of a network that has been trained: once answered, or drawn many times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mask_rows import CODE, Row, Trained, answers
from mask_scores import calibration, decided, distances, finds_errors, overlaps
from mask_sets import Images
from torch import Tensor

from hyperseg.dpm.masks.fusion import fuse
from hyperseg.dpm.masks.model import MaskModel
from hyperseg.dpm.masks.sampling import draw_masks, normal_noise
from hyperseg.dpm.masks.settings import DrawSettings
from hyperseg.dpm.schedules import SCHEDULES

RULES = ("majority", "mean", "staple", "staple-all", "steps")
CALLS, SAMPLES, OF_CALLS = (1, 2, 3, 5, 10, 50, 100), (1, 5, 10, 25), 5
SAMPLERS = ("ddim", "dpmpp-2m")
MANY, FIRST = 10, 4  # of more calls than these, and of 25 samples of 100 calls, the first images alone
Drawn = list[Tensor]
"""For every image (R, 2, H, W) probabilities."""


def model_of(row: Row, trained: Trained) -> MaskModel:
    network: Any = trained.network
    return MaskModel((network,), CODE, SCHEDULES[row.settings.schedule], row.settings.says)


def drawn_masks(
    model: MaskModel, images: Tensor, how: DrawSettings, seed: int, first: list[Tensor] | None = None
) -> tuple[Drawn, float]:
    """Of every image, and seconds of processor an image.

    Args:
        first: takes, of every image, the (2, H, W) mean of what the first calls of all samples say.
    """
    size, began = images.shape[2:], time.process_time()
    found = []
    for i, image in enumerate(images):
        said: Drawn = []

        def watch(step: int, clean: Tensor, said: Drawn = said) -> None:
            if step == 0:  # of some samples
                said.append(CODE.probabilities(clean))

        noise = normal_noise(seed * 1000 + i, CODE.channels, size)
        found.append(torch.stack(list(draw_masks(model, image, size, how, noise=noise, device="cpu", watch=watch))))
        if first is not None:
            first.append(torch.cat(said).mean(0))
    return found, (time.process_time() - began) / len(images)


def fused_scores(truth: Any, drawn: Drawn, rule: Any) -> dict[str, float]:
    """Overlaps of what the samples come to by a rule."""
    return overlaps(truth, decided(torch.stack([fuse(some, rule).scores for some in drawn])))


def scored(row: Row, trained: Trained, tested: Images, seed: int) -> dict[str, Any]:
    """The scores of one training by the row's own way to draw; of a network that answers once, of its answer."""
    truth = tested.labels.numpy().astype(bool)
    if not row.samples:
        began = time.process_time()
        probs = answers(row, trained.network, tested.images)
        seconds = (time.process_time() - began) / len(tested)
        found = {**overlaps(truth, decided(probs)), **calibration(truth, probs)}
        found |= {"doubt": finds_errors(truth, probs, 1 - probs.amax(1))}
        return found | distances(truth, decided(probs)[:, None]) | {"calls": 1, "seconds": seconds}
    how, first = row.settings.draw, list[Tensor]()
    drawn, seconds = drawn_masks(model_of(row, trained), tested.images, how, seed, first)
    fused = [fuse(some, how.fusion) for some in drawn]
    scores, mean, disagreement = (torch.stack(parts) for parts in zip(*fused, strict=True))
    found = {**overlaps(truth, decided(scores)), **calibration(truth, mean)}
    found |= {"doubt": finds_errors(truth, scores, 1 - mean.amax(1))}
    found |= {"doubt_first": finds_errors(truth, scores, 1 - torch.stack(first).amax(1))}
    found |= {"disagreement": finds_errors(truth, scores, disagreement)}
    each = np.stack([decided(some) for some in drawn])
    found |= {"single": float(np.mean([overlaps(truth, each[:, r])["dice"] for r in range(each.shape[1])]))}
    return found | distances(truth, each) | {"calls": how.samples * how.calls, "seconds": seconds}


def compared(row: Row, trained: Trained, tested: Images, seed: int) -> dict[str, Any]:
    """Dice by rule of fusion, by calls and sampler, by number of samples; the paper's 25 x 100 beside the default."""
    model, how = model_of(row, trained), row.settings.draw
    truth = tested.labels.numpy().astype(bool)
    many, _ = drawn_masks(model, tested.images, replace(how, samples=max(SAMPLES)), seed)
    usual = [one[: how.samples] for one in many]
    rules = {rule: fused_scores(truth, usual, rule) for rule in RULES if rule != "steps"}
    by_steps, _ = drawn_masks(model, tested.images, replace(how, fusion="steps"), seed)
    rules["steps"] = fused_scores(truth, by_steps, "steps")
    samples = {}
    for r in SAMPLES:
        fused = [fuse(one[:r], how.fusion) for one in many]
        scores, mean, _ = (torch.stack(parts) for parts in zip(*fused, strict=True))
        samples[str(r)] = {
            **overlaps(truth, decided(scores)), **calibration(truth, mean),
            "doubt": finds_errors(truth, scores, 1 - mean.amax(1)),
        }  # fmt: skip
    third = tested.at(range(0, len(tested), 3))
    calls = {sampler: _by_calls(model, third, replace(how, sampler=sampler), seed) for sampler in SAMPLERS}
    return {"rules": rules, "by_calls": calls, "by_samples": samples, "paper": _paper(model, tested, how, seed)}


def _by_calls(model: MaskModel, tested: Images, how: DrawSettings, seed: int) -> dict[str, Any]:
    """Number of calls -> Dice of one sample and of five, their diversity, seconds an image; of some images."""
    found = {}
    for calls in CALLS:
        some = tested.at(range(len(tested) if calls <= MANY else min(len(tested), FIRST)))
        truth = some.labels.numpy().astype(bool)
        drawn, seconds = drawn_masks(model, some.images, replace(how, calls=calls, samples=OF_CALLS), seed)
        found[str(calls)] = {
            "images": len(some), "dice": fused_scores(truth, drawn, how.fusion)["dice"],
            "single": _single(truth, drawn), "diversity": distances(truth, _decided(drawn))["diversity"],
            "ece_near": calibration(truth, torch.stack([one.mean(0) for one in drawn]))["ece_near"],
            "seconds": seconds,
        }  # fmt: skip
    return found


def _paper(model: MaskModel, tested: Images, how: DrawSettings, seed: int) -> dict[str, Any]:
    """25 samples of 100 calls beside the default, of the first images."""
    some = tested.at(range(min(len(tested), FIRST)))
    truth, found = some.labels.numpy().astype(bool), {}
    for name, asked in (("default", how), ("paper", replace(how, samples=25, calls=100))):
        drawn, seconds = drawn_masks(model, some.images, asked, seed)
        found[name] = {
            "images": len(some), "calls": asked.samples * asked.calls, "seconds": seconds,
            "dice": fused_scores(truth, drawn, how.fusion)["dice"],
            "staple": fused_scores(truth, drawn, "staple")["dice"],
        }  # fmt: skip
    return found


def _decided(drawn: Sequence[Tensor]) -> Any:
    return np.stack([decided(some) for some in drawn])


def _single(truth: Any, drawn: Drawn) -> float:
    each = _decided(drawn)
    return float(np.mean([overlaps(truth, each[:, r])["dice"] for r in range(each.shape[1])]))
