"""The house: which way imports run, what stays lazy, and that a bare machine can still train."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import hyperseg
from hyperseg.data.splits import SPLITS
from hyperseg.dpm.faster import FASTER
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.parameterisation import Predicts
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.io.formats import FORMATS
from hyperseg.losses import LOSSES
from hyperseg.recipes.bench.data import PICTURES
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.segment.scoring import FIGURES
from hyperseg.recipes.tricks import TRICKS
from hyperseg.zoo import NETWORKS

PACKAGE = Path(hyperseg.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LEVELS = (
    "core",
    "backbone losses metrics boxes filters io",
    "engine data report simulated",
    "hsi gan crf regions dpm medical contrast detection zoo",
    "recipes",
    "cli",
)
LEVEL = {name: height for height, names in enumerate(LEVELS) for name in names.split()}
LATE = {
    "rasterio", "spectral", "h5py", "sklearn", "matplotlib", "pooch", "tensorly", "pydensecrf", "jinja2",
    "pyogrio", "shapely", "zarr", "dask", "distributed", "xarray", "nibabel", "PIL", "diffusers", "monai",
}  # fmt: skip
TABLES = (
    (METHODS, "hyperseg.recipes.methods"),
    (REFINERS, "hyperseg.recipes.refiners"),
    (SPLITS, "hyperseg.data.splits"),
    (FORMATS, "hyperseg.io.formats"),
    (PICTURES, "hyperseg.recipes.bench.data.load"),
    (SCHEDULES, "hyperseg.dpm.schedules"),
    (SAMPLERS, "hyperseg.dpm.samplers"),
    (FASTER, "hyperseg.dpm.faster"),
    (OBJECTIVES, "hyperseg.dpm.objectives"),
    (TRICKS, "hyperseg.recipes.tricks"),
    (LOSSES, "hyperseg.losses"),
    (NETWORKS, "hyperseg.zoo"),
)
MOST_FILES = 16
PRIVATE = re.compile(r"(^|\.)_(?!is_avx512|is_amx)[a-z]")  # those two are torch's, not ours
WORDS = {
    "core.scene": ("parcels",),  # attribute of a scene
    "core.maps": ("twin",),  # role of a step
    "report.findings": ("twin",),
    "recipes.run.steps": ("twin",),
    "recipes.run.plan": ("twin",),
    "hsi.classical": ("temperature",),  # key of a record
    "report.reliability": ("temperature",),
    "io.catalog": ("indian-pines",),  # the scene
    "metrics.area_table": ("parcels",),  # how a sample was drawn
    "recipes.scoring.areas": ("parcels",),
    "io.formats.envi_header": ("ENVI",),  # how a header begins
    "crf.section": ("fixed",),  # pixels that a refiner put right
    "backbone.resize": ("linear",),  # how values are interpolated
    "medical.explain": ("linear",),
    "dpm.parameterisation": ("edm",),  # what a network says
    "detection.settings": ("focal", "twin", "temperature"),  # loss of soft targets; row of the ablation
}
CONVOLUTION = re.compile(r"(Lazy)?Conv(Transpose)?[123]d|conv(_transpose)?[123]d|convolution")
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers"}


def imported(tree: ast.AST, inside: str) -> Iterator[tuple[ast.AST, str]]:
    """Every imported name in full, wherever it stands; relative imports start from the package `inside`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = inside.split(".")
            start = parents[: len(parents) - node.level + 1] if node.level else []
            stem = ".".join([*start, *filter(None, [node.module])])
            yield from ((node, f"{stem}.{alias.name}") for alias in node.names)


def wrong_ways(tree: ast.AST, inside: str) -> list[str]:
    """Imports of a package that is not below one's own; the root package may import all of them."""
    own = inside.split(".")[1] if "." in inside else None
    wrong = []
    for node, name in imported(tree, inside):
        root, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if root == "hyperseg" and own and other != own and other in LEVEL and LEVEL[other] >= LEVEL[own]:
            wrong.append(f"{own} imports {name} in line {node.lineno}")  # type: ignore[attr-defined]
    return wrong


