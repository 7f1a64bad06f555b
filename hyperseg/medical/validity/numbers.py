"""The trainer's numbers of a plan: optimiser, schedule, changes of images, splines, prediction."""

from __future__ import annotations

from hyperseg.medical.training import Augmentation, Optimiser, Resampling, Schedule, Training
from hyperseg.medical.validity.entries import check_number, check_range, check_whole, refuse

IMAGE_ORDERS, SCORE_ORDERS = (0, 1, 3), (0, 1)  # of splines; cubic scores would overshoot, and take long
LR_BELOW = 10.0
FEWEST_FOLDS = 2
ABOVE_ZERO = ("scale", "gamma", "gamma_inverted", "blur", "low_resolution")  # 0 would make them divide by it


def check_training(training: Training) -> None:
    """Every number lies where it means something.

    Raises:
        SettingError: one does not: its entry, its value, and what is expected.
    """
    _check_optimiser(training.optimiser)
    _check_schedule(training.schedule)
    check_number("training.loss.smooth", training.loss.smooth, above=0)
    _check_share("training.loss.forced", training.loss.forced)
    _check_augmentation(training.augmentation)
    _check_resampling(training.resampling)
    check_number("training.inference.step", training.inference.step, above=0, high=1)
    check_number("training.inference.gaussian", training.inference.gaussian, above=0)
    check_whole("training.inference.folds", training.inference.folds, low=FEWEST_FOLDS)


def _check_share(entry: str, value: float) -> None:
    check_number(entry, value, low=0, high=1)


def _check_optimiser(optimiser: Optimiser) -> None:
    at = "training.optimiser"
    check_number(f"{at}.lr", optimiser.lr, above=0, below=LR_BELOW)
    check_number(f"{at}.weight_decay", optimiser.weight_decay, low=0)
    check_number(f"{at}.momentum", optimiser.momentum, low=0, below=1)
    if optimiser.kind == "sgd" and optimiser.nesterov and optimiser.momentum == 0:
        refuse(f"{at}.momentum", optimiser.momentum, "above 0 where nesterov is true")
    if optimiser.longest_gradient is not None:
        check_number(f"{at}.longest_gradient", optimiser.longest_gradient, above=0)


def _check_schedule(schedule: Schedule) -> None:
    at = "training.schedule"
    check_whole(f"{at}.steps", schedule.steps)
    check_whole(f"{at}.validation_steps", schedule.validation_steps, low=0)
    if schedule.epochs is not None:
        check_whole(f"{at}.epochs", schedule.epochs)
    if schedule.power is not None:
        check_number(f"{at}.power", schedule.power, low=0)
    if (plateau := schedule.plateau) is not None:
        check_number(f"{at}.plateau.gain", plateau.gain, low=0)
        check_whole(f"{at}.plateau.epochs", plateau.epochs)
        check_number(f"{at}.plateau.factor", plateau.factor, above=0, below=1)
        check_whole(f"{at}.plateau.stop", plateau.stop)
        check_number(f"{at}.plateau.least_lr", plateau.least_lr, low=0)


def _check_augmentation(augmentation: Augmentation) -> None:
    at = "training.augmentation"
    _check_share(f"{at}.rotation_p", augmentation.rotation_p)
    for name in (*ABOVE_ZERO, "noise", "brightness", "contrast"):
        change = getattr(augmentation, name)
        if change is None:
            continue
        check_range(f"{at}.{name}", change.low, change.high, least=0, open_end=name in ABOVE_ZERO)
        _check_share(f"{at}.{name}.p", change.p)
        _check_share(f"{at}.{name}.channel_p", change.channel_p)
    if augmentation.noise_within is not None:
        check_number(f"{at}.noise_within", augmentation.noise_within, above=0)
    if (shift := augmentation.shift) is not None:
        check_range(f"{at}.shift", shift.low, shift.high, least=-1)
        _check_share(f"{at}.shift.p", shift.p)
    for i, elastic in enumerate(augmentation.elastic or ()):
        check_range(f"{at}.elastic[{i}].strength", *elastic.strength, least=0)
        check_range(f"{at}.elastic[{i}].width", *elastic.width, least=0, open_end=True)
        _check_share(f"{at}.elastic[{i}].p", elastic.p)
    stage1 = augmentation.stage1
    check_range(f"{at}.stage1.radius", *stage1.radius, least=0)
    for name in ("p", "removal_p", "removal_share"):
        _check_share(f"{at}.stage1.{name}", getattr(stage1, name))


def _check_resampling(resampling: Resampling) -> None:
    at = "training.resampling"
    for name, orders in (
        ("image", IMAGE_ORDERS), ("labels", IMAGE_ORDERS), ("across", IMAGE_ORDERS), ("logits", SCORE_ORDERS),
    ):  # fmt: skip
        if (order := getattr(resampling, name)) not in orders:
            refuse(f"{at}.{name}", order, f"one of {', '.join(map(str, orders))}")
    if resampling.anisotropy is not None:
        check_number(f"{at}.anisotropy", resampling.anisotropy, low=1)
