"""DySample: the paper's module on maps of twice the size, a bilinear resize without offsets, any other size beside."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from graphs import relative_error
from networks import randomized
from pixalign.aligners import create_aligner
from pixalign.aligners.dysample import DySample
from pixalign.errors import InputError
from pixalign.sampling import resize

CHANNELS = 16


def maps(fine: tuple[int, int], coarse: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, CHANNELS, *fine, generator=generator), torch.randn(2, CHANNELS, *coarse, generator=generator)


def moved(**options: int) -> DySample:
    return randomized(DySample(CHANNELS, **options)).eval()


def upsampled(module: DySample, x: Tensor) -> Tensor:
    """The paper's upsampling by two, each of the four pixels that one becomes taken by itself."""
    count, _, height, width = x.shape
    groups = x.unflatten(1, (module.groups, -1))
    offsets = 0.25 * module.make_flow(x).view(count, 2, module.groups, 2, 2, height, width)
    result = x.new_zeros(count, CHANNELS, 2 * height, 2 * width)
    for i, j, g in torch.cartesian_prod(*(torch.arange(n) for n in (2, 2, module.groups))).tolist():
        column = torch.arange(width) + (j - 0.5) / 2 + offsets[:, 0, g, i, j]  # in coarse pixels, centers at integers
        row = torch.arange(height).view(-1, 1) + (i - 0.5) / 2 + offsets[:, 1, g, i, j]
        grid = torch.stack(((2 * column + 1) / width - 1, (2 * row + 1) / height - 1), -1)
        read = F.grid_sample(groups[:, g], grid, padding_mode="border", align_corners=False)
        result.unflatten(1, (module.groups, -1))[:, g, :, i::2, j::2] = read
    return result


@pytest.mark.parametrize("groups", [1, 4, 16])
def test_on_maps_of_twice_the_size_it_is_the_papers_module(groups):
    fine, coarse = maps((14, 18), (7, 9))
    module = moved(groups=groups)
    with torch.no_grad():
        assert module.geometry(fine, coarse)[0].offsets.abs().mean() > 1
        assert relative_error(module(fine, coarse), fine + upsampled(module, coarse)) < 1e-5


@pytest.mark.parametrize("size", [(13, 17), (25, 33), (7, 9), (5, 30)])
def test_other_sizes_have_the_offsets_resized_and_measured_in_their_own_pixels(size):
    fine, coarse = maps(size, (7, 9))
    module = moved()
    double = module.geometry(fine.new_zeros(2, CHANNELS, 14, 18), coarse)[0].offsets
    ratio = torch.tensor([size[1] / 18, size[0] / 14]).view(1, 1, 2, 1, 1)
    expected = ratio * resize(double.flatten(1, 2), size).unflatten(1, (4, 2))
    got = module.geometry(fine, coarse)[0].offsets
    assert got.shape == (2, 4, 2, *size)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(14, 18), (13, 17), (7, 9)])
def test_without_offsets_it_is_the_bilinear_aligner_and_a_new_one_is_close_to_it(size):
    fine, coarse = maps(size, (7, 9))
    bilinear = create_aligner("bilinear", CHANNELS)(fine, coarse)
    torch.manual_seed(0)
    module = DySample(CHANNELS)
    assert 0 < relative_error(module(fine, coarse), bilinear) < 0.02
    torch.nn.init.zeros_(module.make_flow.weight)
    assert relative_error(module(fine, coarse), bilinear) < 1e-5


def test_groups_of_channels_move_apart():
    fine, coarse = maps((14, 18), (7, 9))
    offsets = moved().geometry(fine, coarse)[0].offsets
    for g in range(1, 4):
        assert (offsets[:, g] - offsets[:, 0]).abs().mean() > 1


def test_gradients_are_exact():
    module = moved(groups=2).double()
    fine, coarse = (x[:1].double().requires_grad_() for x in maps((5, 3), (3, 2)))
    assert module.geometry(fine, coarse)[0].offsets.abs().mean() > 1
    torch.autograd.gradcheck(module, (fine, coarse))


@pytest.mark.parametrize("groups", [0, 3, -4])
def test_groups_that_do_not_divide_the_channels_are_refused(groups):
    with pytest.raises(InputError, match=f"groups is {groups}: it must divide the channels, 16"):
        create_aligner("dysample", CHANNELS, groups=groups)
