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

SIZES = (((25, 33), (13, 17)), ((16, 24), (4, 6)), ((7, 9), (7, 9)))  # low, high
CHANNELS = 16


def maps(low: tuple[int, int], high: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, CHANNELS, *low, generator=generator), torch.randn(2, CHANNELS, *high, generator=generator)


@pytest.fixture(params=sorted(ALIGNERS))
def aligner(request):
    return randomized(create_aligner(request.param, CHANNELS)).eval()


@pytest.mark.parametrize("sizes", SIZES)
def test_result_has_the_finer_maps_shape(aligner, sizes):
    low, high = maps(*sizes)
    fused = aligner(low, high)
    assert fused.shape == low.shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("sizes", SIZES)
def test_geometry_lies_on_the_finer_grid(aligner, sizes):
    low, high = maps(*sizes)
    for name, x in aligner.geometry(low, high).items():
        assert name.split("_")[0] in ("flow", "gate", "offsets", "affinity")
        assert x.shape[0] == 2
        assert x.shape[-2:] == low.shape[-2:]
        if name.startswith("flow"):
            assert x.shape[1] == 2
            assert x.abs().max() > 1


def test_gradients_reach_both_maps_and_every_parameter(aligner):
    low, high = (x.requires_grad_() for x in maps(*SIZES[0]))
    aligner(low, high).square().sum().backward()
    for x in (low, high, *aligner.parameters()):
        assert x.grad is not None
        assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", sorted(set(ALIGNERS) - {"implicit"}))  # it neither resizes nor warps
def test_convention_reaches_every_resize_and_warp(name):
    low, high = maps(*SIZES[0])
    ours, theirs = (randomized(create_aligner(name, CHANNELS, convention)).eval() for convention in ("pixel", "sfnet"))
    assert relative_error(ours(low, high), theirs(low, high)) > 1e-2


def test_bilinear_adds_the_resized_map():
    low, high = maps(*SIZES[0])
    aligner = create_aligner("bilinear", CHANNELS)
    assert torch.equal(aligner(low, high), low + resize(high, (25, 33)))
    assert aligner.geometry(low, high) == {}
    assert not list(aligner.parameters())


@pytest.mark.parametrize("sizes", SIZES)
def test_flow_adds_the_map_warped_along_its_geometry(sizes):
    low, high = maps(*sizes)
    aligner = randomized(create_aligner("flow", CHANNELS)).eval()
    geometry = aligner.geometry(low, high)
    assert set(geometry) == {"flow"}
    assert torch.equal(aligner(low, high), low + warp(high, geometry["flow"]))


@pytest.mark.parametrize("sizes", SIZES)
def test_flow_of_zero_is_the_bilinear_aligner(sizes):
    low, high = maps(*sizes)
    aligner = randomized(create_aligner("flow", CHANNELS)).eval()
    torch.nn.init.zeros_(aligner.make_flow.weight)
    assert relative_error(aligner(low, high), create_aligner("bilinear", CHANNELS)(low, high)) < 1e-5


@pytest.mark.parametrize("sizes", SIZES)
def test_gated_dual_flow_blends_both_warped_maps(sizes):
    low, high = maps(*sizes)
    aligner = randomized(GatedDualFlow(CHANNELS)).eval()
    geometry = aligner.geometry(low, high)
    assert set(geometry) == {"flow", "flow_low", "gate"}
    gate = geometry["gate"]
    assert gate.shape == (2, 1, *sizes[0])
    assert ((gate > 0) & (gate < 1)).all()
    expected = gate * warp(high, geometry["flow"]) + (1 - gate) * warp(low, geometry["flow_low"])
    assert relative_error(aligner(low, high), expected) < 1e-6


def test_gated_dual_flow_without_flow_and_gate_is_the_mean_of_both_maps():
    low, high = maps(*SIZES[0])
    aligner = randomized(GatedDualFlow(CHANNELS)).eval()
    torch.nn.init.zeros_(aligner.make_flow.weight)
    torch.nn.init.zeros_(aligner.make_gate.weight)
    assert relative_error(aligner(low, high), (low + resize(high, SIZES[0][0])) / 2) < 1e-5


@pytest.mark.parametrize("sizes", SIZES)
def test_dual_flow_adds_both_maps_each_warped_along_its_own_flow(sizes):
    low, high = maps(*sizes)
    aligner = randomized(DualFlow(CHANNELS)).eval()
    geometry = aligner.geometry(low, high)
    assert set(geometry) == {"flow", "flow_low"}
    assert not torch.equal(geometry["flow"], geometry["flow_low"])
    expected = warp(resize(high, sizes[0]), geometry["flow"]) + warp(low, geometry["flow_low"])
    assert torch.equal(aligner(low, high), expected)


@pytest.mark.parametrize("convention", ["pixel", "alignseg"])
@pytest.mark.parametrize("sizes", SIZES)
def test_dual_flow_reads_the_concatenation_of_both_maps(sizes, convention):
    low, high = maps(*sizes)
    offsets = randomized(Offsets(CHANNELS, convention)).eval()
    both = torch.cat((low, resize(high, sizes[0], convention)), dim=1)
    expected = offsets.make_flow(offsets.act(offsets.norm(offsets.reduce(both))))
    assert expected.abs().mean() > 1
    assert relative_error(offsets(low, high), expected) < 1e-5


@pytest.mark.parametrize("sizes", SIZES)
def test_dual_flow_is_the_bilinear_aligner_before_training(sizes):
    low, high = maps(*sizes)
    assert relative_error(DualFlow(CHANNELS)(low, high), create_aligner("bilinear", CHANNELS)(low, high)) < 1e-5


def test_unknown_aligner_lists_the_known_ones():
    with pytest.raises(InputError, match="aligner 'flwo' is unknown: choose one of bilinear, "):
        create_aligner("flwo", CHANNELS)
