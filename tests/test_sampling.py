"""What the sampling primitive promises in our own convention, ``pixel``; test_conventions.py has the published ones."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from graphs import export, onnx_runner, relative_error
from pixalign.sampling import CONVENTIONS, cut, fill, pool_to_bins, resize, sampling_grid, warp

SIZE = st.tuples(st.integers(1, 40), st.integers(1, 40))
EXPORT_SIZES = (((8, 12), (16, 24)), ((9, 13), (33, 47)), ((20, 6), (20, 6)))  # (h, w), (H, W)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=SIZE, out=SIZE)
def test_zero_flow_is_a_bilinear_resize(size, out):
    x = random(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(warp(x, x.new_zeros(2, 2, *out)), resize(x, out), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("size", "out"),
    [((12, 17), (48, 68)), ((48, 68), (12, 17)), ((23, 31), (60, 45)), ((256, 512), (1024, 2048))],
    ids=["up by four", "down by four", "ratio not an integer", "to full resolution"],
)
def test_zero_flow_is_a_bilinear_resize_in_float32(size, out):
    x = random(1, 2, *size)
    assert relative_error(warp(x, x.new_zeros(1, 2, *out)), resize(x, out)) < 1e-4


@settings(max_examples=30, deadline=None, derandomize=True)
@given(size=SIZE)
def test_zero_flow_is_the_identity_where_sizes_agree(size):
    x = random(1, 2, *size)
    torch.testing.assert_close(warp(x, torch.zeros(1, 2, *size)), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 5), (100, -100)])
def test_flow_of_whole_pixels_shifts_and_repeats_the_border(dx, dy):
    x = random(2, 3, 13, 17)
    flow = torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(2, 2, 13, 17)
    rows = (torch.arange(13) + dy).clamp(0, 12)
    columns = (torch.arange(17) + dx).clamp(0, 16)
    torch.testing.assert_close(warp(x, flow), x[:, :, rows][..., columns], atol=1e-5, rtol=0)


def test_flow_counts_output_pixels():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    flow = torch.zeros(1, 2, 64, 64)
    step = warp(ramp, flow + torch.tensor([4.0, 0.0]).view(1, 2, 1, 1)) - warp(ramp, flow)
    torch.testing.assert_close(step[..., 8:48], torch.ones(1, 1, 64, 40))  # four output pixels are one of the input's


def test_first_channel_of_a_flow_moves_along_the_width():
    x = random(1, 1, 5, 9)
    flow = torch.zeros(1, 2, 5, 9)
    flow[:, 0] = 1
    torch.testing.assert_close(warp(x, flow)[..., :-1], x[..., 1:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("reach", [0.5, 5.0, 1e4])
def test_outside_the_map_the_border_is_repeated_as_with_border_padding(reach):
    x = random(2, 3, 11, 7, dtype=torch.float64).requires_grad_()
    flow = (reach * random(2, 2, 22, 21, seed=1, dtype=torch.float64)).requires_grad_()
    columns = (torch.arange(21) + 0.5 + flow[:, 0]) * 2 / 21 - 1
    rows = (torch.arange(22).view(-1, 1) + 0.5 + flow[:, 1]) * 2 / 22 - 1
    grid = torch.stack((columns, rows), -1)
    expected = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    got = warp(x, flow)
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)

    weight = random(*got.shape, seed=2, dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad((got * weight).sum(), (x, flow)), torch.autograd.grad((expected * weight).sum(), (x, flow))
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("out", [(6, 5), (9, 11), (4, 3)], ids=["same size", "larger", "smaller"])
def test_gradients_of_features_and_flow_are_exact(out):
    size = (6, 5)
    # positions between pixel centers, away from the kinks of bilinear interpolation
    generator = torch.Generator().manual_seed(3)
    position = torch.stack([torch.randint(0, side - 1, (2, *out), generator=generator) for side in reversed(size)], 1)
    position = position + 0.2 + 0.6 * torch.rand(2, 2, *out, generator=generator, dtype=torch.float64)
    index = torch.stack(torch.meshgrid(torch.arange(out[1]), torch.arange(out[0]), indexing="xy"))
    scale = torch.tensor([out[1] / size[1], out[0] / size[0]], dtype=torch.float64).view(2, 1, 1)
    flow = (position + 0.5) * scale - 0.5 - index
    assert flow.abs().max() > 1
    x = random(2, 2, *size, dtype=torch.float64)
    torch.autograd.gradcheck(warp, (x.requires_grad_(), flow.requires_grad_()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_every_position_at_1024_x_2048(dtype):
    height, width, shift = 1024, 2048, 5
    x = ((torch.arange(width) + torch.arange(height).view(-1, 1)) % 8).to(dtype).view(1, 1, height, width)
    flow = torch.tensor([shift, 0], dtype=dtype).view(1, 2, 1, 1).expand(1, 2, height, width)
    warped = warp(x, flow)
    assert warped.dtype == dtype
    # neighbors differ by up to 7: a position off by 0.01 pixel would change a value by up to 0.07
    error = (warped[..., :-shift].float() - x[..., shift:].float()).abs().max()
    assert error < 0.03


def test_positions_are_float32_under_autocast():
    flow = torch.zeros(1, 2, 4, 2048, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grid = sampling_grid(flow, (4, 2048))
        assert warp(torch.zeros(1, 1, 4, 2048, dtype=torch.bfloat16), flow).dtype == torch.bfloat16
    assert grid.dtype == torch.float32
    centers = (2 * torch.arange(2048) + 1) / 2048 - 1
    torch.testing.assert_close(grid[0, 0, :, 0], centers, atol=1e-6, rtol=0)  # 2e-3 is one step of bfloat16 at 0.5


def test_empty_batches_and_single_pixels_are_fine():
    assert warp(torch.zeros(0, 3, 4, 4), torch.zeros(0, 2, 8, 8)).shape == (0, 3, 8, 8)
    torch.testing.assert_close(warp(torch.ones(1, 1, 1, 1), random(1, 2, 3, 5)), torch.ones(1, 1, 3, 5))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=SIZE, bins=st.integers(1, 9))
def test_pooling_to_bins_is_adaptive_average_pooling(size, bins):
    x = random(2, 3, *size)
    torch.testing.assert_close(pool_to_bins(x, bins), F.adaptive_avg_pool2d(x, bins), atol=1e-5, rtol=0)


def test_pooling_sums_in_float32():
    x = (1 + torch.arange(2.0**14) % 2 / 128).bfloat16().view(1, 1, 128, 128)
    assert pool_to_bins(x, 1).item() == torch.tensor(1 + 1 / 256).bfloat16().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(pool_to_bins(x.float(), 1).item(), 1 + 1 / 256)


@pytest.mark.parametrize("convention", ["", "Pixel", "corners"])
def test_unknown_conventions_are_named_with_the_choices(convention):
    x = torch.zeros(1, 1, 4, 4)
    for call in (
        lambda: resize(x, (8, 8), convention),
        lambda: warp(x, torch.zeros(1, 2, 4, 4), convention),
        lambda: sampling_grid(torch.zeros(1, 2, 4, 4), (4, 4), convention),
    ):
        with pytest.raises(ValueError, match=f"convention {convention!r} is unknown: choose one of pixel, sfnet"):
            call()


class Sampling(nn.Module):
    """Warp by each of the conventions and both kinds of resize after pooling, in one graph: their results stacked."""

    def __init__(self, *conventions: str) -> None:
        super().__init__()
        self.conventions = conventions

    def forward(self, x: Tensor, flow: Tensor) -> Tensor:
        size, pooled = (flow.shape[-2], flow.shape[-1]), pool_to_bins(x, 3)
        warped = [warp(x, flow, convention) for convention in self.conventions]
        return torch.stack([*warped, resize(pooled, size), resize(pooled, size, "sfnet")])


def export_inputs(size: tuple[int, int], out: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Features and a flow that reaches several pixels, beyond the border too; the batch follows the size."""
    batch = 1 + size[0] % 3
    flow = 3 * random(batch, 2, *out, seed=out[0])
    assert flow.abs().max() > 3
    return random(batch, 4, *size, seed=size[0]), flow


