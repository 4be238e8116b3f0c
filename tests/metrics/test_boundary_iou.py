"""Boundary IoU and trimap IoU, against their definitions pixel by pixel and by repeated erosion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion

from pixalign.errors import InputError
from pixalign.metrics.boundary_iou import BandIoU

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
    bands = BandIoU(classes, (1, 2, 4, 9))
    bands.update(prediction.astype(np.int64), label)
    boundary, trimap = plain_counts(prediction, label, classes, bands.widths, share=1)
    assert np.array_equal(bands.boundary, boundary)
    assert np.array_equal(bands.trimap, trimap)


@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(20, 60), st.sampled_from([3, 8]))
@settings(max_examples=20, deadline=None)
def test_boundary_iou_is_that_of_masks_eroded_inside_a_frame_of_zeros(seed, height, width, d):
    rng = np.random.default_rng(seed)
    label, prediction = (np.kron(rng.integers(0, 3, (9, 9)), np.ones((7, 7), int))[:height, :width] for _ in range(2))
    bands = BandIoU(3, (d,))
    bands.update(prediction, label)
    rims = [
        [mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=d, border_value=0) for mask in (ids == c, guess == c)]
        for c, ids, guess in ((c, label, prediction) for c in range(3))
    ]
    expected = [(a & b).sum() / (a | b).sum() if (a | b).any() else 0 for a, b in rims]
    found = bands.summary(list("abc"))["iou"]["by_class"][str(d)]
    assert [v for v in found.values() if v is not None] == [v for v, (a, _) in zip(expected, rims) if a.any()]


def test_the_first_band_is_two_per_cent_of_the_diagonal_whatever_the_size():
    for side in (50, 300, 400):  # bands of 1, 8 and 11 pixels
        label = np.zeros((side, side), np.uint8)
        band = max(1, round(0.02 * side * 2**0.5))
        bands = BandIoU(1)
        bands.update(label, label)
        assert bands.boundary[2, 0, 0] == side**2 - (side - 2 * band) ** 2


def test_images_of_several_sizes_and_processes_add_up():
    rng = np.random.default_rng(0)
    whole, sums = BandIoU(3), [0, 0]
    for size in ((30, 40), (200, 300), (500, 600)):
        prediction, label = rng.integers(0, 3, (2, *size), dtype=np.uint8)
        label[: size[0] // 2] = 2
        whole.update(prediction, label)
        part = BandIoU(3)
        part.update(prediction, label)
        sums = [sums[0] + part.boundary, sums[1] + part.trimap]
    assert np.array_equal(whole.boundary, sums[0])
    assert np.array_equal(whole.trimap, sums[1])


def test_a_perfect_prediction_has_one_and_absent_classes_are_left_out():
    label = np.random.default_rng(0).integers(0, 3, (30, 40)).astype(np.uint8)
    bands = BandIoU(4)
    bands.update(label, label)
    for result in bands.summary(list("abcd")).values():
        assert result["mean"]["1"] == 1
        assert result["by_class"]["1"] == {"a": 1, "b": 1, "c": 1, "d": None}


def test_errors_far_from_borders_touch_neither_measure():
    label = np.zeros((80, 80), np.uint8)
    label[:, 40:] = 1
    prediction = label.copy()
    prediction[20, 20] = 1  # 20 pixels from both borders
    bands, perfect = BandIoU(2, (1, 3)), BandIoU(2, (1, 3))
    bands.update(prediction, label)
    perfect.update(label, label)
    assert np.array_equal(bands.trimap, perfect.trimap)
    assert np.array_equal(bands.boundary[[0, 2]], perfect.boundary[[0, 2]])  # but the false border is a band of its own
    assert (bands.boundary[1] > perfect.boundary[1]).any()


def test_borders_to_unlabeled_regions_make_no_band():
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 255
    bands = BandIoU(2, (1, 3))
    bands.update(np.where(label == 255, 1, 0), label)
    assert not bands.trimap.any()
    assert bands.summary(["a", "b"])["trimap"]["mean"] == {"1": None, "3": None}
    assert bands.boundary[2, 1].tolist() == [20 * 2 + 38, 0]  # three sides of the image, none at the unlabeled half


@pytest.mark.parametrize(
    ("classes", "widths"), [(0, (1,)), (256, (1,)), (3, ()), (3, (3, 1)), (3, (0, 2)), (3, (1.5,)), (3, (1, 1))]
)
def test_what_cannot_be_counted_is_refused(classes, widths):
    with pytest.raises(InputError):
        BandIoU(classes, widths)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(4, 5\)"):
        BandIoU(2).update(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))
