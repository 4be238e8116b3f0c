"""Intervals of the difference between two methods that were measured on the same images.

Frames of a video resemble each other, so blocks of consecutive images are resampled, not images (Künsch, Ann. Stat.
1989). Each resample sums the counts of the blocks it has drawn and forms mIoU or boundary F from the sums, as it is
formed over a split. With several seeds of each method, seeds are resampled as well, independently of the blocks.

From n blocks or seeds, n - 1 are drawn with replacement, which makes the spread of a mean unbiased (Rao and Wu, JASA
1988); the percentiles' distances from the difference are stretched by t / z, Student's quantile over the normal one,
because few blocks or seeds are few degrees of freedom (after Hesterberg, Am. Stat. 2015; the degrees of freedom of
blocks and seeds together are Satterthwaite's; stretching rather than taking percentiles further out is our choice: no
percentile lies beyond the best of three seeds). With many blocks this is the percentile interval.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from pixalign.errors import InputError

_COLUMNS = {"miou": 3, "boundary_f": 4}


class Interval(NamedTuple):
    """A difference (first minus second) of measures in [0, 1], and the ends of its interval."""

    difference: float
    low: float
    high: float


def paired_interval(
    first: Sequence[NDArray[np.int64]],
    second: Sequence[NDArray[np.int64]],
    blocks: NDArray[np.int64],
    measure: str = "miou",
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Return the mean over seeds of first minus second, with a bootstrap interval.

    A class that no label of the split holds is left out, one that the labels of a resample lack is left out there.
    Equal lengths make pairs of seeds, which are resampled together; unequal ones are resampled each for itself. With
    one seed each, the interval covers the images alone and says nothing of another seed. One block says nothing of
    other images: the interval is then [-1, 1].

    Args:
        first: one array for each seed, (N, columns, K) int64 counts of N images: intersection, prediction and label for
            "miou"; at one radius matched_prediction, edges_prediction, matched_label and edges_label for "boundary_f".
        second: the same of the other method.
        blocks: (N,) the block of each image, as `blocks_of` gives it.
        measure: "miou" or "boundary_f".
        level: that of the interval, between 0 and 1.
        resamples: how many.
        seed: of the random draws; equal arguments give equal intervals.

    Raises:
        InputError: counts that do not fit each other or the measure, or of different labels; no label at all; a level
            or a number of resamples that makes no interval.
    """
    _check(first, second, blocks, measure, level, resamples)
    ids, block = np.unique(blocks, return_inverse=True)
    summed = [[_by_block(counts, block, ids.size) for counts in side] for side in (first, second)]
    present = summed[0][0][:, -1].any(0)
    if not present.any():
        raise InputError(f"{measure}: the labels of the {len(blocks)} images hold no class: nothing can be compared")
    summed = [[counts[..., present] for counts in side] for side in summed]
    once = np.ones((1, ids.size))
    points = [np.concatenate([_measure(once, counts) for counts in side]) for side in summed]  # (seeds,) each
    difference = float(points[0].mean() - points[1].mean())
    if ids.size == 1:
        return Interval(difference, -1.0, 1.0)
    random = np.random.default_rng(seed)
    weights = random.multinomial(ids.size - 1, np.full(ids.size, 1 / ids.size), resamples).astype(np.float64)
    values = [np.stack([_measure(weights, counts) for counts in side], 1) for side in summed]  # (resamples, seeds) each
    if len(first) == len(second):
        points, values = [points[0] - points[1]], [values[0] - values[1]]
    else:
        points, values = [points[0], -points[1]], [values[0], -values[1]]
    drawn = sum(_of_drawn_seeds(side, random) for side in values)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) - difference
    variances = [(float(sum(side.mean(1) for side in values).var()), ids.size - 1)]
    variances += [(float(side.var(ddof=1)) / side.size, side.size - 1) for side in points if side.size > 1]
    spread = sum(variance for variance, _ in variances)
    if spread == 0:
        return Interval(difference, difference + float(low), difference + float(high))
    freedom = spread**2 / sum(variance**2 / degrees for variance, degrees in variances)
    stretch = t.isf((1 - level) / 2, freedom) / norm.isf((1 - level) / 2)
    return Interval(difference, float(difference + stretch * low), float(difference + stretch * high))


