"""Sampling as weighted sums of rows: every resize, warp and look-up on a CPU at inference.

A map in channels-last order is a table with one row of C numbers per pixel. Bilinear sampling is then a sum of four
rows with weights; a resize followed by a warp is a sum of sixteen; the features that a point reads at several levels
are a sum over one table of all levels. `torch.nn.functional.embedding_bag` computes such sums in one pass over the
output, faster than the operators that sample, and strip by strip: what follows is computed while the strip is in the
cache, and maps that only lead to the next one never exist.

Positions and weights are float32, and so are the sums, whatever the features' dtype.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.fusing.convolution import convolve
from pixalign.sampling import Size, grid_of, sampling_grid

_STRIP = 2**19  # numbers in a strip, 2 MB of float32


Part = Callable[[slice], Tensor]  # gives some rows of a map (1, C, H, W): (1, C, strip, W), float32


class Reads(NamedTuple):
    """What each of a shape's elements reads: ``row`` int32 (..., A) and ``weight`` float32 (..., A)."""

    row: Tensor
    weight: Tensor


def as_rows(x: Tensor) -> Tensor:
    """A map (1, C, h, w) as a table (h * w, C) of float32 rows; a view if it is float32 and channels last."""
    return x[0].permute(1, 2, 0).flatten(0, 1).float()


def as_map(rows: Tensor, height: int) -> Tensor:
    """The inverse: rows (height * w, C) as a map (1, C, height, w), channels last."""
    return rows.unflatten(0, (height, -1)).permute(2, 0, 1).unsqueeze(0)


