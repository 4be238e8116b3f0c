"""Sums of rows are the resizes, warps and convolutions that they stand for."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from graphs import relative_error
from pixalign.fusing.rows import (
    Reads,
    Warp,
    add_convolved_resize,
    as_map,
    as_rows,
    gather_taps,
    grid_reads,
    resize_axis,
    strips,
    tap_weight,
    total,
)
from pixalign.sampling import CONVENTIONS, resize, warp

sides = st.integers(1, 23)
sizes = st.tuples(sides, sides)
conventions = st.sampled_from(CONVENTIONS)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(sizes, sizes, conventions)
def test_four_rows_are_the_bilinear_resize(small, large, convention):
    x = random(1, 5, *small)
    axes = [resize_axis(n, m, convention) for n, m in zip(large, small)]
    result = as_map(total(as_rows(x), grid_reads(*axes, small[1], slice(None))), large[0])
    assert relative_error(result, resize(x, large, convention)) < 1e-5


@given(sizes, sizes, conventions, st.floats(0, 40))
def test_four_rows_are_the_warp(size, source, convention, reach):
    x, flow = random(1, 5, *source), reach * random(1, 2, *size, seed=1)
    result = as_map(total(as_rows(x), Warp(flow, source, convention).reads(slice(None))), size[0])
    torch.testing.assert_close(result, warp(x, flow, convention), atol=1e-4, rtol=1e-4)


@given(sizes, sizes, conventions, st.floats(0, 10))
def test_sixteen_rows_are_the_warp_of_a_resized_map(size, source, convention, reach):
    x, flow = random(1, 5, *source), reach * random(1, 2, *size, seed=1)
    reads = Warp(flow, size, convention, resized_from=source).reads(slice(None))
    expected = warp(resize(x, size, convention), flow, convention)
    torch.testing.assert_close(as_map(total(as_rows(x), reads), size[0]), expected, atol=1e-4, rtol=1e-4)


@given(sizes, sizes, conventions)
def test_a_convolution_of_a_resized_map_is_a_sum_of_its_taps(small, large, convention):
    x, weight, out = random(1, 5, *small), random(3, 5, 3, 3, seed=1), random(1, 3, *large, seed=2)
    expected = out + F.conv2d(resize(x, large, convention), weight, padding=1)
    result = out.contiguous(memory_format=torch.channels_last)
    add_convolved_resize(result, x, weight, convention)
    assert relative_error(result, expected) < 1e-5


@given(sizes, st.integers(1, 3))
def test_taps_gathered_are_the_convolution(size, channels):
    x, weight = random(2, 5, *size), random(channels, 5, 3, 3, seed=1)
    taps = F.conv2d(x, tap_weight(weight)[:, :, None, None])
    torch.testing.assert_close(gather_taps(taps), F.conv2d(x, weight, padding=1), atol=1e-4, rtol=1e-4)


@given(st.integers(1, 200), st.integers(1, 3000), st.integers(1, 3000))
def test_strips_cover_every_row_once(height, width, channels):
    covered = [row for strip in strips((height, width), channels) for row in range(height)[strip]]
    assert covered == list(range(height))


def test_a_row_outside_the_map_has_no_weight():
    reads = Warp(torch.full((1, 2, 1, 1), 30.0), (5, 5), "sfnet").reads(slice(None))
    assert reads.weight.abs().max() == 0


def test_sums_of_bfloat16_maps_are_float32():
    x = random(1, 8, 3, 4).bfloat16()
    assert total(as_rows(x), Reads(torch.zeros(2, 1, dtype=torch.int32), torch.ones(2, 1))).dtype == torch.float32


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rows_of_a_map_are_its_pixels_whatever_its_layout(layout):
    x = random(1, 3, 4, 5).contiguous(memory_format=layout)
    assert torch.equal(as_map(as_rows(x), 4), x)
    assert torch.equal(as_rows(x)[7], x[0, :, 1, 2])
