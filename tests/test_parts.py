"""Parts are values: a new one is one file and one line of a table, and every one keeps the same promises."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from running import Hyperseg, Quick, Run
from torch import nn

from hyperseg.core import UNLABELLED, HypersegError, Scene, SegmentationMap
from hyperseg.core.parts import Entry, Method, Parts, Refiner, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import from_json, leaves, to_json
from hyperseg.core.task import Task
from hyperseg.data.splits import SPLITS, make_split, splits_help
from hyperseg.io.formats import FORMATS
from hyperseg.recipes.mapping.windows import Mapper, plan_windows
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.load import LoadedRun
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import Outcome, run_repeat
from hyperseg.simulated.scenes import toy_scene

ON_SCENES = [name for name in METHODS if "scene" in METHODS[name].takes]
TABLES: dict[str, Parts] = {t.what: t for t in (METHODS, REFINERS, SPLITS, FORMATS)}

METHOD = '''
from dataclasses import dataclass

from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings
from hyperseg.recipes.methods.network import network_method
from hyperseg.recipes.training.settings import TrainSettings


@settings
class ToySettings:
    """A 1x1 network."""

    width: int = option(8, "Channels.", low=1, shown="toy-width")
    train: TrainSettings = option(TrainSettings(epochs=1, min_steps=30), "The training.")


@dataclass(frozen=True)
class ToySpec:
    n_features: int
    n_classes: int
    width: int


def build(spec, seed):
    from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Encoder, seeded
    from torch import nn

    class Toy(nn.Module):
        margin, padded = 1, False

        def __init__(self):
            super().__init__()
            body = BackboneSpec(spec.n_features, (spec.width,), (1,), (3,), (1,), ConvSpec(2, padding="valid"))
            self.encoder, self.head = Encoder(body), ClassHead(body, spec.n_classes)

        def features(self, x):
            return self.encoder(x[:, 0])[-1]

        def forward(self, x):
            return self.head([self.features(x)])

    with seeded(seed):
        return Toy()


TOY = network_method(
    "toy", ToySettings, build=build, read=lambda data: from_json(ToySpec, data),
    describe=lambda task, preprocess, s: ToySpec(preprocess.n_out, task.n_classes, s.width),
    tell=lambda model, *_: Section("What the toy shows", (f"Width {model.spec.width}.",), numbers={"toy": 1}),
)
'''

REFINER = '''
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import uniform_filter

from hyperseg.core.parts import Refiner, Saved
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings, to_json


@settings
class SmoothSettings:
    """A mean over a square."""

    side: int = option(3, "Side of the square.", low=1, shown="toy-side")


@dataclass(frozen=True)
class Fitted:
    chosen: SmoothSettings
    name: str = "smooth"
    margin_px: int = 0
    exact: bool = True
    changes_nothing: bool = False

    @property
    def reach_px(self):
        return self.chosen.side // 2

    def window_px(self, before):
        return before + self.chosen.side - 1

    def joined(self, map, scene, train):
        return None

    def apply(self, map, scene, runtime):
        side = self.chosen.side
        return map.refined(uniform_filter(map.probs, (side, side, 0), mode="reflect"), self.name)

    def saved(self):
        return Saved(to_json(self.chosen))

    def section(self, before, after, scene, split):
        return Section("What smoothing shows", ("It smoothed.",), numbers={"name": self.name})


SMOOTH = Refiner(
    "smooth", SmoothSettings, lambda map, task, settings, context: Fitted(settings),
    lambda saved, model: Fitted(from_json(SmoothSettings, saved.record)),
)
'''

FORMAT = """
from pathlib import Path

import numpy as np

from hyperseg.io.formats.array import FileArray, Format


def open_text(path, choice):
    shape, *values = Path(path).read_text().split()
    return FileArray(np.array(values, np.float32).reshape([int(n) for n in shape.split("x")]), path, about="toy text")


