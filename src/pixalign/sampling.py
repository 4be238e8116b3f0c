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

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Convention = Literal["pixel", "sfnet", "bialignnet", "alignseg", "alignseg_std"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)


def check_convention(convention: str) -> str:
    """Return ``convention`` if it is one of `CONVENTIONS`; raise ValueError naming the choices otherwise."""
    if convention not in CONVENTIONS:
        raise ValueError(f"convention {convention!r} is unknown: choose one of {', '.join(CONVENTIONS)}")
    return convention


def resize(x: Tensor, size: tuple[int, int], convention: str = "pixel") -> Tensor:
    """Resize bilinearly as the convention does: pixel centres for ``pixel``, corner centres for the published ones.

    Args:
        x: features (N, C, h, w), any floating dtype.
        size: (H, W) of the result.
        convention: one of `CONVENTIONS`.

    Returns:
        (N, C, H, W) in x's dtype. No antialiasing, in either direction.

    Raises:
        ValueError: an unknown convention.
    """
    align_corners = check_convention(convention) != "pixel"
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def sampling_grid(flow: Tensor, input_size: tuple[int, int], convention: str = "pixel") -> Tensor:
    """Turn a displacement field into the positions that `torch.nn.functional.grid_sample` takes.

    Args:
        flow: displacements (N, 2, H, W), dx then dy, in the convention's unit (output pixels for ``pixel``).
        input_size: (h, w) of the map that will be sampled.
        convention: one of `CONVENTIONS`.

    Returns:
        float32 (float64 for a float64 flow) positions (N, H, W, 2), x then y. For ``pixel`` they refer to
        ``align_corners=False`` and are clamped to the first and last pixel centre.
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
    grid = sampling_grid(flow, (x.shape[-2], x.shape[-1]), convention)
    align_corners = convention in ("sfnet", "alignseg_std")
    sampled = F.grid_sample(x.to(grid.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=align_corners)
    return sampled.to(x.dtype)  # (N, C, H, W)


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
        return (rows @ (x.to(dtype) @ columns.T)).to(x.dtype)  # (N, C, bins, bins)


def _positions(displacement: Tensor, out: int, size: int, convention: str, dim: int) -> Tensor:
    """Normalised positions along one axis: displacement (N, H, W), output length ``out``, input length ``size``."""
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
