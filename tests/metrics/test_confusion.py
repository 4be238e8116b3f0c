import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassJaccardIndex

from pixalign.errors import InputError
from pixalign.metrics import confusion_matrix, summary

CLASSES = ["road", "car", "tree"]


@st.composite
def pairs(draw: st.DrawFn, shape: tuple[int, int] | None = None) -> tuple[int, np.ndarray, np.ndarray]:
    """A number of classes, a prediction and a label with ignored pixels, in integer dtypes of any kind."""
    num_classes = draw(st.sampled_from([1, 2, 3, 11, 15, 16, 19, 200, 255]))
    height, width = shape or (draw(st.integers(0, 9)), draw(st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    prediction = rng.integers(0, num_classes, (height, width))
    label = rng.integers(0, num_classes, (height, width))
    label[rng.random((height, width)) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 255
    wide = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
    return num_classes, prediction.astype(draw(wide)), label.astype(draw(wide))


def by_hand(prediction: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    for p, y in zip(prediction.ravel().tolist(), label.ravel().tolist()):
        if y != 255:
            matrix[y, p] += 1
    return matrix


@given(pairs())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_matrix_is_that_of_a_loop_over_the_pixels(case):
    num_classes, prediction, label = case
    expected = by_hand(prediction, label, num_classes)
    matrix = confusion_matrix(prediction, label, num_classes)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


@given(pairs())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_diagonal_columns_and_rows_are_the_three_counts_over_labeled_pixels(case):
    num_classes, prediction, label = case
    matrix = confusion_matrix(prediction, label, num_classes)
    for c in range(num_classes):
        labeled = label != 255
        assert matrix[c, c] == ((prediction == c) & (label == c) & labeled).sum()
        assert matrix.sum(0)[c] == ((prediction == c) & labeled).sum()
        assert matrix.sum(1)[c] == ((label == c) & labeled).sum()


@given(st.lists(pairs(shape=(4, 5)), min_size=1, max_size=5), st.randoms(use_true_random=False), st.integers(0, 5))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_neither_order_nor_division_among_processes_matters(cases, random, cut):
    images = [(prediction, label) for _, prediction, label in cases]
    whole = sum(confusion_matrix(*image, 255) for image in images)
    random.shuffle(images)
    one, other = (sum(confusion_matrix(*image, 255) for image in part) for part in (images[:cut], images[cut:]))
    np.testing.assert_array_equal(one + other, whole)


def test_a_stack_of_images_counts_as_its_images():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 3, (4, 6, 7), dtype=np.uint8)
    label = rng.integers(0, 3, (4, 6, 7), dtype=np.uint8)
    one = sum(confusion_matrix(*image, 3) for image in zip(prediction, label))
    np.testing.assert_array_equal(one, confusion_matrix(prediction, label, 3))


def test_views_and_read_only_arrays_are_counted_and_left_as_they_were():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 3, (6, 8), dtype=np.uint8)[::2, ::-1].T
    label = rng.integers(0, 3, (8, 3), dtype=np.uint8)
    prediction.flags.writeable = label.flags.writeable = False
    before = prediction.copy(), label.copy()
    np.testing.assert_array_equal(confusion_matrix(prediction, label, 3), by_hand(prediction, label, 3))
    np.testing.assert_array_equal(prediction, before[0])
    np.testing.assert_array_equal(label, before[1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_a_label_outside_the_classes_is_refused_by_value_and_pixels(dtype):
    label = np.zeros((4, 5), dtype)
    label[0, :3], label[1, 0], label[2] = 37, 11, 255
    with pytest.raises(InputError, match=r"label .* 11 classes: 11 \(1 pixels\), 37 \(3 pixels\); expected 0 to 10"):
        confusion_matrix(np.zeros((4, 5), np.uint8), label, 11)


@pytest.mark.parametrize("num_classes", [1, 3, 15, 254])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_the_first_id_after_the_classes_is_refused(num_classes, dtype):
    with pytest.raises(InputError, match=rf"{num_classes} \(1 pixels\); expected 0 to {num_classes - 1}, or 255"):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.array([[0, num_classes]], dtype), num_classes)


@pytest.mark.parametrize(("value", "dtype"), [(-1, np.int64), (256, np.int32), (511, np.uint16), (-256, np.int16)])
def test_a_label_that_would_wrap_in_a_byte_is_refused(value, dtype):
    with pytest.raises(InputError, match=rf"{value} \(1 pixels\)"):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.array([[0, value]], dtype), 255)


def test_a_long_list_of_wrong_labels_is_cut():
    label = np.arange(20, dtype=np.uint8).reshape(4, 5)
    with pytest.raises(InputError, match=r"2 \(1 pixels\), .* 6 \(1 pixels\) and 13 more; expected 0 to 1"):
        confusion_matrix(np.zeros_like(label), label, 2)


@pytest.mark.parametrize(("value", "dtype"), [(3, np.uint8), (255, np.uint8), (256, np.int64), (-1, np.int8)])
def test_a_prediction_outside_the_classes_is_refused_even_where_the_label_is_ignored(value, dtype):
    with pytest.raises(ValueError, match=rf"prediction .* 3 classes: {value} \(1 pixels\); expected 0 to 2") as error:
        confusion_matrix(np.array([[0, value]], dtype), np.array([[0, 255]], np.uint8), 3)
    assert not isinstance(error.value, InputError)


def test_shapes_that_differ_and_logits_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) and label \(3, 2\)"):
        confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 3)
    with pytest.raises(ValueError, match="prediction has dtype float32"):
        confusion_matrix(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint8), 3)


