"""A run of depth: what it learns from, that it goes on to the same bytes, and what it says of its heads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hyperseg.core import DataFileError, RunError, SettingError
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, from_json, to_json
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.dpm.guidance import GUIDANCES
from hyperseg.io.write.runs import refuse_existing
from hyperseg.recipes.depth.folder import (
    DENOISER,
    HEADS,
    METRICS,
    PRIOR,
    READABLE,
    ROOMS,
    UNFINISHED,
    DepthRun,
    add_metrics,
    read_run,
)
from hyperseg.recipes.depth.gathering import gather_folder, gather_rooms, whole_maps
from hyperseg.recipes.depth.reading.heads import TIMES, Tried, depth_of, errors_of, readable_until, told
from hyperseg.recipes.depth.settings import (
    ALL,
    CHOICES,
    CONTROL,
    NONE,
    DepthSettings,
    HeadsSettings,
    NetworkSettings,
    PriorSettings,
    SampleSettings,
    terms_of,
    weights_of,
)
from hyperseg.recipes.depth.starting import Order, settings_of, start
from hyperseg.recipes.depth.training import train_depth

TINY: dict[str, Any] = {
    "size": 8, "pictures": 12, "labelled": 4, "held_out": 3, "denoiser.width": 4, "denoiser.batch": 4,
    "heads.hidden": (6,), "heads.batch": 4, "prior.width": 4, "prior.batch": 4,
    "prior.stages": 2,
}  # fmt: skip
STEPS, THIRD = 9, 3
PARTS = (DENOISER, HEADS, PRIOR)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def trained(root: Path, changes: dict[str, Any] | None = None, *, seed: int = 0, **more: Any) -> DepthRun:
    order = Order(changes=TINY | (changes or {}), steps=STEPS)
    return train_depth(root, order, Runtime(seed, quiet=True, on_step=more.pop("on_step", None)), **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DepthRun:
    torch.set_num_threads(1)
    return trained(tmp_path_factory.mktemp("depth") / "run")


def test_a_run_holds_three_networks_that_fit_one_another(run: DepthRun) -> None:
    assert run.trained
    assert read_run(run.root) == run
    sources, model = run.sources(), run.model()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    said = model.tapped()(x, torch.full((2,), 0.5, dtype=torch.float64))
    assert said.features is not None
    assert sources.strong(said.features).shape == sources.weak(said.features).shape == (2, 1, 8, 8)
    assert not sources.strong.training
    assert sources.prior is not None
    assert sources.prior.spec.backbone.in_channels == 1
    assert sources.shrink == 2
    assert sources.strong.spec.blocks != sources.weak.spec.blocks
    for loss in GUIDANCES.values():
        values = loss.loss(sources, torch.Generator().manual_seed(1))(said, torch.full((2,), 0.5, dtype=torch.float64))
        assert values.shape == (2,)


def test_it_tells_how_right_the_heads_are_at_every_time(run: DepthRun) -> None:
    heads = json.loads((run.root / METRICS).read_text())["heads"]
    assert [row["t"] for row in heads["rows"]] == list(TIMES)
    assert heads["held_out"] == 3
    assert heads["told"] == run.record.found["heads"]["told"]
    assert f"L1 {heads['rows'][TIMES.index(0.2)]['strong']['l1']:.4f}" in heads["told"]
    assert (run.root / READABLE).stat().st_size > 1000


@pytest.mark.parametrize(("bar", "at"), [("denoiser", 5), ("heads", 2), ("prior", 2)])
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(run: DepthRun, tmp_path: Path, bar: str, at: int) -> None:
    def stop(title: str, done: int) -> None:
        if title.startswith(bar) and done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", on_step=stop)
    assert list((tmp_path / "run").glob(f"{UNFINISHED}-*"))
    again = trained(tmp_path / "run", resume=True)
    for name in PARTS:
        assert (again.root / name).read_bytes() == (run.root / name).read_bytes(), name
    assert not list(again.root.glob(f"{UNFINISHED}-*"))


def test_what_is_there_stays_and_what_is_lost_is_trained_again(run: DepthRun, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.root, copy)
    (copy / HEADS).unlink()
    kept = (copy / DENOISER).stat().st_mtime_ns
    add_metrics(copy / METRICS, guidance={"told": "scores of before"})
    again = trained(copy, resume=True)
    found = json.loads((copy / METRICS).read_text())
    assert found["guidance"] == {"told": "scores of before"}
    assert found["heads"]["rows"] == json.loads((run.root / METRICS).read_text())["heads"]["rows"]
    assert (copy / DENOISER).stat().st_mtime_ns == kept
    assert (copy / HEADS).read_bytes() == (run.root / HEADS).read_bytes()
    assert again.trained


@pytest.mark.parametrize(
    ("changes", "seed", "words"),
    [
        ({"heads.batch": 3}, 0, "heads.batch=4, not 3"),
        ({"labelled": 3}, 0, "labelled=4, not 3"),
        ({}, 1, "seed 0, not 1"),
    ],
)
def test_a_run_goes_on_as_it_was_begun(run: DepthRun, changes: dict[str, Any], seed: int, words: str) -> None:
    with pytest.raises(RunError, match=words):
        trained(run.root, changes, seed=seed, resume=True)
    with pytest.raises(RunError, match="--resume goes on"):
        trained(run.root)


def test_heads_are_sealed_with_what_they_read(run: DepthRun, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.root, copy)
    record = json.loads((copy / "run.json").read_text())
    record["settings"]["heads"]["strong"] = [0.0]
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="another plan"):
        read_run(copy).heads()


def test_the_prior_may_learn_from_what_the_strong_head_says_or_be_left_out(run: DepthRun, tmp_path: Path) -> None:
    priors = {(run.root / PRIOR).read_bytes()}
    for learns in ("labelled", "known"):
        other = trained(tmp_path / learns, {"prior.learns": learns})
        assert (other.root / DENOISER).read_bytes() == (run.root / DENOISER).read_bytes()
        priors.add((other.root / PRIOR).read_bytes())
    assert len(priors) == 3
    order = Order(changes={k: v for k, v in TINY.items() if not k.startswith("prior.")} | {"prior.steps": 0}, steps=3)
    without = train_depth(tmp_path / "without", order, Runtime(quiet=True))
    assert without.trained
    assert without.sources().prior is None


def test_the_mean_of_answers_and_their_spread(run: DepthRun) -> None:
    images = torch.zeros(2, 3, 8, 8)
    head = run.heads()[0]
    every = [depth_of(run.model(), head, images, times=(time,), draws=1, seed=5).y for time in (0.1,)]
    both = depth_of(run.model(), head, images, times=(0.1, 0.1), draws=2, seed=5)
    assert both.y.shape == both.spread.shape == (2, 8, 8)
    assert (both.spread >= 0).all()
    np.testing.assert_array_equal(every[0], depth_of(run.model(), head, images, times=(0.1,), draws=1, seed=5).y)
    np.testing.assert_array_equal(depth_of(run.model(), head, images, times=(0.1,), draws=1).spread, 0)


def test_errors_of_a_known_shift() -> None:
    scale = InverseDepth(1, 10)
    y = np.array([[[0.0, 0.5, np.nan]]], np.float32)
    found = errors_of(y + 0.25, y, scale)
    assert found["l1"] == pytest.approx(0.25)
    z, true = scale.back(np.array([0.25, 0.75])), scale.back(np.array([0.0, 0.5]))
    assert found["abs_rel"] == pytest.approx(float(np.mean(np.abs(z - true) / true)), rel=1e-5)
    assert found["delta1"] == 0
    assert errors_of(y, y, None) == {"l1": 0, "delta1": None, "abs_rel": None}


def test_depth_is_readable_up_to_the_latest_time_with_half_the_error_of_the_mean_map() -> None:
    def tried(errors: list[float]) -> Tried:
        rows = [
            {"t": t, "gap": 0.0} | {name: {"l1": e, "delta1": None, "abs_rel": None} for name in ("strong", "weak")}
            for t, e in zip(TIMES, errors, strict=True)
        ]
        constant = {"l1": 0.1, "delta1": None, "abs_rel": None}
        return Tried(rows, constant, readable_until(rows, 0.05))

    rising = tried([0.01 * i for i in range(len(TIMES))])
    assert rising.readable == TIMES[4]
    assert f"up to t = {TIMES[4]:g}" in told(rising)
    assert "train longer" not in told(rising)
    lost = tried([0.2] * len(TIMES))
    assert lost.readable is None
    assert "at no time" in told(lost)
    assert "train longer" in told(lost)


def test_rooms_that_are_held_out_are_none_that_are_learnt_from() -> None:
    settings = changed(DepthSettings(), TINY)
    a = gather_rooms(settings, 3, lambda done, total: None)
    assert (len(a.images), len(a.y), len(a.more_y), len(a.held_images)) == (12, 4, 8, 3)
    more = gather_rooms(changed(settings, {"pictures": 15, "held_out": 1}), 3, lambda done, total: None)
    np.testing.assert_array_equal(more.images[:12], a.images)
    np.testing.assert_array_equal(more.images[12:], a.held_images)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures with depth in metres, c without."""
    from PIL import Image

    place = tmp_path / "pairs"
    place.mkdir()
    for i, name in enumerate("abdefgc"):
        rng = np.random.default_rng(i)
        Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).save(place / f"{name}.png")
        if name != "c":
            np.save(place / f"{name}_depth.npy", rng.uniform(1, 4 + i, (12, 16)).astype(np.float32))
    return place


