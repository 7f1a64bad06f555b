"""The chart of FROC curves: means, spreads and rates where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from pixels import decode

from hyperseg.core import SettingError
from hyperseg.metrics.froc import RATES, Curve
from hyperseg.report.froc import draw_froc, froc_figure


def curve(top: float) -> Curve:
    """Straight from nothing to `top` at 8 false positives per scan."""
    return Curve(np.array([0.0, 8.0]), np.array([0.0, top]), np.array([np.inf, 0.0]))


def test_the_chart_says_what_it_shows() -> None:
    axes = Figure().subplots()
    draw_froc(axes, {"with $one$ seed": [curve(0.8)], "of three seeds": [curve(0.4), curve(0.6), curve(0.8)]})
    assert axes.get_xlabel() == "false positives per scan"
    assert axes.get_ylabel().startswith("sensitivity")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    places = axes.transData.transform([(rate, 0) for rate in RATES])[:, 0]
    assert np.diff(places) == pytest.approx(np.diff(places)[0])  # each twice as many
    one, dots, mean, marked = axes.get_lines()
    assert one.get_ydata() == pytest.approx(np.asarray(one.get_xdata()) * 0.1)
    assert tuple(dots.get_xdata()) == tuple(marked.get_xdata()) == RATES
    assert marked.get_ydata() == pytest.approx(np.array(RATES) * 0.6 / 8)
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().ymax == pytest.approx(0.8)  # 0.6 and a spread of 0.2
    legend = axes.get_legend()
    assert legend is not None
    cpm, three = np.mean(RATES) / 8, [np.mean(RATES) / 8 * top for top in (0.4, 0.6, 0.8)]
    assert [text.get_text() for text in legend.get_texts()] == [
        f"with $one$ seed, CPM {0.8 * cpm:.3f}",
        f"of three seeds, CPM {np.mean(three):.3f} ± {np.std(three, ddof=1):.3f}",
    ]
    assert len(mean.get_xdata()) == len(one.get_xdata())  # type: ignore[arg-type]


def test_the_figure() -> None:
    picture = decode(
        froc_figure({"supervised": [curve(0.5)], "FocalMix": [curve(0.6), curve(0.9)]}, title="5 labelled")
    )
    assert picture.ndim == 3
    assert picture.std() > 10


@pytest.mark.parametrize("curves", [{}, {"none": []}])
def test_without_a_curve_there_is_no_chart(curves: dict[str, list[Curve]]) -> None:
    with pytest.raises(SettingError, match="a curve each"):
        froc_figure(curves)