def test_exported_graphs_sample_the_same_at_every_size_in_every_convention():
    module = Sampling(*CONVENTIONS)
    program = export(module, export_inputs((10, 14), (30, 28)))
    run = onnx_runner(program)
    for sizes in EXPORT_SIZES:
        inputs = export_inputs(*sizes)
        for graph in (program.module(), run):
            for got, expected in zip(graph(*inputs), module(*inputs), strict=True):
                assert relative_error(got, expected) < 1e-4


def test_compiled_sampling_is_equal_at_every_size():
    torch.compiler.reset()
    module = Sampling("pixel")
    compiled = torch.compile(module, fullgraph=True, dynamic=True)
    for sizes in EXPORT_SIZES:
        inputs = export_inputs(*sizes)
        assert relative_error(compiled(*inputs), module(*inputs)) < 1e-5


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 16, 32]))
def test_filling_mirrors_an_image_and_cutting_takes_it_back(height, width, multiple):
    x = torch.arange(2.0 * height * width).view(1, 2, height, width)
    filled = fill(x, multiple)
    assert all(0 <= after - before < multiple and after % multiple == 0
               for after, before in zip(filled.shape[-2:], x.shape[-2:]))  # fmt: skip
    assert torch.equal(cut(filled, (height, width)), x)
    rows, columns = (min(after, 2 * before - 1) for after, before in zip(filled.shape[-2:], x.shape[-2:]))
    mirrored = F.pad(x, (0, columns - width, 0, rows - height), mode="reflect")
    assert torch.equal(filled[..., :rows, :columns], mirrored)


def test_what_fits_is_not_copied():
    x = torch.zeros(1, 1, 32, 64)
    assert fill(x, 32) is x
    assert cut(x, (32, 64)) is x
