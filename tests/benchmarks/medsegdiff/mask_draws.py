"""What bench_medsegdiff.py measures of a network that has been trained: once answered, or drawn many times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from mask_rows import CODE, Row, Trained, answers
from mask_scores import calibration, decided, distances, finds_errors, overlaps
from mask_sets import Images
from torch import Tensor

from hyperseg.dpm.masks.fusion import fuse
from hyperseg.dpm.masks.model import MaskModel
from hyperseg.dpm.masks.sampling import draw_masks, normal_noise
from hyperseg.dpm.masks.settings import DrawSettings, Rule
from hyperseg.dpm.masks.steps import MeanOfSteps
from hyperseg.dpm.schedules import SCHEDULES

RULES: tuple[Rule, ...] = ("majority", "mean", "staple", "staple-all")  # of last calls; "steps" is of all calls
CALLS, SAMPLES, OF_CALLS = (1, 2, 3, 5, 10, 50, 100), (1, 5, 10, 25), 5
SAMPLERS = ("ddim", "dpmpp-2m")
MANY, FIRST = 10, 4  # of more calls than these, and of 25 samples of 100 calls, the first images alone
Drawn = list[Tensor]


def model_of(row: Row, trained: Trained) -> MaskModel:
    network: Any = trained.network
    return MaskModel((network,), CODE, SCHEDULES[row.settings.schedule], row.settings.says)


class Draws(NamedTuple):
    """Of every image (R, 2, H, W) probabilities, R the samples.

    Attributes:
        last: what the last call says.
        steps: the mean over calls, by the rule "steps".
        first: what the first call says.
        seconds: of processor, an image.
    """

    last: Drawn
    steps: Drawn
    first: Drawn
    seconds: float


def drawn_masks(model: MaskModel, images: Tensor, how: DrawSettings, seed: int) -> Draws:
    """Masks of all images; every image has noise of its own, the same for all networks of a seed."""
    how = replace(how, fusion="majority")  # a sample is its last call; the means are made here beside it
    size, found = images.shape[2:], Draws([], [], [], 0.0)
    began = time.process_time()
    for i, image in enumerate(images):
        first: Drawn = []
        means: list[MeanOfSteps] = []

        def watch(step: int, clean: Tensor, first: Drawn = first, means: list[MeanOfSteps] = means) -> None:
            if step == 0:  # of some samples
                first.append(CODE.probabilities(clean))
                means.append(MeanOfSteps(CODE, how.calls))
            means[-1].add(clean)

        noise = normal_noise(seed * 1000 + i, CODE.channels, size)
        last = list(draw_masks(model, image, size, how, noise=noise, device="cpu", watch=watch))
        found.last.append(torch.stack(last))
        found.steps.append(torch.cat([mean.probabilities() for mean in means]).float())
        found.first.append(torch.cat(first).float())
    return found._replace(seconds=(time.process_time() - began) / len(images))


def fused_scores(truth: Any, drawn: Drawn, rule: Rule) -> dict[str, float]:
    """Overlaps of what the samples come to by a rule."""
    return overlaps(truth, decided(torch.stack([fuse(some, rule).scores for some in drawn])))


def scored(row: Row, trained: Trained, tested: Images, seed: int) -> dict[str, Any]:
    """The scores of one training: of means over calls, beside votes of last calls; or of a single answer."""
    truth = tested.labels.numpy().astype(bool)
    if not row.samples:
        began = time.process_time()
        probs = answers(row, trained.network, tested.images)
        seconds = (time.process_time() - began) / len(tested)
        found = {**overlaps(truth, decided(probs)), **calibration(truth, probs)}
        found |= {"doubt": finds_errors(truth, probs, 1 - probs.amax(1))}
        return found | distances(truth, decided(probs)[:, None]) | {"calls": 1, "seconds": seconds}
    how = row.settings.draw
    drawn = drawn_masks(model_of(row, trained), tested.images, how, seed)
    cost = {"calls": how.samples * how.calls, "seconds": drawn.seconds}
    votes = _answered(truth, drawn, drawn.last, "majority")
    return {**_answered(truth, drawn, drawn.steps, "steps"), **cost, "votes": votes}


def _answered(truth: Any, drawn: Draws, samples: Drawn, rule: Rule) -> dict[str, Any]:
    """The scores of what was drawn, where a sample is its last call or the mean of its calls."""
    fused = [fuse(some, rule) for some in samples]
    scores, mean, disagreement = (torch.stack(parts) for parts in zip(*fused, strict=True))
    first = torch.stack([some.mean(0) for some in drawn.first])
    each = _decided(samples)
    return {
        **overlaps(truth, decided(scores)), **calibration(truth, mean), **distances(truth, each),
        "doubt": finds_errors(truth, scores, 1 - mean.amax(1)),
        "doubt_first": finds_errors(truth, scores, 1 - first.amax(1)),
        "disagreement": finds_errors(truth, scores, disagreement), "single": _single(truth, samples),
    }  # fmt: skip


def compared(row: Row, trained: Trained, tested: Images, seed: int) -> dict[str, Any]:
    """Dice by rule of fusion, by calls and sampler, by number of samples; the paper's 25 x 100 beside the default."""
    model, how = model_of(row, trained), row.settings.draw
    truth = tested.labels.numpy().astype(bool)
    many = drawn_masks(model, tested.images, replace(how, samples=max(SAMPLES)), seed)
    rules = {rule: fused_scores(truth, [one[: how.samples] for one in many.last], rule) for rule in RULES}
    rules["steps"] = fused_scores(truth, [one[: how.samples] for one in many.steps], "steps")
    samples = {f"{r}, last": _of_samples(truth, many.last, r, "majority") for r in SAMPLES}
    samples |= {f"{r}, steps": _of_samples(truth, many.steps, r, "steps") for r in SAMPLES}
    third = tested.at(range(0, len(tested), 3))
    calls = {sampler: _by_calls(model, third, replace(how, sampler=sampler), seed) for sampler in SAMPLERS}
    return {"rules": rules, "by_calls": calls, "by_samples": samples, "paper": _paper(model, tested, how, seed)}


