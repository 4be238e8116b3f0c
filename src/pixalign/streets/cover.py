"""Which surface covers a pixel: convex polygons painted over one another, exactly (`pixalign.streets.render`)."""

import numpy as np

from pixalign.streets.textures import STENCIL

_LONG = 40  # pixels; runs from here on are filled one by one


def fill(outline: np.ndarray, orders: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Paint convex polygons over one another.

    Args:
        outline: (N, K, 2) float64 corners (u, v) around each polygon; repeated corners are allowed.
        orders: (N,) uint16, increasing: what to write.
        rows, columns: increasing centers v (H,) and u (W,).

    Returns:
        (H, W) uint16: the order of the last polygon that holds the center, 0 where there is none.
    """
    height, width = len(rows), len(columns)
    seen = (outline[..., 0].max(1) >= columns[0]) & (outline[..., 0].min(1) < columns[-1] + (columns[1] - columns[0]))
    outline, orders = outline[seen], orders[seen]
    corner_rows = np.searchsorted(rows, outline[..., 1])  # (N, K), of the first center at or below the corner
    first, last = corner_rows.min(1), corner_rows.max(1)
    crossed = last > first
    outline, orders, corner_rows = outline[crossed], orders[crossed], corner_rows[crossed]
    first, lengths = first[crossed], (last - first)[crossed]
    slots = np.cumsum(lengths) - lengths
    total = int(lengths.sum())
    ends = np.empty((2, total), np.int64)
    next_rows, following = np.roll(corner_rows, -1, 1), np.roll(outline, -1, 1)
    for side, (upper_rows, lower_rows, upper, lower) in enumerate(
        ((corner_rows, next_rows, outline, following), (next_rows, corner_rows, following, outline))
    ):
        which, edge = np.nonzero(lower_rows > upper_rows)  # the edges that run down, or up: one chain of the polygon
        start, count = upper_rows[which, edge], (lower_rows - upper_rows)[which, edge]
        (u0, v0), (u1, v1) = upper[which, edge].T, lower[which, edge].T
        row, owner = _runs(start, count)
        u = u0[owner] + (rows[row] - v0[owner]) * ((u1 - u0) / (v1 - v0))[owner]
        ends[side, row + (slots[which] - first[which])[owner]] = _column(u, columns, height)
    left, right = ends.min(0), ends.max(0)
    row, owner = _runs(first, lengths)
    begin, run = row * width + left, right - left
    painted = orders[owner]
    long = np.flatnonzero(run >= _LONG)
    flat = np.zeros(height * width, np.uint16)
    for a, b, order in zip(begin[long].tolist(), (row * width + right)[long].tolist(), painted[long].tolist()):
        flat[a:b] = order
    short = np.flatnonzero((run > 0) & (run < _LONG))
    pixels, owner = _runs(begin[short], run[short])
    small = np.zeros_like(flat)
    small[pixels] = painted[short][owner]
    return np.maximum(flat, small).reshape(height, width)


def paint_plant(
    cover: np.ndarray, outline: np.ndarray, order: int, mask: np.ndarray, mirrored: bool, rows: np.ndarray,
    columns: np.ndarray,
) -> None:  # fmt: skip
    """Paint a stencil: the cell that holds a pixel's center decides."""
    (left, bottom), (right, top) = outline[0], outline[2]
    r0, r1 = np.searchsorted(rows, (top, bottom))
    c0, c1 = np.searchsorted(columns, (left, right))
    if r0 >= r1 or c0 >= c1:
        return
    cell_rows = np.minimum(((rows[r0:r1] - top) / (bottom - top) * STENCIL).astype(np.int64), STENCIL - 1)
    cell_columns = np.minimum(((columns[c0:c1] - left) / (right - left) * STENCIL).astype(np.int64), STENCIL - 1)
    if mirrored:
        cell_columns = STENCIL - 1 - cell_columns
    part = cover[r0:r1, c0:c1]
    np.maximum(part, mask.take(cell_rows, 0).take(cell_columns, 1) * np.uint16(order), out=part)


def _runs(start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start, start + 1, ... ``count`` times for each, and which each is."""
    owner = np.repeat(np.arange(len(count)), count)
    return np.arange(len(owner)) + (start - (np.cumsum(count) - count))[owner], owner


def _column(u: np.ndarray, columns: np.ndarray, height: int) -> np.ndarray:
    """The first column whose center is not left of u: guessed by arithmetic, corrected by comparison."""
    width = len(columns)
    guess = np.ceil((u * height + (0.5 * width - 0.5)).clip(0, width)).astype(np.int64)
    fenced = np.concatenate([[-np.inf], columns, [np.inf, np.inf]])
    guess -= fenced[guess] >= u
    guess += fenced[guess + 1] < u
    return guess
