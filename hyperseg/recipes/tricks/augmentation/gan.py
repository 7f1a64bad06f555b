"""GAN-made augmentation: some of the images of a batch are made from their labels by a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.parts import Beginning, Change, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_change

if TYPE_CHECKING:
    from hyperseg.gan.label_to_image import LabelToImage, Told

NAME = "label-to-image"  # of the work on disk, which stays until the fold is trained
BETAS = (0.5, 0.999)
DECAY = 1e-2


@settings
class GanAugmentation:
    """How often, and how long the generator is trained."""

    p: float = option(0.2, "Probability that an image is replaced by one made from its labels.", above=0, high=1)
    share: float = option(
        0.5,
        "Of the steps of the training, for the GAN; they come before it and on top of its minutes.",
        above=0,
        high=100,
    )
    lr: float = option(1e-3, "Learning rate of generator and critic (AdamW).", above=0)


def on_cases(on: OnCases, chosen: GanAugmentation) -> OnCases:
    """A conditional GAN learns from the fold's training patches first, see `gan.label_to_image`.

    Short trainings make coarse images. Of ultrasound (`busi_subset`), after 20 steps: lesions darker than what is
    around them, in even speckle, without the layers of tissue. After 300 steps the values of made images have a
    standard deviation of 0.59, those of real ones of 0.95, and labels can be told from the texture of what was made.
    No gain is to be expected of a GAN trained so shortly.

    Source: the "GANAug" of arXiv 2209.10307, p 0.2, the image synthesised and its label kept as there in 3-D.
    Differs: so in 2-D too, where the source makes a new pair; the GAN is the project's, and trained within the run. No
    scene has it: there a generator of cubes is a method of its own.
    """

    def change(beginning: Beginning) -> Change:
        return made_by(trained_generator(beginning, chosen), chosen.p)

    return with_change(on, change)


def made_by(generator: LabelToImage, p: float) -> Change:
    """Images of a batch replaced, labels as they are."""
    from hyperseg.gan.label_to_image import with_made

    return lambda images, classes: (with_made(images, classes, generator, p), classes)


def trained_generator(beginning: Beginning, chosen: GanAugmentation) -> LabelToImage:
    """The generator; one that has been trained for this fold already is read from disk."""
    from hyperseg.backbone import seeded
    from hyperseg.engine.one_cycle import step_generator, train
    from hyperseg.engine.step.adam import AdamW
    from hyperseg.engine.training import Phase
    from hyperseg.gan.label_to_image import Critic, ImageGame, LabelToImage, Told, noise_for

    runtime, facts = beginning.runtime, beginning.plan.facts
    sizes = beginning.configuration.n_axes, len(facts.classes), len(facts.channels)
    with seeded(runtime.seed):
        generator, critic = LabelToImage(*sizes).to(runtime.device), Critic(*sizes).to(runtime.device)
    game = ImageGame(generator, critic)

    def draw(step: int) -> Told:
        images, classes = beginning.batch(step)
        return Told(images[:, : len(facts.channels)], classes, noise_for(classes, step_generator(runtime.seed, step)))

    train(
        [
            Phase("critic", game.judge, AdamW(critic.parameters(), lr=chosen.lr, betas=BETAS, weight_decay=DECAY)),
            Phase("generator", game.make, AdamW(generator.parameters(), lr=chosen.lr, betas=BETAS, weight_decay=DECAY)),
        ],
        draw, max(1, round(chosen.share * beginning.steps)), modules={"critic": critic, "generator": generator},
        averages={}, runtime=runtime, name=NAME, title=f"{beginning.configuration.name}, GAN of images from labels",
    )  # fmt: skip
    return generator.requires_grad_(False)


GAN_AUGMENTATION = Trick("gan-augmentation", "augmentation", on_cases, settings=GanAugmentation)
