"""What an unfinished pre-training leaves beside its file, and goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg.core import HypersegError, RunError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.lock import LOCK, take
from hyperseg.core.settings import from_json
from hyperseg.io.write import write_json
from hyperseg.io.write.targets import check_targets
from hyperseg.medical.plan import Plan

BEGUN, STATE, CACHE = "begun.json", "state", "slices"
BETWEEN = "encoder.safetensors"  # of a first stage that is done
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Unfinished:
    """The folder NAME-unfinished beside NAME.safetensors."""

    out: Path

    @property
    def root(self) -> Path:
        return self.out.with_name(f"{self.out.stem}-unfinished")

    @property
    def picture(self) -> Path:
        return self.out.with_suffix(".png")

    @property
    def learnt(self) -> bool:
        """Whether steps were made that one could go on from."""
        return (self.root / BETWEEN).exists() or any(self.root.glob(f"{STATE}-*"))

    @property
    def begun(self) -> dict[str, Any] | None:
        """What `begin` noted, or None.

        Raises:
            RunError: it is damaged.
        """
        file = self.root / BEGUN
        if not file.is_file():
            return None
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{file}: damaged ({error}). Begin anew by --overwrite.") from error
        return found

    @property
    def plan(self) -> Plan | None:
        """The plan that was begun with, or None."""
        return None if (begun := self.begun) is None else from_json(Plan, begun["plan"], "the plan")

    def check(self, inputs: list[Path], *, resume: bool, overwrite: bool) -> None:
        """Nothing that is there is written over, unless the user says so.

        Raises:
            SettingError: a name that is no safetensors file, or both wishes at once.
            RunError: unfinished work is there.
            DataFileError: the file or its picture is there.
        """
        if resume and overwrite:
            raise SettingError("--resume goes on, --overwrite begins anew: give one of them.")
        if self.out.suffix != SUFFIX:
            raise SettingError(f"--out {self.out}: weights are a {SUFFIX} file; give it that ending.")
        check_targets([self.out, self.picture], inputs=inputs, overwrite=overwrite)
        if not resume and not overwrite and self.learnt:
            raise RunError(
                f"{self.root}: holds what an interrupted pre-training has learnt; --resume goes on with it, "
                "--overwrite begins anew."
            )

    @contextmanager
    def begin(self, what: Mapping[str, Any], *, resume: bool) -> Iterator[dict[str, Any]]:
        """Note what is begun; of work that goes on, what was noted. While it lasts no other process is let in.

        What is refused before anything is learnt leaves nothing behind, so that it can be mended and typed again.

        Raises:
            RunError: other work than this would go on, or another process is at work.
        """
        make_folder(self.root)
        lock = take(self.root)
        try:
            yield self._noted(what, resume=resume)
        except HypersegError:
            if not self.learnt:
                self.end()
            raise
        finally:
            lock.release()

    def _noted(self, what: Mapping[str, Any], *, resume: bool) -> dict[str, Any]:
        before = self.begun if resume else None
        if before is None:
            for path in self.root.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
            write_json(self.root / BEGUN, dict(what))
            return dict(what)
        for name, value in json.loads(json.dumps(dict(what))).items():
            if (was := before.get(name)) != value:
                raise RunError(
                    f"{self.root}: was begun with other {name}{_where(was, value)}. Resume with the same images "
                    "and options, or begin anew by --overwrite."
                )
        return before

    def note(self, begun: Mapping[str, Any]) -> None:
        write_json(self.root / BEGUN, dict(begun))

    def end(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def _where(was: Any, now: Any) -> str:
    """The first entry in which two mappings differ."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return ""
    return f" ({next(name for name in sorted({*was, *now}) if was.get(name) != now.get(name))})"
