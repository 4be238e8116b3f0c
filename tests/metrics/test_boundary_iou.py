"""Boundary IoU and trimap IoU, against their definitions pixel by pixel and by repeated erosion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion

from pixalign.errors import InputError
from pixalign.metrics.boundary_iou import band_counts, band_scores

SIZES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def plain_counts(prediction, label, classes, widths, share):
    """The counts of both measures, one class, width and pixel's square at a time."""
    labeled = label != 255

    def others(ids, y, x, d):
        square = np.s_[max(y - d, 0) : y + d + 1, max(x - d, 0) : x + d + 1]
        return (ids[square][labeled[square]] != ids[y, x]).any()

    def at_the_border(y, x, d):
        return min(y, x, label.shape[0] - 1 - y, label.shape[1] - 1 - x) < d

    boundary = np.zeros((3, 1 + len(widths), classes), int)
    trimap = np.zeros((3, len(widths), classes), int)
    for y, x in zip(*np.nonzero(labeled)):
        guess, truth = prediction[y, x], label[y, x]
        for i, d in enumerate([share, *widths]):
            own, true = (others(ids, y, x, d) or at_the_border(y, x, d) for ids in (prediction, label))
            boundary[0, i, truth] += own and true and guess == truth
            boundary[1, i, guess] += own
            boundary[2, i, truth] += true
            if i and others(label, y, x, d):
                trimap[0, i - 1, truth] += guess == truth
                trimap[1, i - 1, guess] += 1
                trimap[2, i - 1, truth] += 1
    return boundary, trimap


@given(st.data(), SIZES, st.sampled_from([1, 2, 4, 255]))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_the_definitions(data, size, classes):
    ids = [*{0, min(1, classes - 1), classes - 1}]
    prediction = data.draw(arrays(np.uint8, size, elements=st.sampled_from(ids), fill=st.sampled_from(ids)))
    label = data.draw(arrays(np.uint8, size, elements=st.sampled_from([*ids, 255]), fill=st.sampled_from(ids)))
    widths = (1, 2, 4, 9)
    counts = band_counts(prediction.astype(np.int64), label, classes, widths)
    boundary, trimap = plain_counts(prediction, label, classes, widths, share=1)
    assert np.array_equal(counts[0], boundary)
    assert np.array_equal(counts[1, :, 1:], trimap)


@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(20, 60), st.sampled_from([3, 8]))
@settings(max_examples=20, deadline=None)
def test_boundary_iou_is_that_of_masks_eroded_inside_a_frame_of_zeros(seed, height, width, d):
    rng = np.random.default_rng(seed)
    label, prediction = (np.kron(rng.integers(0, 3, (9, 9)), np.ones((7, 7), int))[:height, :width] for _ in range(2))
    counts = band_counts(prediction, label, 3, (d,))
    rims = [
        [mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=d, border_value=0) for mask in (ids == c, guess == c)]
        for c, ids, guess in ((c, label, prediction) for c in range(3))
    ]
    expected = [(a & b).sum() / (a | b).sum() if (a | b).any() else 0 for a, b in rims]
    found = band_scores(counts, list("abc"), (d,))["iou"]["by_class"][str(d)]
    assert [v for v in found.values() if v is not None] == [v for v, (a, _) in zip(expected, rims) if a.any()]


def test_the_first_band_is_two_per_cent_of_the_diagonal_whatever_the_size():
    for side in (50, 300, 400):  # bands of 1, 8 and 11 pixels
        label = np.zeros((side, side), np.uint8)
        band = max(1, round(0.02 * side * 2**0.5))
        assert band_counts(label, label, 1)[0, 2, 0, 0] == side**2 - (side - 2 * band) ** 2


def test_images_of_several_sizes_and_processes_add_up():
    rng = np.random.default_rng(0)
    images = []
    for size in ((30, 40), (200, 300), (500, 600)):
        prediction, label = rng.integers(0, 3, (2, *size), dtype=np.uint8)
        label[: size[0] // 2] = 2
        images.append((prediction, label))
    total = sum(band_counts(*image, 3) for image in images)
    assert total.shape == (2, 3, 6, 3)
    scores = band_scores(total, list("abc"))
    for measure, counts in zip(("iou", "trimap"), total):
        hits, guesses, truths = counts[:, 2]  # of the width 3
        expected = hits / (guesses + truths - hits)
        assert list(scores[measure]["by_class"]["3"].values()) == pytest.approx(expected.tolist())


def test_a_perfect_prediction_has_one_and_absent_classes_are_left_out():
    label = np.random.default_rng(0).integers(0, 3, (30, 40)).astype(np.uint8)
    for result in band_scores(band_counts(label, label, 4), list("abcd")).values():
        assert result["mean"]["1"] == 1
        assert result["by_class"]["1"] == {"a": 1, "b": 1, "c": 1, "d": None}


def test_errors_far_from_borders_touch_neither_measure():
    label = np.zeros((80, 80), np.uint8)
    label[:, 40:] = 1
    prediction = label.copy()
    prediction[20, 20] = 1  # 20 pixels from both borders
    counts, perfect = (band_counts(ids, label, 2, (1, 3)) for ids in (prediction, label))
    assert np.array_equal(counts[1], perfect[1])
    assert np.array_equal(counts[0, [0, 2]], perfect[0, [0, 2]])  # but the false border is a band of its own
    assert (counts[0, 1] > perfect[0, 1]).any()


def test_borders_to_unlabeled_regions_make_no_band():
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 255
    counts = band_counts(np.where(label == 255, 1, 0), label, 2, (1, 3))
    assert not counts[1].any()
    assert band_scores(counts, ["a", "b"], (1, 3))["trimap"]["mean"] == {"1": None, "3": None}
    assert counts[0, 2, 1].tolist() == [20 * 2 + 38, 0]  # three sides of the image, none at the unlabeled half


@pytest.mark.parametrize(
    ("classes", "widths"), [(0, (1,)), (256, (1,)), (3, ()), (3, (3, 1)), (3, (0, 2)), (3, (1.5,)), (3, (1, 1))]
)
def test_what_cannot_be_counted_is_refused(classes, widths):
    with pytest.raises(InputError):
        band_counts(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), classes, widths)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(4, 5\)"):
        band_counts(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8), 2)