def blocks_of(names: Sequence[str], length: int = 10) -> NDArray[np.int64]:
    """Return the block of each image, (N,) int64 from 0: runs of about ``length`` consecutive frames of one sequence.

    A name's last number is the frame, what comes before it the sequence: ``0016E5_07959.png`` is frame 7959 of
    ``0016E5_``. A sequence of n images makes n / length blocks, rounded, at least one. Names without a number are
    sequences of one image.

    The default length is our choice: in CamVid val, 15 frames a second, what two runs differ by on a frame no longer
    correlates with what they differ by ten frames later (docs/metrics.md).
    """
    if length < 1:
        raise InputError(f"block length {length}: expected 1 or more images")
    parts = [re.fullmatch(r"(.*?)(\d+)\D*", Path(name).stem) for name in names]
    sequences: dict[str, list[tuple[int, int]]] = {}
    for index, (name, part) in enumerate(zip(names, parts)):
        sequences.setdefault(part[1] if part else name, []).append((int(part[2]) if part else 0, index))
    blocks, count = np.zeros(len(names), np.int64), 0
    for frames in sequences.values():
        pieces = max(1, round(len(frames) / length))
        for place, (_, index) in enumerate(sorted(frames)):
            blocks[index] = count + place * pieces // len(frames)
        count += pieces
    return blocks


def read_images(path: str | Path) -> tuple[list[str], list[str], dict[str, NDArray[np.int64]]]:
    """Return images, classes and columns of the images.csv that `pixalign.evaluating.evaluate` writes.

    The columns are arrays (images, classes) int64: intersection, prediction and label, pixels; with boundaries also
    edges_prediction and edges_label, and for each radius in pixels matched_prediction_3 and matched_label_3.

    Raises:
        InputError: a file that cannot be read or is no such table.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            header, *rows = csv.reader(file)
        classes = list(dict.fromkeys(row[1] for row in rows))
        names = [row[0] for row in rows[:: len(classes)]]
        counts = np.array([[int(value) for value in row[2:]] for row in rows], np.int64)
        table = counts.reshape(len(names), len(classes), len(header) - 2)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}): evaluate with --out") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise InputError(f"{path}: no table of counts per image and class: evaluate again with --out") from error
    if header[:2] != ["image", "class"] or [row[:2] for row in rows] != [[name, c] for name in names for c in classes]:
        raise InputError(f"{path}: expected a row for every image and class: evaluate again with --out")
    return names, classes, {column: table[..., i] for i, column in enumerate(header[2:])}


def _check(
    first: Sequence[NDArray[np.int64]],
    second: Sequence[NDArray[np.int64]],
    blocks: NDArray[np.int64],
    measure: str,
    level: float,
    resamples: int,
) -> None:
    if measure not in _COLUMNS:
        raise InputError(f"measure {measure!r}: expected one of {', '.join(_COLUMNS)}")
    if not 0 < level < 1:
        raise InputError(f"level {level}: expected a share between 0 and 1, such as 0.95")
    if resamples < 1:
        raise InputError(f"{resamples} resamples: expected 1 or more")
    if not first or not second:
        raise InputError("a method without a run: expected the counts of one seed or more for each")
    expected = (len(blocks), _COLUMNS[measure])
    shapes = sorted({counts.shape for counts in (*first, *second)})
    if len(shapes) > 1 or len(shapes[0]) != 3 or shapes[0][:2] != expected or not len(blocks):
        raise InputError(f"counts of shapes {shapes}: expected {expected} and the classes for {measure}, in every run")
    if any(not np.array_equal(counts[:, -1], first[0][:, -1]) for counts in (*first, *second)):
        raise InputError("the runs were measured on different labels: evaluate them on the same images")


def _by_block(counts: NDArray[np.int64], block: NDArray[np.intp], size: int) -> NDArray[np.float64]:
    """Sum (N, columns, K) over the images of each block; below 2^53 the sums are exact."""
    summed = np.zeros((size, *counts.shape[1:]), np.int64)
    np.add.at(summed, block, counts)
    return summed.astype(np.float64)


def _measure(weights: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (resamples,) means over classes: mIoU from three columns (blocks, 3, K), boundary F from four."""
    summed = np.tensordot(weights, counts, 1)  # (resamples, columns, K)
    if summed.shape[1] == 3:
        hits, prediction, label = np.moveaxis(summed, 1, 0)
        value = hits / np.maximum(prediction + label - hits, 1)
    else:
        found, edges, matched, label = np.moveaxis(summed, 1, 0)
        precision, recall = found / np.maximum(edges, 1), matched / np.maximum(label, 1)
        value = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    there = label > 0
    means: NDArray[np.float64] = np.where(there, value, 0).sum(1) / np.maximum(there.sum(1), 1)
    return means


def _of_drawn_seeds(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return (resamples,) means of (resamples, S) over S - 1 seeds, drawn anew in each resample."""
    seeds = values.shape[1]
    if seeds == 1:
        return values[:, 0]
    weights = random.multinomial(seeds - 1, np.full(seeds, 1 / seeds), len(values))
    means: NDArray[np.float64] = (values * weights).sum(1) / (seeds - 1)
    return means
