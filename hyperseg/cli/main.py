"""`hyperseg`: the group of commands. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import importlib
import sys

import click

from hyperseg import __version__

# name -> (module, attribute, one line of help); the help stands here so that listing imports nothing
COMMANDS = {
    "classify": ("hyperseg.cli.classify", "classify", "Train on a scene and map it: the main job."),
    "map": ("hyperseg.cli.map", "map_scene", "Apply a trained run to another scene."),
    "score": ("hyperseg.cli.score", "score", "Score a map against labels: OA, AA, kappa, per class."),
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


@click.command(
    cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="hyperseg")
def group() -> None:
    """From a hyperspectral cube and a few labels to a map you can trust.

    \b
    First map, no download:   hyperseg classify indian-pines
    Your own scene:           hyperseg classify scene.hdr --labels labels.tif
    Another scene, same run:  hyperseg map runs/scene other.hdr
    """


def main() -> None:
    """Run the command line; a user's mistake ends in one clear line and exit code 2."""
    from hyperseg.core.errors import HypersegError

    try:
        group(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except HypersegError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        sys.exit(2)
