"""The contract of every aligner: two maps in, one on the finer grid out, with a geometry that is what forward uses."""

import pytest
import torch

from graphs import relative_error
from networks import randomized
from pixalign.aligners import ALIGNERS, create_aligner
from pixalign.aligners.dual_flow import DualFlow, Offsets
from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.errors import InputError
from pixalign.sampling import resize, warp

SIZES = (((25, 33), (13, 17)), ((16, 24), (4, 6)), ((7, 9), (7, 9)))  # fine, coarse
CHANNELS = 16


def maps(fine: tuple[int, int], coarse: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, CHANNELS, *fine, generator=generator), torch.randn(2, CHANNELS, *coarse, generator=generator)


@pytest.fixture(params=sorted(ALIGNERS))
def aligner(request):
    return randomized(create_aligner(request.param, CHANNELS)).eval()


@pytest.mark.parametrize("sizes", SIZES)
def test_result_has_the_finer_maps_shape(aligner, sizes):
    fine, coarse = maps(*sizes)
    fused = aligner(fine, coarse)
    assert fused.shape == fine.shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("sizes", SIZES)
def test_geometry_lies_on_the_finer_grid(aligner, sizes):
    fine, coarse = maps(*sizes)
    for part in aligner.geometry(fine, coarse):
        for name, x in vars(part).items():
            if isinstance(x, torch.Tensor):
                assert x.shape[0] == 2
                assert x.shape[-2:] == (fine.shape[-2:] if name != "weights" else (CHANNELS, CHANNELS))
            if name in ("flow", "offsets"):
                assert x.shape[-3] == 2
                assert x.abs().max() > 1
            if name == "source":
                assert x in sizes


def test_gradients_reach_both_maps_and_every_parameter(aligner):
    fine, coarse = (x.requires_grad_() for x in maps(*SIZES[0]))
    aligner(fine, coarse).square().sum().backward()
    for x in (fine, coarse, *aligner.parameters()):
        assert x.grad is not None
        assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", sorted(set(ALIGNERS) - {"implicit"}))  # it neither resizes nor warps
def test_convention_reaches_every_resize_and_warp(name):
    fine, coarse = maps(*SIZES[0])
    ours, theirs = (randomized(create_aligner(name, CHANNELS, convention)).eval() for convention in ("pixel", "sfnet"))
    assert relative_error(ours(fine, coarse), theirs(fine, coarse)) > 1e-2


def test_bilinear_adds_the_resized_map():
    fine, coarse = maps(*SIZES[0])
    aligner = create_aligner("bilinear", CHANNELS)
    assert torch.equal(aligner(fine, coarse), fine + resize(coarse, (25, 33)))
    assert aligner.geometry(fine, coarse) == []
    assert not list(aligner.parameters())


@pytest.mark.parametrize("sizes", SIZES)
def test_flow_adds_the_map_warped_along_its_geometry(sizes):
    fine, coarse = maps(*sizes)
    aligner = randomized(create_aligner("flow", CHANNELS)).eval()
    (part,) = aligner.geometry(fine, coarse)
    assert (part.moved, part.source) == ("coarse", sizes[1])
    assert torch.equal(aligner(fine, coarse), fine + warp(coarse, part.flow))
    assert torch.equal(part.read(coarse), warp(coarse, part.flow))


@pytest.mark.parametrize("sizes", SIZES)
def test_flow_of_zero_is_the_bilinear_aligner(sizes):
    fine, coarse = maps(*sizes)
    aligner = randomized(create_aligner("flow", CHANNELS)).eval()
    torch.nn.init.zeros_(aligner.make_flow.weight)
    assert relative_error(aligner(fine, coarse), create_aligner("bilinear", CHANNELS)(fine, coarse)) < 1e-5


@pytest.mark.parametrize("sizes", SIZES)
def test_gated_dual_flow_blends_both_warped_maps(sizes):
    fine, coarse = maps(*sizes)
    aligner = randomized(GatedDualFlow(CHANNELS)).eval()
    of_coarse, of_fine, gate = aligner.geometry(fine, coarse)
    assert (of_coarse.moved, of_fine.moved, gate.scales) == ("coarse", "fine", "maps")
    gate = gate.values
    assert gate.shape == (2, 1, *sizes[0])
    assert ((gate > 0) & (gate < 1)).all()
    expected = gate * warp(coarse, of_coarse.flow) + (1 - gate) * warp(fine, of_fine.flow)
    assert relative_error(aligner(fine, coarse), expected) < 1e-6


def test_gated_dual_flow_without_flow_and_gate_is_the_mean_of_both_maps():
    fine, coarse = maps(*SIZES[0])
    aligner = randomized(GatedDualFlow(CHANNELS)).eval()
    torch.nn.init.zeros_(aligner.make_flow.weight)
    torch.nn.init.zeros_(aligner.make_gate.weight)
    assert relative_error(aligner(fine, coarse), (fine + resize(coarse, SIZES[0][0])) / 2) < 1e-5


@pytest.mark.parametrize("sizes", SIZES)
def test_dual_flow_adds_both_maps_each_warped_along_its_own_flow(sizes):
    fine, coarse = maps(*sizes)
    aligner = randomized(DualFlow(CHANNELS)).eval()
    of_coarse, of_fine = aligner.geometry(fine, coarse)
    assert (of_coarse.moved, of_fine.moved) == ("coarse", "fine")
    assert not torch.equal(of_coarse.flow, of_fine.flow)
    expected = warp(resize(coarse, sizes[0]), of_coarse.flow) + warp(fine, of_fine.flow)
    assert torch.equal(aligner(fine, coarse), expected)
    assert torch.equal(of_coarse.read(coarse) + of_fine.read(fine), expected)


@pytest.mark.parametrize("convention", ["pixel", "alignseg"])
@pytest.mark.parametrize("sizes", SIZES)
def test_dual_flow_reads_the_concatenation_of_both_maps(sizes, convention):
    fine, coarse = maps(*sizes)
    offsets = randomized(Offsets(CHANNELS, convention)).eval()
    both = torch.cat((fine, resize(coarse, sizes[0], convention)), dim=1)
    expected = offsets.make_flow(offsets.act(offsets.norm(offsets.reduce(both))))
    assert expected.abs().mean() > 1
    assert relative_error(offsets(fine, coarse), expected) < 1e-5


@pytest.mark.parametrize("sizes", SIZES)
def test_dual_flow_is_the_bilinear_aligner_before_training(sizes):
    fine, coarse = maps(*sizes)
    assert relative_error(DualFlow(CHANNELS)(fine, coarse), create_aligner("bilinear", CHANNELS)(fine, coarse)) < 1e-5


def test_unknown_aligner_lists_the_known_ones():
    with pytest.raises(InputError, match="aligner 'flwo' is unknown: choose one of bilinear, "):
        create_aligner("flwo", CHANNELS)
