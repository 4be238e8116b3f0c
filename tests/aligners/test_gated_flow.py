"""Gated flow: the gate scales the displacement of the map that is warped, per axis, and nothing else."""

import pytest
import torch
from torch import Tensor

from graphs import relative_error
from networks import randomized
from pixalign.aligners import create_aligner
from pixalign.aligners.gated_flow import GatedFlowAlignment
from pixalign.sampling import resize, warp

SIZES = (((25, 33), (13, 17)), ((16, 24), (4, 6)), ((7, 9), (7, 9)))  # low, high
CHANNELS = 16


def maps(low: tuple[int, int], high: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, CHANNELS, *low, generator=generator), torch.randn(2, CHANNELS, *high, generator=generator)


def alignment(moved: str, convention: str = "pixel") -> GatedFlowAlignment:
    return randomized(GatedFlowAlignment(CHANNELS, moved, convention)).eval()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("moved", ["high", "low"])
def test_the_moved_map_is_warped_along_the_gated_flow(moved, sizes):
    low, high = maps(*sizes)
    module = alignment(moved)
    geometry = module.geometry(low, high)
    assert geometry["flow"].shape == geometry["gate"].shape == (2, 2, *sizes[0])
    assert geometry["flow"].square().sum(1).sqrt().mean() > 1
    assert ((geometry["gate"] > 0) & (geometry["gate"] < 1)).all()
    assert torch.equal(module(low, high), warp(high if moved == "high" else low, geometry["flow"]))


@pytest.mark.parametrize("moved", ["high", "low"])
def test_each_gate_scales_its_own_axis(moved):
    low, high = maps(*SIZES[0])
    module = alignment(moved)
    torch.nn.init.zeros_(module.make_gate.weight)
    module.make_gate.bias.data = torch.tensor([100.0, 100.0])
    full = module.geometry(low, high)["flow"]
    module.make_gate.bias.data = torch.tensor([-100.0, 0.0])
    shut, half = module.geometry(low, high)["flow"].unbind(1)
    assert shut.abs().max() < 1e-6
    torch.testing.assert_close(half, full[:, 1] / 2)


def test_a_shut_gate_leaves_the_resize_and_the_identity():
    low, high = maps(*SIZES[0])
    for moved, expected in (("high", resize(high, SIZES[0][0])), ("low", low)):
        module = alignment(moved)
        torch.nn.init.constant_(module.make_gate.bias, -1000)
        assert relative_error(module(low, high), expected) < 1e-5


def test_the_gate_comes_from_the_map_that_is_moved_and_the_sigmoid_before_the_resize():
    low, high = maps(*SIZES[0])
    for moved, x in (("high", high), ("low", low)):
        module = alignment(moved)
        expected = resize(module.make_gate(x).sigmoid(), SIZES[0][0])
        torch.testing.assert_close(module.geometry(low, high)["gate"], expected)


@pytest.mark.parametrize("moved", ["high", "low"])
def test_gradients_reach_both_maps_and_every_parameter(moved):
    low, high = (x.requires_grad_() for x in maps(*SIZES[0]))
    module = alignment(moved)
    module(low, high).square().sum().backward()
    for x in (low, high, *module.parameters()):
        assert x.grad is not None
        assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("sizes", SIZES)
def test_as_an_operator_of_the_frame_it_adds_the_warped_coarse_map(sizes):
    low, high = maps(*sizes)
    aligner = randomized(create_aligner("gated_flow", CHANNELS)).eval()
    geometry = aligner.geometry(low, high)
    assert set(geometry) == {"flow", "gate"}
    assert torch.equal(aligner(low, high), low + warp(high, geometry["flow"]))
