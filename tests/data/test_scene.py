"""The drawn street: an image and its exact label, the same for the same seed."""

import numpy as np
import pytest

from pixalign.data.camvid import CLASSES
from pixalign.data.scene import draw_scene


def test_image_and_label_have_the_size_and_types_asked_for():
    image, ids = draw_scene(size=(90, 131))
    assert image.shape == (90, 131, 3)
    assert ids.shape == (90, 131)
    assert image.dtype == ids.dtype == np.uint8


@pytest.mark.parametrize("seed", range(3))
def test_every_class_is_there_and_road_and_sky_are_where_they_belong(seed):
    _, ids = draw_scene(seed)
    assert set(np.unique(ids)) == set(range(len(CLASSES)))
    assert (ids[-20:, 200:280] == CLASSES.index("road")).all()
    assert (ids[:20] == CLASSES.index("sky")).mean() > 0.2
    assert not (ids[200:] == CLASSES.index("sky")).any()


def test_a_seed_gives_one_street_and_another_seed_another():
    first, again, other = (draw_scene(seed, (90, 120)) for seed in (0, 0, 1))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[1] != other[1]).any()


def test_the_label_at_a_third_of_the_size_is_that_of_the_pixel_centres():
    _, large = draw_scene(0, (270, 360))
    _, small = draw_scene(0, (90, 120))
    assert (large[1::3, 1::3] == small).mean() > 0.98
