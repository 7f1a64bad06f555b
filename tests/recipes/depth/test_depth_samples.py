"""Pictures drawn in parts: the same noise whatever guides, plain without guidance, resumed to the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperseg.backbone import seeded
from hyperseg.core import RunError, SettingError, TrainingError
from hyperseg.dpm.grid import start
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.tapped.head import PixelHead, head_spec
from hyperseg.recipes.bench.making import generators_of
from hyperseg.recipes.depth.sampling import Draw, check_draw, draw_all, draw_part
from hyperseg.recipes.depth.settings import CHOICES, SampleSettings

SIDE = 8
SETTINGS = SampleSettings(calls=4, batch=3, consistency=2.0, prior=0.5, latest=1.0)


def model(channels: int) -> DiffusionModel:
    spec = denoiser_spec(channels, 2, widths=(8, 8), cond_dim=8)
    with seeded(channels), torch.no_grad():
        network = Denoiser(spec).eval()
        for weights in network.parameters():  # as built it says 0 of everything
            weights.add_(0.1 * torch.randn_like(weights))
        return DiffusionModel(network, spec, SCHEDULES["linear"], "eps")


@pytest.fixture(scope="module")
def draw() -> Draw:
    pictures = model(3)
    with seeded(5):
        strong, weak = (PixelHead(head_spec(pictures.spec, at, 1, hidden=(8,))).eval() for at in ((0.0, 1.0), (0.0,)))
    return Draw(pictures, (strong, weak), model(1), SETTINGS, (3, SIDE, SIDE))


def with_(draw: Draw, **changes: object) -> Draw:
    return replace(draw, settings=replace(draw.settings, **changes))  # type: ignore[arg-type]


def test_without_guidance_it_is_the_plain_sampler_bit_for_bit(draw: Draw) -> None:
    plain = with_(draw, guidance="none")
    sampler, schedule = SAMPLERS["ddim"], draw.model.schedule
    grid, (first, second) = sampler.grid(schedule, 4), generators_of(7, 2, "cpu")
    assert sampler.sample is not None
    x = sampler.sample(draw.model.denoise(), start(grid, (3, 3, SIDE, SIDE), first), grid, generator=second).x
    made, part = draw_part(plain, 7, 2, 3)
    assert torch.equal(made, x)
    assert part.steps.shape == (0, 4)
    no_weight, _ = draw_part(with_(draw, consistency=0.0, prior=0.0), 7, 2, 3)
    assert torch.equal(no_weight, x)


def test_all_rows_start_from_the_same_noise(draw: Draw) -> None:
    """With weights near 0 guided samples come near the plain ones; with larger ones they move away from them."""
    plain, _ = draw_part(with_(draw, guidance="none"), 1, 0, 3)
    for guidance in CHOICES[1:]:
        near, part = draw_part(with_(draw, guidance=guidance, consistency=1e-9, prior=1e-9), 1, 0, 3)
        assert float((near - plain).abs().max()) < 1e-4
        assert part.steps.shape == (4, 4)
        assert np.isfinite(part.steps).all()
        far, _ = draw_part(with_(draw, guidance=guidance), 1, 0, 3)
        assert float((far - plain).abs().max()) > 1e-3


def test_what_is_kept(draw: Draw) -> None:
    made, part = draw_part(draw, 0, 0, 2)
    assert part.images.shape == (2, SIDE, SIDE, 3)
    back = np.moveaxis(part.images / 127.5 - 1, -1, 1)
    assert np.abs(back - made.clamp(-1, 1).numpy()).max() <= 1 / 255 + 1e-6
    for y in (part.strong, part.weak):
        assert y.shape == (2, SIDE, SIDE)
        assert y.dtype == np.float32
        assert 0 <= y.min() <= y.max() <= 1


def test_interrupted_samples_go_on_to_the_same_bytes(draw: Draw, tmp_path: Path) -> None:
    whole, calls = draw_all(draw, 0, 7, tmp_path / "whole"), []

    def stop(n: int) -> None:
        calls.append(n)
        if len(calls) == 6:  # in the second part
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_all(draw, 0, 7, tmp_path / "cut", tick=stop)
    assert [f.name for f in sorted((tmp_path / "cut").glob("*.npz"))] == ["part-0000-3.npz"]
    done: list[int] = []
    again = draw_all(draw, 0, 7, tmp_path / "cut", tick=done.append)
    assert done[0] == 4
    assert sum(done) == 12
    for a, b in zip(whole[:4], again[:4], strict=True):
        assert np.array_equal(a, b)
    assert len(again.images) == 7
    more = draw_all(draw, 0, 9, tmp_path / "cut")
    assert np.array_equal(more.images[:6], whole.images[:6])


def test_parts_of_other_settings_are_refused(draw: Draw, tmp_path: Path) -> None:
    draw_all(draw, 0, 2, tmp_path)
    with pytest.raises(RunError, match="consistency=2"):
        draw_all(with_(draw, consistency=3.0), 0, 2, tmp_path)
    with pytest.raises(RunError, match="another seed or another training"):
        draw_all(draw, 1, 2, tmp_path)
    part = tmp_path / "part-0000-2.npz"
    for damaged in (b"half", b"", part.read_bytes()[:-100]):
        part.write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            draw_all(draw, 0, 2, tmp_path)


def test_samples_that_are_not_finite_are_told_and_those_before_are_kept(draw: Draw, tmp_path: Path) -> None:
    draw_all(draw, 0, 3, tmp_path)
    with torch.no_grad():
        strong, weak = draw.heads
        broken = replace(draw, heads=(strong, PixelHead(weak.spec).eval()))
        for weight in broken.heads[1].parameters():
            weight.fill_(float("nan"))
    (tmp_path / "how.json").unlink()
    with pytest.raises(TrainingError, match="3 of 6 samples are kept") as caught:
        draw_all(broken, 0, 6, tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "part-0000-3.npz").exists()


@pytest.mark.parametrize(
    ("changes", "prior", "words"),
    [
        ({"sampler": "iddpm"}, True, "take another sampler"),
        ({"sampler": "dpmpp-2m", "every": 2}, True, "every"),
        ({"guidance": "dpg"}, False, "prior.steps above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before(changes: dict[str, object], prior: bool, words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        check_draw(replace(SETTINGS, **changes), prior=prior)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_control_moves_each_sample_as_guidance_moves_the_one_before(draw: Draw) -> None:
    """In one call, which ends at the predicted data: what guidance adds is rolled along the batch."""
    one = {"calls": 1, "consistency": 1e-3, "prior": 1e-3}
    plain, guided, control = (
        draw_part(with_(draw, guidance=guidance, **one), 0, 0, 3)[0] for guidance in ("none", "dag", "control")
    )
    assert torch.allclose(control - plain, (guided - plain).roll(1, 0), rtol=1e-6, atol=1e-9)
    assert not torch.equal(guided, plain)
    alone, two = (draw_part(with_(draw, guidance="control", **one), 0, 0, n)[0] for n in (1, 2))
    assert torch.equal(alone, two[:1])  # another picture is drawn for it to follow
