"""`hyperseg.detect`: a function for every command about images and volumes, without torch until one is called."""

from __future__ import annotations

import inspect
import subprocess
import sys

from hyperseg import detect
from hyperseg.cli.detect import COMMANDS


def test_there_is_a_function_for_every_command_about_images() -> None:
    assert set(COMMANDS) - {"scene"} <= set(detect.__all__)
    assert all(inspect.getdoc(getattr(detect, name)) for name in detect.__all__)
    code = "import hyperseg, sys; print('torch' in sys.modules, callable(hyperseg.detect.train))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
