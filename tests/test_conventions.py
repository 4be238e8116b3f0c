"""The published sampling conventions against their table, pixel by pixel.

That converted networks reproduce the authors' outputs with them is tested in ``tests/weights``.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixalign.sampling import CONVENTIONS, resize, warp


def position(convention: str, index: int, displacement: float, size: int, out: int) -> float:
    """Where output ``index`` of ``out`` reads an axis of ``size`` pixels: the table in the docstring of sampling.py."""
    i, d = index, displacement
    if convention == "pixel":
        return min(max((i + 0.5 + d) * size / out - 0.5, 0), size - 1)
    if convention == "sfnet":
        return (i + d * (out - 1) / (2 * out)) * (size - 1) / (out - 1)
    if convention == "bialignnet":
        return (i * 2 / (out - 1) + d / out) * size / 2 - 0.5
    if convention == "alignseg":
        return (i * 2 / (out - 1) + d / size) * size / 2 - 0.5
    assert convention == "alignseg_std"
    return (i + d) * (size - 1) / (out - 1)


def brute_force_warp(x: np.ndarray, flow: np.ndarray, convention: str) -> np.ndarray:
    """Bilinear sampling with zeros outside, one output pixel at a time: x (C, h, w), flow (2, H, W)."""
    channels, height, width = x.shape
    result = np.zeros((channels, *flow.shape[1:]))
    for i, j in np.ndindex(*flow.shape[1:]):
        column = position(convention, j, flow[0, i, j], width, flow.shape[2])
        row = position(convention, i, flow[1, i, j], height, flow.shape[1])
        for y in (math.floor(row), math.floor(row) + 1):
            for z in (math.floor(column), math.floor(column) + 1):
                if 0 <= y < height and 0 <= z < width:
                    result[:, i, j] += (1 - abs(row - y)) * (1 - abs(column - z)) * x[:, y, z]
    return result


@pytest.mark.parametrize("convention", CONVENTIONS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(*[st.integers(1, 7)] * 2, *[st.integers(2, 7)] * 2),
    reach=st.floats(0, 4),
    seed=st.integers(0, 2**16),
)
def test_warp_reads_where_the_table_says(convention, sizes, reach, seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal((2, *sizes[:2]))
    flow = random.uniform(-reach, reach, (2, *sizes[2:]))
    got = warp(torch.from_numpy(x)[None], torch.from_numpy(flow)[None], convention)[0].numpy()
    np.testing.assert_allclose(got, brute_force_warp(x, flow, convention), atol=1e-9)


@pytest.mark.parametrize("convention", ["sfnet", "alignseg_std"])
def test_zero_flow_is_the_align_corners_resize(convention):
    x = torch.randn(2, 3, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(warp(x, x.new_zeros(2, 2, 12, 9), convention), resize(x, (12, 9), convention))


@pytest.mark.parametrize("convention", ["bialignnet", "alignseg"])
def test_zero_flow_is_not_the_identity_in_two_releases(convention):
    x = torch.ones(1, 1, 8, 8)
    warped = warp(x, x.new_zeros(1, 2, 8, 8), convention)
    torch.testing.assert_close(warped[0, 0, 4, 4], torch.tensor(1.0))
    torch.testing.assert_close(warped[0, 0, 0, 0], torch.tensor(0.25))  # half a pixel outside, along both axes


def test_alignseg_measures_displacement_in_the_input_map():
    ramp = torch.arange(12.0).expand(1, 1, 12, 12)
    flow = torch.zeros(1, 2, 24, 24)
    moved = torch.cat((flow[:, :1] + 4, flow[:, 1:]), 1)
    for convention, pixels in (("alignseg", 2.0), ("bialignnet", 1.0)):  # 4 / w * w / 2 and 4 / W * w / 2
        step = warp(ramp, moved, convention) - warp(ramp, flow, convention)
        torch.testing.assert_close(step[0, 0, 12, 12], torch.tensor(pixels))
