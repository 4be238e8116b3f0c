"""The boundary F-score, against its definition written out with distance transforms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from pixalign.errors import InputError
from pixalign.metrics.boundary import RADII, boundary_scores, edge_counts

SIZES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def plain_edges(mask, counted):
    """Pixel by pixel: does the right, lower or lower right neighbor differ?"""
    edges = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        for dy, dx in ((0, 1), (1, 0), (1, 1)):
            if y + dy < mask.shape[0] and x + dx < mask.shape[1]:
                edges[y, x] |= mask[y, x] != mask[y + dy, x + dx]
    return edges & counted


def plain_counts(prediction, label, classes, radii):
    """(2, R, K) matched and (2, K) edges, one class and one distance transform at a time."""
    counted = np.ones(label.shape, bool)
    for y, x in np.ndindex(label.shape):
        counted[y, x] = not (label[y : y + 2, x : x + 2] == 255).any()
    matched, edges = np.zeros((2, len(radii), classes), int), np.zeros((2, classes), int)
    for c in range(classes):
        maps = [plain_edges(ids == c, counted) for ids in (prediction, label)]
        for side in (0, 1):
            own, other = maps[side], maps[1 - side]
            edges[side, c] = own.sum()
            if other.any():
                distance = distance_transform_edt(~other)
                matched[side, :, c] = [(distance[own] <= radius).sum() for radius in radii]
    return matched, edges


@given(st.data(), SIZES, st.sampled_from([1, 3, 9, 17, 40, 70]))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_the_definition(data, size, classes):
    prediction = data.draw(arrays(np.uint8, size, elements=st.integers(0, classes - 1)))
    label = data.draw(arrays(np.uint8, size, elements=st.sampled_from([*range(classes), 255])))
    radii = (0, 1, 1.5, 3, 5)
    counts = edge_counts(prediction, label, classes, radii)
    matched, edges = plain_counts(prediction, label, classes, radii)
    assert np.array_equal(counts[:, 1:], matched)
    assert np.array_equal(counts[:, 0], edges)


def test_a_border_that_is_off_by_three_pixels_counts_from_radius_three_on():
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 1
    prediction = np.roll(label, 3, 1)
    prediction[:, :3] = 0
    scores = boundary_scores(edge_counts(prediction, label, 2), ["a", "b"])
    assert scores["mean"] == {"1": 0, "3": 1, "5": 1, "9": 1, "12": 1}


def test_a_perfect_prediction_has_score_one_and_absent_classes_are_left_out():
    label = np.random.default_rng(0).integers(0, 3, (30, 40)).astype(np.uint8)
    result = boundary_scores(edge_counts(label, label, 4), list("abcd"))
    assert result["mean"]["1"] == 1
    assert result["by_class"]["1"] == {"a": 1, "b": 1, "c": 1, "d": None}


def test_counts_are_summed_over_the_split_and_over_processes():
    rng = np.random.default_rng(1)
    images = [
        (rng.integers(0, 3, (20, 30)).astype(np.uint8), rng.integers(0, 3, (20, 30)).astype(np.uint8)) for _ in range(4)
    ]
    whole = sum(edge_counts(*image, 3) for image in images)
    parts = [sum(edge_counts(*image, 3) for image in images[first::2]) for first in range(2)]
    assert np.array_equal(parts[0] + parts[1], whole)
    edges = sum(plain_counts(*image, 3, RADII)[1] for image in images)
    assert np.array_equal(whole[:, 0], edges)


def test_a_split_without_borders_has_no_score():
    counts = edge_counts(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), 2)
    assert boundary_scores(counts, ["a", "b"])["mean"]["1"] is None


@pytest.mark.parametrize(("classes", "radii"), [(0, (1,)), (256, (1,)), (3, ()), (3, (3, 1)), (3, (-1, 2))])
def test_what_cannot_be_counted_is_refused(classes, radii):
    with pytest.raises(InputError):
        edge_counts(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), classes, radii)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(4, 5\)"):
        edge_counts(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8), 2)
