"""What a guided step costs beside an unguided one, in time and in memory. Run by hand, on one core:

    OMP_NUM_THREADS=1 python tests/benchmarks/dpm/bench_guidance.py [--batch 64] [--repeats 7] [--hidden 64,32] [--fine]

Networks are untrained: what they say does not matter for time. Prints, for every guidance, the median of processor
seconds of a step over the median of an unguided one (rows take turns, so that a busy machine slows all of them down),
and what is kept for the gradient: bytes of all tensors saved until the backward pass begins, without weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import torch
from torch import Tensor, nn

from hyperseg.dpm.denoise import Denoise
from hyperseg.dpm.guidance import GUIDANCES
from hyperseg.dpm.guidance.guide import guide
from hyperseg.dpm.guidance.losses import Sources, weighed
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.tapped.frozen import frozen
from hyperseg.dpm.tapped.head import PixelHead, head_spec
from hyperseg.dpm.tapped.tap import STRONG, WEAK

LEVEL = 2.0  # noise to signal of the step
LINEAR = SCHEDULES["linear"]


def model_of(channels: int, widths: tuple[int, ...]) -> DiffusionModel:
    """An untrained denoiser of pictures that says something."""
    spec = denoiser_spec(channels, 2, widths=widths)
    network = Denoiser(spec).eval()
    nn.init.normal_(network.last.layer.weight, std=0.05)  # type: ignore[arg-type]
    return DiffusionModel(network, spec, LINEAR, "eps")


def kept_bytes(step: Callable[[], object], weights: set[int]) -> int:
    """Of the tensors that are saved for the backward pass, each storage once."""
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # an address is used once
        return tensor

    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(seen.values())


def rows_of(model: DiffusionModel, sources: Sources) -> dict[str, tuple[Denoise, bool]]:
    """Row -> what is asked, and whether weights are frozen meanwhile."""
    rows: dict[str, tuple[Denoise, bool]] = {"none": (model.denoise(), True)}
    kinds = {name: (name,) for name in GUIDANCES} | {"+".join(GUIDANCES): tuple(GUIDANCES)}
    for row, names in kinds.items():
        loss = weighed(GUIDANCES, dict.fromkeys(names, 1.0), sources, torch.Generator().manual_seed(0))
        for sparing in (False, True):
            asked = guide(model.tapped(sparing=sparing), loss, 1e-4, schedule=LINEAR)
            rows[f"{row}, sparing" if sparing else row] = (asked, True)
        if len(names) > 1:
            rows[f"{row}, weights not frozen"] = (guide(model.tapped(), loss, 1e-4, schedule=LINEAR), False)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--widths", default="16,32,64")
    parser.add_argument("--prior", default="8,16,32")
    parser.add_argument("--hidden", default="64,32")
    parser.add_argument("--fine", action="store_true", help="heads work at the size of the picture")
    args = parser.parse_args()
    widths, prior, hidden = (tuple(int(w) for w in text.split(",")) for text in (args.widths, args.prior, args.hidden))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = model_of(3, widths)
    heads = [
        PixelHead(head_spec(model.spec, taps, 1, hidden=hidden, coarse=not args.fine)).eval() for taps in (STRONG, WEAK)
    ]
    phi = model_of(1, prior)
    networks = (model.network, *heads, phi.network)
    weights = {p.untyped_storage().data_ptr() for network in networks for p in network.parameters()}
    x = LEVEL * torch.randn(args.batch, 3, args.size, args.size, dtype=torch.float64)
    sigma = torch.full((args.batch,), LEVEL, dtype=torch.float64)
    rows = rows_of(model, Sources(heads[0], heads[1], phi))
    seconds: dict[str, list[float]] = {row: [] for row in rows}
    kept: dict[str, int] = {}
    for turn in range(args.repeats + 1):  # the first warms up
        for row, (ask, freeze) in rows.items():
            with frozen(*networks) if freeze else nullcontext():
                began = time.process_time()
                if turn:
                    ask(x, sigma)
                    seconds[row].append(time.process_time() - began)
                else:
                    kept[row] = kept_bytes(lambda ask=ask: ask(x, sigma), weights)  # type: ignore[misc]
    unguided = median(seconds["none"])
    print(f"{args.batch} pictures of {args.size} px, widths {widths}, prior {prior}, heads {hidden}, fine {args.fine}")
    print(f"{'guidance':32}{'ms a sample':>12}{'times none':>12}{'kept, MB':>10}")
    for row, found in seconds.items():
        each = median(found)
        print(f"{row:32}{1000 * each / args.batch:12.2f}{each / unguided:12.2f}{kept[row] / 1e6:10.1f}")


if __name__ == "__main__":
    main()
