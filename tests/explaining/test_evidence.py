"""What is said about an aligner is what its arithmetic does."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks import NETWORKS, image, network, randomized
from pixalign.aligners import ALIGNERS, create_aligner
from pixalign.aligners.gated_flow import GatedFlowAlignment
from pixalign.aligners.geometry import Displacement, Mixing, Points
from pixalign.explaining.evidence import Alignment, aligners_of, captured, feature_steps, gates, look, moves, places
from pixalign.predicting import Predictor
from pixalign.sampling import CONVENTIONS, resize, warp

SIZE = (96, 160)  # of the image


def at_work(name: str, convention: str = "pixel", **options) -> Alignment:
    """A random aligner, the shares of whose offsets move by several pixels, on random maps at 1/8 and 1/16."""
    return run(randomized(create_aligner(name, 16, convention, **options)).eval())


def run(module: nn.Module) -> Alignment:
    generator = torch.Generator().manual_seed(3)
    fine, coarse = (torch.randn(1, 16, *s, generator=generator) for s in ((12, 20), (6, 10)))
    with captured(nn.ModuleList([module])) as found, torch.inference_mode():
        module(fine, coarse)
    (alignment,) = found
    return alignment


def ramp_of(size: tuple[int, int], convention: str) -> Tensor:
    """A map (1, 2, h, w) whose features are where they lie in the image, x and y, as the convention sees it."""
    corners = convention in ("sfnet", "alignseg_std")  # the first and last cells of all maps lie on each other
    x, y = (
        torch.linspace(0.5 * side / grid, side - 0.5 * side / grid, cells)
        if corners
        else (torch.arange(cells) + 0.5) * side / cells
        for side, grid, cells in zip(SIZE[::-1], (20, 12), size[::-1])
    )
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def read_places(flow: Tensor, source: tuple[int, int], convention: str) -> np.ndarray:
    """What the operator itself reads, minus what it reads without flow, from a map of places."""
    ramp = ramp_of(source, convention)
    read = warp(ramp, flow, convention) - warp(ramp, torch.zeros_like(flow), convention)
    return read[0].numpy()


def inside(flow: Tensor, source: tuple[int, int], convention: str) -> np.ndarray:
    """Cells that read no padding, with and without flow."""
    ones = torch.ones(1, 1, *source)
    read = warp(ones, flow, convention) * warp(ones, torch.zeros_like(flow), convention)
    return (read[0, 0] > 0.9999).numpy()


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", ["flow", "gated_flow", "dual_flow", "gated_dual_flow"])
def test_arrows_point_to_where_the_operator_reads(name, convention):
    alignment = at_work(name, convention)
    found = moves(alignment, SIZE)
    assert [move.what for move in found] == ["coarse", "fine"][: 2 if "dual" in name else 1]
    for move, part in zip(found, alignment.parts(Displacement)):
        source = (12, 20) if name == "dual_flow" or move.what == "fine" else (6, 10)
        assert (part.source, part.convention) == (source, convention)
        whole = inside(part.flow, source, convention)
        assert whole.mean() > 0.1
        np.testing.assert_allclose(
            move.pixels[:, whole], read_places(part.flow, source, convention)[:, whole], rtol=0, atol=2e-3
        )


def test_a_feature_fetched_from_the_right_moves_right_in_the_image():
    module = create_aligner("flow", 16).eval()
    flow = torch.tensor([1.0, 0]).view(1, 2, 1, 1).expand(1, 2, 12, 20)
    module.geometry = lambda fine, coarse: [Displacement("coarse", flow, (6, 10))]
    (move,) = moves(run(module), SIZE)
    np.testing.assert_allclose(move.pixels[0, :, 1:-3], SIZE[1] / 20, atol=1e-4)
    np.testing.assert_allclose(move.pixels[1], 0, atol=1e-4)


@pytest.mark.parametrize("moved", ["coarse", "fine"])
def test_bialignnet_moves_the_map_that_it_says(moved):
    alignment = run(randomized(GatedFlowAlignment(16, moved)).eval())
    (move,), (part,) = moves(alignment, SIZE), alignment.parts(Displacement)
    assert move.what == part.moved == moved
    source = (6, 10) if moved == "coarse" else (12, 20)
    np.testing.assert_allclose(move.pixels, read_places(part.flow, source, "pixel"), atol=2e-3)


@pytest.mark.parametrize(("name", "source"), [("dynamic_dual", (12, 20)), ("dysample", (6, 10))])
def test_sampled_points_are_the_operators_own(name, source):
    alignment = at_work(name)
    (part,) = alignment.parts(Points)
    found, shares = places(part, SIZE)
    assert len(found) == part.offsets.shape[1] == {"dynamic_dual": 9, "dysample": 4}[name]
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    for index, point in enumerate(found):
        np.testing.assert_allclose(point, read_places(part.offsets[:, index], source, "pixel"), atol=2e-3)
    (mean,) = moves(alignment, SIZE)
    np.testing.assert_allclose(mean.pixels, (found * shares[:, None]).sum(0), atol=1e-5)


def test_nine_points_of_an_untrained_ddsm_are_the_plain_neighborhood():
    alignment = run(create_aligner("dynamic_dual", 16).eval())
    found, shares = places(alignment.parts(Points)[0], SIZE)
    np.testing.assert_allclose(np.unique(found[:, :, 5, 9].round(3)), [-8, 0, 8])
    np.testing.assert_allclose(found[4], 0, atol=1e-4)
    assert (shares >= 0).all()


def test_channel_affinities_mix_as_the_branch_does():
    alignment = at_work("dynamic_dual", branches="channel")
    (mixing,) = alignment.geometry
    weights = mixing.weights[0].numpy()
    assert weights.shape == (16, 16)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    mixed = np.einsum("rc,chw->rhw", weights, alignment.coarse[0].numpy())
    expected = alignment.output - alignment.fine
    torch.testing.assert_close(resize(torch.from_numpy(mixed)[None], (12, 20)), expected, atol=1e-5, rtol=0)
    assert at_work("dynamic_dual", branches="spatial").parts(Mixing) == []


def test_gates_are_shares_and_named_by_what_they_scale():
    scaled = [(gate.scales, name) for gate, name, _ in gates(at_work("gated_flow"))]
    assert scaled == [("displacement", "left and right"), ("displacement", "up and down")]
    ((part, _, gate),) = gates(at_work("gated_dual_flow"))
    assert part.scales == "maps"
    assert gate.shape == (12, 20)
    assert 0 <= gate.min() < gate.max() <= 1
    assert gates(at_work("flow")) == []


@pytest.mark.parametrize("name", ["flow", "gated_flow", "dual_flow", "gated_dual_flow", "dysample"])
def test_the_moved_map_is_the_one_that_was_merged(name):
    alignment = at_work(name)
    steps = {title: x for group in feature_steps(alignment) for title, x in group}
    after = steps["coarse map after"]
    if name == "dual_flow":
        merged = after + steps["fine map after"]
    elif name == "gated_dual_flow":
        merged = torch.lerp(steps["fine map after"], after, gates(alignment)[0][0].values)
    else:
        merged = alignment.fine + after
    torch.testing.assert_close(merged, alignment.output, atol=1e-5, rtol=0)


def test_what_ddsm_draws_is_the_branchs_sum_before_its_linear_layers():
    """Where values and projection are the identity, the drawn map is what the spatial branch adds."""
    module = randomized(create_aligner("dynamic_dual", 16, branches="spatial", position=False)).eval()
    for layer in (module.spatial.value, module.spatial.project):
        layer.weight.data.copy_(torch.eye(16).view(16, 16, 1, 1))
        layer.bias.data.zero_()
    alignment = run(module)
    steps = {title: x for group in feature_steps(alignment) for title, x in group}
    torch.testing.assert_close(steps["coarse map after"], alignment.output - alignment.fine, atol=1e-5, rtol=0)


@pytest.mark.parametrize("key", NETWORKS)
def test_every_aligner_of_every_network_is_found_in_the_order_of_its_work(key):
    model = network(key)
    expected = {"alignseg": 5, "bialignnet": 2, "sfnet_lite": 1, "ifa": 0}.get(key, 3)
    assert len(list(aligners_of(model))) == expected
    with captured(model) as found, torch.inference_mode():
        model(image(64, 96))
    assert len(found) == expected
    widths = [alignment.coarse.shape[-1] for alignment in found]
    if key == "alignseg":  # which begins with the context, of 3 x 3 cells, and then goes from shallow to deep
        assert widths.pop(0) == 3
        widths.reverse()
    assert widths == sorted(widths)
    with torch.inference_mode():
        model(image(64, 96))
    assert len(found) == expected  # the hooks are gone


def test_the_context_of_alignseg_reads_its_means_where_the_arrows_point():
    model = network("alignseg")
    with captured(model) as found, torch.inference_mode():
        model(image(*SIZE))
    (move,), (part,) = moves(found[0], SIZE), found[0].parts(Displacement)
    assert part.source == (3, 3)
    np.testing.assert_allclose(move.pixels, read_places(part.flow, (3, 3), "pixel"), rtol=0, atol=2e-3)
    with torch.inference_mode():
        merged = model.context.local(found[0].fine) + part.read(model.context.grid(found[0].coarse))
    torch.testing.assert_close(merged, found[0].output)


def test_maps_cover_the_image_as_it_was_filled_up_to_whole_cells():
    evidence = look(Predictor(network("sfnet"), "cpu"), np.zeros((61, 83, 3), np.uint8), "sfnet")
    assert evidence.covered == (64, 96)
    assert evidence.alignments[-1].grid == evidence.features[0].shape[-2:] == (16, 24)


def test_every_aligner_is_known_to_the_test_of_the_sheets():
    assert {f"aligned_fpn-{name}" for name in ALIGNERS} <= set(NETWORKS)
