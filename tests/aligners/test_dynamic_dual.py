"""DDSM against its definition, written plainly: every concatenation made, all of the N copies gathered by index."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from graphs import relative_error
from networks import image, network, randomized
from pixalign import create_model
from pixalign.aligners import create_aligner
from pixalign.aligners.dynamic_dual import PACE, DynamicDual, position_embedding
from pixalign.aligners.geometry import Mixing, Points
from pixalign.errors import InputError
from pixalign.sampling import pool_to_bins, resize

SIZES = (((25, 33), (13, 17)), ((16, 24), (4, 6)), ((7, 9), (7, 9)), ((3, 2), (1, 1)))  # fine, coarse
CHANNELS = 16


def maps(fine: tuple[int, int], coarse: tuple[int, int], channels: int = CHANNELS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, *fine, generator=generator), torch.randn(2, channels, *coarse, generator=generator)


def aligner(**options: object) -> DynamicDual:
    """Random weights; displacements are larger than a cell, also in the square of channels, whose maps are pooled."""
    module = randomized(DynamicDual(CHANNELS, **options)).eval()
    if module.channel is not None:
        module.channel.make_flow.weight.data *= 4
    return module


def embedded(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x with the sinusoids of each pixel's place added one number at a time."""
    added = x.new_zeros(x.shape[1:])
    quarter = x.shape[1] // 4
    for i, row, column in torch.cartesian_prod(*(torch.arange(n) for n in (quarter, *x.shape[2:]))).tolist():
        wave = 10_000 ** (-i / quarter)
        y = ((row + 0.5) * size[0] / x.shape[2] - 0.5) * wave
        z = ((column + 0.5) * size[1] / x.shape[3] - 0.5) * wave
        for j, value in enumerate((math.sin(y), math.cos(y), math.sin(z), math.cos(z))):
            added[i + j * quarter, row, column] = value
    return x + added


def copies(x: Tensor, offsets: Tensor) -> Tensor:
    """All copies (N, P, H, W, C) of x (N, C, H, W), displaced by offsets (N, P, 2, H, W), the border repeated."""
    height, width = x.shape[-2:]
    column = (torch.arange(width) + offsets[:, :, 0]).clamp(0, width - 1)
    row = (torch.arange(height).view(-1, 1) + offsets[:, :, 1]).clamp(0, height - 1)
    left, top = column.floor().long(), row.floor().long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    number, x = torch.arange(len(x)).view(-1, 1, 1, 1), x.permute(0, 2, 3, 1)
    across, down = (column - left).unsqueeze(-1), (row - top).unsqueeze(-1)
    upper = torch.lerp(x[number, top, left], x[number, top, right], across)
    lower = torch.lerp(x[number, bottom, left], x[number, bottom, right], across)
    return torch.lerp(upper, lower, down)


