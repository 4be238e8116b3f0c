"""The one sampling primitive: where an output pixel reads its input, in our convention and in the published ones.

Every alignment method moves features with the same operation: sample a map ``x`` (N, C, h, w) on an output grid (H, W)
displaced by ``flow`` (N, 2, H, W), channel 0 = dx and channel 1 = dy. What differs between the releases is how grid
index and displacement become a position in ``x``; that is the ``convention``:

=============  =======================================================  ==================  ======================
convention     position in x along the width, in input pixels           outside x           zero flow is
=============  =======================================================  ==================  ======================
pixel (ours)   (i + 0.5 + dx) * w / W - 0.5                             the border pixel    the bilinear resize
sfnet          (i + dx * (W - 1) / 2W) * (w - 1) / (W - 1)              zero                align_corners resize
bialignnet     (i * 2 / (W - 1) + dx / W) * w / 2 - 0.5                 zero                not the identity
alignseg       (i * 2 / (W - 1) + dx / w) * w / 2 - 0.5                 zero                not the identity
alignseg_std   (i + dx) * (w - 1) / (W - 1)                             zero                align_corners resize
=============  =======================================================  ==================  ======================

Networks trained here use ``pixel``; a network converted from an author's checkpoint uses the convention that it was
trained with, for every resize and every warp. No parameters, no models: this module imports nothing of the package.

Positions are float32 whatever the features' dtype: at width 2048 a bfloat16 position is off by pixels. Grids are built
from ``torch.arange`` scaled by the shape, the one form that exports with dynamic sizes.
"""

from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Convention = Literal["pixel", "sfnet", "bialignnet", "alignseg", "alignseg_std"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)
Size = tuple[int, int]  # height, width


def grid_of(x: Tensor) -> Size:
    """(H, W) of a map (N, C, H, W)."""
    return x.shape[-2], x.shape[-1]


def check_convention(convention: str) -> str:
    """Return ``convention`` if it is one of `CONVENTIONS`; raise ValueError naming the choices otherwise."""
    if convention not in CONVENTIONS:
        raise ValueError(f"convention {convention!r} is unknown: choose one of {', '.join(CONVENTIONS)}")
    return convention


def resize(x: Tensor, size: Size, convention: str = "pixel") -> Tensor:
    """Resize bilinearly as the convention does: pixel centers for ``pixel``, corner centers for the published ones.

    Args:
        x: features (N, C, h, w), any floating dtype.
        size: (H, W) of the result.
        convention: one of `CONVENTIONS`.

    Returns:
        (N, C, H, W) in x's dtype. No antialiasing, in either direction.

    Raises:
        ValueError: an unknown convention, or a size below 1.
    """
    align_corners = check_convention(convention) != "pixel"
    if not torch.compiler.is_compiling() and min(size) < 1:
        raise ValueError(f"size is {tuple(size)}: give a height and a width of 1 or more")
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def fill(image: Tensor, multiple: int) -> Tensor:
    """Mirror an image (N, C, H, W) at its lower and right edge until its sides are multiples of ``multiple``.

    Written as a gather, so that an exported graph takes every size. What fits already is returned as it is, except in
    such a graph. Sides below ``multiple`` repeat their first row or column where the mirror image ends.
    """
    for dim in (-2, -1):
        side = image.shape[dim]
        whole = (side + multiple - 1) // multiple * multiple  # ONNX would truncate the quotient of a negative number
        if torch.compiler.is_compiling() or side != whole:
            place = torch.arange(whole, device=image.device)
            image = image.index_select(dim, torch.where(place < side, place, 2 * (side - 1) - place).clamp(min=0))
    return image


def cut(x: Tensor, size: Size) -> Tensor:
    """Return the first rows and columns, (N, C, *size).

    They are cut by negative padding: a slice would fix an exported graph to sizes that need none.
    """
    if not torch.compiler.is_compiling() and x.shape[-2:] == size:
        return x
    return F.pad(x, (0, size[1] - x.shape[-1], 0, size[0] - x.shape[-2]))


def sampling_grid(flow: Tensor, input_size: Size, convention: str = "pixel") -> Tensor:
    """Turn a displacement field into the positions that `torch.nn.functional.grid_sample` takes.

    Args:
        flow: displacements (N, 2, H, W), dx then dy, in the convention's unit (output pixels for ``pixel``).
        input_size: (h, w) of the map that will be sampled.
        convention: one of `CONVENTIONS`.

    Returns:
        float32 (float64 for a float64 flow) positions (N, H, W, 2), x then y. For ``pixel`` they refer to
        ``align_corners=False`` and are clamped to the first and last pixel center.
    """
    flow = flow if flow.dtype == torch.float64 else flow.float()
    height, width = flow.shape[-2:]
    x = _positions(flow[:, 0], width, input_size[1], convention, dim=-1)
    y = _positions(flow[:, 1], height, input_size[0], convention, dim=-2)
    return torch.stack((x, y), dim=-1)  # (N, H, W, 2)


