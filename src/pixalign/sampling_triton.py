"""Dynamic sampling as one Triton kernel, for inference on a GPU: what `pixalign.sampling.dynamic_sampling` computes.

There, keys and values are sampled into a map for each of the P positions, which is written and read again. Here each
pixel's P positions, their four corners, the affinity and the sum stay in registers: keys, values and offsets are read,
the result is written, nothing else. The softmax is done in the same pass as the sum, rescaled when a larger logit comes
(Milakov and Gimelshein 2018, arXiv 1805.02867).

No network takes this by itself. It needs Triton, which PyTorch's builds for Linux with CUDA bring along; with
TRITON_INTERPRET=1 in the environment it runs on a CPU, slowly, for tests.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 1024  # pixels x channels of one program: with more, four warps run out of registers


def dynamic_sampling(query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
    """Sum ``values`` over P displaced positions per pixel as `pixalign.sampling.dynamic_sampling` does.

    The convention is ``pixel``, there is no gradient, and the affinity is not returned.

    Args:
        query: (N, D, H, W), scaled by the caller, any floating dtype; float64 is computed in float32.
        keys: (N, D, h, w).
        values: (N, C, h, w).
        offsets: displacements (N, P, 2, H, W), dx then dy, in output pixels.

    Returns:
        The sum (N, C, H, W), channels last, in values' dtype; positions, affinity and sums are float32.

    Raises:
        ValueError: a gradient is asked for, or the tensors are not on a GPU (nor interpreted).
    """
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query, keys, values, offsets)):
        raise ValueError("a gradient is asked for: take pixalign.sampling.dynamic_sampling")
    if not (query.is_cuda or triton.knobs.runtime.interpret):
        raise ValueError(f"the tensors are on {query.device}: move them to a GPU")
    count, points, _, height, width = offsets.shape
    query_rows, key_rows, value_rows = (x.permute(0, 2, 3, 1).contiguous() for x in (query, keys, values))
    out = torch.empty_like(values[..., :1, :1].expand(-1, -1, height, width), memory_format=torch.channels_last)
    d_block, c_block = (triton.next_power_of_2(x.shape[1]) for x in (keys, values))
    pixels = max(1, TILE // max(d_block, c_block))
    grid = (triton.cdiv(height * width, pixels), count)
    _sample_and_sum[grid](
        query_rows,
        key_rows,
        value_rows,
        offsets.float().contiguous(),
        out,
        height,
        width,
        keys.shape[-2],
        keys.shape[-1],
        keys.shape[-2] / height,
        keys.shape[-1] / width,
        POINTS=points,
        D=keys.shape[1],
        C=values.shape[1],
        D_BLOCK=d_block,
        C_BLOCK=c_block,
        PIXELS=pixels,
    )
    return out


@triton.jit
def _sample_and_sum(
    query,  # (N, H, W, D), as keys (N, h, w, D), values (N, h, w, C) and out (N, H, W, C)
    keys,
    values,
    offsets,  # (N, P, 2, H, W)
    out,
    height,
    width,
    key_height,
    key_width,
    cells_per_row,  # h / H
    cells_per_column,  # w / W
    POINTS: tl.constexpr,
    D: tl.constexpr,
    C: tl.constexpr,
    D_BLOCK: tl.constexpr,
    C_BLOCK: tl.constexpr,
    PIXELS: tl.constexpr,
):
    image = tl.program_id(1).to(tl.int64)
    size = height * width
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = pixel < size
    row, column = pixel // width, pixel % width
    d, c = tl.arange(0, D_BLOCK)[None, :], tl.arange(0, C_BLOCK)[None, :]
    d_inside, c_inside = inside[:, None] & (d < D), inside[:, None] & (c < C)
    keys += image * key_height * key_width * D
    values += image * key_height * key_width * C
    offsets += image * POINTS * 2 * size
    asked = tl.load(query + (image * size + pixel[:, None]) * D + d, mask=d_inside, other=0.0).to(tl.float32)

    largest = tl.full((PIXELS,), float("-inf"), tl.float32)
    shares = tl.zeros((PIXELS,), tl.float32)
    total = tl.zeros((PIXELS, C_BLOCK), tl.float32)
    for point in range(POINTS):
        dx = tl.load(offsets + 2 * point * size + pixel, mask=inside, other=0.0)
        dy = tl.load(offsets + (2 * point + 1) * size + pixel, mask=inside, other=0.0)
        x = (column + 0.5 + dx) * cells_per_column - 0.5
        y = (row + 0.5 + dy) * cells_per_row - 0.5
        x = tl.minimum(tl.maximum(x, 0.0), key_width - 1.0)
        y = tl.minimum(tl.maximum(y, 0.0), key_height - 1.0)
        left, top = tl.floor(x), tl.floor(y)
        x_share, y_share = x - left, y - top
        key = tl.zeros((PIXELS, D_BLOCK), tl.float32)
        value = tl.zeros((PIXELS, C_BLOCK), tl.float32)
        for corner in tl.static_range(4):
            right, lower = corner % 2, corner // 2
            across = tl.minimum(left.to(tl.int32) + right, key_width - 1)
            down = tl.minimum(top.to(tl.int32) + lower, key_height - 1)
            weight = (x_share if right else 1 - x_share) * (y_share if lower else 1 - y_share)
            cell = (down * key_width + across).to(tl.int64)[:, None]
            key += weight[:, None] * tl.load(keys + cell * D + d, mask=d_inside, other=0.0).to(tl.float32)
            value += weight[:, None] * tl.load(values + cell * C + c, mask=c_inside, other=0.0).to(tl.float32)
        logit = tl.sum(asked * key, axis=1)
        larger = tl.maximum(largest, logit)
        before, now = tl.exp(largest - larger), tl.exp(logit - larger)
        total = total * before[:, None] + now[:, None] * value
        shares = shares * before + now
        largest = larger
    result = (total / shares[:, None]).to(out.dtype.element_ty)
    tl.store(out + (image * size + pixel[:, None]) * C + c, result, mask=c_inside)
