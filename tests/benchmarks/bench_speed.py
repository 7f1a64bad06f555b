"""Speed of whole-scene inference: against the same network patch by patch, and against the machine's peak.

    python tests/benchmarks/bench_speed.py            # Indian Pines and a 610x340x103 cube, default network

Times are medians; ratios are taken within this one process. Weights are random: the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from hyperseg.core import Scene
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import Preprocess, fit_preprocess
from hyperseg.engine import predict_scene
from hyperseg.hsi.networks import NetworkSpec, SceneNet, build_network, for_inference
from hyperseg.io.catalog import load_card, open_card


def scenes() -> list[Scene]:
    """The real Indian Pines, and a random cube of the size of Pavia University (speed does not depend on values)."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {k}" for k in range(9))
    pavia = Scene(
        rng.normal(size=(610, 340, 103)).astype(np.float32), classes=names, colours=((0, 0, 0),) * 9,
        name="610x340x103",
    )  # fmt: skip
    return [open_card(load_card("indian-pines")), pavia]


def prepared(scene: Scene) -> Preprocess:
    """Within-class whitening as the default recipe fits it, on random pixels with random classes."""
    rng = np.random.default_rng(1)
    rows, columns = (rng.integers(0, n, 600) for n in scene.shape)
    spectra = np.asarray(scene.cube[:])[rows, columns].astype(np.float64)
    return fit_preprocess(spectra, whiten_within=rng.integers(0, scene.n_classes, 600))


def with_statistics(net: SceneNet) -> SceneNet:
    """Random batch statistics, as training would leave some: with none, folding them would be for free."""
    generator = torch.Generator().manual_seed(0)
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
    return net.eval()


def macs_per_pixel(net: SceneNet, bands: int) -> float:
    """Multiply-adds of the convolutions per output pixel of a large scene."""
    counted = []

    def count(module: torch.nn.Module, _: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        counted.append(out.numel() * weight[0].numel())

    hooks = [
        m.register_forward_hook(count)  # type: ignore[arg-type]
        for m in net.modules()
        if isinstance(m, torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d)
    ]
    side = 64
    with torch.inference_mode():
        net(torch.zeros(1, 1, bands, side + 2 * net.margin, side + 2 * net.margin))
    for hook in hooks:
        hook.remove()
    return sum(counted) / side**2


def median_seconds(work: Callable[[], object], *, runs: int) -> float:
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def peak_gflops() -> float:
    """Measured fp32 matrix product of this machine with as many threads as torch uses."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / median_seconds(lambda: a @ b, runs=9) / 1e9


def patch_by_patch(net: SceneNet, scene: Scene, preprocess: Preprocess, batch: int = 256) -> np.ndarray:
    """The same network as patch classifiers are usually applied: every pixel's window, in batches."""
    source = PatchSource(preprocess(np.asarray(scene.cube[:])), radius=net.margin)
    pixels = torch.cartesian_prod(*[torch.arange(n) for n in scene.shape])
    with torch.inference_mode():
        parts = [net(source.gather(p))[:, :, 0, 0].softmax(1) for p in pixels.split(batch)]
    return torch.cat(parts).reshape(*scene.shape, -1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--stage", default="none", choices=("none", "short"), help="of the network, before the bands")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {options.threads} threads\n")
    print("| scene | whole scene s | patch by patch s | ratio | largest difference | conv. only s | share of peak |")
    print("|---|---|---|---|---|---|---|")
    for scene in scenes():
        preprocess = prepared(scene)
        spec = NetworkSpec(preprocess.n_out, scene.n_classes, options.stage, initial_scale=1.0)
        net = with_statistics(build_network(spec, seed=0))
        lean, rest = for_inference(net, preprocess)
        peak = peak_gflops()
        whole = median_seconds(partial(predict_scene, lean, scene, rest, made_by="x"), runs=options.runs)
        started = time.perf_counter()
        slow = patch_by_patch(net, scene, preprocess)
        patched = time.perf_counter() - started
        apart = np.abs(slow - predict_scene(lean, scene, rest, made_by="x").probs).max()
        x = torch.randn(2, 1, scene.n_bands, 48 + 2 * net.margin, 48 + 2 * net.margin)
        with torch.inference_mode():
            tile = median_seconds(partial(lean, x), runs=5 * options.runs)
        peak = max(peak, peak_gflops())
        work = 2 * macs_per_pixel(net, preprocess.n_out) * 2 * 48**2
        n = scene.shape[0] * scene.shape[1]
        print(
            f"| {scene.name} | {whole:.3f} | {patched:.1f} | {patched / whole:.0f}x | {apart:.1e} | "
            f"{tile * n / (2 * 48**2):.3f} | {100 * work / tile / 1e9 / peak:.0f} % of {peak:.0f} GFLOP/s |",
            flush=True,
        )
        with profile(activities=[ProfilerActivity.CPU]) as found, torch.inference_mode():
            lean(x)
        shown = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=8, max_name_column_width=40)
        print("\n```\n" + shown + "```\n")


if __name__ == "__main__":
    main()
