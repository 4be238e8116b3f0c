"""Reading the nearest cell: `torch.nn.functional.grid_sample`'s rule, ties included, and where a point lies in it."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from graphs import export, onnx_runner
from pixalign.sampling import cell_centers, gather_nearest, linear_cells, nearest_cells, nearest_grid_cells

CPU = torch.device("cpu")


def grid_sample_nearest(x: Tensor, points: Tensor) -> Tensor:
    """torch's own nearest sampling of x (N, C, h, w) at points (N, P, 2): (N, C, P)."""
    return F.grid_sample(x, points.unsqueeze(1), mode="nearest", align_corners=False).squeeze(2)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform_points(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.rand(*shape, 2, generator=torch.Generator().manual_seed(seed)) - 1


@settings(max_examples=50, deadline=None, derandomize=True)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 2**16))
def test_gather_reads_what_grid_sample_reads(size, seed):
    x, points = random(2, 3, *size, seed=seed), uniform_points(2, 50, seed=seed)
    values, _ = gather_nearest(x, points)
    assert torch.equal(values, grid_sample_nearest(x, points))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_offset_leads_from_the_cells_center_back_to_the_point(height, width, seed):
    points = uniform_points(2, 50, seed=seed)
    centers = torch.stack(torch.meshgrid(cell_centers(height, CPU), cell_centers(width, CPU), indexing="ij"))
    values, offset = gather_nearest(centers.unsqueeze(0), points[:1])
    y, x = values.unbind(1)
    torch.testing.assert_close(torch.stack((x, y), -1) + offset / torch.tensor([width, height]), points[:1])
    assert offset.abs().max() <= 1 + 1e-5


def test_labels_and_half_precision_keep_their_dtype_and_positions_stay_float32():
    points = uniform_points(1, 200)
    for x in (torch.arange(2048).view(1, 1, 1, -1), random(1, 1, 1, 2048).bfloat16()):
        values, offset = gather_nearest(x, points)
        column = nearest_cells(points[..., 0], 2048)[0]
        assert torch.equal(values[0], x[0, 0, 0, column])
        assert offset.dtype == torch.float32


def test_points_on_the_rim_belong_to_the_last_cell():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    corners = torch.tensor([[[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]])
    values, offset = gather_nearest(x, corners)
    assert values.flatten().tolist() == [0, 3, 8, 11]
    torch.testing.assert_close(offset, corners)


@pytest.mark.parametrize(
    ("position", "size", "cell"), [(0.0, 4, 2), (0.0, 2, 0), (-0.5, 4, 0), (0.5, 4, 2), (0.0, 6, 2)]
)
def test_a_point_midway_between_two_cells_takes_the_even_one(position, size, cell):
    index, offset = nearest_cells(torch.tensor([position]), size)
    assert int(index) == cell
    assert abs(float(offset)) == pytest.approx(1)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(out=st.integers(1, 600), size=st.integers(1, 600))
def test_grid_cells_are_exact_with_ties_to_even(out, size):
    index, offset = nearest_grid_cells(out, size, CPU)
    positions = [Fraction((2 * i + 1) * size, 2 * out) - Fraction(1, 2) for i in range(out)]
    assert index.tolist() == [round(p) for p in positions]  # Fraction rounds half to even
    expected = [float(2 * (p - round(p))) for p in positions]
    torch.testing.assert_close(offset, torch.tensor(expected), atol=1e-6, rtol=0)


def test_an_image_height_of_360_has_six_ties_at_a_32nd():
    _, offset = nearest_grid_cells(90, 12, CPU)
    assert int((offset.abs() == 1).sum()) == 6


@settings(max_examples=200, deadline=None, derandomize=True)
@given(height=st.integers(33, 1024), stride=st.sampled_from([8, 16, 32]))
def test_grid_cells_of_a_published_convention_follow_its_float32_rounding(height, stride):
    out, size = -(-height // 4), -(-height // stride)
    centers, rows = ((-1 + 1 / n) + (2 / n) * torch.arange(n).float() for n in (out, size))
    query = (centers + 1) / 2 * 2 - 1
    index, offset = nearest_grid_cells(out, size, CPU, "sfnet")
    points = torch.stack((query, torch.zeros_like(query)), -1).unsqueeze(0)
    assert torch.equal(
        index.float(), grid_sample_nearest(torch.arange(size).float().view(1, 1, 1, -1), points).flatten()
    )
    assert torch.equal(offset, (query - rows[index]) * size)


def test_that_rounding_decides_some_ties_otherwise():
    exact, published = (nearest_grid_cells(90, 12, CPU, convention)[0] for convention in ("pixel", "sfnet"))
    assert 0 < int((exact != published).sum()) < 6


@settings(max_examples=100, deadline=None, derandomize=True)
@given(size=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_linear_cells_interpolate_bilinearly(size, seed):
    x, position = random(1, 1, 1, size, seed=seed), uniform_points(30, seed=seed)[:, 0]
    index, offset, share = linear_cells(position, size)
    points = torch.stack((position, torch.zeros_like(position)), -1).view(1, 1, -1, 2)
    expected = F.grid_sample(x, points, padding_mode="border", align_corners=False).flatten()
    torch.testing.assert_close((x.flatten()[index] * share).sum(0), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(share.sum(0), torch.ones(30))
    assert offset.abs().max() <= 2 + 1e-5


class _Nearest(nn.Module):
    def __init__(self, convention: str) -> None:
        super().__init__()
        self.convention = convention

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        """Every value and position that a graph must find again: at points, and on the grid of 1/4 of P x P."""
        values, offset = gather_nearest(x, points)
        index, relative = nearest_grid_cells(points.shape[1], x.shape[-1], x.device, self.convention)
        return torch.cat((values.flatten(), offset.flatten(), index.float(), relative))


@pytest.mark.slow
@pytest.mark.parametrize("convention", ["pixel", "sfnet"])
def test_graphs_take_the_same_cells_at_every_size(convention):
    module = _Nearest(convention)
    program = export(module, [random(2, 3, 8, 12), uniform_points(2, 20)], fixed=())
    run = onnx_runner(program)
    for (height, width), points in (((8, 12), 20), ((5, 12), 90), ((23, 30), 101), ((7, 8), 25)):
        inputs = random(2, 3, height, width), uniform_points(2, points)
        expected = module(*inputs)
        assert torch.equal(program.module()(*inputs), expected)
        assert (run(*inputs) - expected).abs().max() < 1e-5