def gathered(folder: Path, asked: int | None = None) -> Any:
    settings = changed(DepthSettings(), {"size": 8, "crops": 2})
    return gather_folder(folder, settings, 0, unit="auto", per_metre=None, asked=asked)


def test_nothing_of_held_out_pictures_is_learnt_from_not_even_their_range(folder: Path) -> None:
    before = gathered(folder)
    assert len(before.held_out) == 1
    assert "c" in before.learnt
    assert not {*before.held_out} & {*before.learnt}
    assert len(before.images) == 2 * len(before.learnt)
    assert len(before.y) == 2 * len(before.labelled) == 10
    assert np.isnan(before.more_y).all()  # of the picture without depth
    np.save(folder / f"{before.held_out[0]}_depth.npy", np.full((12, 16), 40, np.float32) + np.arange(16))
    after = gathered(folder)
    assert after.bounds == before.bounds
    np.testing.assert_array_equal(after.y, before.y)
    assert after.prints != before.prints


def test_labelled_pictures_are_as_many_as_are_asked_for_or_all_there_are(folder: Path) -> None:
    few = gathered(folder, 2)
    assert len(few.labelled) == 2
    assert np.isfinite(few.more_y).any((1, 2)).sum() == 2 * 3  # known to the prior, told to no head
    assert len(gathered(folder).labelled) == 5
    with pytest.raises(SettingError, match="6 pictures with depth, of which 1 held out: 1 to 5 can be labelled"):
        gathered(folder, 6)


