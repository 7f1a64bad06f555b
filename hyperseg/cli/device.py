"""`--device`: a word that cannot be a device is refused before torch is loaded."""

from __future__ import annotations

import re
from typing import Any

import click

from hyperseg.cli.options import in_group
from hyperseg.core import SettingError

SPELLED = re.compile(r"auto|(cpu|cuda|mps|xpu)(:\d+)?")


class Device(click.ParamType):
    """The name of a device; whether this machine has it is asked of torch later."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not SPELLED.fullmatch(value):
            raise SettingError(f"device {value!r} is unknown: use auto, cpu, cuda or cuda:N.")
        return str(value)


HELP = "auto, cpu, cuda, cuda:1, ..."
device_option = in_group("The run", "--device", type=Device(), default="auto", show_default=True, help=HELP)
