"""A trained denoising network with all that is needed to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.parts import Saved, prefixed
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import thousands
from hyperseg.dpm.adapters import Extra, denoiser
from hyperseg.dpm.captured import captured
from hyperseg.dpm.denoise import Denoise
from hyperseg.dpm.network import Denoiser, DenoiserSpec
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import Schedule, interpolated


@dataclass(frozen=True, repr=False)
class DiffusionModel:
    """A network and how it was trained.

    Attributes:
        network: with averaged weights, in evaluation mode.
        spec: it was built from.
        schedule, predicts, sigma_data: it was trained with.
        clip: clean data are cut to [-clip, clip], or None.
        raw: the network with the weights of the last step instead of averaged ones, where they were kept.
    """

    network: Denoiser
    spec: DenoiserSpec
    schedule: Schedule
    predicts: Predicts
    clip: float | None = None
    sigma_data: float = SIGMA_DATA
    raw: Denoiser | None = None

    def __repr__(self) -> str:
        backbone, weights = self.spec.backbone, sum(weight.numel() for weight in self.network.parameters())
        return (
            f"DiffusionModel({backbone.in_channels} channels over {backbone.conv.ndim} axes, {thousands(weights)} "
            f"weights, predicts {self.predicts!r}, schedule {self.schedule.name!r}, extras {list(self.extras)})"
        )

    @property
    def extras(self) -> tuple[Extra, ...]:
        """What the network says beside its prediction."""
        return self.spec.extras

    @property
    def unaveraged(self) -> DiffusionModel:
        """The same model with raw weights.

        Raises:
            SettingError: they were not kept.
        """
        if self.raw is None:
            raise SettingError("the raw weights of this model were not kept: train it with keep_raw.")
        return replace(self, network=self.raw, raw=None)

    def denoise(self, labels: Tensor | None = None) -> Denoise:
        """The network in the form that samplers ask, without gradients; told a class for each sample of the batch.

        Labels are (B,), -1 for "not told"; they and the states are on the network's device. On a card calls are
        recorded and played, see `hyperseg.dpm.captured`: ask one and the same function for many trajectories.
        """
        network, told = captured(self.network), () if labels is None else (labels,)
        n = self.spec.n_classes
        if labels is not None and n and labels.numel() and not -1 <= int(labels.min()) <= int(labels.max()) < n:
            raise SettingError(
                f"this network knows classes 0 to {n - 1} (-1 for none), got {labels.min():g} to {labels.max():g}."
            )

        def ask(x: Tensor, place: Tensor) -> Tensor:
            if labels is not None and len(labels) != len(x):
                raise SettingError(f"{len(labels)} labels for {len(x)} samples: give one for each of them.")
            with torch.no_grad():
                return network(x, place, *told)

        return self._asked(ask)

    def differentiable(self, labels: Tensor | None = None) -> Denoise:
        """As `denoise`, for who needs gradients with respect to the state."""
        return self._asked(lambda x, place: self.network(x, place, labels))

    def tapped(self, labels: Tensor | None = None, *, sparing: bool = False) -> Denoise:
        """As `differentiable`, and every `Prediction` has `features`: a return value, so nothing is kept between calls.

        Args:
            sparing: gradient checkpointing: less memory, one more forward pass where gradients are asked for.
        """
        return self._asked(lambda x, place: self.network.tapped(x, place, labels, sparing=sparing))

    def _asked(self, ask: Any) -> Denoise:
        return denoiser(
            ask, self.schedule, self.predicts, extras=self.extras, clip=self.clip, sigma_data=self.sigma_data
        )

    def to(self, device: torch.device | str) -> DiffusionModel:
        """The same networks, moved."""
        raw = None if self.raw is None else self.raw.to(device)
        return replace(self, network=self.network.to(device), raw=raw)

    def saved(self) -> Saved:
        """JSON and arrays.

        Raises:
            SettingError: a schedule that is neither in the table nor made of knots.
        """
        schedule = self.schedule
        arrays = prefixed("network", _arrays(self.network))
        if self.raw is not None:
            arrays |= prefixed("raw", _arrays(self.raw))
        known = schedule.name in SCHEDULES and SCHEDULES[schedule.name] is schedule
        if not known and schedule.knots is None:
            raise SettingError(
                f"the schedule {schedule.name!r} is a formula with numbers of its own and cannot be saved: use one of "
                f"{', '.join(SCHEDULES)}."
            )
        if not known and schedule.knots is not None:
            arrays["knots"] = schedule.knots.cpu().numpy()
        record = {
            "spec": to_json(self.spec), "schedule": schedule.name, "steps": schedule.steps, "predicts": self.predicts,
            "clip": self.clip, "sigma_data": self.sigma_data,
        }  # fmt: skip
        return Saved(record, arrays)


def load_model(saved: Saved) -> DiffusionModel:
    """What `DiffusionModel.saved` gave, on the CPU.

    Raises:
        SettingError: an unknown schedule or prediction, or weights that do not fit the network; says which.
    """
    record = saved.record
    spec = from_json(DenoiserSpec, record["spec"])
    if record["predicts"] not in get_args(Predicts):
        raise SettingError(f"a network predicts {', '.join(get_args(Predicts))}, got {record['predicts']!r}.")
    if "knots" in saved.arrays:
        knots = torch.from_numpy(saved.arrays["knots"].copy()).double()
        schedule = interpolated(record["schedule"], knots, steps=record["steps"])
    else:
        schedule = SCHEDULES[record["schedule"]]
    raw = _network(spec, saved, "raw") if saved.within("raw") else None
    return DiffusionModel(
        _network(spec, saved, "network"), spec, schedule, record["predicts"], record["clip"], record["sigma_data"], raw
    )


def _arrays(network: Denoiser) -> dict[str, Any]:
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def _network(spec: DenoiserSpec, saved: Saved, prefix: str) -> Denoiser:
    network = Denoiser(spec)
    state = {name: torch.from_numpy(array.copy()) for name, array in saved.within(prefix).items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise SettingError(
            f"these weights do not fit the network that is saved with them ({str(error).splitlines()[-1].strip()})."
        ) from error
    return network.eval()
