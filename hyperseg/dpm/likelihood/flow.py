"""The log density that a denoiser gives to data, through the probability-flow equation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, noise_like
from hyperseg.dpm.grid import Grid, start_level
from hyperseg.dpm.parameterisation import SIGMA_DATA


class LogDensity(NamedTuple):
    """What is said of data.

    Attributes:
        nats: (B,) float64 log density.
        nfe: how often the network was called; each call is followed by one backward pass for each probe.
        error: (B,) standard error that the probes leave; not a number with one probe, 0 with the exact trace.
    """

    nats: Tensor
    nfe: int
    error: Tensor


def log_density(
    denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators, probes: int = 1, exact: bool = False,
    sigma_data: float = SIGMA_DATA,
) -> LogDensity:  # fmt: skip
    """log p(x), the equation being solved from data to noise through the levels of the grid.

    It begins at the least level above 0 and says the density there: that of data plus so little noise. At every level
    the network is asked once, so that N + 1 levels cost N + 1 calls. The trace of the denoiser's Jacobian is that of
    Hutchinson's estimator: its mean over random signs is right, whatever their number.

    Levels even in log(sigma) suit it ("lu"). 50 of them are within 0.01 bits of each dimension for smooth densities.
    For a map of many spectra, `hyperseg.dpm.likelihood.surprise` costs less.

    Args:
        denoise: has to be differentiable in x. Weights get no gradients.
        x: (B, C, *S) float64.
        generator: of the signs; one, or one for each sample.
        probes: random signs for each sample, the same at all levels.
        exact: the trace is taken dimension by dimension, as many backward passes as a sample has dimensions.
        sigma_data: standard deviation of the data, roughly. It changes the error of the solution, not its limit.

    Raises:
        SettingError: no probes, fewer than two levels above 0, or a `denoise` that gives no gradients.

    Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021,
        section 4.3; Hutchinson, 1989; Grathwohl et al., "FFJORD", ICLR 2019 (same signs all the way).
    Differs: Adams-Bashforth's method of order 3 in log(sigma), on the state divided by the standard deviation that it
        has if data are normal (the flow then moves what is not normal only), and a cubic quadrature of the trace;
        where Song et al. use an adaptive Runge-Kutta method. With as many calls, 16 to 96, its error was 2 to 97 times
        smaller than that of Heun's method and 1.7 to 4.8 times smaller than that of the classical one of order 4.
    """
    if probes < 1:
        raise SettingError(f"the trace is estimated with at least 1 probe, got {probes}.")
    levels = grid.sigmas[grid.sigmas > 0].flip(0).cpu()  # numbers of the host: no step waits for the device
    if len(levels) < 2:
        raise SettingError("a density needs a grid of two or more noise levels above 0: ask for more steps.")
    call, dims = Counted(denoise), x[0].numel()
    signs = _unit_vectors(x) if exact else _random_signs(x, generator, probes)
    places, scales = levels.log(), (sigma_data**2 + levels**2).sqrt()
    state = x / scales[0]
    slopes: list[Tensor] = []
    traces: list[Tensor] = []
    for i, (level, scale) in enumerate(zip(levels.tolist(), scales.tolist(), strict=True)):
        x0, trace = _answer(call, state * scale, level, signs)
        traces.append(trace.sum(0, keepdim=True) if exact else trace)
        slopes = [*slopes, (sigma_data / scale) ** 2 * state - x0 / scale][-3:]
        if i == 1:  # the first step was Euler's: now that the slope at its end is known, it is made again with both
            state = x / scales[0] + _weighed(places[:2], slopes, places[0], places[1])
        if i + 1 < len(levels):
            near = places[i + 1 - len(slopes) : i + 1]
            state = state + _weighed(near, slopes, places[i], places[i + 1])
    # the part of the divergence that normal data have is known: it is taken out of what is integrated, and added whole
    known = dims * (sigma_data / scales) ** 2
    change = (
        _integral(places, known[:, None, None].to(x.device) - torch.stack(traces))
        + dims * (scales[-1] / scales[0]).log()
    )
    prior = start_level(grid)
    end = (state * scales[-1] / prior).flatten(1).square().sum(1)
    found = change - end / 2 - dims * (math.log(prior) + math.log(2 * math.pi) / 2)
    error = torch.zeros_like(end) if exact else found.std(0) / probes**0.5 if probes > 1 else end * math.nan
    return LogDensity(found.mean(0), call.calls, error)


def _answer(call: Counted, x: Tensor, level: float, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Clean data (B, C, *S), and (P, B) probe times Jacobian times probe."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        x0 = call(x, level).x0
        if not x0.requires_grad:
            raise SettingError(
                "this denoiser gives no gradients, and a density needs them: build it outside torch.no_grad, "
                "or use the variational bound."
            )
        traces = []
        for i, probe in enumerate(signs):
            (back,) = torch.autograd.grad(x0, x, probe, retain_graph=i + 1 < len(signs))
            traces.append((back * probe).flatten(1).sum(1))
    return x0.detach(), torch.stack(traces)


def _random_signs(x: Tensor, generator: Generators, probes: int) -> Tensor:
    """(P, B, C, *S) of 1 and -1."""
    return torch.stack([noise_like(x, generator).sign() for _ in range(probes)])


def _unit_vectors(x: Tensor) -> Tensor:
    """(D, B, C, *S): for every dimension of a sample the vector that is 1 there."""
    eye = torch.eye(x[0].numel(), dtype=x.dtype, device=x.device)
    return eye.reshape(-1, 1, *x.shape[1:]).expand(-1, len(x), *x.shape[1:])


def _weighed(nodes: Tensor, values: Sequence[Tensor], left: Tensor, right: Tensor) -> Tensor:
    """The integral, from left to right, of the polynomial through values (...) at the nodes."""
    powers = torch.arange(len(nodes), dtype=torch.float64)
    moments = ((nodes - left) / (right - left)) ** powers[:, None]
    weights = torch.linalg.solve(moments, 1 / (powers + 1)) * float(right - left)
    return torch.stack([w * value for w, value in zip(weights.tolist(), values, strict=True)]).sum(0)


def _integral(places: Tensor, values: Tensor) -> Tensor:
    """Of values (N, ...) at the places, by cubics through four neighbours."""
    n, total = len(places), torch.zeros_like(values[0])
    for i in range(n - 1):
        first = max(0, min(i - 1, n - 4))
        near = slice(first, first + 4)
        total = total + _weighed(places[near], list(values[near]), places[i], places[i + 1])
    return total