def neighborhood(learned: Tensor) -> Tensor:
    """Offsets (N, 9, 2, H, W): dx, dy of each of the 3 x 3 places, row by row, and what was learned."""
    places = torch.tensor([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    return learned.unflatten(1, (9, 2)) + places.view(9, 2, 1, 1)


def plain_spatial(module: DynamicDual, fine: Tensor, coarse: Tensor, position: bool, scaled: bool) -> Tensor:
    branch, size = module.spatial, fine.shape[-2:]
    if position:
        fine, coarse = embedded(fine, size), embedded(coarse, size)
    coarse = resize(coarse, size)
    query = branch.query(fine)
    key_weight = torch.cat((branch.key_fine.weight, branch.key_coarse.weight), 1)
    keys = conv2d(torch.cat((fine, coarse), 1), key_weight, branch.key_fine.bias)
    values = branch.value(coarse)
    learned = PACE * branch.make_flow(keys)
    assert learned.abs().mean() > 1
    offsets = neighborhood(learned)
    scale = CHANNELS**-0.5 if scaled else 1
    logits = scale * (query.permute(0, 2, 3, 1).unsqueeze(1) * copies(keys, offsets)).sum(-1)
    sampled = (logits.softmax(1).unsqueeze(-1) * copies(values, offsets)).sum(1)
    return branch.project(sampled.permute(0, 3, 1, 2))


def plain_channel(module: DynamicDual, fine: Tensor, coarse: Tensor, pooled: int, scaled: bool) -> Tensor:
    branch, side = module.channel, math.isqrt(CHANNELS)
    small_fine, small_coarse = pool_to_bins(fine, pooled), pool_to_bins(coarse, pooled)
    query = branch.query(small_fine).flatten(2)  # (N, C, a^2)
    keys = branch.key(torch.cat((small_fine, small_coarse), 1)).flatten(2)
    keys = keys.transpose(1, 2).reshape(len(fine), pooled**2, side, side)
    learned = PACE * branch.make_flow(keys)
    assert learned.abs().mean() > 1
    offsets = neighborhood(learned)
    around = copies(keys, offsets).permute(0, 2, 3, 1, 4).flatten(1, 2)  # (N, C, 9, a^2)
    logits = (query.unsqueeze(2) * around).sum(-1) / (pooled if scaled else 1)
    values = coarse.flatten(2).transpose(1, 2).unflatten(2, (side, side))  # (N, hw, S, S)
    values = copies(values, offsets).permute(0, 2, 3, 1, 4).flatten(1, 2)  # (N, C, 9, hw)
    mixed = (logits.softmax(2).unsqueeze(-1) * values).sum(2).view(coarse.shape)
    return resize(mixed, fine.shape[-2:])


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("position", "scaled"), [(True, True), (False, False)])
def test_spatial_branch_is_its_definition(sizes, position, scaled):
    fine, coarse = (x.double() for x in maps(*sizes))
    module = aligner(branches="spatial", position=position, scaled=scaled).double()
    assert module.channel is None
    with torch.no_grad():
        expected = fine + plain_spatial(module, fine, coarse, position, scaled)
        assert relative_error(module(fine, coarse), expected) < 1e-10


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("pooled", "scaled"), [(8, True), (3, False)])
def test_channel_branch_is_its_definition(sizes, pooled, scaled):
    fine, coarse = (x.double() for x in maps(*sizes))
    module = aligner(branches="channel", pooled=pooled, scaled=scaled).double()
    assert module.spatial is None
    with torch.no_grad():
        expected = fine + plain_channel(module, fine, coarse, pooled, scaled)
        assert relative_error(module(fine, coarse), expected) < 1e-10


