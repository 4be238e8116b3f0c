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


class BandIoU:
    """Intersection, prediction and label pixels in the bands, summed over the images of a split.

    Args:
        num_classes: number of classes K, 1 to 255.
        widths: W band widths d in pixels, whole numbers from 1, rising.

    Attributes:
        boundary: (3, 1 + W, K) int64, of Boundary IoU: pixels in both bands, in the prediction's and in the label's;
            the first width is `SHARE` of each image's diagonal, at least 1 pixel.
        trimap: (3, W, K) int64, of trimap IoU: intersection, prediction and label. Both attributes of several
            processes add up.
    """

    def __init__(self, num_classes: int, widths: Sequence[int] = RADII) -> None:
        check_count(num_classes)
        if list(widths) != sorted(set(widths)) or not widths or widths[0] < 1 or any(w % 1 for w in widths):
            raise InputError(
                f"band widths {list(widths)}: expected different whole numbers of pixels, 1 or more, rising"
            )
        self.num_classes, self.widths = num_classes, tuple(widths)
        self.boundary = np.zeros((3, 1 + len(self.widths), num_classes), np.int64)
        self.trimap = np.zeros((3, len(self.widths), num_classes), np.int64)

    def update(self, prediction: NDArray[Any], label: NDArray[Any]) -> None:
        """Add an image: class ids (H, W) of both, 255 in the label where there is none.

        Raises:
            ValueError: shapes that differ, or that are not (H, W).
        """
        check_shapes(prediction, label)
        shared = max(1, round(SHARE * math.hypot(*label.shape)))
        reaches, row = np.unique([shared, *self.widths], return_inverse=True)
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
            size = reaches.size * self.num_classes
            cells = np.bincount(level.astype(np.intp) * self.num_classes + ids, minlength=size)[:size]
            return cells.reshape(-1, self.num_classes).cumsum(0)[row]

        both = np.maximum(own, other)[hit]
        self.boundary += [count(truth[hit], both), count(guess, own), count(truth, other)]
        self.trimap += np.stack([count(truth[hit], inner[hit]), count(guess, inner), count(truth, inner)])[:, 1:]

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return {"iou": ..., "trimap": ...}, each {"mean": {"3": ...}, "by_class": {"3": {name: IoU or None}}}.

        IoU is in [0, 1], by width in pixels; Boundary IoU ("iou") also by "2%" of the diagonal. A class without a pixel
        of the label in the bands of the split is None and left out of the mean; the mean is None where that leaves no
        class.
        """
        widths = [f"{width:g}" for width in self.widths]
        result = {}
        for measure, names, counts in (
            ("iou", [f"{100 * SHARE:g}%", *widths], self.boundary),
            ("trimap", widths, self.trimap),
        ):
            hits, prediction, label = counts
            result[measure] = by_width(names, hits / np.maximum(prediction + label - hits, 1), label > 0, classes)
        return result


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
