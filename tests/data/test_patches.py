"""Patches against naive slicing, the symmetries of the square, and the drawing of pixels."""

import numpy as np
import pytest
import torch

from hyperseg.core import SceneError, SettingError
from hyperseg.core.tiles import per_axis
from hyperseg.data.patches import BOX, SQUARE, PatchSource, draw_pixels


def cube(*shape: int, bands: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*(shape or (6, 5)), bands)).astype(np.float32)


def everywhere(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(shape))


SCENES = [(shape, r) for shape in [(6, 5), (1, 7), (4, 1), (1, 1), (2, 2)] for r in (0, 1, 3, (2, 1))]
VOLUMES = [((4, 5, 3), 1), ((4, 5, 3), (0, 2, 1)), ((1, 2, 3), 3), ((2, 3, 2), 0)]


@pytest.mark.parametrize(("shape", "radius"), [*SCENES, *VOLUMES])
def test_gather_equals_slicing_the_reflected_array_at_every_pixel(
    shape: tuple[int, ...], radius: int | tuple[int, ...]
) -> None:
    data, pixels, r = cube(*shape), everywhere(shape), per_axis("", radius, len(shape))
    padded = np.pad(data, [*zip(r, r, strict=True), (0, 0)], mode="reflect")
    source = PatchSource(data, radius=radius, layout="channels")
    got = source.gather(pixels)
    assert got.shape == (len(pixels), 4, *(2 * n + 1 for n in r)) == (len(pixels), 4, *source.window)
    assert got.dtype == torch.float32
    for patch, at in zip(got.numpy(), pixels.tolist(), strict=True):
        window = padded[tuple(slice(a, a + n) for a, n in zip(at, source.window, strict=True))]
        np.testing.assert_array_equal(patch, np.moveaxis(window, -1, 0))
    if len(shape) == 2:
        assert torch.equal(PatchSource(data, radius=radius).gather(pixels), got.unsqueeze(1))


def test_the_orientations_of_a_volume_are_its_eight_reflections() -> None:
    source = PatchSource(cube(4, 5, 6), radius=(1, 2, 1), layout="channels")
    pixel = torch.tensor([[2, 3, 1]])
    plain, signs = source.gather(pixel), BOX.diagonal(dim1=1, dim2=2).tolist()
    found = [plain.flip([axis for axis, sign in enumerate(each, 2) if sign < 0]) for each in signs]
    turned = source.gather(pixel.expand(8, 3), torch.arange(source.orientations))
    assert torch.equal(turned, torch.cat(found))
    assert torch.equal(turned[0], plain[0])
    assert len({patch.numpy().tobytes() for patch in turned}) == 8


def test_a_long_patch_lies_across_where_it_is_turned() -> None:
    pixels, turns = everywhere((6, 5)).repeat(8, 1), torch.arange(8).repeat_interleave(30)
    square = PatchSource(cube(), radius=2).gather(pixels, turns)
    assert torch.equal(PatchSource(cube(), radius=(2, 1)).gather(pixels, turns), square[..., 1:-1])


@pytest.mark.parametrize("shapes", [((6, 5), (1, 7), (9, 3)), ((4, 5, 3), (2, 2, 2), (1, 6, 4))])
def test_several_scenes_give_what_each_of_them_gives(shapes: tuple[tuple[int, ...], ...]) -> None:
    cubes = [cube(*shape, seed=i) for i, shape in enumerate(shapes)]
    together = PatchSource(cubes, radius=2, layout="channels")
    places = [torch.cat([torch.full((len(p), 1), i), p], 1) for i, p in enumerate(map(everywhere, shapes))]
    pixels = torch.cat(places)
    mixed = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    turns = mixed % 8
    alone = [PatchSource(c, radius=2, layout="channels") for c in cubes]
    expected = torch.cat([s.gather(p[:, 1:]) for s, p in zip(alone, places, strict=True)])
    assert torch.equal(together.gather(pixels[mixed]), expected[mixed])
    got = together.gather(pixels[mixed], turns)
    for row, turn, patch in zip(pixels[mixed], turns, got, strict=True):
        assert torch.equal(alone[int(row[0])].gather(row[None, 1:], turn[None])[0], patch)
    only = PatchSource(cubes[:1], radius=2, layout="channels")  # a list of one is a list
    assert torch.equal(only.gather(places[0]), expected[: len(places[0])])


def test_orientations_are_exactly_the_eight_symmetries() -> None:
    source, pixel = PatchSource(cube(), radius=2), torch.tensor([[2, 3]])
    plain = source.gather(pixel)[0, 0].numpy()
    symmetries = [np.rot90(p, k, (1, 2)) for p in (plain, plain[:, ::-1]) for k in range(4)]
    found = []
    for orientation in range(8):
        patch = source.gather(pixel, torch.tensor([orientation]))[0, 0].numpy()
        matches = [i for i, s in enumerate(symmetries) if np.array_equal(patch, s)]
        assert len(matches) == 1
        found += matches
    assert sorted(found) == list(range(8))
    assert found[0] == 0  # orientation 0 changes nothing


