"""`hyperseg`: the group of commands. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import importlib
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from hyperseg import __version__
from hyperseg.cli.net import INTERRUPTED, explained, robust_streams, silence_stdout, trace_of, without_verbose
from hyperseg.cli.several import end, prepare_to_end, refuse_several, several, talks, tells

# name -> (module, attribute, one line of help); the help stands here so that listing imports nothing
COMMANDS = {
    "info": ("hyperseg.cli.info", "info", "Tell what a file is understood as, and draw a quick look."),
    "plan": ("hyperseg.cli.plan", "plan", "Tell what would be trained on a scene, and why."),
    "classify": ("hyperseg.cli.classify", "classify", "Train on a scene and map it: the main job."),
    "map": ("hyperseg.cli.map", "map_scene", "Apply a trained run to another scene."),
    "score": ("hyperseg.cli.score", "score", "Score a map against labels: OA, AA, kappa, per class."),
    "anomaly": ("hyperseg.cli.spectra.anomaly", "anomaly", "Map spectra that are unlike the rest, or never seen."),
    "generate": ("hyperseg.cli.spectra.generate", "generate", "Make new spectra or patches of a scene's classes."),
    "suggest": ("hyperseg.cli.suggest", "suggest", "Tell which fields to label next."),
    "export": ("hyperseg.cli.export", "export", "Write a map as polygons, ENVI, COG or picture."),
    "segment": ("hyperseg.cli.segment", "segment", "Images and volumes: check, plan, train, predict, score."),
    "detect": ("hyperseg.cli.detect", "detect", "Objects as boxes: train on few labels, predict, score."),
    "depth": ("hyperseg.cli.depth", "depth", "Pictures with depth: train, read, sample with guidance, score."),
    "pretrain": (
        "hyperseg.cli.pretrain",
        "pretrain",
        "Learn from images without labels; the weights go on from there.",
    ),
    "tricks": ("hyperseg.cli.known.tricks", "tricks", "List what may make a network better, phase by phase."),
    "networks": ("hyperseg.cli.known.networks", "networks", "List the survey's networks, family by family."),
    "bench": ("hyperseg.cli.bench", "bench", "Repeat a comparison of methods: samplers, tricks, networks."),
    "datasets": ("hyperseg.cli.known.datasets", "datasets", "List, describe and fetch public scenes."),
}


class LateGroup(click.Group):
    """A group that imports a command's module only when the command is asked for; `table` is as `COMMANDS`."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from hyperseg.core.words import did_you_mean

        if args and args[0] not in self.table and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], self.table)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self.table.items()])


@click.command(
    cls=LateGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="hyperseg")
@click.pass_context
def group(context: click.Context) -> None:
    """From a hyperspectral cube and a few labels to a map you can trust.

    \b
    First map, no download:   hyperseg classify indian-pines
    What is in a file:        hyperseg info scene.hdr
    Your own scene:           hyperseg classify scene.hdr --labels fields.gpkg --class-column crop
    Another scene, same run:  hyperseg map runs/scene other.hdr
    Volumes, many images:     hyperseg segment train FOLDER, see hyperseg segment --help
    Objects as boxes:         hyperseg detect train FOLDER, see hyperseg detect --help

    -v after any command shows the traceback of an error. Exit codes: 0 done, 1 a bug of hyperseg, 2 something about
    the input, the files or the machine, 130 interrupted.
    """
    refuse_several(context.invoked_subcommand or "")


class Notes(logging.Handler):
    """What readers remark about a file (bands dropped, few bands), one line each beside the results."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"Note: {plain(record.getMessage())}", err=True)


def main() -> None:
    """Run the command line; every end but a clean one is a clear line and an exit code, see `hyperseg.cli.net`."""
    log = logging.getLogger("hyperseg")
    log.setLevel(logging.INFO)
    if talks() and not any(isinstance(handler, Notes) for handler in log.handlers):
        log.addHandler(Notes())
    if several():
        prepare_to_end()
    robust_streams()
    words, verbose = without_verbose(sys.argv[1:])
    try:
        code = group(words, prog_name="hyperseg", standalone_mode=False)  # of `context.exit`; commands return nothing
        sys.stdout.flush()
        if isinstance(code, int) and code:
            end(code, told=True)
    except click.exceptions.Exit as stop:
        end(stop.exit_code, told=True)
    except click.ClickException as error:
        if told := tells(error):
            error.show()
        end(error.exit_code, told=told)
    except (click.Abort, KeyboardInterrupt) as stop:
        folder = getattr(stop.__cause__ or stop, "folder", None)
        how = "" if folder is None else f" To go on: {resume_command(words, folder)}"
        if talks():
            click.echo(f"Interrupted.{how}", err=True)
        end(INTERRUPTED, told=talks())
    except SystemExit as stop:  # rich's way to say that the output was closed
        if stop.code != 1:
            raise
        fail(BrokenPipeError(), verbose=verbose)
    except Exception as error:
        fail(error, verbose=verbose, command=words[0] if words else "")


def fail(error: Exception, *, verbose: bool, command: str = "") -> NoReturn:
    """Tell an error and end."""
    silence_stdout()
    if told := tells(error):
        tell_error(error, verbose=verbose, command=command)
    end(explained(error)[1], told=told)


def tell_error(error: Exception, *, verbose: bool, command: str = "") -> None:
    """One line on standard error, after the traceback where it was asked for."""
    with suppress(OSError):  # nobody listens any more
        if verbose:
            click.echo(trace_of(error), err=True)
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(plain(" ".join([explained(error, command)[0], *getattr(error, "__notes__", [])])), err=True)


def plain(text: str) -> str:
    """One line without control characters: names and contents of files are no commands to a terminal."""
    from hyperseg.core.words import one_line, printable

    return printable(one_line(text))


def resume_command(words: Sequence[str], folder: Path) -> str:
    """The command line that takes up the run in `folder`: the words given, with --out FOLDER --resume."""
    kept, skip = [], False
    for word in words:
        if not skip and word not in ("--resume", "--overwrite", "--out") and not word.startswith("--out="):
            kept.append(word)
        skip = word == "--out" and not skip
    return shlex.join(["hyperseg", *kept, "--out", str(folder), "--resume"])
