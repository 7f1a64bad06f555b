"""What comes before the first cell: features to judge by, and the trained model, taken up where they are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.stored import MODEL, read_model, write_model
from hyperseg.recipes.bench.data import Pictures
from hyperseg.recipes.bench.judge import Judge, floor_of, make_judge
from hyperseg.recipes.bench.network import check_fits, size_of, spec_of
from hyperseg.recipes.bench.pace import Pace, measure_pace
from hyperseg.recipes.bench.settings import BenchSettings

if TYPE_CHECKING:
    from hyperseg.dpm.features import Features
    from hyperseg.dpm.model import DiffusionModel
    from hyperseg.dpm.objectives.objective import Objective
    from hyperseg.dpm.schedules.schedule import Schedule

CLASSIFIER = "cls"  # FD-cls, IS-cls
CLIP = 1.0  # of predicted clean data: pictures lie within it


def features_of(settings: BenchSettings, pictures: Pictures, runtime: Runtime) -> Features:
    """Inception where its weights are given, else a classifier trained on the same data."""
    from hyperseg.dpm.features import train_features

    if settings.inception:
        from hyperseg.dpm.features import inception_features

        return inception_features(Path(settings.inception), device=runtime.device)
    test = None if pictures.test_labels is None else (pictures.test_x, pictures.test_labels)
    return train_features(
        pictures.x, pictures.labels, runtime, name=CLASSIFIER, test=test, steps=settings.feature_steps
    )


def check_features(settings: BenchSettings, pictures: Pictures) -> None:
    """Refuse a file that holds no weights of Inception, and data that it says nothing of.

    Raises:
        DataFileError, SettingError: see `inception_features` and `as_shown`.
    """
    if settings.inception:
        from hyperseg.dpm.features.inception import as_shown, inception_features

        inception_features(Path(settings.inception))
        as_shown(pictures.x[:1])


def judge_of(settings: BenchSettings, pictures: Pictures, runtime: Runtime) -> tuple[Judge, dict[str, Any]]:
    """A judge, and what bench.json says of it: the network, the reference and the floor."""
    features = features_of(settings, pictures, runtime)
    stem = runtime.checkpoints
    file = None if stem is None else stem.with_name(f"{stem.name}-real.npz")
    judge = make_judge(pictures, features, samples=settings.samples, file=file)
    told = {
        "name": features.name, "key": features.key, "accuracy": features.accuracy, "note": features.note,
        "distance": features.distance, "score": features.score,
        "reference": f"{pictures.name} training data, {len(pictures.x)} samples, {pictures.checksum}",
    }  # fmt: skip
    return judge, {"features": told, "floor": floor_of(judge, pictures)._asdict()}


def model_of(root: Path, settings: BenchSettings, pictures: Pictures, runtime: Runtime) -> DiffusionModel:
    """The model in the folder, the one given, or a new one, which is written at once."""
    from hyperseg.dpm.training import DiffusionSettings, train_diffusion

    file, shape = root / MODEL, tuple(pictures.x.shape[1:])
    if file.exists():
        return read_model(file).to(runtime.device)
    if settings.model:
        model = read_model(Path(settings.model))
        check_fits(model, shape, Path(settings.model))
    else:
        objective = objective_of(settings)
        spec = spec_of(shape, objective, runtime.device)
        how = DiffusionSettings(
            objective.name, settings.schedule, steps=settings.steps, clip=CLIP,
            batch=min(size_of(shape, runtime.device).batch, len(pictures.x)),
        )  # fmt: skip
        model = train_diffusion(pictures.x, spec, how, runtime, title="denoiser")
    write_model(file, model, overwrite=True)
    return model.to(runtime.device)


def objective_of(settings: BenchSettings) -> Objective:
    """The objective asked for, or the velocity.

    At much noise clean data are a small difference of large numbers to a network that says noise: after 4000 steps on
    the digits with the usual objective half of the samples were grey, as their mean brightness was wrong.
    """
    from hyperseg.dpm.objectives.v import V

    found: Objective = V if settings.objective is None else OBJECTIVES[settings.objective]
    return found


def sampled_by(settings: BenchSettings, shape: tuple[int, ...]) -> tuple[Schedule, tuple[str, ...], bool]:
    """The schedule that will be sampled in, what the network says besides from the first, and whether raw weights are.

    The schedule is the model's, the one asked for, or the one that the objective goes with.

    Raises:
        SettingError: an unknown objective or schedule, two that do not go together, or a model of other data.
        RunError: no model where one is named.
    """
    from hyperseg.dpm.training import check_objective

    if settings.model:
        model = read_model(Path(settings.model))
        check_fits(model, shape, Path(settings.model))
        return model.schedule, model.extras, model.raw is not None
    objective = objective_of(settings)
    schedule: Schedule = objective.schedule if settings.schedule is None else SCHEDULES[settings.schedule]
    check_objective(objective, spec_of(shape, objective, "cpu"), schedule)
    return schedule, objective.extras, True


def pace_for(settings: BenchSettings, shape: tuple[int, ...], device: str) -> Pace:
    """Seconds that a step and a call take here, measured."""
    if settings.model:
        spec = read_model(Path(settings.model)).spec
    else:
        spec = spec_of(shape, objective_of(settings), device)
    batch = size_of(shape, device).batch
    return measure_pace(spec, shape, batch=batch, samples=settings.samples, device=device)


def network_told(model: DiffusionModel) -> dict[str, Any]:
    """What bench.json says of the network that was sampled, whatever was asked for."""
    size = sum(weight.numel() for weight in model.network.parameters())
    return {"predicts": model.predicts, "schedule": model.schedule.name, "clip": model.clip, "parameters": size}


def described(pictures: Pictures) -> dict[str, Any]:
    """What bench.json says of the data."""
    return {
        "name": pictures.name, "checksum": pictures.checksum, "n_train": len(pictures.x),
        "n_test": len(pictures.test_x), "shape": list(pictures.x.shape[1:]), "levels": pictures.levels,
        "note": pictures.note,
    }  # fmt: skip
