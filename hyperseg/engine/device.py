"""Where the arithmetic happens and how precisely: the two choices that follow from the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hyperseg.core import SettingError
from hyperseg.core.runtime import Precision


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`, checked to be there.

    Args:
        name: "auto" (CUDA where there is one, else the CPU), or what `torch.device` understands: "cpu",
            "cuda", "cuda:1", "mps". Under torchrun "auto" and "cuda" mean the device of the local rank.

    Raises:
        SettingError: no such device in this machine, or not the name of a device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:N.") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise SettingError(
                f"device {name!r} asked for, but PyTorch {torch.__version__} sees no CUDA device: use auto "
                "or cpu, or install a CUDA build of PyTorch and check the driver with nvidia-smi."
            )
        index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
        if index >= (n := torch.cuda.device_count()):
            raise SettingError(f"device cuda:{index} asked for, but there are {n} CUDA devices, numbered from 0.")
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingError("device 'mps' asked for, but this machine has none: use auto or cpu.")
    return device


def choose_precision(device: torch.device | str, *, cpu: Any = torch.cpu) -> Precision:
    """ "bf16" where it makes the networks of patches and scenes faster, else "fp32".

    That is CPUs with AVX-512 BF16 or AMX. Elsewhere bfloat16 is emulated: on a CPU with AVX2 only it is some 15 times
    slower than float32 (measured). On CUDA it is slower than float32 for maps and no faster in training (measured on an
    H200), and moves 0.6 to 2 % of the labels. `cpu` is what is asked about the CPU's features.
    """
    # these questions are not public API, so their absence means no
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    fast = torch.device(device).type == "cpu" and any(getattr(cpu, name, bool)() for name in asked)
    return "bf16" if fast else "fp32"


@contextmanager
def full_float32(device: torch.device | str) -> Iterator[None]:
    """Products and convolutions of float32 numbers are float32 within, whatever is allowed outside.

    CUDA rounds the inputs of convolutions to 10 bits (TF32) unless told otherwise: class probabilities then differ from
    a CPU's by up to 7e-3, without that by 2.5e-6, at the same speed (measured on an H200).
    """
    if torch.device(device).type != "cuda":
        yield
        return
    convolutions: Any = getattr(torch.backends.cudnn, "conv", None)
    products: Any = torch.backends.cuda.matmul
    if convolutions is None or not hasattr(products, "fp32_precision"):  # torch before 2.9
        switches: list[tuple[Any, str, Any]] = [
            (torch.backends.cudnn, "allow_tf32", False),
            (products, "allow_tf32", False),
        ]
    else:  # the older names cannot be asked where a user set these
        switches = [(convolutions, "fp32_precision", "ieee"), (products, "fp32_precision", "ieee")]
    before = [getattr(where, name) for where, name, _ in switches]
    try:
        for where, name, exact in switches:
            setattr(where, name, exact)
        yield
    finally:
        for (where, name, _), value in zip(switches, before, strict=True):
            setattr(where, name, value)
