"""Features of networks: classifiers of the data themselves, and the Inception network from a file of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone import seeded
from hyperseg.core import DataFileError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.features import Features, inception_features, real_features, train_features
from hyperseg.dpm.features.inception import as_shown
from hyperseg.dpm.features.inception_network import InceptionV3, Unit, pooled
from hyperseg.metrics.generation import frechet_distance, inception_score, precision_recall

QUIET = Runtime(quiet=True)


def toy(shape: tuple[int, ...], n: int = 120, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three classes: noise, and more of the first channel at the beginning, or at the end, of the first axis."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    x = 0.2 * torch.randn(n, *shape, generator=generator)
    half = shape[1] // 2
    x[labels == 1, 0, :half] += 0.7
    x[labels == 2, 0, half:] += 0.7
    return x, labels


@pytest.mark.parametrize("shape", [(1, 20), (3, 8, 8), (1, 6, 5, 7)])
def test_a_classifier_of_spectra_images_and_cubes(shape: tuple[int, ...]) -> None:
    x, labels = toy(shape)
    test = toy(shape, seed=1)
    found = train_features(x, labels, QUIET, name="toy", test=test, steps=40, widths=(8, 8, 12))
    assert (found.distance, found.score) == ("FD-toy", "IS-toy")
    assert found.accuracy is not None
    assert found.accuracy > 0.9
    assert f"{100 * found.accuracy:.1f} %" in found.note
    features, probs = found.of(test[0])
    assert features.shape == (120, 12)
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)
    scores = np.log(probs) - np.log(probs).mean(1, keepdims=True)  # the scores are linear in the features
    rows = np.hstack([features, np.ones((120, 1))])
    np.testing.assert_allclose(rows @ np.linalg.lstsq(rows, scores, rcond=None)[0], scores, atol=2e-3)
    single = found.of(test[0][7:8].double())  # as generated samples are
    np.testing.assert_allclose(single[0], features[7:8], atol=1e-5)


@pytest.fixture(scope="module")
def toy_features() -> Features:
    x, labels = toy((1, 8, 8))
    return train_features(x, labels, QUIET, name="toy", test=toy((1, 8, 8), seed=1), steps=40, widths=(8, 8))


def test_the_same_seed_gives_the_same_network_also_after_a_break(toy_features: Features, tmp_path: Path) -> None:
    x, labels = toy((1, 8, 8))

    def stop(label: str, step: int) -> None:
        if step == 17:
            raise KeyboardInterrupt

    kept = replace(QUIET, checkpoints=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train_features(x, labels, replace(kept, on_step=stop), name="toy", steps=40, widths=(8, 8))
    resumed = train_features(x, labels, kept, name="toy", steps=40, widths=(8, 8))
    steps: list[int] = []
    again = train_features(
        x, labels, replace(kept, on_step=lambda _, step: steps.append(step)), name="toy", steps=40, widths=(8, 8)
    )
    assert resumed.key == again.key == toy_features.key
    assert not steps  # a finished training is taken up
    turned = train_features(x.flip(2), labels, kept, name="toy", steps=40, widths=(8, 8))
    assert turned.key != again.key  # other data are not taken for these
    other = train_features(x, labels, replace(QUIET, seed=1), name="toy", steps=3, widths=(8, 8))
    assert other.key != toy_features.key


def test_without_labels_clusters_are_learnt_and_the_name_says_so() -> None:
    x, labels = toy((1, 8, 8))
    found = train_features(x, None, QUIET, name="scans", steps=40, widths=(8, 8))
    assert found.distance == "FD-scans-clusters"
    assert found.accuracy is None
    assert "clusters" in found.note
    _, probs = found.of(x)
    purity = sum(torch.bincount(labels[probs.argmax(1) == k]).max() for k in np.unique(probs.argmax(1)))
    assert purity > 0.9 * len(x)


def test_more_noise_is_farther_away(toy_features: Features) -> None:
    x, labels = toy((1, 8, 8), seed=2)
    real = real_features(toy_features, x, checksum="")
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    distances = [frechet_distance(real.moments, toy_features.of(x + a * noise)[0]) for a in (0, 0.05, 0.1, 0.2, 0.4)]
    assert distances[0] < 1e-6
    assert distances == sorted(distances)
    features, probs = toy_features.of(x[labels == 1])  # all of one class
    precision, recall = precision_recall(real.features, features)
    assert recall < 0.5 < precision
    assert 1 <= inception_score(probs) < 1.05 < inception_score(real.probs)


def test_real_samples_are_asked_once(toy_features: Features, tmp_path: Path) -> None:
    x, _ = toy((1, 8, 8), seed=2)
    asked = []

    def of(samples: Tensor) -> Any:
        asked.append(len(samples))
        return toy_features.of(samples)

    counted, file = replace(toy_features, of=of), tmp_path / "real.npz"
    first = real_features(counted, x, checksum="a", file=file)
    again = real_features(counted, x, checksum="a", file=file)
    assert len(asked) == 1
    np.testing.assert_array_equal(first.features, again.features)
    assert frechet_distance(first.moments, again.moments) < 1e-9 * np.square(first.moments.factor).sum()
    real_features(counted, x, checksum="b", file=file)  # other data
    real_features(replace(counted, key="0"), x, checksum="b", file=file)  # another network
    file.write_bytes(file.read_bytes()[:100])
    real_features(counted, x, checksum="b", file=file)  # damaged
    assert len(asked) == 4
    real_features(counted, x, checksum="a", file=tmp_path / "new" / "real.npz")
    assert (tmp_path / "new" / "real.npz").is_file()
    with pytest.raises(DataFileError, match="cannot be created"):
        real_features(counted, x, checksum="a", file=file / "real.npz")


@pytest.mark.parametrize(
    ("x", "labels", "told"),
    [
        (torch.zeros(50, 3), torch.arange(50) % 2, "a spectrum is"),
        (torch.zeros(50, 1, 8), torch.arange(49) % 2, "one number from 0 on for each of 50 samples"),
        (torch.zeros(50, 1, 8), torch.zeros(50, dtype=torch.long), "two classes or more"),
        (torch.zeros(9, 1, 8), None, "at least 40"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(x: Tensor, labels: Tensor | None, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        train_features(x, labels, QUIET, name="toy")


# Inception


def as_filed(network: InceptionV3) -> dict[str, Tensor]:
    return {name.replace(".conv.layer.", ".conv."): value for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def inception() -> InceptionV3:
    with seeded(0):
        network = InceptionV3().eval()
        for name, value in network.named_buffers():
            if "running" in name:
                value.uniform_(0.5, 1.5) if "var" in name else value.normal_(0, 0.1)
    return network


@pytest.fixture(scope="module")
def filed(inception: InceptionV3, tmp_path_factory: pytest.TempPathFactory) -> Features:
    file = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(as_filed(inception), file)
    return inception_features(file)


def test_inception_from_a_file(inception: InceptionV3, filed: Features) -> None:
    assert (filed.distance, filed.score) == ("FID", "IS")
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features, probs = filed.of(x)
    assert (features.shape, probs.shape) == ((2, 2048), (2, 1008))
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)
    with torch.no_grad():
        direct, _ = inception(as_shown(x))
        scores = direct @ inception.fc.weight.T  # no bias
    np.testing.assert_allclose(features, direct, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(probs, scores.softmax(1), rtol=1e-4)
    single = filed.of(x[1:])  # whatever stands beside it in the batch
    np.testing.assert_allclose(single[0], features[1:], rtol=1e-4, atol=1e-4)


def test_inception_has_the_published_number_of_weights_and_names(inception: InceptionV3) -> None:
    """27 161 264 weights of the ImageNet classifier, less 3 326 696 of its side branch, and 8 more outputs."""
    n = sum(p.numel() for p in inception.parameters())
    assert n == 27_161_264 - 3_326_696 + 8 * 2049
    shapes = {name: tuple(value.shape) for name, value in as_filed(inception).items()}
    assert sum(name.endswith(".conv.weight") for name in shapes) == 94
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_5b.branch5x5_2.conv.weight"] == (64, 48, 5, 5)
    assert shapes["Mixed_6a.branch3x3dbl_3.bn.running_mean"] == (96,)
    assert shapes["Mixed_6c.branch7x7_2.conv.weight"] == (160, 160, 1, 7)
    assert shapes["Mixed_6e.branch7x7dbl_5.conv.weight"] == (192, 192, 1, 7)
    assert shapes["Mixed_7a.branch7x7x3_4.conv.weight"] == (192, 192, 3, 3)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7c.branch_pool.bn.weight"] == (192,)
    assert shapes["fc.weight"] == (1008, 2048)


def test_all_weights_of_inception_are_used(inception: InceptionV3) -> None:
    _, scores = inception(torch.randn(1, 3, 75, 75, generator=torch.Generator().manual_seed(0)))
    scores.square().sum().backward()
    unused = [name for name, p in inception.named_parameters() if p.grad is None or not p.grad.any()]
    inception.zero_grad(set_to_none=True)
    assert unused == ["fc.bias"]


def test_blocks_of_inception_written_out(inception: InceptionV3) -> None:
    """One forked block and one that halves, from the file's names and torch's functions alone."""
    filed = as_filed(inception)

    def unit(x: Tensor, name: str, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Tensor:
        y = F.conv2d(x, filed[f"{name}.conv.weight"], None, stride, padding)
        mean, var, scale, shift = (filed[f"{name}.bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(y, mean, var, scale, shift, eps=1e-3).relu()

    x = torch.randn(1, 2048, 5, 6, generator=torch.Generator().manual_seed(0))
    b = "Mixed_7c.branch"
    left = unit(x, f"{b}3x3_1")
    right = unit(unit(x, f"{b}3x3dbl_1"), f"{b}3x3dbl_2", padding=(1, 1))
    expected = [
        unit(x, f"{b}1x1"),
        unit(left, f"{b}3x3_2a", padding=(0, 1)),
        unit(left, f"{b}3x3_2b", padding=(1, 0)),
        unit(right, f"{b}3x3dbl_3a", padding=(0, 1)),
        unit(right, f"{b}3x3dbl_3b", padding=(1, 0)),
        unit(F.max_pool2d(x, 3, 1, 1), f"{b}_pool"),
    ]
    with torch.no_grad():
        torch.testing.assert_close(inception.Mixed_7c(x), torch.cat(expected, 1))
    x = torch.randn(1, 288, 9, 10, generator=torch.Generator().manual_seed(1))
    b = "Mixed_6a.branch"
    once = unit(unit(x, f"{b}3x3dbl_1"), f"{b}3x3dbl_2", padding=(1, 1))
    expected = [unit(x, f"{b}3x3", stride=2), unit(once, f"{b}3x3dbl_3", stride=2), F.max_pool2d(x, 3, 2)]
    with torch.no_grad():
        torch.testing.assert_close(inception.Mixed_6a(x), torch.cat(expected, 1))


def test_pools_of_inception_count_no_zeros_beyond_the_border() -> None:
    ones = torch.ones(1, 2, 4, 5)
    torch.testing.assert_close(pooled(ones, "mean"), ones)
    torch.testing.assert_close(pooled(-ones, "max"), -ones)
    with seeded(0):
        unit = Unit("any", 1, 1, (1, 1)).eval()
    torch.nn.init.ones_(unit.conv.layer.weight)  # type: ignore[arg-type]
    unit.bn.running_var.zero_()  # type: ignore[union-attr]
    torch.testing.assert_close(unit(torch.ones(1, 1, 1, 1)).item(), 1e-3**-0.5)


def test_what_inception_is_shown() -> None:
    levels = torch.arange(256).float() / 127.5 - 1
    x = levels[torch.randint(256, (2, 3, 299, 299), generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(as_shown(x), x)  # neither size nor values change
    torch.testing.assert_close(as_shown(x + 0.3 / 127.5), as_shown(x))
    torch.testing.assert_close(as_shown(3 * torch.ones(1, 1, 8, 8)), torch.ones(1, 3, 299, 299))
    for wrong in (torch.zeros(2, 1, 200), torch.zeros(2, 4, 8, 8)):
        with pytest.raises(SettingError, match="train features on the data"):
            as_shown(wrong)


def small(inception: InceptionV3) -> dict[str, Tensor]:
    """The right names and shapes in a small file: one number each."""
    return {name: torch.zeros(()).expand(value.shape) for name, value in as_filed(inception).items()}


def without(names: dict[str, Tensor], *words: str) -> dict[str, Tensor]:
    return {name: value for name, value in names.items() if not any(word in name for word in words)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: without(d, "Mixed_6c.branch7x7_2"), "5 arrays of 472 lack: Mixed_6c.branch7x7_2.conv.weight"),
        (lambda d: d | {"head.weight": torch.zeros(3)}, "another network: head.weight"),
        (lambda d: d | {"fc.weight": torch.zeros(1000, 2048)}, r"\(1000, 2048\).*classifier of ImageNet"),
        (lambda d: [1, 2], "no table of tensors"),
        (lambda d: {"layer.weight": torch.zeros(3)}, "472 arrays of 472 lack"),
    ],
)
def test_other_weights_are_refused(
    change: Callable[[Any], Any], told: str, inception: InceptionV3, tmp_path: Path
) -> None:
    torch.save(change(small(inception)), tmp_path / "other.pth")
    with pytest.raises(DataFileError, match=told) as error:
        inception_features(tmp_path / "other.pth")
    assert "other.pth" in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no such file"):
        inception_features(tmp_path / "absent.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("<html>not found</html>")
        with pytest.raises(DataFileError, match="cannot be read as weights"):
            inception_features(tmp_path / name)


def test_counters_may_lack_and_safetensors_are_read(inception: InceptionV3, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = without({name: torch.zeros_like(v) for name, v in as_filed(inception).items()}, "num_batches_tracked")
    save_file(tensors, tmp_path / "plain.safetensors")
    assert inception_features(tmp_path / "plain.safetensors").distance == "FID"
