"""Pictures are drawn with or without guidance, part by part: every part is on the disk as soon as it is finished."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import RunError, SettingError, TrainingError
from hyperseg.core.files import make_folder
from hyperseg.core.words import one_line
from hyperseg.dpm.denoise import Denoise, Prediction
from hyperseg.dpm.features.features import key_of
from hyperseg.dpm.grid import start
from hyperseg.dpm.guidance import GUIDANCES
from hyperseg.dpm.guidance.check import check_guided
from hyperseg.dpm.guidance.guide import GuidedStep, guide
from hyperseg.dpm.guidance.losses import Sources, weighed
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.tapped.frozen import frozen
from hyperseg.dpm.tapped.learning import read_heads
from hyperseg.io.write import as_json, write_text
from hyperseg.recipes.bench.making import FITTED_ON, generator_of, ready
from hyperseg.recipes.depth.kept import Drawn, Part, joined, read_part, write_part
from hyperseg.recipes.depth.settings import CONTROL, SampleSettings, terms_of, weights_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hyperseg.dpm.model import DiffusionModel
    from hyperseg.dpm.samplers.sampler import Sampler
    from hyperseg.dpm.tapped.head import PixelHead

LEVELS = 255  # of a channel of a kept picture
READ_AT = 0.2  # of the schedule: where both heads read the depth of a finished picture, best at some noise
START, WAY, GUIDING, READING = range(4)  # purposes of noise
HOW = "how.json"  # in the folder of the parts: what they were drawn by
Tick = Callable[[int], None]  # told of so many calls more that are done


@dataclass(frozen=True)
class Draw:
    """What pictures are drawn by, all but their noise.

    Attributes:
        model: of pictures.
        heads: strong and weak; they guide, and read the depth of what was drawn.
        prior: of depth maps, or None.
        settings: sampler and guidance.
        shape: (C, *S) of a picture.
        device: where the networks are.
        data: (n, C, *S) pictures for samplers that have to look at some before they begin; may be empty.
        shrink: how many times smaller than pictures the prior's depth maps are.
    """

    model: DiffusionModel
    heads: tuple[PixelHead, PixelHead]
    prior: DiffusionModel | None
    settings: SampleSettings
    shape: tuple[int, ...]
    device: str = "cpu"
    data: Tensor | None = None
    shrink: int = 1

    @property
    def sources(self) -> Sources:
        """What guidance asks."""
        return Sources(*self.heads, self.prior, self.shrink)

    @property
    def networks(self) -> list[nn.Module]:
        """All that is asked."""
        return [self.model.network, *self.heads, *([] if self.prior is None else [self.prior.network])]

    @property
    def guides(self) -> dict[str, float]:
        """The terms that guide and their weights, without those of weight 0."""
        return {name: weight for name, weight in weights_of(self.settings).items() if weight}


def check_draw(settings: SampleSettings, *, prior: bool) -> Sampler:
    """Refuse what cannot be drawn before anything is; gives the sampler.

    Args:
        settings: sampler and guidance.
        prior: whether there is a diffusion model of depth maps.

    Raises:
        SettingError: a sampler that asks for more than a prediction or for a package that is not there, that cannot be
            guided, too few calls, or guidance that asks a prior that is not there.
    """
    sampler = SAMPLERS[settings.sampler]
    sampler.check()
    sampler.steps(settings.calls)
    if sampler.needs is not None:
        raise SettingError(
            f"sampler {sampler.name}: asks the network for more than clean data ({sampler.needs}), which a denoiser of "
            "this kind does not say: take another sampler."
        )
    asks = [name for name in terms_of(settings.guidance) if GUIDANCES[name].needs_prior]
    if asks and not prior:
        raise SettingError(
            f"guidance {settings.guidance}: {asks[0]} asks the diffusion model of depth maps, and this run was trained "
            "without it: take another guidance, or train with prior.steps above 0."
        )
    if any(weights_of(settings).values()):
        check_guided(sampler, settings.every)
    return sampler


def calls_of(settings: SampleSettings) -> int:
    """How often the network is asked for a sample: at most as often as the settings allow."""
    sampler = SAMPLERS[settings.sampler]
    return sampler.nfe(sampler.steps(settings.calls))


def draw_part(draw: Draw, seed: int, part: int, n: int, *, tick: Tick = lambda calls: None) -> tuple[Tensor, Part]:
    """n samples from the noise of (seed, part), which is the same whatever guides, and wherever the networks are.

    Args:
        tick: told of every call of the sampler.

    Returns:
        (n, C, *S) float64 samples as the sampler gives them, and what is kept of them.

    Raises:
        TrainingError: samples that are not finite.
    """
    settings, sampler = draw.settings, SAMPLERS[draw.settings.sampler]
    noted: list[GuidedStep] = []
    grid = sampler.grid(draw.model.schedule, settings.calls).to(draw.device)
    ask = _ticking(_denoise(draw, seed, part, noted.append), tick)
    data = torch.zeros(1, *draw.shape) if draw.data is None else draw.data[:FITTED_ON]
    sample = ready(sampler, draw.model.denoise(), data.to(draw.device).double(), grid, seed=seed)
    many = max(n, 2) if settings.guidance == CONTROL else n  # one alone has no other picture to follow
    x = start(grid, (many, *draw.shape), generator_of(seed, part, START, "cpu")).to(draw.device)
    began = time.perf_counter()
    with frozen(*draw.networks):  # gradients are those of the state alone
        made = sample(ask, x, grid, generator=generator_of(seed, part, WAY, draw.device)).x[:n]
    finite = bool(made.isfinite().all())  # waits for a card
    seconds = (time.perf_counter() - began) * n / many
    steps = np.array([(s.t, s.sigma, s.ratio, s.loss) for s in noted], np.float64).reshape(-1, 4)
    if not finite:
        raise TrainingError(_not_finite(settings, steps))
    return made, _kept(draw, made, seed, part, steps, seconds)


def draw_all(
    draw: Draw, seed: int, n: int, folder: Path, *, tick: Tick = lambda calls: None
) -> Drawn:  # fmt: skip
    """n samples of a seed; parts that are in the folder already are read, the others drawn and written there.

    Args:
        tick: told of every call, and of those that need not be made.

    Raises:
        RunError: the folder holds parts of other settings, or one that is damaged.
        TrainingError: samples that are not finite; the parts before them stay.
    """
    make_folder(folder)
    check_how(folder, draw, seed)
    size, parts = draw.settings.batch, []
    for part, begin in enumerate(range(0, n, size)):
        count = min(size, n - begin)
        file = folder / f"part-{part:04d}-{count}.npz"
        if file.exists():
            parts.append(read_part(file))
            tick(calls_of(draw.settings))
            continue
        try:
            _, made = draw_part(draw, seed, part, count, tick=tick)
        except TrainingError as error:
            raise TrainingError(f"{error} {begin} of {n} samples are kept in {folder}.") from error
        write_part(file, made)
        parts.append(made)
    return joined(parts)


def check_how(folder: Path, draw: Draw, seed: int) -> None:
    """Write into the folder what its parts are drawn by, or refuse it where that is something else.

    Raises:
        RunError: parts of other settings, networks or seed.
    """
    now = json.loads(as_json({"settings": asdict(draw.settings), "seed": seed, "networks": key_of(*draw.networks)}))
    file = folder / HOW
    if not file.exists():
        write_text(file, as_json(now))
        return
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
        other = [name for name in now["settings"] if begun["settings"].get(name) != now["settings"][name]]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(f"{file}: damaged ({one_line(str(error), 80)}). Remove {folder}, and draw again.") from error
    if begun != now:
        what = f"--set {other[0]}={begun['settings'].get(other[0])}" if other else "another seed or another training"
        raise RunError(f"{folder}: its samples were begun with {what}. Go on so, or take another --out.")


def _denoise(draw: Draw, seed: int, part: int, note: Callable[[GuidedStep], None]) -> Denoise:
    """What the sampler asks: the plain denoiser where nothing guides."""
    settings, guides = draw.settings, draw.guides
    if not guides:
        return draw.model.denoise()
    loss = weighed(GUIDANCES, guides, draw.sources, generator_of(seed, part, GUIDING, draw.device))
    guided = guide(
        draw.model.tapped(sparing=settings.sparing), loss, 1.0, schedule=draw.model.schedule, mode=settings.mode,
        earliest=settings.earliest, latest=settings.latest, every=settings.every, note=note,
    )  # fmt: skip
    return misled(draw.model.denoise(), guided) if settings.guidance == CONTROL else guided


def misled(plain: Denoise, guided: Denoise) -> Denoise:
    """Each sample of a batch is moved as guidance would move the one before it: as far, but by another's depth."""

    def ask(x: Tensor, sigma: Tensor) -> Prediction:
        said = plain(x, sigma)
        return said._replace(x0=said.x0 + (guided(x, sigma).x0 - said.x0).roll(1, 0))

    return ask