TOY = Format("Toy", (".toy",), lambda path: path.suffix == ".toy", open_text, lambda path: {})
"""

SPLIT = '''
import numpy as np

from hyperseg.core import Split
from hyperseg.core.settings import option, settings
from hyperseg.data.splits.spelling import Splitter


@settings
class StripeSettings:
    """Every n-th row."""

    every: int = option(4, "Every so many rows train.", low=2)


def make(draw, settings):
    rows = np.arange(draw.labels.shape[0]) % settings.every
    known = draw.labels >= 0
    return Split(
        known & (rows == 0)[:, None], known & (rows == 1)[:, None], known & (rows > 1)[:, None],
        f"stripes(every={settings.every})", draw.seed,
    )


STRIPES = Splitter("stripes", StripeSettings, make)
'''
TOYS = {
    "method": ("toy", "new_method", METHOD, "TOY"),
    "refiner": ("smooth", "new_refiner", REFINER, "SMOOTH"),
    "format": ("Toy", "new_format", FORMAT, "TOY"),
    "split": ("stripes", "new_split", SPLIT, "STRIPES"),
}


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A toy part of every kind: its own file, and one line of a table."""
    monkeypatch.syspath_prepend(tmp_path)
    before = {what: dict(table.entries) for what, table in TABLES.items()}
    for what, (name, module, text, value) in TOYS.items():
        (tmp_path / f"{module}.py").write_text(text)
        entry = Entry(f"{module}:{value}", f"a toy {what}")
        rest = dict(TABLES[what].entries)
        TABLES[what].entries.clear()
        TABLES[what].entries.update(rest | {name: entry} if what != "format" else {name: entry} | rest)
    yield
    for what, entries in before.items():
        TABLES[what].entries.clear()
        TABLES[what].entries.update(entries)
        sys.modules.pop(TOYS[what][1], None)


TOY_RUN = ("--method", "toy", "--refine", "smooth", "--split", "stripes:3", "--baseline", "lda", "--quiet")


@pytest.mark.usefixtures("toys")
def test_new_parts_work_everywhere_without_another_line(hyperseg: Hyperseg, toy: Scene, tmp_path: Path) -> None:
    cube = np.asarray(toy.cube, np.float32)
    words = " ".join(["x".join(map(str, cube.shape)), *map(str, cube.ravel())])
    (tmp_path / "cube.toy").write_text(words)
    assert toy.labels is not None
    np.save(tmp_path / "gt.npy", toy.labels + 1)

    shown = hyperseg("classify", *TOY_RUN[:4], "--help").out
    for text in ("--toy-width", "--toy-side", "a toy method", "a toy refiner", "stripes:every=4"):
        assert text in shown
    assert "toy text" in hyperseg("info", "cube.toy", "--no-picture").out

    scene = ("cube.toy", "--labels", "gt.npy")
    first = hyperseg(
        "classify", *scene, *TOY_RUN, "--toy-side", "5", "--set", "train.lr=2e-3", "--repeats", "1", "--out", "a"
    )
    assert first.code == 0, first.err
    record = json.loads((tmp_path / "a/run.json").read_text())
    settings = record["settings"]
    assert settings["method_settings"]["train"]["lr"] == 2e-3
    assert settings["refiner_settings"]["smooth"] == {"side": 5}
    assert record["chain"] == ["toy", "smooth"]
    assert record["split"]["how"] == "stripes(every=3)"
    report = (tmp_path / "a/report.html").read_text()
    assert "What the toy shows" in report
    assert "Width 8." in report
    assert "What smoothing shows" in report

    again = hyperseg("classify", "--from", "a/run.json", "--toy-width", "4", "--out", "b", "--quiet")
    assert again.code == 0, again.err
    settings = json.loads((tmp_path / "b/run.json").read_text())["settings"]
    assert settings["method_settings"]["width"] == 4
    assert settings["refiner_settings"]["smooth"] == {"side": 5}

    mapped = hyperseg("map", "a", "cube.toy", "--refine", "--side", "9", "--out", "m.tif", "--quiet")
    assert mapped.code == 0, mapped.err
    with rasterio.open("m.tif") as whole, rasterio.open("a/map.tif") as own:
        np.testing.assert_array_equal(whole.read(1), own.read(1))


