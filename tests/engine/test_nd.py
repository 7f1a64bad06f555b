"""A folder of images and a volume, from arrays to maps: patches, training and prediction together."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Decoder, Encoder, seeded
from hyperseg.backbone.spec import Padding
from hyperseg.core import Scene, Split
from hyperseg.core.task import Task
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.engine import Phase, fit, predict_scene

K = 3


def toy(shape: tuple[int, ...], *, channels: int, seed: int) -> Scene:
    """Patches of three classes under noise as strong as their difference: neighbours must help."""
    rng = np.random.default_rng(seed)
    labels = np.stack([gaussian_filter(rng.normal(size=shape), 3) for _ in range(K)]).argmax(0)
    means = np.random.default_rng(0).permuted(np.tile(np.arange(K) - 1.0, (channels, 1)), axis=1).T
    cube = means[labels] + rng.normal(size=(*shape, channels))
    return Scene(cube.astype(np.float32), labels.astype(np.int16), classes=tuple("abc"), colours=((0, 0, 0),) * K)


def images() -> Task:
    """Six images of different sizes; the last two are for testing."""
    scenes = tuple(toy((30 + 4 * i, 44 - 3 * i), channels=3, seed=i) for i in range(6))
    full = [np.full(scene.shape, i < 4) for i, scene in enumerate(scenes)]
    return Task(scenes, tuple(Split(m, np.zeros_like(m), ~m, how="whole images", seed=0) for m in full))


def volume() -> Task:
    """One volume with one channel, half of its slices known."""
    scene = toy((16, 26, 22), channels=1, seed=9)
    train = np.zeros(scene.shape, bool)
    train[::4] = train[1::4] = True
    return Task((scene,), (Split(train, np.zeros_like(train), ~train, how="slices", seed=0),))


class Net(nn.Module):
    """A classifier of centres without padding, or a U-Net with it; channels are channels."""

    layout = "channels"

    def __init__(self, ndim: int, channels: int, padding: Padding) -> None:
        super().__init__()
        self.padded, conv = padding == "same", ConvSpec(ndim, padding=padding)
        spec = BackboneSpec(channels, (8, 16), (1, 2 if self.padded else 1), (3, 3), (1, 1), conv)
        self.margin = spec.margin
        self.encoder, self.decoder = Encoder(spec), Decoder(spec) if self.padded else nn.Identity()
        self.head = ClassHead(spec, K, level=0 if self.padded else -1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.decoder(self.encoder(x)))


def learn(net: Net, task: Task, *, radius: int, batch: int, steps: int) -> None:
    """Train on patches of all scenes; of a patch, what the network answers for and the split gives is learnt."""
    read = PatchSource([s.cube[:] for s in task.scenes], radius=radius, layout="channels")
    known = [np.where(x.train, s.labels, -1)[..., None] for s, x in zip(task.scenes, task.splits, strict=True)]
    truth = PatchSource(known, radius=tuple(radius - m for m in net.margin), layout="channels")
    places = [np.argwhere(split.train) for split in task.splits]
    pixels = torch.from_numpy(np.concatenate([np.insert(p, 0, i, axis=1) for i, p in enumerate(places)]))

    def batches(step: int) -> tuple[Tensor, Tensor]:
        drawn = pixels[draw_pixels(len(pixels), batch=batch, step=step, seed=0)]
        turns = torch.randint(read.orientations, (len(drawn),))
        return read.gather(drawn, turns), truth.gather(drawn, turns)[:, 0].long()

    def loss(drawn: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(net(drawn[0]), drawn[1], ignore_index=-1)}

    phase = Phase("learn", loss, torch.optim.AdamW(net.parameters(), lr=0.01))
    fit([phase], batches, steps, modules={"net": net}, seed=0)


def score(net: Net, task: Task) -> tuple[float, float]:
    """Accuracy on all test pixels, and that of the best constant guess."""
    right, truth = [], []
    for scene, split in zip(task.scenes, task.splits, strict=True):
        if split.test.any():
            made = predict_scene(net, scene, lambda x: np.asarray(x, np.float32), made_by="net", tile=16)
            assert made.probs.shape == (*scene.shape, K)
            right.append((made.labels() == scene.labels)[split.test])
            truth.append(scene.labels[split.test])
    every = np.concatenate(truth)
    return np.concatenate(right).mean(), np.bincount(every).max() / len(every)


@pytest.mark.parametrize(
    ("task", "padding", "radius", "batch"),
    [(images(), "valid", 2, 128), (images(), "same", 8, 8), (volume(), "valid", 2, 128), (volume(), "same", 5, 8)],
    ids=["images, valid", "images, U-Net", "volume, valid", "volume, U-Net"],
)
def test_images_and_volumes_are_learnt_and_mapped(task: Task, padding: Padding, radius: int, batch: int) -> None:
    with seeded(0):
        net = Net(len(task.scenes[0].shape), task.scenes[0].n_bands, padding)
    learn(net, task, radius=radius, batch=batch, steps=60)
    accuracy, guess = score(net, task)
    assert accuracy > guess + 0.3
