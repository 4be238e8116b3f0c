"""Boundary IoU and trimap IoU of a split: overlap counted only in bands along borders.

Both look at a pixel's square of side 2 d + 1, the reach of d dilations by 3 x 3 pixels:

- Boundary IoU (Cheng et al., CVPR 2021, arXiv 2103.16562): of each class in each map, only the band of pixels is kept
  whose square holds something else; IoU_c is that of the two bands. As in the release, what lies outside the image is
  something else, so a class has a band along the image's border, and d may be a share of the diagonal, rounded.
- Trimap IoU (Kohli et al., IJCV 2009; DeepLab, arXiv 1412.7062): plain IoU over the pixels whose square holds another
  class of the label. The band is the label's alone, one for all classes, and the image's border makes none.

Ours: counts are summed over the split before IoU is formed; an ignored pixel is neither counted nor something else, in
either map, so that borders to unlabeled regions make no band.

A band needs no distance: a square holds another class if its greatest and its least id differ. Both maps are widened
once, from the narrowest band to the widest, for both measures and all classes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixalign.errors import InputError
from pixalign.metrics.boundary import RADII, by_width, check_shapes
from pixalign.metrics.confusion import check_count
from pixalign.palette import IGNORE

SHARE = 0.02


def band_counts(
    prediction: NDArray[Any], label: NDArray[Any], num_classes: int, widths: Sequence[int] = RADII
) -> NDArray[np.int64]:
    """Count the pixels of an image in the bands; counts of images and of processes add up.

    Args:
        prediction, label: class ids (H, W), 255 in the label where there is none.
        num_classes: number of classes K, 1 to 255.
        widths: W band widths d in pixels, whole numbers from 1, rising.

    Returns:
        (2, 3, 1 + W, K) int64, by width, of which the first is `SHARE` of the image's diagonal, at least 1 pixel. Of
        Boundary IoU: pixels in both bands, in the prediction's and in the label's; of trimap IoU: intersection,
        prediction and label.

    Raises:
        InputError: a number of classes or widths that cannot be counted.
        ValueError: shapes that differ, or that are not (H, W).
    """
    check_count(num_classes)
    if list(widths) != sorted(set(widths)) or not widths or widths[0] < 1 or any(w % 1 for w in widths):
        raise InputError(f"band widths {list(widths)}: expected different whole numbers of pixels, 1 or more, rising")
    check_shapes(prediction, label)
    shared = max(1, round(SHARE * math.hypot(*label.shape)))
    reaches, row = np.unique([shared, *widths], return_inverse=True)
    counted = label != IGNORE
    of_prediction, of_label = (_levels(ids, counted, reaches) for ids in (prediction, label))
    of_border = _border_levels(label.shape, reaches)
    used = counted & (np.minimum(np.minimum(of_prediction, of_label), of_border) < len(reaches))
    guess, truth = prediction[used], label[used]
    inner, border = of_label[used], of_border[used]
    own, other = np.minimum(of_prediction[used], border), np.minimum(inner, border)
    hit = guess == truth

    def count(ids: NDArray[Any], level: NDArray[Any]) -> NDArray[np.int64]:
        """Return (1 + W, K): pixels by class whose level says that they lie in the band of each width."""
        size = reaches.size * num_classes
        cells = np.bincount(level.astype(np.intp) * num_classes + ids, minlength=size)[:size]
        return cells.reshape(-1, num_classes).cumsum(0)[row]

    both = np.maximum(own, other)[hit]
    boundary = [count(truth[hit], both), count(guess, own), count(truth, other)]
    return np.array([boundary, [count(truth[hit], inner[hit]), count(guess, inner), count(truth, inner)]])


def band_scores(counts: NDArray[np.int64], classes: Sequence[str], widths: Sequence[int] = RADII) -> dict[str, Any]:
    """Return {"iou": ..., "trimap": ...}, each {"mean": {"3": ...}, "by_class": {"3": {name: IoU or None}}}.

    IoU is in [0, 1], of summed counts, by width in pixels; Boundary IoU ("iou") also by "2%" of the diagonal. A class
    without a pixel of the label in the bands of the split is None and left out of the mean; the mean is None where that
    leaves no class.
    """
    hits, prediction, label = np.moveaxis(counts, 1, 0)  # (2, 1 + W, K) each
    iou, known = hits / np.maximum(prediction + label - hits, 1), label > 0
    names = [f"{100 * SHARE:g}%", *(f"{width:g}" for width in widths)]
    return {
        "iou": by_width(names, iou[0], known[0], classes),
        "trimap": by_width(names[1:], iou[1, 1:], known[1, 1:], classes),
    }


def _levels(ids: NDArray[Any], counted: NDArray[np.bool_], reaches: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return (H, W): how many of the rising reaches find no second class among the counted pixels around a pixel."""
    high = np.where(counted, ids, 0).astype(np.uint8)
    low = np.where(counted, ids, IGNORE).astype(np.uint8)
    level = np.zeros(ids.shape, np.uint8)
    reached = 0
    for reach in reaches.tolist():
        while reached < reach:
            by = min(reach - reached, 2 * reached + 1)
            high, low = _widened(high, by, np.maximum), _widened(low, by, np.minimum)
            reached += by
        level += high == low
    return level


def _widened(values: NDArray[np.uint8], by: int, pick: np.ufunc) -> NDArray[np.uint8]:
    """Pick among each pixel and those ``by`` rows, columns or both away: from squares' values, those of wider ones."""
    for view in (lambda a: a, lambda a: a.T):
        new = values.copy()
        old, out = view(values), view(new)
        pick(out[by:], old[:-by], out=out[by:])
        pick(out[:-by], old[by:], out=out[:-by])
        values = new
    return values


def _border_levels(shape: tuple[int, ...], reaches: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return (H, W): how many of the rising reaches do not reach out of the image."""
    rows, columns = (
        np.searchsorted(reaches, np.minimum(np.arange(n), np.arange(n)[::-1]) + 1).astype(np.uint8) for n in shape
    )
    return np.minimum.outer(rows, columns)
