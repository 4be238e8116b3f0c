"""Tiles of an image and the blending of their predictions, within memory that does not grow with the image's height.

Along each axis, tiles begin at multiples of 32 pixels, where strided convolutions read the same cells as in the whole
image, evenly spread, so that neighbors share at least the overlap asked for. A network knows least at a tile's edge:
there it sees padding in place of the image. So of a tile's answer the outer quarter of the overlap is not used, except
where the tile's edge is the image's. What is used is weighted with a gaussian around the tile's center, of a deviation
of an eighth of its side (as in nnU-Net, arXiv 1904.08128), and the weights at each pixel add up to 1.

From this follows: a network without global operations whose answer at a pixel depends on no more than the pixels within
m = (tile - step) // 4 of it, and which is unchanged by shifts of 32 pixels, gives in tiles what it gives on the whole.
"""

from collections.abc import Callable, Iterator
from itertools import groupby, zip_longest
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixalign.errors import InputError

STEP = 32


class Span(NamedTuple):
    """One tile along one axis.

    Attributes:
        start, stop: what the network sees, in pixels of the image.
        origin, length: the output's pixels that it answers for.
        first, last: those of them that are used.
        weights: (last - first,) float32; over all tiles they add up to 1 at each pixel of the output.
    """

    start: int
    stop: int
    origin: int
    length: int
    first: int
    last: int
    weights: Tensor


def spans(side: int, tile: int, overlap: float, output: int) -> list[Span]:
    """Lay tiles over ``side`` pixels of an image whose prediction has ``output`` pixels along that axis.

    Where output / side * 32 is no whole number, the answers of tiles are off by up to half a pixel of the output.

    Args:
        side: pixels of the image along the axis.
        tile: side of the tiles; the last one is up to 31 pixels shorter.
        overlap: share of a tile that neighbors have at least in common, 0 to below 1.
        output: pixels of the prediction along the axis.

    Raises:
        InputError: a tile has less than one pixel of the output.
    """
    starts, margin = [0], 0
    if side > tile:
        step = max(STEP, int(tile * (1 - overlap)) // STEP * STEP)
        margin = (tile - step) // 4
        end = -(-(side - tile) // STEP)  # where the last tile begins, in steps of 32
        count = -(-end * STEP // step)
        starts = [i * end // count * STEP for i in range(count + 1)]

    def placed(pixel: int) -> int:
        return (2 * pixel * output + side) // (2 * side)  # rounded; monotone, so nothing is left uncovered

    total = np.zeros(output)
    found: list[Span] = []
    for start in starts:
        stop = side if start == starts[-1] else start + tile
        origin, end_of_answer = placed(start), placed(stop)
        first = placed(start + margin) if start else 0
        last = output if stop == side else placed(stop - margin)
        if first == last:
            raise InputError(f"output size {output} is too small for {len(starts)} tiles: give a larger tile")
        length = end_of_answer - origin
        distance = (np.arange(first, last) + 0.5 - origin - length / 2) / (length / 8)
        weights = np.exp(-(distance**2) / 2)
        total[first:last] += weights
        found.append(Span(start, stop, origin, length, first, last, torch.from_numpy(weights)))
    totals = torch.from_numpy(total)
    return [span._replace(weights=(span.weights / totals[span.first : span.last]).float()) for span in found]


def blend(
    answer: Callable[[list[np.ndarray], tuple[int, int]], Tensor],
    image: np.ndarray,
    tile: int,
    overlap: float,
    size: tuple[int, int],
    batch: int = 1,
) -> Iterator[tuple[int, int, Tensor]]:
    """Apply a network to tiles, row by row of them, and yield their weighted sum as soon as parts of it are complete.

    Held are the answers of one batch of tiles, and of the sum what the next tile, or the next row of tiles, adds to:
    half of the overlap.

    Args:
        answer: takes tiles (h, w, C) of one shape and an output size (h', w'); gives (N, K, h', w') float32 on the CPU.
        image: (H, W, C).
        tile, overlap: see `spans`.
        size: of the whole prediction.
        batch: tiles of one shape that ``answer`` is given at a time.

    Yields:
        Row, column, and values (K, h, w) of a part of the prediction. The parts fill ``size`` without overlap.
    """
    rows = spans(image.shape[0], tile, overlap, size[0])
    columns = spans(image.shape[1], tile, overlap, size[1])
    above: Tensor | None = None  # what earlier rows of tiles have added from this row's first pixel on, (K, n, W)
    for y, next_y in zip_longest(rows, rows[1:]):
        bottom = (next_y.first if next_y else size[0]) - y.first
        below: Tensor | None = None
        left: Tensor | None = None  # the same of earlier tiles of this row, (K, h, n)
        for x, next_x, values in zip_longest(columns, columns[1:], _answers(answer, image, y, columns, batch)):
            part = values[:, y.first - y.origin : y.last - y.origin, x.first - x.origin : x.last - x.origin]
            part = part * (y.weights[:, None] * x.weights)
            if left is not None:
                part[..., : left.shape[2]] += left
            right = (next_x.first if next_x else size[1]) - x.first
            part, left = part[..., :right], part[..., right:]
            if above is not None:
                part[:, : above.shape[1]] += above[..., x.first : x.first + right]
            if next_y:
                if below is None:
                    below = part.new_empty(part.shape[0], part.shape[1] - bottom, size[1])
                below[..., x.first : x.first + right] = part[:, bottom:]
            yield y.first, x.first, part[:, :bottom]
        above = below


def _answers(
    answer: Callable[[list[np.ndarray], tuple[int, int]], Tensor],
    image: np.ndarray,
    y: Span,
    columns: list[Span],
    batch: int,
) -> Iterator[Tensor]:
    """Yield the network's answer (K, h', w') for each tile of a row."""
    for (_, length), same in groupby(columns, lambda x: (x.stop - x.start, x.length)):
        group = list(same)
        for i in range(0, len(group), batch):
            tiles = [image[y.start : y.stop, x.start : x.stop] for x in group[i : i + batch]]
            yield from answer(tiles, (y.length, length))
