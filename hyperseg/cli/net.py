"""The last net: whatever ends a command that is no bug of ours ends in one line and an exit code that is documented.

0: done. 1: a bug. 2: the user's input, files or machine. 130: interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

DONE, BUG, INPUT, INTERRUPTED = 0, 1, 2, 130
VERBOSE = ("-v", "--verbose")
# what foreign libraries raise for files and geometries that they cannot work with, by module of the error's class
FOREIGN = (
    "rasterio", "pyogrio", "shapely", "h5py", "zarr", "safetensors", "spectral", "netCDF4", "numcodecs", "fiona",
    "nibabel", "PIL", "xml", "zipfile", "zlib", "lzma", "tarfile",
)  # fmt: skip
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "unable to allocate", "not enough memory")
MEMORY_HINT = (
    "Close other programs, map with a smaller --side, train with a smaller batch (--set batch=32) or window, or on a "
    "part of the scene; on a GPU, --device cpu has more room."
)
SEGMENT_MEMORY_HINT = (
    "Close other programs, train with fewer --minutes (on a CPU networks are planned smaller then), plan with fewer "
    "--gigabytes (hyperseg segment plan, then --plan), or write a smaller patch into the plan; on a GPU, --device cpu "
    "has more room."
)
SEGMENT = "segment"


def explained(error: BaseException, command: str = "") -> tuple[str, int]:
    """The one line that a user reads of an error of this command, and the exit code."""
    from hyperseg.core.errors import HypersegError
    from hyperseg.core.words import one_line

    if isinstance(error, HypersegError):
        return str(error), INPUT
    text, kind = one_line(str(error)), type(error).__name__
    if isinstance(error, MemoryError) or _is_memory(error):
        hint = SEGMENT_MEMORY_HINT if command == SEGMENT else MEMORY_HINT
        return f"there is not enough memory ({text or kind}). {hint}", INPUT
    match error:
        case BrokenPipeError():
            return "what read the output has closed it; what was written to files is complete.", INPUT
        case OSError():
            file = f"{error.filename}: " if error.filename is not None else ""
            why = error.strerror or text or kind
            return f"{file}{why}. Check that the place exists, may be used by you, and has room.", INPUT
        case RecursionError():
            return "something in a file is nested too deeply to be read; make it anew, simpler.", INPUT
        case UnicodeError():
            return f"text that cannot be read or written in this encoding ({text}). Rename it, or use UTF-8.", INPUT
    libraries = [root for cls in type(error).__mro__ if (root := cls.__module__.split(".")[0]) in FOREIGN]
    if libraries:
        return f"{libraries[0]} says: {text or kind}. Check the files that were named.", INPUT
    return f"a bug of hyperseg: {kind}: {text}. The same command with -v shows where; please report it.", BUG


def trace_of(error: BaseException) -> str:
    """The traceback, for those who asked for it."""
    return "".join(traceback.format_exception(error))


def without_verbose(words: list[str]) -> tuple[list[str], bool]:
    """The words of a command line without -v, and whether it was among them."""
    kept = [word for word in words if word not in VERBOSE]
    return kept, len(kept) < len(words)


def robust_streams() -> None:
    """Let output never fail over a character that a terminal lacks, or a name that is no text."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: nobody wants to read it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def silence_stdout() -> None:
    """After output failed: what is left in buffers must not fail again when Python ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_memory(error: BaseException) -> bool:
    """torch and GDAL have no class of their own for it everywhere."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError | ValueError) and any(words in str(error).lower() for words in MEMORY)
    )