def _of_samples(truth: Any, samples: Drawn, r: int, rule: Rule) -> dict[str, float]:
    """Of the first r of all samples."""
    scores, mean, _ = (torch.stack(parts) for parts in zip(*(fuse(one[:r], rule) for one in samples), strict=True))
    doubt = finds_errors(truth, scores, 1 - mean.amax(1))
    return {**overlaps(truth, decided(scores)), **calibration(truth, mean), "doubt": doubt}


def _by_calls(model: MaskModel, tested: Images, how: DrawSettings, seed: int) -> dict[str, Any]:
    """Number of calls -> Dice of one sample and of five, their diversity, seconds an image; of some images."""
    found = {}
    for calls in CALLS:
        some = tested.at(range(len(tested) if calls <= MANY else min(len(tested), FIRST)))
        truth = some.labels.numpy().astype(bool)
        drawn = drawn_masks(model, some.images, replace(how, calls=calls, samples=OF_CALLS), seed)
        found[str(calls)] = {
            "images": len(some), "dice": fused_scores(truth, drawn.last, "majority")["dice"],
            "steps": fused_scores(truth, drawn.steps, "steps")["dice"], "single": _single(truth, drawn.last),
            "diversity": distances(truth, _decided(drawn.last))["diversity"], "seconds": drawn.seconds,
            "ece_near": calibration(truth, torch.stack([one.mean(0) for one in drawn.last]))["ece_near"],
        }  # fmt: skip
    return found


def _paper(model: MaskModel, tested: Images, how: DrawSettings, seed: int) -> dict[str, Any]:
    """25 samples of 100 calls beside the default, of the first images."""
    some = tested.at(range(min(len(tested), FIRST)))
    truth, found = some.labels.numpy().astype(bool), {}
    for name, asked in (("default", how), ("paper", replace(how, samples=25, calls=100))):
        drawn = drawn_masks(model, some.images, asked, seed)
        found[name] = {
            "images": len(some), "calls": asked.samples * asked.calls, "seconds": drawn.seconds,
            "dice": fused_scores(truth, drawn.last, "majority")["dice"],
            "staple": fused_scores(truth, drawn.last, "staple")["dice"],
            "steps": fused_scores(truth, drawn.steps, "steps")["dice"],
        }  # fmt: skip
    return found


def _decided(drawn: Sequence[Tensor]) -> Any:
    return np.stack([decided(some) for some in drawn])


def _single(truth: Any, drawn: Drawn) -> float:
    each = _decided(drawn)
    return float(np.mean([overlaps(truth, each[:, r])["dice"] for r in range(each.shape[1])]))