def test_orientations_form_a_group_and_mix_within_a_batch() -> None:
    matrices = {tuple(m.flatten().tolist()) for m in SQUARE}
    assert len(matrices) == 8
    for a in SQUARE:
        assert tuple(a.T.flatten().tolist()) in matrices  # the inverse of an orthogonal matrix
        assert {tuple((a @ b).flatten().tolist()) for b in SQUARE} == matrices
    source, pixels, turns = PatchSource(cube(), radius=1), everywhere((2, 4)), torch.arange(8)
    one_by_one = [source.gather(pixels[i : i + 1], turns[i : i + 1]) for i in range(8)]
    assert torch.equal(source.gather(pixels, turns), torch.cat(one_by_one))


def test_sources_refuse_what_is_not_a_cube() -> None:
    for bad in (cube()[..., 0], np.zeros((0, 3, 2), np.float32), []):
        with pytest.raises(SceneError, match="rows, columns, bands"):
            PatchSource(bad, radius=1)
    for others in ([cube(), cube(bands=3)], [cube(), cube(2, 3, 4)]):
        with pytest.raises(SceneError, match="as many axes and bands"):
            PatchSource(others, radius=1)
    with pytest.raises(SettingError, match="got -1"):
        PatchSource(cube(), radius=-1)
    with pytest.raises(SettingError, match='volumes have the layout "channels"'):
        PatchSource(cube(2, 3, 4), radius=1)
    with pytest.raises(SettingError, match="depth or channels, got 'bands'"):
        PatchSource(cube(), radius=1, layout="bands")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"\(batch, 3\), scene, row and column; got \(9, 2\)"):
        PatchSource([cube()], radius=1).gather(everywhere((3, 3)))
    assert PatchSource(cube().astype(np.float64), radius=1).padded.dtype == torch.float32


@pytest.mark.parametrize(("n", "batch"), [(12, 4), (12, 12), (7, 1), (5, 9)])
def test_an_epoch_visits_every_pixel_exactly_once(n: int, batch: int) -> None:
    per_epoch = max(n // batch, 1)
    for epoch in range(3):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        drawn = torch.cat([draw_pixels(n, batch=batch, step=s, seed=1) for s in steps])
        assert sorted(drawn.tolist()) == list(range(n))


def test_the_rest_of_an_epoch_is_another_one_each_time() -> None:
    rests = []
    for epoch in range(12):
        drawn = torch.cat([draw_pixels(10, batch=4, step=2 * epoch + k, seed=0) for k in range(2)]).tolist()
        assert len(set(drawn)) == 8
        rests.append(frozenset(range(10)) - set(drawn))
    assert len(set(rests)) > 6
    assert not frozenset.intersection(*rests)  # every pixel is trained


@pytest.mark.parametrize("balanced", [False, True])
def test_a_draw_depends_on_seed_and_step_alone(balanced: bool) -> None:
    classes = torch.arange(50) % 3 if balanced else None

    def draw(step: int, seed: int) -> list[int]:
        return draw_pixels(50, batch=8, step=step, seed=seed, balanced=classes).tolist()

    forward = [draw(s, 0) for s in range(20)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert [draw(s, 0) for s in reversed(range(20))] == forward[::-1]
    assert torch.equal(torch.get_rng_state(), before)
    assert len({tuple(d) for d in forward}) == 20
    assert draw(3, 1) != forward[3]


def test_balanced_draws_take_classes_equally_and_pixels_of_a_class_equally() -> None:
    counts = [900, 80, 15, 0, 5]
    classes = torch.repeat_interleave(torch.arange(5), torch.tensor(counts))
    drawn = torch.cat([draw_pixels(1000, batch=100, step=s, seed=0, balanced=classes) for s in range(200)])
    per_class = torch.bincount(classes[drawn], minlength=5).double()
    assert per_class[3] == 0
    expected = len(drawn) / 4
    chi_square = ((per_class[[0, 1, 2, 4]] - expected) ** 2 / expected).sum()
    assert chi_square < 16.3  # 0.1 % point of 3 degrees of freedom
    rare = torch.bincount(drawn, minlength=1000)[-5:].double()
    assert ((rare - rare.mean()) ** 2 / rare.mean()).sum() < 18.5  # 0.1 % point of 4


@pytest.mark.parametrize("bad", [{"n": 0}, {"batch": 0}, {"step": -1}, {"seed": -1}])
def test_impossible_draws_are_refused(bad: dict) -> None:
    with pytest.raises(SettingError, match=r"draw from 1 or more"):
        draw_pixels(**{"n": 5, "batch": 2, "step": 0, "seed": 0, **bad})
