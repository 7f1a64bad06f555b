"""`hyperseg pretrain`: weights that are learnt from images, volumes or scenes without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.options import GroupedCommand, Section, by_set, in_group, shown, typed_in
from hyperseg.cli.reading import cube_options, given_stated, overwrite_option
from hyperseg.cli.segment.reading import spacing_option, target_option
from hyperseg.core import SettingError
from hyperseg.core.settings import find_leaf, parsed
from hyperseg.core.words import clean_name, did_you_mean, listed

FOLDERS, SCENES = "folders", "scenes"
RUN, OF_FOLDERS = "The run", "Of folders"


def parts() -> list[tuple[str, Any]]:
    """What is told of how folders and scenes are learnt from."""
    from hyperseg.recipes.pretraining.scene_settings import SceneContrast
    from hyperseg.recipes.pretraining.settings import FolderContrast

    return [(FOLDERS, FolderContrast()), (SCENES, SceneContrast())]


class PretrainCommand(GroupedCommand):
    """A command with the options of both; what belongs to the other one is refused when it is known which is meant."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, help = super().get_params(ctx)
        return [*own, *(item.option() for item in shown(parts())), help]

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        yield from by_set(parts())


@click.command(cls=PretrainCommand)
@click.argument("sources", metavar="DIR|SCENE...", nargs=-1, required=True)
@in_group(
    RUN, "--out", type=click.Path(path_type=Path),
    help="The file of weights.  [default: the name of DIR or SCENE and -pretrained.safetensors, here]",
)  # fmt: skip
@in_group(RUN, "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Any other setting: --set temperature=0.2.")
@in_group(RUN, "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of weights, batches and folds.")
@device_option
@in_group(RUN, "--resume", is_flag=True, help="Go on with what was interrupted.")
@overwrite_option
@in_group(RUN, "--quiet", is_flag=True, help="No progress.")
@in_group(RUN, "--no-pictures", is_flag=True, help="Draw no picture beside the weights.")
@in_group(
    OF_FOLDERS, "--plan", "plan_file", type=click.Path(dir_okay=False, path_type=Path),
    help="A plan of DIR, by hyperseg segment plan.  [default: the one that hyperseg segment train makes for as many "
    "minutes or steps]",
)  # fmt: skip
@in_group(
    OF_FOLDERS, "--fold", type=click.IntRange(0), metavar="N",
    help="Leave out the images that fold N of hyperseg segment train --seed holds out, so that they are new to what "
    "begins with these weights.  [default: all images are seen]",
)  # fmt: skip
@spacing_option
@target_option
@cube_options
def pretrain(
    sources: tuple[str, ...], out: Path | None, sets: tuple[str, ...], seed: int, device: str, resume: bool,
    overwrite: bool, quiet: bool, no_pictures: bool, plan_file: Path | None, fold: int | None,
    spacing: tuple[float, ...], target: tuple[str, ...], **given: Any,
) -> None:  # fmt: skip
    """Learn from images without looking at labels; what is labelled later goes further.

    DIR is a folder of images or volumes, as hyperseg segment takes it: those with labels and those without are looked
    at, labels are not. Slices at the same height of different patients look alike: the network learns to tell heights
    apart (--pairs gd), and with --local also places within a slice. The file holds the encoder of the plan's 2-D U-Net,
    with --local levels of its decoder too, and the plan; FILE.png shows what was learnt. It helps most where few images
    are labelled, and may not help at all: train without it too.

    SCENE is a hyperspectral scene, as hyperseg classify takes it; several of one sensor are learnt from together. Where
    this was measured (Indian Pines, docs/benchmarks.md) it did not help: maps were as good without it.

    \b
    Examples:
      hyperseg pretrain DIR --local --minutes 30
      hyperseg segment train DIR --weights DIR-pretrained.safetensors --labelled 2
    \b
      hyperseg pretrain DIR --fold 0 --out fold0.safetensors   # honest: fold 0 stays unseen
      hyperseg segment train DIR --weights fold0.safetensors --labelled 2 --fold 0
    \b
      hyperseg pretrain scene.hdr next_flightline.hdr --out sensor.safetensors
      hyperseg classify scene.hdr --labels fields.gpkg --weights sensor.safetensors
    """
    of_folders = {"plan": plan_file, "fold": fold, "spacing": spacing or None, "target": target or None}
    of_scenes = given_stated(given)
    name = FOLDERS if is_folder(sources) else SCENES
    wrong, kind = (of_scenes, "scenes, and this is a folder") if name == FOLDERS else (of_folders, "folders, no scenes")
    if mistaken := [option for option, value in wrong.items() if value is not None]:
        raise SettingError(f"--{mistaken[0].replace('_', '-')} is an option of {kind}: leave it out.")
    file = out or Path(f"{clean_name(_stem(sources[0]))}-pretrained.safetensors")
    chosen = chosen_settings(name, given, sets)
    common: dict[str, Any] = {
        "seed": seed, "device": device, "resume": resume, "overwrite": overwrite, "quiet": quiet,
        "pictures": not no_pictures,
    }  # fmt: skip
    if name == FOLDERS:
        from hyperseg import segment

        segment.pretrain(
            sources[0], file, settings=chosen, plan=plan_file, fold=fold, spacing=spacing, target=target, **common
        )  # fmt: skip
        own = "" if fold is None else f" --fold {fold}"
        more = f"hyperseg segment train {sources[0]} --weights {file} --labelled 2{own}"
    else:
        from hyperseg.io.cube_options import CubeOptions
        from hyperseg.io.open import open_scene
        from hyperseg.recipes.pretraining.start_scenes import pretrain_scenes

        cube = CubeOptions(**of_scenes)
        pretrain_scenes(
            sources, lambda source: open_scene(source, need_labels=False, cube=cube), file, chosen, **common
        )  # fmt: skip
        more = f"hyperseg classify {sources[0]} --weights {file}"
    from hyperseg.recipes.pretraining.telling import told

    click.echo(told(file))
    if file.with_suffix(".png").exists() and not no_pictures:
        click.echo(f"look at {file.with_suffix('.png')}")
    click.echo(f"go on: {more}")


