"""The planner's rules on data sets whose plans are known."""

import pytest

from hyperseg.medical.topology import configure, first_patch, halve

# task: spacing, median size, cases, channels, K; 3-D patch, batch, pools, values; 2-D patch, batch, pools, values.
# Reconstruction: spacings and sizes are recalled, the rows follow from the published rules.
GOLDEN = {
    "Hippocampus": (
        (1, 1, 1),
        (36, 50, 35),
        260,
        1,
        3,
        (40, 56, 40),
        9,
        (3, 3, 3),
        19_174_400,
        (56, 40),
        366,
        (3, 3),
        651_840,
    ),
    "BrainTumour": (
        (1, 1, 1),
        (138, 170, 138),
        484,
        4,
        4,
        (128,) * 3,
        2,
        (5,) * 3,
        454_893_568,
        (192, 160),
        105,
        (5, 5),
        9_676_800,
    ),
    "Prostate": (
        (3.6, 0.62, 0.62),
        (20, 320, 319),
        32,
        2,
        3,
        (20, 320, 256),
        2,
        (2, 6, 6),
        483_315_200,
        (320, 320),
        32,
        (6, 6),
        32_332_800,
    ),
    "Heart": (
        (1.37, 1.25, 1.25),
        (115, 320, 232),
        20,
        1,
        2,
        (80, 192, 160),
        2,
        (4, 5, 5),
        528_211_200,
        (320, 256),
        40,
        (6, 6),
        25_784_320,
    ),
    "Liver": (
        (1, 0.767578125, 0.767578125),
        (482, 512, 512),
        131,
        1,
        3,
        (128,) * 3,
        2,
        (5,) * 3,
        452_796_416,
        (512, 512),
        12,
        (7, 7),
        82_886_656,
    ),
    "Lung": (
        (1.24, 0.785, 0.785),
        (252, 512, 512),
        63,
        1,
        2,
        (80, 192, 160),
        2,
        (4, 5, 5),
        528_211_200,
        (512, 512),
        12,
        (7, 7),
        82_624_512,
    ),
    "Pancreas": (
        (2.5, 0.803, 0.803),
        (96, 512, 512),
        281,
        1,
        3,
        (40, 224, 224),
        2,
        (3, 5, 5),
        539_611_520,
        (512, 512),
        12,
        (7, 7),
        82_886_656,
    ),
}


@pytest.mark.parametrize("task", GOLDEN)
def test_plans_of_known_data_sets(task: str) -> None:
    spacing, size, cases, _, k, *solid_and_flat = GOLDEN[task]
    for axes, (patch, batch, pools, values) in ((3, solid_and_flat[:4]), (2, solid_and_flat[4:])):
        made = configure(spacing[-axes:], size[-axes:], n_cases=cases, n_classes=k, volume=size)
        assert (made.topology.patch, made.topology.pools, made.values, made.batch) == (patch, pools, values, batch), (
            axes
        )