def test_a_folder_is_trained_on_and_goes_on_with_the_same_files_only(folder: Path, tmp_path: Path) -> None:
    changes = {k: v for k, v in TINY.items() if k not in ("pictures", "labelled")}
    order = Order(folder, changes | {"crops": 2}, steps=2)
    run = train_depth(tmp_path / "run", order, Runtime(quiet=True))
    assert run.record.settings.labelled == 5
    assert run.record.z_max > run.record.z_min > 0.9
    train_depth(tmp_path / "run", Order(folder), Runtime(quiet=True), resume=True)
    np.save(folder / "a_depth.npy", np.full((12, 16), 2, np.float32) + np.arange(16))
    with pytest.raises(RunError, match="file a has other values"):
        train_depth(tmp_path / "run", Order(folder), Runtime(quiet=True), resume=True)


def test_a_folder_may_be_called_rooms_and_is_found_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert Order(Path("rooms")).data == str(tmp_path / "rooms")
    assert Order().data == ROOMS


def test_two_commands_in_one_folder_leave_each_others_run_alone(run: DepthRun, tmp_path: Path) -> None:
    """Also where one of them is told to overwrite: nothing is removed without the lock; nor where it came later."""
    own = tmp_path / "run"
    shutil.copytree(run.root, own)
    before = {file.name: file.read_bytes() for file in own.iterdir()}
    lock = take(own)
    with pytest.raises(RunError, match="is at work here"):
        train_depth(own, Order(changes=TINY, steps=STEPS), Runtime(0, quiet=True), overwrite=True)
    lock.release()
    assert {file.name: file.read_bytes() for file in own.iterdir()} == before
    with pytest.raises(RunError, match="meanwhile"):
        start(own, run.record, resume=False, overwrite=False)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".lock").touch()  # all that is left where the process was killed at once
    refuse_existing(tmp_path / "killed", read_run, resume=False, overwrite=False)
    with pytest.raises(RunError, match="is there already"):
        refuse_existing(own, read_run, resume=False, overwrite=False)


