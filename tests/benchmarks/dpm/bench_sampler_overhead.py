"""What a sampler adds to its network calls, beside diffusers' own loops on the same network. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/dpm/bench_sampler_overhead.py

Prints, for every sampler: calls, processor time of a call, and how much processor time is spent outside of calls, in
percent of that inside (median of the runs, which take turns). Outside lie the sampler, the adapter between its float64
and the network's float32, and what it takes to make a scheduler.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.diffusers.adapter import scheduler_class
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.schedules import SCHEDULES

PEERS = {
    "DDIM": ("DDIMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
    "DPM-Solver++ 2M": ("DPMSolverMultistepScheduler", {"use_lu_lambdas": True}),
    "UniPC": ("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "DEIS": ("DEISMultistepScheduler", {"use_karras_sigmas": True}),
    "Euler": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "Heun": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
}


@dataclass
class Timed:
    """A network that notes the processor time inside of it."""

    network: Denoiser
    calls: int = 0
    seconds: float = 0.0

    def __call__(self, x: Tensor, place: Tensor) -> Tensor:
        begin = time.process_time()
        out = self.network(x, place)
        self.seconds += time.process_time() - begin
        self.calls += 1
        return out


def ours(sampler: Sampler, shape: tuple[int, ...], nfe: int) -> Callable[[Timed], object]:
    """One trajectory of ours for about so many calls."""
    schedule, steps = SCHEDULES["linear"], max(sampler.least, (nfe + sampler.saved) // sampler.calls)
    grid = make_grid(schedule, steps, sampler.spacing, zero=sampler.zero, on_steps=sampler.on_steps)
    noise = start(grid, shape, torch.Generator().manual_seed(0))
    sample = sampler.sample
    if sample is None:
        assert sampler.fit is not None
        sample = sampler.fit(
            denoiser(Timed(network_of(shape)), schedule), noise, grid, torch.Generator().manual_seed(1)
        )

    def run(network: Timed) -> object:
        return sample(denoiser(network, schedule), noise, grid, generator=torch.Generator().manual_seed(2))

    return run


def theirs(name: str, shape: tuple[int, ...], nfe: int) -> Callable[[Timed], object]:
    """One trajectory as diffusers' users write it, in float32."""
    kind, options = PEERS[name]
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def run(network: Timed) -> object:
        scheduler = scheduler_class(kind)(**options)
        scheduler.set_timesteps((nfe + 1) // 2 if kind.startswith("Heun") else nfe)
        x = noise * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            said = network(scheduler.scale_model_input(x, t), t.float().expand(len(x)))
            x = scheduler.step(said, t, x).prev_sample
        return x

    return run


def network_of(shape: tuple[int, ...]) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(denoiser_spec(shape[1], len(shape) - 2)).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--nfe", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of samplers")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    shape = (args.batch, args.channels, args.size, args.size)
    network = network_of(shape)
    names = [n for n in args.only or SAMPLERS if SAMPLERS[n].needs is None]
    runs = {n: ours(SAMPLERS[n], shape, args.nfe) for n in names}
    runs |= {f"diffusers' own {n}": theirs(n, shape, args.nfe) for n in PEERS}
    outside: dict[str, list[float]] = {name: [] for name in runs}
    inside: dict[str, list[float]] = {name: [] for name in runs}
    calls = {}
    with torch.no_grad():
        for turn in range(-1, args.runs):  # the first warms up and is not counted
            for name, run in runs.items():
                timed, begin = Timed(network), time.process_time()
                run(timed)
                total = time.process_time() - begin
                if turn >= 0:
                    outside[name].append(total / timed.seconds - 1)
                    inside[name].append(timed.seconds / timed.calls)
                    calls[name] = timed.calls
    print(f"{shape}, {sum(p.numel() for p in network.parameters())} parameters, {torch.get_num_threads()} thread(s)")
    print(f"{'sampler':31} {'calls':>6} {'ms/call':>8} {'outside':>8}")
    for name in runs:
        share, each = statistics.median(outside[name]), statistics.median(inside[name])
        print(f"{name:31} {calls[name]:6} {1000 * each:8.1f} {share:8.2%}")


if __name__ == "__main__":
    main()
