"""Two processes that share a batch train what one process trains, and only the first writes."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.engine import Ema, Phase, fit, join_processes, leave_processes, rank, share, training_progress
from hyperseg.engine.distributed import average_buffers, average_gradients, average_number, copy_from_first, world_size
from hyperseg.engine.progress import Pace


def train(folder: Path) -> dict:
    """What every process runs; this file is also the script that the second and third process are."""
    me = rank()
    with seeded(me):  # careless: every process starts with other weights
        net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    ema = Ema(net, decay=0.9)
    norm = nn.BatchNorm1d(4)  # beside the net: its statistics are of each share, and averaged

    def batches(step: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(step)
        x, y = torch.randn(16, 4, generator=random), torch.randint(0, 3, (16,), generator=random)
        return share(x), share(y)

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        norm(batch[0])
        return {"ce": F.cross_entropy(net(batch[0]), batch[1])}

    phase = Phase("c", loss, torch.optim.Adam(net.parameters(), lr=0.05), clip=0.5)
    history = fit(
        [phase], batches, 5, modules={"net": net, "norm": norm}, averages=[ema], seed=0, validate=lambda: 1.0 - me,
        validate_every=2, patience=3, checkpoint=folder / f"state{me}.pt", checkpoint_every=2,
    )  # fmt: skip
    bare = nn.BatchNorm1d(4)  # a run without validation ends with averaged statistics too
    phase = Phase("b", lambda b: {"l": bare(b[0]).square().mean()}, torch.optim.SGD(bare.parameters(), lr=0.1))
    with training_progress(f"process {me}", 3, pace=Pace(quiet_s=0.0)) as report:
        fit([phase], batches, 3, modules={"bare": bare}, seed=0, report=report)
    parts = {"bare": bare, "net": net, "ema": ema.module, "norm": norm}
    weights = {name: module.state_dict() for name, module in parts.items()}
    return weights | {"scores": history.scores, "best_step": history.best_step}


def two_processes(folder: Path) -> list[dict]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    env = os.environ | world | {"GLOO_SOCKET_IFNAME": "lo"}
    start = partial(subprocess.Popen, [sys.executable, __file__, str(folder)], stderr=subprocess.PIPE, text=True)
    processes = [start(env=env | {"RANK": str(r), "LOCAL_RANK": str(r)}) for r in range(2)]
    try:
        for r, process in enumerate(processes):
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
            assert ("process " in said, "process 0: 3/3 steps" in said) == (r == 0, r == 0)  # only the first talks
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"end{r}.pt", weights_only=True) for r in range(2)]


@pytest.mark.skipif(sys.platform != "linux", reason="the loopback device is called lo on Linux only")
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    first, second = two_processes(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["end0.pt", "end1.pt", "state0.pt"]
    alone = train(tmp_path / "alone")
    for part in ("net", "ema"):
        for name, value in alone[part].items():
            torch.testing.assert_close(first[part][name], value, atol=1e-5, rtol=0)
    for part in ("net", "ema", "norm", "bare"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name])  # all processes hold the same bytes
    # the mean of the shares' means is the mean of the batch
    torch.testing.assert_close(first["norm"]["running_mean"], alone["norm"]["running_mean"], atol=1e-6, rtol=0)
    assert first["scores"] == second["scores"] == [0.5] * 3  # one verdict for all
    assert first["best_step"] == second["best_step"]


def test_without_torchrun_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    join_processes(torch.device("cpu"))
    leave_processes()
    assert (rank(), world_size()) == (0, 1)
    batch, net = torch.arange(6), nn.Linear(2, 1)
    assert torch.equal(share(batch), batch)
    net.weight.grad = torch.ones(1, 2)
    average_gradients(net.parameters())
    average_buffers([net])
    copy_from_first([net])
    assert torch.equal(net.weight.grad, torch.ones(1, 2))
    assert average_number(2.5) == 2.5


def test_half_an_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingError, match="torchrun"):
        join_processes(torch.device("cpu"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    join_processes(torch.device("cpu"))
    torch.save(train(Path(sys.argv[1])), Path(sys.argv[1]) / f"end{rank()}.pt")
    leave_processes()