@pytest.mark.usefixtures("toys")
def test_a_run_of_new_parts_is_resumed(toy: Scene, quick: Quick, run: Run, tmp_path: Path) -> None:
    """Interrupted after its first repeat, a run goes on with the second and ends with the same bytes."""
    settings = quick(method="toy", refine=("smooth",), split="stripes", repeats=2)
    whole = run(toy, settings, tmp_path / "whole")

    def stop(repeat: int, made: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(toy, settings, tmp_path / "again", on_repeat=stop)
    again = run(toy, settings, tmp_path / "again", resume=True)
    assert (again / "map.tif").read_bytes() == (whole / "map.tif").read_bytes()
    assert "What smoothing shows" in (again / "report.html").read_text()


@dataclass(frozen=True)
class Case:
    """A method before some refiners, with settings of theirs that differ from the default."""

    method: str
    refine: tuple[str, ...] = ()
    changes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "+".join((self.method, *self.refine, *(path for path, _ in self.changes)))

    @property
    def settings(self) -> RunSettings:
        """Trained for a moment, and refiners that do change the map: the same promises, a hundredth of the time."""
        found = RunSettings(method=self.method, refine=self.refine, baselines=(), repeats=1)
        lean = {"steps": 4, "min_steps": 4, "epochs": 1, "batch": 8, "least_edges": 1, "pool_batch": 4, "forced": True}
        changes = [
            {leaf.path: lean[leaf.name] for leaf in leaves(part) if leaf.name in lean and not leaf.within}
            | {leaf.path: 8 for leaf in leaves(part) if (leaf.name, leaf.value) == ("width", 0)}  # else planned
            for _, part in found.parts
        ]
        return found.with_parts(changes).with_(dict(self.changes))


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Large enough for several windows, with pixels without data."""
    found = toy_scene(shape=(30, 26), n_bands=32)
    valid = np.ones(found.shape, bool)
    valid[3:5, 7:9] = False
    assert found.labels is not None
    return found.with_(valid=valid, labels=np.where(valid, found.labels, np.int16(UNLABELLED)))


def task_of(scene: Scene) -> Task:
    assert scene.labels is not None
    split = make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0, valid=scene.valid)
    return Task((scene,), (split,))


def cases() -> Iterator[Case]:
    """Every method alone and before every refiner, as far as they go together; and what else keeps a network."""
    for method in ON_SCENES:
        lean = () if METHODS[method].has_features else (("features.min_steps", 4), ("features.epochs", 1))
        for chain in ((), *((name,) for name in REFINERS)):
            try:
                RunSettings(method=method, refine=chain)
            except HypersegError:
                continue
            yield Case(method, chain, lean if "features" in hints(chain) else ())
    yield Case(METHODS.default, (JOINTLY,), (("joint", True), ("through.steps", 3), ("through.batch", 4)))


def hints(chain: tuple[str, ...]) -> set[str]:
    """Names of the fields of the refiners' settings."""
    return {f.name for name in chain for f in fields(REFINERS[name].settings)}


JOINTLY = next(name for name in REFINERS if "joint" in hints((name,)))


def fitted(scene: Scene, case: Case) -> Outcome:
    return run_repeat(task_of(scene), case.settings, Runtime(quiet=True))


def probs_of(made: Outcome) -> np.ndarray:
    return made.final.map.probs


def loaded(made: Outcome, scene: Scene, method: str) -> LoadedRun:
    """The outcome as if it had been written and read: JSON and arrays only."""
    through = lambda saved: Saved(json.loads(json.dumps(saved.record)), dict(saved.arrays))  # noqa: E731
    model = METHODS[method].load(through(made.base.model.saved()))
    refiners = [REFINERS[link.fitted.name].load(through(link.fitted.saved()), model) for link in made.links]
    return LoadedRun(
        model, tuple(f for f in refiners if not f.changes_nothing), scene.classes, scene.colours, (), scene.name
    )


def mapped(run: LoadedRun, scene: Scene, *, side: int) -> np.ndarray:
    """Probabilities of a scene mapped in windows."""
    halo = sum(r.reach_px for r in run.refiners)
    halo += max([run.model.margin_px, *(r.margin_px for r in run.refiners)])
    halo = -(-halo // 16) * 16 if run.refiners else halo
    mapper = Mapper(run, halo, bool(run.refiners), True, Runtime(quiet=True))
    out = np.empty((*scene.shape, scene.n_classes), np.float32)
    for window in plan_windows(scene, halo_px=halo, side=side, refined=bool(run.refiners)):
        made = mapper(scene, window, np.asarray(scene.cube[window.read_slices]))
        assert made.probs is not None
        out[window.core_slices] = made.probs
    return out


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_what_is_loaded_maps_as_what_was_fitted(scene: Scene, case: Case) -> None:
    """The same bytes after a round trip through JSON and arrays; in windows the same map, where that is promised."""
    made = fitted(scene, case)
    run = loaded(made, scene, case.method)
    map: SegmentationMap = run.model.map(scene, Runtime(quiet=True))
    for refiner in run.refiners:
        map = refiner.apply(map, scene, Runtime(quiet=True))
    assert map.probs.tobytes() == probs_of(made).tobytes()
    if all(refiner.exact for refiner in run.refiners):
        assert scene.valid is not None
        whole, windows = map.probs[scene.valid], mapped(run, scene, side=16)[scene.valid]
        network = getattr(run.model, "network", None)
        padded = network is not None and getattr(network, "padded", True)  # its own windows lie elsewhere then
        if padded and any(isinstance(module, nn.GroupNorm) for module in network.modules()):
            assert abs(windows - whole).mean() < 1e-2  # norms are of a window, so that each pixel differs a little
        else:
            np.testing.assert_allclose(windows, whole, atol=5e-3 if padded else 2e-5)


@pytest.mark.parametrize("method", ON_SCENES)
def test_the_same_seed_gives_the_same_bytes_and_test_labels_are_never_learnt(scene: Scene, method: str) -> None:
    """Trained twice, the second time with other classes on every test pixel: weights and map do not change."""
    case = Case(method, METHODS[method].refiners or ())
    task = task_of(scene)
    assert scene.labels is not None
    wrong = np.where(task.split.test, (scene.labels + 1) % scene.n_classes, scene.labels).astype(np.int16)
    other = Task((scene.with_(labels=wrong),), task.splits)
    made, again = (run_repeat(t, case.settings, Runtime(quiet=True)) for t in (task, other))
    assert probs_of(again).tobytes() == probs_of(made).tobytes()
    first, second = (m.base.model.saved().arrays for m in (made, again))
    assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_what_their_table_says(name: str) -> None:
    method: Method = METHODS[name]
    assert method.name == name
    assert to_json(from_json(method.settings, json.loads(json.dumps(to_json(method.settings()))))) == to_json(
        method.settings()
    )


SETTINGS = [(f"{t.what} {name}", t[name].settings) for t in (METHODS, REFINERS, SPLITS) for name in t]


@pytest.mark.parametrize(("name", "cls"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_every_setting_has_help_and_survives_json(name: str, cls: Any) -> None:
    required = {"fraction": 0.1, "n": 5}
    given = {f.name: required[f.name] for f in fields(cls) if f.name in required}
    made = cls(**given)
    assert from_json(cls, json.loads(json.dumps(to_json(made)))) == made
    for leaf in leaves(made):
        assert leaf.rule.help.strip(), f"{name}: {leaf.path} has no help"


@pytest.mark.parametrize("name", REFINERS)
def test_refiners_are_what_their_table_says(name: str) -> None:
    refiner: Refiner = REFINERS[name]
    assert refiner.name == name
    assert refiner.title


FEW = {"ssrn": 5, "hybrid": 8, "twin": 8, "gan": 8}


@pytest.mark.parametrize("name", FEW)
def test_what_cannot_be_built_is_refused_before_training(name: str) -> None:
    """Too few bands for the network's kernels."""
    scene = toy_scene(shape=(24, 21), n_bands=FEW[name])
    method: Method = METHODS[name]
    with pytest.raises(HypersegError, match="at least"):
        method.check(task_of(scene), method.settings())


def options_by_part() -> list[tuple[str, str, str]]:
    """(option, part that lacks it, words that choose the part)."""
    from hyperseg.cli.options import option_names

    every = {n for t in (METHODS, REFINERS) for name in t for n in option_names(t[name])}
    found = []
    for name in ON_SCENES:
        own = set(option_names(METHODS[name]))
        words = f"--method {name}" + (f" --refine {METHODS[name].needs}" if METHODS[name].needs else " --refine none")
        if METHODS[name].needs:
            own |= set(option_names(REFINERS[METHODS[name].needs]))
        found += [(option, name, words) for option in sorted(every - own)]
    for name in REFINERS:
        own = set(option_names(REFINERS[name])) | set(option_names(METHODS["svm"]))
        found += [(option, name, f"--method svm --refine {name}") for option in sorted(every - own)]
    return found


LACKING = options_by_part()


@pytest.mark.parametrize(("option", "part", "words"), LACKING, ids=[f"{o}-{w}" for o, _, w in LACKING])
def test_an_option_of_another_part_is_refused(hyperseg: Hyperseg, option: str, part: str, words: str) -> None:
    answer = hyperseg("classify", "indian-pines", *words.split(), f"--{option}", "1")
    assert f"--{option} is no option of" in answer.error
    assert "it belongs to the" in answer.error


def test_splits_are_listed_with_their_options() -> None:
    lines = splits_help().splitlines()
    assert [line.split(":")[0] for line in lines] == list(SPLITS)


README = Path(__file__).resolve().parents[1] / "README.md"
HEADS = {
    "method": "| `--method` | |",
    "refiner": "| `--refine` | when |",
    "split": "| `--split` | |",
    "format": "| format | |",
}


@pytest.mark.parametrize("what", HEADS)
def test_the_readme_lists_every_part_with_the_words_of_its_table(what: str) -> None:
    table, lines = TABLES[what], README.read_text(encoding="utf-8").splitlines()
    start = lines.index(HEADS[what]) + 2
    rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[start : start + len(table)]]
    told = {name: SPLITS[name].spelling() if what == "split" else name for name in table}
    default = {} if what == "format" else {table.default: " (default)"}
    wanted = [
        (f"`{told[name]}`" * (what != "format") + name * (what == "format") + default.get(name, ""), entry.help)
        for name, entry in table.entries.items()
    ]
    assert rows == wanted
    assert not lines[start + len(table)].startswith("|")


def test_of_two_parts_of_one_name_a_whole_path_means_its_own() -> None:
    """The network's learning rate is train.lr, the refiner's is lr."""
    name = next(n for n in METHODS if n in REFINERS)
    found = RunSettings(method=name).with_({f"{name}.lr": 0.5})
    assert (found.refiner_settings[name].lr, found.method_settings.train.lr) == (0.5, 1e-3)
    both = RunSettings(method=name).with_({"lr": "0.25"})
    assert (both.refiner_settings[name].lr, both.method_settings.train.lr) == (0.25, 0.25)


def test_what_goes_with_a_setting_goes_with_it_however_it_is_given() -> None:
    found = RunSettings().with_({"epochs": 7})
    assert (found.method_settings.train.epochs, found.method_settings.train.min_steps) == (7, 1)
    given = RunSettings().with_({"min_steps": 50, "epochs": "7"})
    assert given.method_settings.train.min_steps == 50
