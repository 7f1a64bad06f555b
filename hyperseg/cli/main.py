"""`hyperseg`: the group of commands. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import importlib
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from hyperseg import __version__
from hyperseg.cli.several import end, prepare_to_end, refuse_several, several, talks, tells

# name -> (module, attribute, one line of help); the help stands here so that listing imports nothing
COMMANDS = {
    "info": ("hyperseg.cli.info", "info", "Tell what a file is understood as, and draw a quick look."),
    "classify": ("hyperseg.cli.classify", "classify", "Train on a scene and map it: the main job."),
    "map": ("hyperseg.cli.map", "map_scene", "Apply a trained run to another scene."),
    "score": ("hyperseg.cli.score", "score", "Score a map against labels: OA, AA, kappa, per class."),
    "export": ("hyperseg.cli.export", "export", "Write a map as polygons, ENVI, COG or picture."),
    "datasets": ("hyperseg.cli.datasets", "datasets", "List, describe and fetch public scenes."),
}


class LateGroup(click.Group):
    """A group that imports a command's module only when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.command(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hyperseg")
@click.pass_context
def group(context: click.Context) -> None:
    """From a hyperspectral cube and a few labels to a map you can trust.

    \b
    First map, no download:   hyperseg classify indian-pines
    What is in a file:        hyperseg info scene.hdr
    Your own scene:           hyperseg classify scene.hdr --labels fields.gpkg --class-column crop
    Another scene, same run:  hyperseg map runs/scene other.hdr
    """
    refuse_several(context.invoked_subcommand or "")


class Notes(logging.Handler):
    """What readers remark about a file (bands dropped, few bands), one line each beside the results."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"Note: {one_line(record.getMessage())}", err=True)


def main() -> None:
    """Run the command line; a user's mistake ends in one clear line and exit code 2."""
    from hyperseg.core.errors import HypersegError

    log = logging.getLogger("hyperseg")
    log.setLevel(logging.INFO)
    if talks() and not any(isinstance(handler, Notes) for handler in log.handlers):
        log.addHandler(Notes())
    if several():
        prepare_to_end()
    try:
        group(standalone_mode=False)
    except click.ClickException as error:
        if told := tells(error):
            error.show()
        end(error.exit_code, told=told)
    except (click.Abort, KeyboardInterrupt) as stop:
        folder = getattr(stop.__cause__ or stop, "folder", None)
        how = "" if folder is None else f" To go on: {resume_command(sys.argv[1:], folder)}"
        if talks():
            click.echo(f"Interrupted.{how}", err=True)
        end(130, told=talks())
    except HypersegError as error:
        if told := tells(error):
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(one_line(" ".join([str(error), *getattr(error, "__notes__", [])])), err=True)
        end(2, told=told)


def one_line(text: str) -> str:
    """A message of foreign libraries may span lines."""
    return " ".join(part for line in text.splitlines() if (part := line.strip()))


def resume_command(words: Sequence[str], folder: Path) -> str:
    """The command line that takes up the run in `folder`: the words given, with --out FOLDER --resume."""
    kept, skip = [], False
    for word in words:
        if not skip and word != "--resume" and word != "--out" and not word.startswith("--out="):
            kept.append(word)
        skip = word == "--out" and not skip
    return shlex.join(["hyperseg", *kept, "--out", str(folder), "--resume"])