def strips(size: Size, channels: int) -> Iterator[slice]:
    """Rows of a map of ``size`` that are worked on at a time, where each pixel has ``channels`` numbers."""
    height, width = size
    step = max(1, _STRIP // (width * channels))
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def total(table: Tensor, reads: Reads) -> Tensor:
    """Sum rows of ``table`` (R, C) with weights, for reads of any shape (..., A): (elements, C)."""
    row, weight = (x.flatten(0, -2).contiguous() for x in reads)
    return F.embedding_bag(row, table, mode="sum", per_sample_weights=weight)


def resize_axis(out: int, size: int, convention: str = "pixel") -> Reads:
    """Which two of ``size`` cells a bilinear resize to ``out`` pixels reads along one axis: (out, 2)."""
    position = torch.arange(out, dtype=torch.float32)
    if convention == "pixel":
        position = ((position + 0.5) * (size / out) - 0.5).clamp(0, size - 1)
    else:
        position = position * ((size - 1) / max(out - 1, 1))
    return _between(position, size)


def shifted(axis: Reads) -> Reads:
    """The reads (out, A) of the pixel before, the pixel itself and the one after; nothing outside: (out, 3, A)."""
    return Reads(*(F.pad(x, (0, 0, 1, 1)).unfold(0, 3, 1).transpose(1, 2) for x in axis))


def cross(rows: Reads, columns: Reads, width: int) -> Reads:
    """Where reads of rows (..., A) meet reads of columns (..., B) in a map of ``width``: (..., A * B)."""
    row = rows.row.unsqueeze(-1) * width + columns.row.unsqueeze(-2)
    weight = rows.weight.unsqueeze(-1) * columns.weight.unsqueeze(-2)
    return Reads(row.flatten(-2), weight.flatten(-2))


def grid_reads(rows: Reads, columns: Reads, width: int, strip: slice) -> Reads:
    """`cross` for a strip of the grid whose axes are rows (H, A) and columns (W, B): (strip, W, A * B)."""
    some = Reads(*(x[strip].unsqueeze(1) for x in rows))
    return cross(some, Reads(*(x.unsqueeze(0) for x in columns)), width)


def drawn(table: Tensor, reads: Reads) -> Tensor:
    """`total` of reads (strip, W, A) as a part of a map: (1, C, strip, W), channels last."""
    return as_map(total(table, reads), len(reads.row))


def resized(x: Tensor, size: Size, convention: str) -> Part:
    """A map (1, C, h, w), bilinearly resized to ``size``."""
    rows, columns = (resize_axis(n, m, convention) for n, m in zip(size, grid_of(x)))
    table = as_rows(x)
    return lambda strip: drawn(table, grid_reads(rows, columns, x.shape[-1], strip))


def warped(x: Tensor, flow: Tensor, convention: str, size: Size | None = None) -> Part:
    """A map (1, C, h, w), or its bilinear resize to ``size``, displaced by a flow (1, 2, H, W)."""
    warp = Warp(flow, size or grid_of(x), convention, resized_from=grid_of(x))
    table = as_rows(x)
    return lambda strip: drawn(table, warp.reads(strip))


class Warp:
    """What pixels displaced by a flow read in a map.

    Args:
        flow: (1, 2, H, W).
        size: (h, w) of the map.
        convention: sampling convention (`pixalign.sampling`).
        resized_from: if the map is the bilinear resize of one of this size, read that one in its place.
    """

    def __init__(self, flow: Tensor, size: Size, convention: str, resized_from: Size | None = None) -> None:
        grid = sampling_grid(flow, size, convention).squeeze(0)  # (H, W, 2)
        corners = convention in ("sfnet", "alignseg_std")
        self.x, self.y = (
            (p + 1) * ((n - 1) / 2) if corners else ((p + 1) * n - 1) / 2 for p, n in zip(grid.unbind(-1), size[::-1])
        )
        self.size = size
        source = resized_from or size
        self.axes = None if source == size else [resize_axis(n, m, convention) for n, m in zip(size, source)]
        self.width = source[1]

    def reads(self, strip: slice) -> Reads:
        """Of a strip of the output: (strip, W, 4), or 16 in a map that is resized."""
        rows, columns = (_between(p[strip], n) for p, n in zip((self.y, self.x), self.size))
        if self.axes is not None:
            rows, columns = _through(rows, self.axes[0]), _through(columns, self.axes[1])
        return cross(rows, columns, self.width)


def gather_taps(taps: Tensor) -> Tensor:
    """Add up the nine taps of a 3x3 convolution of padding 1 (`tap_weight`): (N, 9 D, H, W) to (N, D, H, W).

    A 3x3 convolution to a few channels is a 1x1 convolution to nine times as many, each of which is then moved to the
    neighbor that reads it.
    """
    size = grid_of(taps)
    return F.fold(taps.contiguous().flatten(2), size, 3, padding=1)


def tap_weight(weight: Tensor) -> Tensor:
    """A weight (D, C, 3, 3) as that of the 1x1 convolution whose taps `gather_taps` adds: (9 D, C)."""
    return weight.flip(-2, -1).permute(0, 2, 3, 1).flatten(0, 2)


def add_convolved_resize(out: Tensor, x: Tensor, weight: Tensor, convention: str) -> None:
    """Add to out (1, D, H, W), channels last, the 3x3 convolution of padding 1 of x (1, C, h, w) resized to (H, W).

    The nine taps are computed at x's own size, where there are fewer pixels; a pixel of the result is then a sum of 36
    rows, four for each tap.
    """
    size = grid_of(out)
    taps = convolve(x, weight.permute(2, 3, 0, 1).flatten(0, 2)[:, :, None, None])  # (1, 9 D, h, w)
    table = as_rows(taps).unflatten(1, (9, -1)).flatten(0, 1)  # (9 h w, D)
    tap = torch.arange(3, dtype=torch.int32)[:, None]
    rows, columns = (shifted(resize_axis(n, m, convention)) for n, m in zip(size, x.shape[-2:]))
    rows = Reads((rows.row * (9 * x.shape[-1]) + 3 * tap).flatten(1), rows.weight.flatten(1))  # (H, 6)
    columns = Reads((columns.row * 9 + tap).flatten(1), columns.weight.flatten(1))  # (W, 6)
    result = out[0].permute(1, 2, 0)  # (H, W, D)
    for strip in strips(size, out.shape[1]):
        result[strip] += total(table, grid_reads(rows, columns, 1, strip)).view(result[strip].shape)


def _between(position: Tensor, size: int) -> Reads:
    """The two cells between whose centers a position lies: cells outside the map have the weight zero."""
    lower = position.floor()
    share = position - lower
    cell = torch.stack((lower, lower + 1), dim=-1)
    inside = (cell >= 0) & (cell <= size - 1)
    weight = torch.stack((1 - share, share), dim=-1) * inside
    return Reads(cell.clamp_(0, size - 1).int(), weight)


def _through(reads: Reads, axis: Reads) -> Reads:
    """Reads (..., 2) of pixels as reads (..., 4) of the cells that the pixels of ``axis`` read."""
    pixel = reads.row.long()
    return Reads(axis.row[pixel].flatten(-2), (axis.weight[pixel] * reads.weight.unsqueeze(-1)).flatten(-2))