def warp(x: Tensor, flow: Tensor, convention: str = "pixel") -> Tensor:
    """Sample ``x`` on the grid of ``flow``, displaced by it: the operation that all flow-based alignment shares.

    With ``pixel``, zero flow is the plain bilinear resize to the flow's size, hence the identity when sizes agree, and
    a constant flow of whole pixels between maps of one size is a shift with the border repeated.

    Args:
        x: features (N, C, h, w).
        flow: displacements (N, 2, H, W), dx then dy, in the convention's unit (output pixels for ``pixel``).
        convention: one of `CONVENTIONS`.

    Returns:
        (N, C, H, W) in x's dtype; positions and interpolation are computed in float32 (float64 for float64 features).

    Raises:
        ValueError: an unknown convention.
    """
    grid = sampling_grid(flow, grid_of(x), convention)
    return _sample(x.to(grid.dtype), grid, convention).to(x.dtype)  # (N, C, H, W)


def dynamic_sampling(
    query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor, convention: str = "pixel", recompute: bool = False
) -> tuple[Tensor, Tensor]:
    """Sum ``values`` over P displaced positions per output pixel, weighted by how well ``keys`` there match ``query``.

    The affinity is the softmax over the P positions of the dot products of the query with the keys; keys and values
    are read at the same positions. Both passes go over the positions one at a time, so that the gathered tensors
    (N, P, C, H, W) never exist: without gradients, two maps of the result's size are made besides it.

    Args:
        query: (N, D, H, W), scaled by the caller.
        keys: (N, D, h, w).
        values: (N, C, h, w).
        offsets: displacements (N, P, 2, H, W), dx then dy, in the convention's unit (output pixels for ``pixel``).
        convention: one of `CONVENTIONS`.
        recompute: sample again in the backward pass in place of keeping the 2 P sampled maps for it.

    Returns:
        The sum (N, C, H, W) in values' dtype, and the affinity (N, P, H, W), float32 at least, which sums to 1.

    Raises:
        ValueError: an unknown convention.
    """
    grid = sampling_grid(offsets.flatten(0, 1), grid_of(keys), convention)
    grids = grid.unflatten(0, (-1, offsets.shape[1])).unbind(1)  # P times (N, H, W, 2)
    dtype = grid.dtype
    query, keys, read = query.to(dtype), keys.to(dtype), values.to(dtype)

    def match(grid: Tensor) -> Tensor:
        return (query * _sample(keys, grid, convention)).sum(1)  # (N, H, W)

    def part(grid: Tensor, weight: Tensor) -> Tensor:
        return weight * _sample(read, grid, convention)  # (N, C, H, W)

    again: Any = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
    logits = [again(match, grid) if recompute else match(grid) for grid in grids]
    affinity = torch.stack(logits, dim=1).softmax(1)
    total = read.new_zeros(())
    for grid, weight in zip(grids, affinity.split(1, dim=1)):
        if recompute:
            total = total + again(part, grid, weight)
        else:
            total = torch.addcmul(total, weight, _sample(read, grid, convention))
    return total.to(values.dtype), affinity