@pytest.mark.parametrize("num_classes", [0, 256])
def test_more_classes_than_a_label_byte_holds_are_refused(num_classes):
    with pytest.raises(InputError, match=f"{num_classes} classes: expected 1 to 255"):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8), num_classes)


def test_a_summary_worked_by_hand():
    matrix = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 4]])
    result = summary(matrix, CLASSES)
    assert result["iou"] == pytest.approx({"road": 6 / 9, "car": 3 / 6, "tree": 1.0})
    assert result["accuracy"] == pytest.approx({"road": 6 / 8, "car": 3 / 4, "tree": 1.0})
    assert result["miou"] == pytest.approx((6 / 9 + 3 / 6 + 1) / 3)
    assert result["class_accuracy"] == pytest.approx((6 / 8 + 3 / 4 + 1) / 3)
    assert result["pixel_accuracy"] == pytest.approx(13 / 16)
    assert result["frequency_weighted_iou"] == pytest.approx((8 * 6 / 9 + 4 * 3 / 6 + 4) / 16)
    assert result["class_pixels"] == {"road": 8, "car": 4, "tree": 4}
    assert result["pixels"] == 16
    assert result["absent"] == []


def test_an_absent_class_is_none_and_left_out_of_the_means_though_it_was_predicted():
    matrix = np.array([[6, 0, 2], [1, 3, 0], [0, 0, 0]])
    result = summary(matrix, CLASSES)
    assert result["absent"] == ["tree"]
    assert result["iou"]["tree"] is None
    assert result["accuracy"]["tree"] is None
    assert result["miou"] == pytest.approx((6 / 9 + 3 / 4) / 2)
    assert result["class_accuracy"] == pytest.approx((6 / 8 + 3 / 4) / 2)


def test_a_class_that_is_never_found_counts_as_zero():
    assert summary(np.array([[4, 0], [4, 0]]), ["a", "b"])["iou"] == {"a": 0.5, "b": 0.0}


def test_a_summary_goes_through_json_unchanged():
    result = summary(np.array([[6, 0, 2], [1, 3, 0], [0, 0, 0]]), CLASSES)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_counts_beyond_32_bits_stay_exact():
    matrix = np.full((1, 1), 2**53 + 1) + confusion_matrix(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), 1)
    assert summary(matrix, ["all"])["pixels"] == 2**53 + 2


def test_a_split_without_labels_is_refused():
    with pytest.raises(InputError, match="no labeled pixel"):
        summary(np.zeros((3, 3), np.int64), CLASSES)


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "a"]])
def test_names_that_do_not_fit_the_matrix_are_refused(names):
    with pytest.raises(InputError, match="one different name per row"):
        summary(np.eye(3, dtype=np.int64), names)


@pytest.mark.parametrize("num_classes", [2, 11, 19])
def test_miou_is_that_of_torchmetrics_where_every_class_is_present(num_classes):
    rng = np.random.default_rng(num_classes)
    other = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=255)
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for _ in range(3):
        label = rng.integers(0, num_classes, (30, 40), dtype=np.uint8)
        prediction = np.where(rng.random(label.shape) < 0.5, label, rng.integers(0, num_classes, label.shape))
        label[rng.random(label.shape) < 0.1] = 255
        matrix += confusion_matrix(prediction, label, num_classes)
        other.update(torch.from_numpy(prediction), torch.from_numpy(label.astype(np.int64)))
    result = summary(matrix, [str(c) for c in range(num_classes)])
    assert result["absent"] == []
    assert result["miou"] == pytest.approx(other.compute().item(), abs=1e-6)


def test_metrics_do_without_torch():
    code = "import sys, pixalign.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
