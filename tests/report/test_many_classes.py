"""Pictures of scenes with hundreds of classes: what is drawn one by one is bounded, and what is left out is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperseg.report import charts, pictures
from hyperseg.report.charts import confusion_figure, spectra_figure
from hyperseg.report.pictures import map_figure

K = 200
NAMES = [f"class {k}" for k in range(K)]
COLOURS = [(k, 255 - k, 7) for k in range(K)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is made a file of, instead of drawing it."""
    found: list[Any] = []
    monkeypatch.setattr(charts, "png", lambda figure: (found.append(figure), b"")[1])
    monkeypatch.setattr(pictures, "sheet", lambda panels, keys, *, title: (found.append((keys, title)), b"")[1])
    return found


def test_spectra_of_the_classes_with_most_training_pixels(drawn: list[Any]) -> None:
    labels = np.concatenate([np.arange(K), np.arange(100, 124)])
    spectra_figure(np.random.default_rng(0).random((len(labels), 8)), labels, NAMES, COLOURS)
    shown = [axes.get_title("left") for axes in drawn[0].axes if axes.get_visible()]
    assert shown == [f"class {k}, 2 px" for k in range(100, 124)]
    assert drawn[0].get_suptitle() == "the 24 of 200 classes with most training pixels"


def test_a_confusion_matrix_without_numbers_and_with_some_names(drawn: list[Any]) -> None:
    confusion_figure(np.ones((K, K)), NAMES)
    confusion_figure(np.ones((4, 4)), NAMES[:4])
    large, small = (figure.axes[0] for figure in drawn)
    assert len(large.texts) == 0
    assert len(large.get_xticklabels()) == 40
    assert "every 5. class" in large.get_xlabel()
    assert len(small.texts) == 16
    assert small.get_xlabel() == "mapped as"


def test_a_legend_of_the_largest_classes(drawn: list[Any]) -> None:
    labels = np.repeat(np.arange(K), np.arange(K) + 1).astype(np.int16)[None]
    map_figure(labels, NAMES, COLOURS, title="scene: svm")
    keys, title = drawn[0]
    assert [key.text.split(" (")[0] for key in keys] == NAMES[-60:]
    assert title == "scene: svm (legend: the 60 largest of 200 classes)"