def gather_nearest(x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Read ``x`` at the cell nearest to each point, and say where in that cell the point lies.

    The cell is that of `torch.nn.functional.grid_sample` in mode "nearest" with align_corners=False, except that a
    point on the rim belongs to the last cell, never to the padding (see `nearest_cells`).

    Args:
        x: features or labels (N, C, h, w), any dtype.
        points: (N, P, 2), x then y, in [-1, 1] (-1 and 1 are the outer edges of the first and last cell).

    Returns:
        The cells' values (N, C, P) in x's dtype, and the points relative to their centers (N, P, 2), x then y, float32
        at least, in half cells: from -1 to 1.
    """
    height, width = x.shape[-2:]
    points = points if points.dtype == torch.float64 else points.float()
    columns, dx = nearest_cells(points[..., 0], width)
    rows, dy = nearest_cells(points[..., 1], height)
    return gather_cells(x, rows * width + columns), torch.stack((dx, dy), dim=-1)


def gather_cells(x: Tensor, index: Tensor) -> Tensor:
    """Read x (N, C, h, w) at the cells ``index`` (N, P), or (1, P) for all images: row * w + column. (N, C, P)."""
    return x.flatten(2).gather(2, index.unsqueeze(1).expand(x.shape[0], x.shape[1], -1))


def nearest_cells(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Find the nearest of ``size`` cells along one axis, and the position relative to that cell's center.

    A position midway between two cells takes the even one, as far as its float32 value is midway: the arithmetic is
    that of `torch.nn.functional.grid_sample` (mode "nearest", align_corners=False), bit by bit.

    Args:
        position: any shape, in [-1, 1].
        size: number of cells.

    Returns:
        The cells' index, int64, and (position - center) in half cells, of the position's shape and dtype.
    """
    index = (((position + 1) * size - 1) / 2).round().clamp(0, size - 1).long()
    return index, _from_center(position, index, size)


def nearest_grid_cells(out: int, size: int, device: torch.device, convention: str = "pixel") -> tuple[Tensor, Tensor]:
    """Find, for each of ``out`` pixel centers along one axis, the nearest of ``size`` cells over the same length.

    With ``pixel`` this is exact, in integers, and a center midway between two cells takes the even one on every
    back-end. The published codes compute positions in float32, where the rounding decides some of these ties (at half
    of the sizes that have any): so do the other conventions here.

    Returns:
        As `nearest_cells`: index (out,) int64 and relative position (out,) float32 in half cells.
    """
    if check_convention(convention) != "pixel":
        # The release adds 1 to its positions and takes it off again. In float32 that rounds, and only with it does a
        # center midway between two cells fall where it does there.
        return nearest_cells(cell_centers(out, device) + 1 - 1, size)
    index = torch.arange(out, device=device)
    numerator = (2 * index + 1) * size  # pixel i lies at numerator / (2 * out) cells from the edge
    cell = torch.div(numerator, 2 * out, rounding_mode="floor")
    midway = cell * (2 * out) == numerator  # between cell - 1 and cell
    cell = cell - (midway & (cell % 2 == 1)).long()
    return cell, (numerator - (2 * cell + 1) * out).float() / out


def linear_cells(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the two of ``size`` cells between whose centers each position along one axis lies.

    Outside the first and last center both are the cell at the border.

    Args:
        position, size: as in `nearest_cells`.

    Returns:
        Index int64, relative position in half cells (from -2 to 2) and share (of bilinear interpolation, from 0 to 1,
        sum 1) of both cells, each (2, *position.shape).
    """
    lower = ((position + 1) * size - 1) / 2
    share = lower - lower.floor()
    index = torch.stack((lower.floor(), lower.floor() + 1)).clamp(0, size - 1).long()
    return index, _from_center(position, index, size), torch.stack((1 - share, share))


def cell_centers(size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Centers (size,) of ``size`` cells that fill [-1, 1]: cell i is centered on (1 - size + 2 i) / size."""
    index = torch.arange(size, device=device, dtype=dtype)
    count = index[-1:] + 1  # ``size`` as a tensor: a graph must not round this quotient in another way
    return -index[-1:] / count + 2 / count * index


def _from_center(position: Tensor, index: Tensor, size: int) -> Tensor:
    return (position - cell_centers(size, position.device, position.dtype)[index]) * size


def pool_to_bins(x: Tensor, bins: int) -> Tensor:
    """Average ``x`` over a ``bins`` x ``bins`` partition: `torch.nn.functional.adaptive_avg_pool2d` that exports.

    Adaptive pooling fixes the input's size when a graph is exported. Pooling is linear and separable, so it is two
    matrix products whose weights come from comparisons of ``arange`` with the bins' edges, floor(i * h / bins) to
    ceil((i + 1) * h / bins).

    Args:
        x: features (N, C, h, w).
        bins: number of bins along each side, from 1 up.

    Returns:
        (N, C, bins, bins) in x's dtype; the sums are float32 at least.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    rows = _bin_weights(bins, x.shape[-2], x.device, dtype)  # (bins, h)
    columns = _bin_weights(bins, x.shape[-1], x.device, dtype)  # (bins, w)
    with torch.autocast(x.device.type, enabled=False):
        planes = x.to(dtype).contiguous()  # of a channels-last map, the product would copy each plane alone
        return (rows @ (planes @ columns.T)).to(x.dtype)  # (N, C, bins, bins)


def _sample(x: Tensor, grid: Tensor, convention: str) -> Tensor:
    """Read x (N, C, h, w) at a `sampling_grid` (N, H, W, 2) of the same convention and dtype."""
    align_corners = convention in ("sfnet", "alignseg_std")
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=align_corners)


def _positions(displacement: Tensor, out: int, size: int, convention: str, dim: int) -> Tensor:
    """Normalized positions along one axis: displacement (N, H, W), output length ``out``, input length ``size``."""
    index = torch.arange(out, device=displacement.device, dtype=displacement.dtype)
    index = index.unsqueeze(-1) if dim == -2 else index  # (H, 1) or (W,)
    if convention == "pixel":
        position = (index + 0.5 + displacement) * (size / out) - 0.5
        return (2 * position.clamp(0, size - 1) + 1) / size - 1
    base = index * (2 / max(out - 1, 1)) - 1
    if convention in ("sfnet", "bialignnet"):
        return base + displacement / out
    if convention == "alignseg":
        return base + displacement / size
    if convention == "alignseg_std":
        return base + displacement * (2 / max(out - 1, 1))
    check_convention(convention)
    raise AssertionError(convention)


def _bin_weights(bins: int, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Averaging weights (bins, size): row i is 1 / length over the pixels of bin i, 0 elsewhere."""
    bin_index = torch.arange(bins, device=device).unsqueeze(-1)  # (bins, 1)
    pixel = torch.arange(size, device=device)  # (size,)
    start = torch.div(bin_index * size, bins, rounding_mode="floor")
    stop = torch.div((bin_index + 1) * size + bins - 1, bins, rounding_mode="floor")
    inside = (pixel >= start) & (pixel < stop)
    return inside.to(dtype) / (stop - start).to(dtype)
