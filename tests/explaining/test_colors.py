"""Colors of directions, of shares and of features."""

import numpy as np
import pytest

from pixalign.explaining.colors import feature_colors, flow_colors, flow_wheel, heat, hue


@pytest.mark.parametrize(
    ("dx", "dy", "strong", "weak"),
    [(1, 0, "r", "gb"), (0, 1, "rg", "b"), (-1, 0, "gb", "r"), (0, -1, "b", "g")],
    ids=["right is red", "down is yellow", "left is cyan", "up is violet"],
)
def test_directions_have_the_wheels_colors(dx, dy, strong, weak):
    red, green, blue = hue(np.array(float(dx)), np.array(float(dy)))
    channels = {"r": red, "g": green, "b": blue}
    assert all(channels[c] > 0.7 for c in strong)
    assert all(channels[c] < 0.3 for c in weak)


def test_nothing_moved_is_white_and_the_full_length_has_full_color():
    field = np.zeros((2, 1, 3))
    field[0, 0] = (0, 5, 50)
    white, full, beyond = flow_colors(field, 5.0)[0].tolist()
    assert white == [255, 255, 255]
    assert full == [255, 0, 0]
    assert beyond == [191, 0, 0]


def test_a_field_without_any_motion_is_white_whatever_the_scale():
    assert (flow_colors(np.zeros((2, 4, 4)), 0.0) == 255).all()


def test_the_wheel_shows_each_direction_where_it_points():
    wheel = flow_wheel(64)
    for x, y in ((60, 32), (32, 60), (4, 32), (32, 4), (50, 50)):
        dx, dy = (x + 0.5) / 32 - 1, (y + 0.5) / 32 - 1
        assert (wheel[y, x] == flow_colors(np.array([[[dx]], [[dy]]]), 1.0)[0, 0]).all()
    assert (wheel[0, 0] == 255).all()


def test_heat_rises_in_lightness():
    lightness = heat(np.linspace(0, 1, 11)[None]).astype(int).sum(-1)[0]
    assert (np.diff(lightness) > 0).all()


def test_equal_features_have_equal_colors_across_maps_and_unlike_ones_do_not():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(8, 6, 7))
    second = np.ascontiguousarray(first[:, ::-1])
    one, two = feature_colors([first, second])
    assert (one[::-1] == two).all()
    assert len(np.unique(one.reshape(-1, 3), axis=0)) > 30


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_features_of_few_channels_have_colors_too(channels):
    (picture,) = feature_colors([np.random.default_rng(0).normal(size=(channels, 4, 5))])
    assert picture.shape == (4, 5, 3)
    assert picture.std() > 10


def test_a_constant_map_is_one_color():
    (picture,) = feature_colors([np.ones((4, 3, 3))])
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