@pytest.mark.parametrize("sizes", SIZES)
def test_both_branches_are_added_to_fine(sizes):
    fine, coarse = maps(*sizes)
    module = aligner()
    with torch.no_grad():
        expected = fine + plain_spatial(module, fine, coarse, True, True) + plain_channel(module, fine, coarse, 8, True)
        assert relative_error(module(fine, coarse), expected) < 1e-5


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_exact(training):
    module = aligner(pooled=3, grid=2).double().train(training)
    fine, coarse = (x[:1].double().requires_grad_() for x in maps((3, 2), (2, 1)))
    assert module.geometry(fine, coarse)[0].offsets.abs().mean() > 1
    weight = torch.randn(fine.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.autograd.gradcheck(lambda *x: (module(*x) * weight).sum(), (fine, coarse))
    parameters = [module.spatial.make_flow.weight, module.channel.make_flow.bias, module.channel.query.weight]
    module.requires_grad_(False)

    def of_parameters(*tensors: Tensor) -> Tensor:
        names = ("spatial.make_flow.weight", "channel.make_flow.bias", "channel.query.weight")
        given = dict(zip(names, tensors))
        return (torch.func.functional_call(module, given, (fine.detach(), coarse.detach())) * weight).sum()

    torch.autograd.gradcheck(of_parameters, [x.detach().requires_grad_() for x in parameters], fast_mode=True)


def test_a_new_aligner_starts_from_the_plain_neighborhood():
    fine, coarse = maps(*SIZES[0])
    module = DynamicDual(CHANNELS)
    plain = torch.tensor([(dx, dy) for dy in (-1.0, 0.0, 1.0) for dx in (-1.0, 0.0, 1.0)]).view(9, 2, 1, 1)
    for branch in (module.spatial, module.channel):
        _, offsets, _ = branch.sample(fine, coarse)
        assert torch.equal(offsets, plain.expand(offsets.shape))
    offsets = DynamicDual(CHANNELS, zero_offsets=False).geometry(fine, coarse)[0].offsets
    assert not torch.equal(offsets, plain.expand(offsets.shape))


def test_offsets_that_start_at_zero_are_learned():
    module = DynamicDual(CHANNELS)
    module(*maps(*SIZES[0])).square().sum().backward()
    for branch in (module.spatial, module.channel):
        assert not branch.make_flow.weight.any()
        assert branch.make_flow.weight.grad.abs().min() > 0


def test_geometry_is_that_of_the_branches_there_are():
    fine, coarse = maps(*SIZES[0])
    module = aligner(grid=2)
    points, mixing = module.geometry(fine, coarse)
    assert points.offsets.shape == (2, 4, 2, 25, 33)
    assert points.affinity.shape == (2, 4, 25, 33)
    weights, offsets, of_channels = module.channel.sample(fine, coarse)
    assert offsets.shape == (2, 4, 2, 4, 4)
    assert torch.equal(mixing.weights, weights)
    for affinity in (points.affinity, of_channels):
        torch.testing.assert_close(affinity.sum(1), torch.ones_like(affinity[:, 0]))
    for branches, kind in (("channel", Mixing), ("spatial", Points)):
        assert [type(part) for part in aligner(branches=branches).geometry(fine, coarse)] == [kind]


def test_channel_branch_mixes_the_channels_of_coarse_with_weights_that_sum_to_one():
    fine, coarse = maps((14, 18), (7, 9))
    branch = aligner().channel
    mixing = branch.geometry(fine, coarse).weights
    torch.testing.assert_close(mixing.sum(2), torch.ones(2, CHANNELS))
    assert (mixing >= 0).all()
    expected = resize(torch.einsum("ndc,nchw->ndhw", mixing, coarse), (14, 18))
    torch.testing.assert_close(branch(fine, coarse), expected)


def test_one_place_has_one_code_whatever_the_maps_size():
    fine = position_embedding(torch.zeros(1, 20, 9, 15), (9, 15))
    coarse = position_embedding(torch.zeros(1, 20, 3, 5), (9, 15))
    torch.testing.assert_close(coarse, fine[:, 1::3, 1::3])  # the center of a coarse pixel is that of the middle one
    assert torch.equal(position_embedding(torch.zeros(1, 18, 9, 15), (9, 15)), fine[:18])
    flat = fine.flatten(1)
    assert torch.unique(flat, dim=1).shape == flat.shape  # no two places have the same code


def test_position_makes_equal_pixels_differ():
    fine, coarse = torch.ones(1, CHANNELS, 12, 16), torch.ones(1, CHANNELS, 6, 8)
    with torch.no_grad():
        without = aligner(branches="spatial", position=False)(fine, coarse)[..., 4:8, 4:8]
        given = aligner(branches="spatial")(fine, coarse)[..., 4:8, 4:8]
    assert without.std((2, 3)).max() < 1e-5
    assert given.std((2, 3)).min() > 1e-3


def test_evaluation_holds_no_gathered_copies_where_gradients_are_not_asked_for():
    from test_dynamic_sampling import LargestTensor

    channels = 64
    fine, coarse = maps((40, 30), (20, 15), channels)
    module = randomized(DynamicDual(channels)).eval()
    with torch.no_grad(), LargestTensor() as largest:
        module(fine, coarse)
    assert largest.elements <= 2 * fine.numel()  # keys and values are resized as one map
    with torch.no_grad():
        assert 9 * fine.numel() == copies(fine, module.geometry(fine, coarse)[0].offsets).numel()


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (128, {}, r"channels is 128: .* choose 121 or 144, or branches 'spatial'"),
        (63, {"branches": "channel"}, r"channels is 63: .* choose 49 or 64"),
        (64, {"branches": "both"}, r"branches is 'both': choose one of dual, spatial, channel"),
        (64, {"grid": 0}, r"grid is 0: it must be 1 or more"),
        (64, {"pooled": -1}, r"pooled is -1: it must be 1 or more"),
        (64, {"points": 9}, r"aligner_options: dynamic_dual has no option 'points': choose from branches, grid"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(channels, options, message):
    with pytest.raises(InputError, match=message):
        create_aligner("dynamic_dual", channels, **options)


def test_the_spatial_branch_alone_takes_any_width():
    fine, coarse = (torch.randn(1, 10, *size, generator=torch.Generator().manual_seed(0)) for size in SIZES[0])
    assert create_aligner("dynamic_dual", 10, branches="spatial")(fine, coarse).shape == fine.shape


def test_ddsm_is_the_aligned_fpn_with_dynamic_dual_of_144_channels():
    ddsm, frame = network("ddsm"), network("aligned_fpn-dynamic_dual")
    with torch.no_grad():
        assert torch.equal(ddsm(image(33, 47)), frame(image(33, 47)))
    assert create_model("ddsm", encoder="test_resnet").classify.in_channels == 144
    options = {"branches": "spatial", "grid": 2}
    narrow = create_model("ddsm", encoder="test_resnet", channels=20, aligner_options=options)
    assert narrow.config.arguments["aligner_options"] == options
    assert all(x.channel is None and x.spatial.grid == 2 for x in narrow.aligners)
