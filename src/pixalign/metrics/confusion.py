"""Confusion matrix of a split in exact integers, and the measures that follow from it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixalign.errors import InputError
from pixalign.palette import IGNORE


def check_count(num_classes: int) -> None:
    """Raise InputError for a number of classes that ids cannot tell apart."""
    if not 1 <= num_classes <= IGNORE:
        raise InputError(f"{num_classes} classes: expected 1 to 255, because 255 is the id of ignored pixels")


def confusion_matrix(prediction: NDArray[Any], label: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Return the (K, K) int64 counts of pixels by label (row) and prediction (column) of an image, or several stacked.

    Matrices of images add up. Of one, the diagonal, the sums of the columns and those of the rows are each class's
    pixels in the intersection, the prediction and the label.

    Args:
        prediction: class ids 0..K-1 of any integer dtype, (H, W).
        label: class ids 0..K-1, or 255 for ignored pixels, of the prediction's shape.
        num_classes: number of classes K, 1 to 255.

    Raises:
        InputError: a label that is neither a class nor 255; it names the values and the pixels.
        ValueError: shapes that differ, a dtype that is not integer, or a prediction that is no class.
    """
    check_count(num_classes)
    if prediction.shape != label.shape:
        raise ValueError(f"prediction {prediction.shape} and label {label.shape} differ in shape")
    label = _ids(label, num_classes, "label")
    prediction = _ids(prediction, num_classes, "prediction")
    # In uint8, 255 + 1 wraps to 0: row 0 takes the ignored pixels, row c + 1 class c.
    cells = (num_classes + 1) * num_classes
    index = (label + np.uint8(1)).astype(np.min_scalar_type(cells - 1), copy=False)
    index *= index.dtype.type(num_classes)
    index += prediction
    counts = np.bincount(index.ravel(), minlength=cells).astype(np.int64, copy=False)
    return counts.reshape(num_classes + 1, num_classes)[1:]


def _ids(values: NDArray[Any], num_classes: int, what: str) -> NDArray[np.uint8]:
    """Return the ids as uint8, once each is known to be a class, or 255 where ``what`` is the label."""
    if values.dtype.kind not in "iu":
        raise ValueError(f"{what} has dtype {values.dtype}: expected integer class ids")
    if what == "prediction":
        valid = values.min(initial=0) >= 0 and values.max(initial=0) < num_classes
    elif values.dtype == np.uint8:
        valid = (values + np.uint8(1)).max(initial=0) <= num_classes  # 255 wraps to 0
    else:
        valid = not _outside(values, num_classes, what).any()
    if valid:
        return values.astype(np.uint8, copy=False)
    found, pixels = np.unique(values[_outside(values, num_classes, what)], return_counts=True)
    listed = ", ".join(f"{value} ({count} pixels)" for value, count in zip(found[:5].tolist(), pixels.tolist()))
    if len(found) > 5:
        listed += f" and {len(found) - 5} more"
    message = f"{what} has values outside the {num_classes} classes: {listed}; expected 0 to {num_classes - 1}"
    if what == "prediction":
        raise ValueError(message)
    raise InputError(f"{message}, or 255 for ignored pixels: check the masks and the number of classes")


def _outside(values: NDArray[Any], num_classes: int, what: str) -> NDArray[np.bool_]:
    outside = (values < 0) | (values >= num_classes)
    return outside & (values != IGNORE) if what == "label" else outside


def summary(matrix: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Return the measures of a confusion matrix.

    With M the matrix, label_c its row sum, prediction_c its column sum, and T the sum of all:

    - iou_c = M_cc / (label_c + prediction_c - M_cc); miou is its mean;
    - accuracy_c = M_cc / label_c (recall); class_accuracy is its mean;
    - pixel_accuracy = sum of M_cc / T;
    - frequency_weighted_iou = sum of label_c * iou_c / T.

    A class without a labeled pixel in the split is absent: its iou and accuracy are None and both means leave it out,
    whether it was predicted or not (what is predicted as it already lowers the true classes).

    Args:
        matrix: (K, K) integers, rows labels, columns predictions.
        classes: K different names.

    Returns:
        Plain Python values that JSON can hold: "miou", "pixel_accuracy", "class_accuracy" and
        "frequency_weighted_iou" (floats in [0, 1]), "pixels" (labeled pixels, int), "iou" and "accuracy" (class name
        -> float or None), "class_pixels" (class name -> labeled pixels), "absent" (names).

    Raises:
        InputError: names that do not fit the matrix, or a split without a labeled pixel.
    """
    names = list(classes)
    if matrix.shape != (len(names), len(names)) or len(set(names)) != len(names):
        raise InputError(f"confusion matrix {matrix.shape} and classes {names}: expected one different name per row")
    labels = matrix.sum(axis=1)
    total = int(labels.sum())
    if total == 0:
        raise InputError("the split has no labeled pixel (every label is 255): check its masks")
    hits = matrix.diagonal()
    present = labels > 0
    iou = hits[present] / (labels + matrix.sum(axis=0) - hits)[present]
    accuracy = hits[present] / labels[present]

    def by_name(values: NDArray[np.float64]) -> dict[str, float | None]:
        found = iter(values.tolist())
        return {name: next(found) if there else None for name, there in zip(names, present)}

    return {
        "miou": float(iou.mean()),
        "pixel_accuracy": int(hits.sum()) / total,
        "class_accuracy": float(accuracy.mean()),
        "frequency_weighted_iou": float((labels[present] * iou).sum() / total),
        "pixels": total,
        "iou": by_name(iou),
        "accuracy": by_name(accuracy),
        "class_pixels": dict(zip(names, labels.tolist())),
        "absent": [name for name, there in zip(names, present) if not there],
    }