def test_maps_are_made_whole_from_the_nearest_pixel() -> None:
    y = np.array([[[1, np.nan], [2, 2]], [[np.nan, np.nan], [np.nan, 3]]], np.float32)
    whole = whole_maps(y)
    assert whole.shape == (1, 2, 2)
    assert whole[0, 0, 1] in (1, 2)
    with pytest.raises(DataFileError, match=r"prior\.learns=predicted"):
        whole_maps(y[1:])


def test_settings_are_refused_before_anything_is_trained() -> None:
    assert from_json(DepthSettings, to_json(DepthSettings())) == DepthSettings()
    with pytest.raises(SettingError, match=r"size 36: .* divisible by 8"):
        DepthSettings(size=36)
    three = NetworkSettings(stages=3)
    with pytest.raises(SettingError, match=r"prior.shrink 2 .* divisible by 8"):
        DepthSettings(size=36, denoiser=three)
    assert DepthSettings(size=36, denoiser=three, prior=PriorSettings(steps=0)).size == 36
    with pytest.raises(SettingError, match="has 3 stages only"):
        NetworkSettings(stages=3, attention=4)
    assert NetworkSettings(stages=4, attention=2).attends == (0, 0, 4, 4)
    assert NetworkSettings(width=32, stages=4).widths == (32, 64, 128, 128)
    with pytest.raises(SettingError, match="both read the blocks"):
        DepthSettings(heads=HeadsSettings(strong=(0.5,), weak=(0.5,)))
    with pytest.raises(SettingError, match="say the same"):
        settings_of(Order(changes={"denoiser.steps": 3}, steps=3))
    with pytest.raises(SettingError, match="no prior is trained"):
        settings_of(Order(changes={"prior.steps": 0, "prior.width": 16}))
    with pytest.raises(SettingError, match="crops 3 would change nothing"):
        settings_of(Order(changes={"crops": 3}))
    with pytest.raises(SettingError, match="pictures 3 would change nothing"):
        settings_of(Order(Path("x"), {"pictures": 3}))


def test_names_of_guidance() -> None:
    assert terms_of(NONE) == ()
    assert terms_of(ALL) == tuple(GUIDANCES)
    assert (NONE, *GUIDANCES, ALL, CONTROL) == CHOICES
    for name in GUIDANCES:
        assert terms_of(name) == (name,)
        (weight,) = weights_of(SampleSettings(guidance=name, consistency=2, prior=3)).values()
        assert weight == (3 if GUIDANCES[name].needs_prior else 2)
    with pytest.raises(SettingError, match="Did you mean"):
        SampleSettings(guidance="dagg")
