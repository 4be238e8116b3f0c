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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixalign.errors import InputError
from pixalign.metrics.confusion import check_count
from pixalign.palette import IGNORE

RADII = (1, 3, 5, 9, 12)
_BITS = 64


class EdgeCounts(NamedTuple):
    """Edge pixels of one image, as in the attributes of `BoundaryFScore`: (2, R, K) and (2, K) int64."""

    matched: NDArray[np.int64]
    edges: NDArray[np.int64]


class BoundaryFScore:
    """Edge pixels and matched edge pixels, summed over the images of a split.

    Args:
        num_classes: number of classes K, 1 to 255.
        radii: pixels, rising.

    Attributes:
        matched: (2, R, K) int64: of the prediction's edge pixels (row 0) and of the label's (row 1), those with an edge
            pixel of the same class in the other map within each radius.
        edges: (2, K) int64, edge pixels of both. Both attributes of several processes add up.
    """

    def __init__(self, num_classes: int, radii: Sequence[float] = RADII) -> None:
        check_count(num_classes)
        if list(radii) != sorted(set(radii)) or not radii or radii[0] < 0:
            raise InputError(f"radii {list(radii)}: expected different numbers of pixels, 0 or more, rising")
        self.num_classes, self.radii = num_classes, tuple(radii)
        self.matched = np.zeros((2, len(self.radii), num_classes), np.int64)
        self.edges = np.zeros((2, num_classes), np.int64)

    def update(self, prediction: NDArray[Any], label: NDArray[Any]) -> EdgeCounts:
        """Add an image, class ids (H, W) of both, 255 in the label where there is none, and return its own counts.

        Raises:
            ValueError: shapes that differ, or that are not (H, W).
        """
        check_shapes(prediction, label)
        counted = ~_around(label == IGNORE)
        image = EdgeCounts(np.zeros_like(self.matched), np.zeros_like(self.edges))
        for first in range(0, self.num_classes, _BITS):
            count = min(_BITS, self.num_classes - first)
            maps = [np.where(counted, _edges(ids, first, count), 0) for ids in (prediction, label)]
            for side, (own, other) in enumerate((maps, maps[::-1])):
                part = slice(first, first + count)
                image.edges[side, part] = _by_class(own[own > 0], count)
                image.matched[side, :, part] = self._match(own, other, count)
        self.matched += image.matched
        self.edges += image.edges
        return image

    def _match(self, own: NDArray[Any], other: NDArray[Any], count: int) -> NDArray[np.int64]:
        """Return (R, count): edge pixels of ``own`` (bits by class) with one of ``other`` within each radius."""
        reach = int(self.radii[-1])
        rows, columns = np.nonzero(own)
        wanted = own[rows, columns]
        padded = np.pad(other, reach)
        stride = padded.shape[1]
        place = (rows + reach) * stride + columns + reach
        flat, found = padded.ravel(), np.zeros_like(wanted)
        matched = np.zeros((len(self.radii), count), np.int64)
        done = np.zeros(count, np.int64)
        offsets = _disc(self.radii[-1])
        for index, (radius, before) in enumerate(zip(self.radii, (-1.0, *self.radii))):
            inside = (offsets[0] <= radius) & (offsets[0] > before)
            for dy, dx in zip(offsets[1][inside].tolist(), offsets[2][inside].tolist()):
                found |= flat[place + (dy * stride + dx)]
            found &= wanted
            matched[index] = done + _by_class(found, count)
            waiting = found != wanted
            done += _by_class(found[~waiting], count)
            place, wanted, found = place[waiting], wanted[waiting], found[waiting]
        return matched

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return F by radius: {"mean": {"1": ...}, "by_class": {"1": {name: F or None}}}, in [0, 1].

        A class without an edge pixel in the labels of the split is None and left out of the mean; the mean is None
        where that leaves no class.
        """
        precision, recall = self.matched / np.maximum(self.edges[:, None], 1)  # (R, K) each
        score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        radii = [f"{radius:g}" for radius in self.radii]
        return by_width(radii, score, np.broadcast_to(self.edges[1] > 0, score.shape), classes)


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
