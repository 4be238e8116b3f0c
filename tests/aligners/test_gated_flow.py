"""Gated flow: the gate scales the displacement of the map that is warped, per axis, and nothing else."""

import pytest
import torch
from torch import Tensor

from graphs import relative_error
from networks import randomized
from pixalign.aligners import create_aligner
from pixalign.aligners.gated_flow import GatedFlowAlignment
from pixalign.sampling import resize, warp

SIZES = (((25, 33), (13, 17)), ((16, 24), (4, 6)), ((7, 9), (7, 9)))  # fine, coarse
CHANNELS = 16


def maps(fine: tuple[int, int], coarse: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, CHANNELS, *fine, generator=generator), torch.randn(2, CHANNELS, *coarse, generator=generator)


def alignment(moved: str, convention: str = "pixel") -> GatedFlowAlignment:
    return randomized(GatedFlowAlignment(CHANNELS, moved, convention)).eval()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("moved", ["coarse", "fine"])
def test_the_moved_map_is_warped_along_the_gated_flow(moved, sizes):
    fine, coarse = maps(*sizes)
    module = alignment(moved)
    part, gate = module.geometry(fine, coarse)
    assert part.flow.shape == gate.values.shape == (2, 2, *sizes[0])
    assert part.flow.square().sum(1).sqrt().mean() > 1
    assert ((gate.values > 0) & (gate.values < 1)).all()
    assert part.moved == moved
    assert torch.equal(module(fine, coarse), warp(coarse if moved == "coarse" else fine, part.flow))


@pytest.mark.parametrize("moved", ["coarse", "fine"])
def test_each_gate_scales_its_own_axis(moved):
    fine, coarse = maps(*SIZES[0])
    module = alignment(moved)
    torch.nn.init.zeros_(module.make_gate.weight)
    module.make_gate.bias.data = torch.tensor([100.0, 100.0])
    full = module.geometry(fine, coarse)[0].flow
    module.make_gate.bias.data = torch.tensor([-100.0, 0.0])
    shut, half = module.geometry(fine, coarse)[0].flow.unbind(1)
    assert shut.abs().max() < 1e-6
    torch.testing.assert_close(half, full[:, 1] / 2)


def test_a_shut_gate_leaves_the_resize_and_the_identity():
    fine, coarse = maps(*SIZES[0])
    for moved, expected in (("coarse", resize(coarse, SIZES[0][0])), ("fine", fine)):
        module = alignment(moved)
        torch.nn.init.constant_(module.make_gate.bias, -1000)
        assert relative_error(module(fine, coarse), expected) < 1e-5


def test_the_gate_comes_from_the_map_that_is_moved_and_the_sigmoid_before_the_resize():
    fine, coarse = maps(*SIZES[0])
    for moved, x in (("coarse", coarse), ("fine", fine)):
        module = alignment(moved)
        expected = resize(module.make_gate(x).sigmoid(), SIZES[0][0])
        torch.testing.assert_close(module.geometry(fine, coarse)[1].values, expected)


@pytest.mark.parametrize("moved", ["coarse", "fine"])
def test_gradients_reach_both_maps_and_every_parameter(moved):
    fine, coarse = (x.requires_grad_() for x in maps(*SIZES[0]))
    module = alignment(moved)
    module(fine, coarse).square().sum().backward()
    for x in (fine, coarse, *module.parameters()):
        assert x.grad is not None
        assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("sizes", SIZES)
def test_as_an_operator_of_the_frame_it_adds_the_warped_coarse_map(sizes):
    fine, coarse = maps(*sizes)
    aligner = randomized(create_aligner("gated_flow", CHANNELS)).eval()
    part, gate = aligner.geometry(fine, coarse)
    assert (part.moved, gate.scales) == ("coarse", "displacement")
    assert torch.equal(aligner(fine, coarse), fine + warp(coarse, part.flow))
