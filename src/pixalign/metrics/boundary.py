"""Boundary F-score of a split: how well predicted class borders lie on the labeled ones, within a few pixels.

For class c, an edge pixel of a map is one whose right, lower or lower right neighbor differs from it in being c (so
both classes that meet have an edge there). With P the share of the prediction's edge pixels that have an edge pixel of
the label within the radius, and R the share of the label's that have one of the prediction, F = 2 P R / (P + R). The
definition of edges is that of the DAVIS measure (Perazzi et al., CVPR 2016), the use by class and radius that of
Gated-SCNN (ICCV 2019, arXiv 1907.05740). Ours: the radius is Euclidean, in pixels; counts are summed over the split
before F is formed; an edge pixel counts in neither map where it or one of the three neighbors has no label.

All classes are matched at once: a pixel's edges are the bits of one integer, and the offsets of a disc are tried from
the nearest on, for the edge pixels that still wait for a partner.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixalign.errors import InputError
from pixalign.metrics.confusion import check_count
from pixalign.palette import IGNORE

RADII = (1, 3, 5, 9, 12)
_BITS = 64


def edge_counts(
    prediction: NDArray[Any], label: NDArray[Any], num_classes: int, radii: Sequence[float] = RADII
) -> NDArray[np.int64]:
    """Count the edge pixels of an image and those that have a partner; counts of images and of processes add up.

    Args:
        prediction, label: class ids (H, W), 255 in the label where there is none.
        num_classes: number of classes K, 1 to 255.
        radii: R numbers of pixels, rising.

    Returns:
        (2, 1 + R, K) int64, of the prediction (row 0) and of the label (row 1): edge pixels; then, for each radius,
        those with an edge pixel of the same class in the other map within it.

    Raises:
        InputError: a number of classes or radii that cannot be counted.
        ValueError: shapes that differ, or that are not (H, W).
    """
    check_count(num_classes)
    if list(radii) != sorted(set(radii)) or not radii or radii[0] < 0:
        raise InputError(f"radii {list(radii)}: expected different numbers of pixels, 0 or more, rising")
    check_shapes(prediction, label)
    counted = ~_around(label == IGNORE)
    counts = np.zeros((2, 1 + len(radii), num_classes), np.int64)
    for first in range(0, num_classes, _BITS):
        count = min(_BITS, num_classes - first)
        maps = [np.where(counted, _edges(ids, first, count), 0) for ids in (prediction, label)]
        for side, (own, other) in enumerate((maps, maps[::-1])):
            part = slice(first, first + count)
            counts[side, 0, part] = _by_class(own[own > 0], count)
            counts[side, 1:, part] = _match(own, other, radii, count)
    return counts


def boundary_scores(
    counts: NDArray[np.int64], classes: Sequence[str], radii: Sequence[float] = RADII
) -> dict[str, Any]:
    """Return F by radius: {"mean": {"1": ...}, "by_class": {"1": {name: F or None}}}, in [0, 1], of summed counts.

    A class without an edge pixel in the labels of the split is None and left out of the mean; the mean is None where
    that leaves no class.
    """
    precision, recall = counts[:, 1:] / np.maximum(counts[:, :1], 1)  # (R, K) each
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    known = np.broadcast_to(counts[1, 0] > 0, score.shape)
    return by_width([f"{radius:g}" for radius in radii], score, known, classes)


def _match(own: NDArray[Any], other: NDArray[Any], radii: Sequence[float], count: int) -> NDArray[np.int64]:
    """Return (R, count): edge pixels of ``own`` (bits by class) with one of ``other`` within each radius."""
    reach = int(radii[-1])
    rows, columns = np.nonzero(own)
    wanted = own[rows, columns]
    padded = np.pad(other, reach)
    stride = padded.shape[1]
    place = (rows + reach) * stride + columns + reach
    flat, found = padded.ravel(), np.zeros_like(wanted)
    matched = np.zeros((len(radii), count), np.int64)
    done = np.zeros(count, np.int64)
    offsets = _disc(radii[-1])
    for index, (radius, before) in enumerate(zip(radii, (-1.0, *radii))):
        inside = (offsets[0] <= radius) & (offsets[0] > before)
        for dy, dx in zip(offsets[1][inside].tolist(), offsets[2][inside].tolist()):
            found |= flat[place + (dy * stride + dx)]
        found &= wanted
        matched[index] = done + _by_class(found, count)
        waiting = found != wanted
        done += _by_class(found[~waiting], count)
        place, wanted, found = place[waiting], wanted[waiting], found[waiting]
    return matched


def check_shapes(prediction: NDArray[Any], label: NDArray[Any]) -> None:
    """Raise ValueError for ids of shapes that differ, or that are not (H, W)."""
    if prediction.shape != label.shape or label.ndim != 2:
        raise ValueError(f"prediction {prediction.shape} and label {label.shape}: expected one shape (H, W)")


def by_width(
    widths: Sequence[str], scores: NDArray[np.float64], known: NDArray[np.bool_], classes: Sequence[str]
) -> dict[str, Any]:
    """Return {"mean": {"3": ...}, "by_class": {"3": {name: score or None}}} of scores (W, K), where they are ``known``.

    InputError for names that are not K different ones.
    """
    if len(classes) != scores.shape[1] or len(set(classes)) != len(classes):
        raise InputError(f"classes {list(classes)}: expected {scores.shape[1]} different names")
    mean, by_class = {}, {}
    for width, values, there in zip(widths, scores, known):
        mean[width] = float(values[there].mean()) if there.any() else None
        by_class[width] = {name: float(v) if k else None for name, v, k in zip(classes, values, there)}
    return {"mean": mean, "by_class": by_class}


def _edges(ids: NDArray[Any], first: int, count: int) -> NDArray[Any]:
    """Return (H, W) integers whose bit i says that class ``first + i`` has an edge at the pixel."""
    dtype = np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if count <= 8 * size))
    table = np.zeros(256, dtype)
    table[first : first + count] = np.left_shift(np.ones(count, dtype), np.arange(count, dtype=dtype))
    bits = table[ids]
    edges: NDArray[Any] = np.zeros_like(bits)
    edges[:, :-1] |= bits[:, :-1] ^ bits[:, 1:]
    edges[:-1] |= bits[:-1] ^ bits[1:]
    edges[:-1, :-1] |= bits[:-1, :-1] ^ bits[1:, 1:]
    return edges


def _around(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a pixel, its right, lower or lower right neighbor is in ``mask``."""
    around = mask.copy()
    around[:, :-1] |= mask[:, 1:]
    around[:-1] |= mask[1:]
    around[:-1, :-1] |= mask[1:, 1:]
    return around


def _by_class(bits: NDArray[Any], count: int) -> NDArray[np.int64]:
    """How many of the integers have each bit."""
    return np.array([np.count_nonzero(bits & bits.dtype.type(1 << i)) for i in range(count)], np.int64)


def _disc(radius: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distances, rows and columns of the offsets within ``radius``, nearest first."""
    reach = int(radius)
    dy, dx = (a.ravel() for a in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    distance = np.sqrt(dy * dy + dx * dx)
    order = np.argsort(distance, kind="stable")
    order = order[distance[order] <= radius]
    return distance[order], dy[order], dx[order]