def _kept(draw: Draw, made: Tensor, seed: int, part: int, steps: NDArray[np.float64], seconds: float) -> Part:
    images = ((made.float().clamp(-1, 1) + 1) / 2 * LEVELS).round()
    x0 = images * 2 / LEVELS - 1  # as it would be read back from a file
    read = [
        read_heads(draw.model, head, x0, time=READ_AT, generator=generator_of(seed, part, READING, draw.device))
        for head in draw.heads
    ]
    strong, weak = (r[:, 0].clamp(0, 1).float().cpu().numpy() for r in read)
    pictures = np.ascontiguousarray(np.moveaxis(images.to(torch.uint8).cpu().numpy(), 1, -1))
    return Part(pictures, strong, weak, steps, seconds)


def _ticking(denoise: Denoise, tick: Tick) -> Denoise:
    def ask(x: Tensor, sigma: Tensor) -> Any:
        found = denoise(x, sigma)
        tick(1)
        return found

    return ask


def _not_finite(settings: SampleSettings, steps: NDArray[np.float64]) -> str:
    ratios = steps[np.isfinite(steps[:, 2]), 2]
    most = f" (its step was at most {ratios.max():.3g} times the sampler's own)" if len(ratios) else ""
    weights = ", ".join(f"{name} {weight:g}" for name, weight in weights_of(settings).items()) or "no guidance"
    return f"samples with {weights} by {settings.sampler} are not finite{most}: give smaller weights."