def at_import(tree: ast.Module) -> ast.Module:
    """The statements that run when the module is imported: no function bodies, nothing for type checkers."""

    class Runs(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST:
            return ast.Module(node.orelse, []) if "TYPE_CHECKING" in ast.unparse(node.test) else node

    module = Runs().visit(deepcopy(tree))  # trees are kept for other tests
    assert isinstance(module, ast.Module)
    return module


def convolutions(tree: ast.AST) -> list[str]:
    """Torch convolutions a module names, as `nn.Conv2d`, `F.conv3d` or imported."""
    names = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    names += [a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names]
    return [name for name in names if CONVOLUTION.fullmatch(name)]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def package_of(path: Path) -> str:
    return ".".join(("hyperseg", *path.parent.relative_to(PACKAGE).parts))


def test_every_package_has_its_place() -> None:
    assert {p.parent.name for p in PACKAGE.glob("*/__init__.py")} <= set(LEVEL)


def test_imports_run_one_way() -> None:
    assert [f"{p}: {w}" for p in FILES for w in wrong_ways(parsed(p), package_of(p))] == []


def test_only_the_backbone_makes_convolutions() -> None:
    others = [p for p in FILES if package_of(p).split(".")[1:2] != ["backbone"]]
    assert [f"{p}: {found}" for p in others if (found := convolutions(parsed(p)))] == []


def test_core_and_metrics_know_no_torch() -> None:
    plain = [p for p in FILES if package_of(p).split(".")[1:2] in (["core"], ["metrics"])]
    names = [(p, name) for p in plain for _, name in imported(parsed(p), package_of(p))]
    assert [(str(p), name) for p, name in names if name.split(".")[0] == "torch"] == []


def test_heavy_libraries_are_imported_where_they_are_needed() -> None:
    names = [(p, name) for p in FILES for _, name in imported(at_import(parsed(p)), package_of(p))]
    assert [(str(p), name) for p, name in names if name.split(".")[0] in LATE] == []


def test_modules_are_named_for_what_they_hold() -> None:
    assert [str(p) for p in PACKAGE.rglob("*") if EMPTY_NAMES & set(p.stem.split("_"))] == []


def test_the_test_command_is_one_and_the_same() -> None:
    root = PACKAGE.parent
    lines = (root / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    (command,) = (line.strip() for line in lines if line.strip().startswith("python -m venv"))
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (root / name).read_text(encoding="utf-8").replace("\\\n", " ")
        assert command in " ".join(text.split()), f"{name} does not show: {command}"


def test_files_stay_readable() -> None:
    lengths = {str(p): len(p.read_text(encoding="utf-8").splitlines()) for p in FILES}
    long = {path: n for path, n in lengths.items() if n > 250}
    assert max(lengths.values()) <= 300, f"beyond 250 lines, and at least one beyond 300: {long}"


def test_the_main_command_declares_what_no_part_has() -> None:
    """The options of parts come from their settings: few are left to be spelled out."""
    text = (PACKAGE / "cli" / "classify.py").read_text(encoding="utf-8")
    (command,) = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == "classify")
    assert len(text.splitlines()) <= 130
    spelled_out = [d for d in command.decorator_list if isinstance(d, ast.Call)]  # others come from settings
    assert len(spelled_out) - 2 <= 15  # beside the command itself and its argument


def test_folders_stay_small() -> None:
    counts = Counter(p.parent for p in FILES)
    assert {str(folder): n for folder, n in counts.items() if n > MOST_FILES} == {}


def test_names_of_parts_stand_in_their_table_and_their_own_file_only() -> None:
    homes: dict[str, set[str]] = {}
    for table, home in TABLES:
        for name, entry in table.entries.items():
            homes.setdefault(name, set()).update((home, entry.where.partition(":")[0]))
    found = [
        f"{p}:{line}: {name!r}"
        for name, own in homes.items()
        for p in FILES
        if module_of(p) not in own and not excused(p, name)
        for line in spelled(parsed(p), name)
    ]
    assert found == []


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("hyperseg", *(parts[:-1] if parts[-1] == "__init__" else parts)))


@cache
def constants(tree: ast.AST) -> tuple[tuple[str, int], ...]:
    """String constants of a module, each with its line."""
    return tuple(
        (n.value, n.lineno) for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )


def spelled(tree: ast.AST, name: str) -> list[int]:
    """Lines on which a string constant is this name."""
    return [line for text, line in constants(tree) if text == name]


def excused(path: Path, name: str) -> bool:
    """Another word of the field that is spelled like a part: a pixel's attribute, a role, a count, a kind of file.

    What a network says ("eps", "v") is also what the objective is called that teaches it, and what an answer is scored
    by what the loss is called that seeks it.
    """
    if name in FIGURES and name in LOSSES:
        return True
    if name in get_args(Predicts) and name not in SCHEDULES:
        return True
    return name in WORDS.get(module_of(path).removeprefix("hyperseg."), ())


def test_runs_and_maps_ask_no_model_what_it_is() -> None:
    """What is imported from a family or a part is never tested by `isinstance` or matched as a class."""
    for folder in ("run", "mapping"):
        for path in (PACKAGE / "recipes" / folder).glob("*.py"):
            assert type_tests(parsed(path), package_of(path)) == [], path


