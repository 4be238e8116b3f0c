"""Scenes of drawn streets: exact labels at any size, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixalign.data.sets.camvid import CLASSES
from pixalign.data.sets.streets import LIGHTS, draw_scene
from pixalign.errors import InputError
from pixalign.streets.cover import fill

SKY, ROAD = CLASSES.index("sky"), CLASSES.index("road")
SIZES = st.tuples(st.integers(32, 130), st.integers(32, 150))


def centers(height, width):
    return (2 * np.arange(height) + 1) / (2 * height), (2 * np.arange(width) + 1 - width) / (2 * height)


def borders(mask):
    """Pixels with another class in their 3 x 3 neighborhood."""
    padded = np.pad(mask, 1, mode="edge")
    shifted = [padded[y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)]
    return (np.stack(shifted) != mask).any(0)


@given(seed=st.integers(0, 2**40), size=SIZES)
@example(seed=0, size=(97, 131))
@example(seed=1, size=(90, 120))
@settings(max_examples=12, deadline=None)
def test_every_third_pixel_of_three_times_the_size_has_the_same_label(seed, size):
    _, small = draw_scene(seed, size)
    _, large = draw_scene(seed, (3 * size[0], 3 * size[1]))
    assert (large[1::3, 1::3] == small).all()


@given(seed=st.integers(0, 2**40), width=st.integers(32, 100), more=st.integers(1, 40))
@settings(max_examples=8, deadline=None)
def test_a_wider_picture_shows_the_same_street_and_more_at_both_sides(seed, width, more):
    _, narrow = draw_scene(seed, (60, width))
    _, wide = draw_scene(seed, (60, width + 2 * more))
    assert (wide[:, more:-more] == narrow).all()


@pytest.mark.parametrize("seed", range(2))
def test_at_four_times_the_size_the_label_is_finer_along_borders(seed):
    _, small = draw_scene(seed, (180, 240))
    _, large = draw_scene(seed, (720, 960))
    enlarged = small.repeat(4, 0).repeat(4, 1)
    differs = large != enlarged
    assert 0 < differs.mean() < 0.1
    assert borders(small).repeat(4, 0).repeat(4, 1)[differs].mean() > 0.85  # the rest: things thinner than a pixel


def test_a_polygon_covers_the_centers_inside_it_and_neighbors_share_none():
    rows, columns = centers(10, 10)
    left = [(-0.5, 0.0), (0.05, 0.0), (0.05, 1.0), (-0.5, 1.0)]  # its right edge runs through the centers of column 5
    right = [(0.05, 0.0), (0.5, 0.0), (0.5, 1.0), (0.05, 1.0)]
    covers = [fill(np.array([shape]), np.array([1], np.uint16), rows, columns) for shape in (left, right)]
    assert (covers[0] + covers[1] == 1).all()
    assert covers[1][:, 5].all()


@given(st.lists(st.tuples(st.floats(-0.8, 0.8), st.floats(-0.3, 1.3), st.floats(0.02, 0.6)), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_of_overlapping_polygons_the_last_is_seen(discs):
    turns = np.arange(8) * np.pi / 4 + 0.3
    outline = np.array([[(u + r * np.cos(t), v + r * np.sin(t)) for t in turns] for u, v, r in discs])
    rows, columns = centers(40, 57)
    cover = fill(outline, np.arange(1, len(discs) + 1, dtype=np.uint16), rows, columns)
    expected = np.zeros_like(cover)
    u, v = np.meshgrid(columns, rows)
    safe = np.ones(cover.shape, bool)  # centers that are not on an edge
    for order, corners in enumerate(outline, 1):
        sides = [
            (b[0] - a[0]) * (v - a[1]) - (b[1] - a[1]) * (u - a[0]) for a, b in zip(corners, np.roll(corners, -1, 0))
        ]
        expected[np.min(sides, 0) > 0] = order
        safe &= np.min(np.abs(sides), 0) > 1e-12
    assert (cover == expected)[safe].all()


@pytest.mark.parametrize("size", [(32, 32), (97, 131), (40, 200), (200, 40)])
def test_image_and_label_have_the_size_and_types_asked_for(size):
    image, ids = draw_scene(3, size)
    assert image.shape == (*size, 3)
    assert ids.shape == size
    assert image.dtype == ids.dtype == np.uint8
    assert set(np.unique(ids)) <= {*range(len(CLASSES)), 255}


def test_a_seed_gives_one_street_and_another_seed_another():
    first, again, other = (draw_scene(seed, (90, 120)) for seed in (0, 0, 1))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[1] != other[1]).mean() > 0.05


def test_every_class_is_in_most_streets_and_no_class_fills_them():
    masks = [draw_scene(seed, (180, 240))[1] for seed in range(20)]
    present = np.array([[(mask == i).any() for i in range(len(CLASSES))] for mask in masks])
    assert (present.mean(0) >= 0.5).all()
    share = np.bincount(np.concatenate([m.ravel() for m in masks]), minlength=256) / sum(m.size for m in masks)
    assert 0.2 < share[ROAD] < 0.45
    assert 0.08 < share[SKY] < 0.3
    assert share[255] < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_the_sky_is_above_and_the_road_below(seed):
    _, ids = draw_scene(seed)
    assert (ids[:60] == SKY).sum() > (ids[240:] == SKY).sum() == 0
    assert (ids[240:] == ROAD).mean() > 0.3
    assert not (ids[:60] == ROAD).any()


@pytest.mark.parametrize("seed", range(4))
def test_dusk_is_darker_than_day_and_its_sky_stays_brighter_than_the_road(seed):
    (day, _), (dusk, ids) = (draw_scene(seed, (180, 240), light) for light in ("day", "dusk"))
    assert np.median(dusk) < 0.7 * np.median(day)
    assert dusk[ids == SKY].mean() > 2 * dusk[ids == ROAD].mean()
    assert np.median(dusk) < 60


def test_daylight_changes_the_picture_and_not_the_label():
    scenes = [draw_scene(5, (90, 120), light) for light in LIGHTS if light != "dusk"]
    for image, ids in scenes[1:]:
        assert (ids == scenes[0][1]).all()
        assert (image != scenes[0][0]).mean() > 0.5


def test_an_unknown_light_or_a_tiny_size_is_one_line():
    with pytest.raises(InputError, match="light 'noon' is unknown: choose one of day"):
        draw_scene(light="noon")
    with pytest.raises(InputError, match="size 1 x 9 is too small"):
        draw_scene(size=(1, 9))