def is_folder(sources: Sequence[str]) -> bool:
    """Whether a folder of cases is meant, not scenes.

    Raises:
        SettingError: several sources, one of them a folder of cases.
    """
    from hyperseg.io.formats import is_data

    folders = [source for source in sources if Path(source).is_dir() and not is_data(Path(source))]
    if folders and len(sources) > 1:
        raise SettingError(
            f"{folders[0]} is a folder of images, and {len(sources)} sources are given: give one folder, or scenes."
        )
    return bool(folders)


def chosen_settings(name: str, given: Mapping[str, Any], sets: Sequence[str]) -> Any:
    """The settings of folders or scenes, by options and by --set.

    Raises:
        SettingError: an option of the other kind, a setting that is unknown, or one that is given twice.
    """
    from hyperseg.core.settings import changed, leaves

    settings, found = dict(parts())[name], {}
    for item in shown(parts()):
        if given.get(item.name) is None:
            continue
        path = next((path for _, owner, path in item.parts if owner == name), None)
        if path is None:
            raise SettingError(f"--{item.leaf.rule.shown} is no option of {name}: it belongs to {item.parts[0][1]}.")
        found[path] = given[item.name]
    for word, value in typed_in(sets).items():
        leaf = find_leaf(settings, word)
        if leaf is None:
            close = did_you_mean(word, (known for one in leaves(settings) for known in (one.path, one.name)))
            raise SettingError(f"there is no setting {word} of {name}.{close}")
        if leaf.path in found:
            raise SettingError(f"{leaf.path} is given by an option and by --set: give one of them.")
        found[leaf.path] = parsed(value, leaf.hint, word)
    if name == FOLDERS and {"minutes", "steps"} <= found.keys():
        raise SettingError(f"{listed(('--minutes', '--steps'))} contradict each other: give one of them.")
    return changed(settings, found)


def _stem(source: str) -> str:
    """What a folder, a file or a data set is called."""
    from hyperseg.io.paths import split_key

    path = Path(split_key(source)[0])
    return path.resolve().name if path.is_dir() else path.stem