def type_tests(tree: ast.AST, inside: str) -> list[str]:
    """Classes of families and parts that a module tests for."""
    below = tuple(
        f"hyperseg.{p}" for p in (*LEVELS[3].split(), "recipes.methods", "recipes.refiners", "recipes.training")
    )
    foreign = {name.rpartition(".")[2] for _, name in imported(tree, inside) if name.startswith(below)}
    foreign |= {"Model", "Fitted"}
    asked = [n.args[1] for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "isinstance"]
    asked += [n.cls for n in ast.walk(tree) if isinstance(n, ast.MatchClass)]
    named = [n for test in asked for n in ast.walk(test) if isinstance(n, ast.Name | ast.Attribute)]
    return [ast.unparse(n) for n in named if ast.unparse(n).rpartition(".")[2] in foreign]


def test_files_of_tests_have_names_of_their_own() -> None:
    """pytest imports them without their folders: of two of one name the second is never run."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, n in names.items() if n > 1] == []


def test_no_test_patches_a_private_name() -> None:
    tests = sorted(Path(__file__).parent.rglob("*.py"))
    assert [f"{p}: {name}" for p in tests for name in patched(parsed(p)) if PRIVATE.search(name)] == []


def patched(tree: ast.AST) -> list[str]:
    """What `setattr` of a monkeypatch sets, as far as it is spelled out."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith(".setattr")]
    return [
        c.value for call in calls for c in call.args[:2] if isinstance(c, ast.Constant) and isinstance(c.value, str)
    ]


def test_the_checks_see_what_they_look_for() -> None:
    """Planted mistakes are found: these checks can fail."""
    inside_function = ast.parse("def f():\n    from hyperseg.crf import refine")
    assert wrong_ways(inside_function, "hyperseg.hsi")
    assert not wrong_ways(inside_function, "hyperseg.recipes")
    assert not wrong_ways(inside_function, "hyperseg.crf")
    assert wrong_ways(ast.parse("from ..data import read"), "hyperseg.engine")
    assert wrong_ways(ast.parse("from hyperseg import cli"), "hyperseg.core")
    assert not wrong_ways(ast.parse("from hyperseg import __version__"), "hyperseg.core")
    assert convolutions(ast.parse("layer = nn.ConvTranspose3d(1, 2, 3)"))
    assert convolutions(ast.parse("from torch.nn.functional import conv2d as c"))
    match = ast.parse("from hyperseg.gan import D\nmatch x:\n    case D():\n        pass")
    assert type_tests(match, "hyperseg.recipes.run")
    assert type_tests(ast.parse("isinstance(x, int | Model)"), "hyperseg.recipes.run")
    assert not type_tests(ast.parse("isinstance(x, Path)"), "hyperseg.recipes.run")
    assert spelled(ast.parse('x = "gan"'), "gan") == [1]
    assert PRIVATE.search(patched(ast.parse('p.setattr(m, "_secret", 1)'))[0])
    assert PRIVATE.search(patched(ast.parse('p.setattr("a.b._c", 1)'))[0])
    late = "def f():\n    import h5py\nif TYPE_CHECKING:\n    import h5py"
    assert not list(imported(at_import(ast.parse(late)), "hyperseg.data"))
    assert list(imported(at_import(ast.parse("try:\n    import h5py\nexcept ImportError: pass")), "hyperseg.data"))


def run_python(code: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# CPU seconds since the process began: unlike the clock on the wall, other jobs do not lengthen them
REPORT = """
import atexit, sys, time
atexit.register(lambda: print("torch" in sys.modules, time.process_time()))
"""


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",)])
def test_import_and_help_are_instant(words: tuple[str, ...]) -> None:
    code = "from hyperseg.cli import main\nmain()" if words else "import hyperseg"
    *shown, last = run_python(REPORT + code, *words).splitlines()
    torch, seconds = last.split()
    assert torch == "False"
    assert float(seconds) < 2.0
    assert not words or any("hyperseg" in line for line in shown)


BARE_MACHINE = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np, torch
torch.set_num_threads(1)
from hyperseg.data.splits import make_split
from hyperseg.simulated.scenes import toy_scene
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.recipes.methods import METHODS

scene = toy_scene()
split = make_split("random_per_class:20", scene.labels, scene.n_classes, seed=0)
method = METHODS[METHODS.default]
settings = changed(method.settings(), {"epochs": 1, "min_steps": 15})
made = method.fit(Task((scene,), (split,)), settings, Runtime(quiet=True)).map(scene, Runtime(quiet=True))
assert made.probs.shape == (*scene.shape, scene.n_classes)
assert np.allclose(made.probs.sum(-1), 1, atol=1e-4)
print((made.labels() == scene.labels)[split.test].mean())
"""


def test_a_bare_machine_trains_and_maps() -> None:
    """Torch, NumPy and SciPy are enough from an array to a map: no reader, no figures, no compiler."""
    absent = ("rasterio", "spectral", "h5py", "pooch", "tensorly", "matplotlib", "pydensecrf")
    assert float(run_python(BARE_MACHINE, *absent)) > 0.6  # of three classes
