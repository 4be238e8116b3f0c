"""BiAlignNet: what is warped along what, which heads there are, and where the spatial path is read."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import golden_state as golden
from graphs import relative_error
from networks import CLASSES, image, network
from pixalign import create_model
from pixalign.sampling import resize, warp
from pixalign.weights.convert import convert_state

SIZES = ((32, 32), (65, 33), (96, 128), (97, 129))


@pytest.fixture(scope="module")
def model():
    model = network("bialignnet")
    for alignment in (model.align_context, model.align_spatial):
        alignment.make_flow.weight.data *= 3  # the gates take away half
    return model


def length(flow: Tensor) -> Tensor:
    """Mean length of a flow (N, 2, H, W)."""
    return flow.square().sum(1).sqrt().mean()


def flows(model: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """The two gated flows for an image."""
    with torch.no_grad():
        *_, c5, spatial = model.encode(x)
        context = model.pool(c5)
        return [
            alignment.geometry(spatial, context)[0].flow for alignment in (model.align_context, model.align_spatial)
        ]


@pytest.mark.parametrize("size", SIZES)
def test_both_paths_of_the_tested_network_move_by_more_than_a_pixel_on_average_behind_the_gate(model, size):
    for flow in flows(model, image(*size)):
        assert flow.shape == (1, 2, -(-size[0] // 8), -(-size[1] // 8))
        assert length(flow) > 1


def test_the_released_network_of_the_golden_case_moves_by_more_than_a_unit_behind_the_gate():
    _, state, x = golden.inputs("bialign_1x97x129_s0")
    for flow in flows(convert_state(state, "bialignnet-dfnet2"), x):
        assert flow.abs().max() > 1


def test_forward_is_the_paper_read_step_by_step(model):
    """Two warps, fusion, 64 numbers per class as 8 x 8 pixels, resized to the image."""
    x = image(97, 129)
    with torch.no_grad():
        c3, c4, c5 = model.encoder(x)
        spatial = model.spatial(x)
        context = model.pool(c5)

        def flow(alignment: torch.nn.Module, moved: Tensor) -> Tensor:
            reduced = F.interpolate(alignment.down_coarse(context), spatial.shape[-2:], mode="bilinear")
            displacement = alignment.make_flow(torch.cat((reduced, alignment.down_fine(spatial)), 1))
            gate = torch.sigmoid(alignment.make_gate(moved))
            return displacement * F.interpolate(gate, spatial.shape[-2:], mode="bilinear")

        warped_context = warp(context, flow(model.align_context, context))
        warped_spatial = warp(spatial, flow(model.align_spatial, spatial))
        grid = model.classify(model.fuse(torch.cat((warped_context, warped_spatial), 1)))  # (1, 64 K, 13, 17)
        pixels = grid.reshape(1, CLASSES, 8, 8, 13, 17).permute(0, 1, 4, 2, 5, 3).reshape(1, CLASSES, 104, 136)
        outputs = model(x, heads=True)
        assert relative_error(outputs["logits"], F.interpolate(pixels, (97, 129), mode="bilinear")) < 1e-5
        edge = model.edge(warped_spatial).reshape(1, 1, 8, 8, 13, 17).permute(0, 1, 4, 2, 5, 3).reshape(1, 1, 104, 136)
        assert relative_error(outputs["edge"], edge) < 1e-5
        assert torch.equal(outputs["auxiliaries"][0], model.auxiliaries[0](c4))
        assert torch.equal(outputs["auxiliaries"][1], model.auxiliaries[1](c3))


@pytest.mark.parametrize("size", SIZES)
def test_edge_map_has_eight_times_the_size_of_the_spatial_map(model, size):
    with torch.no_grad():
        edge = model(image(*size), heads=True)["edge"]
    assert edge.shape == (1, 1, 8 * -(-size[0] // 8), 8 * -(-size[1] // 8))
    assert edge.min() < 0  # logits, not probabilities


def test_spatial_path_takes_images_of_any_number_of_channels():
    model = create_model("bialignnet", encoder="test_resnet", num_classes=2, in_channels=5, channels=16).eval()
    with torch.no_grad():
        *_, spatial = model.encode(image(65, 33, channels=5))
        assert spatial.shape == (1, 16, 9, 5)
        assert model(image(65, 33, channels=5)).shape == (1, 2, 65, 33)


def test_widths_are_the_papers_at_128_channels():
    model = create_model("bialignnet", encoder="dfnet2")
    assert model.classify.weight.shape == (19 * 64, 256, 1, 1)
    assert [head.weight.shape[1] for head in model.auxiliaries] == [256, 128]
    assert model.edge[0].weight.shape == (64, 128, 3, 3)
    assert sum(p.numel() for p in model.parameters()) == 18_986_762


def test_edge_head_can_be_left_out(model):
    without = network("bialignnet", edge=False)
    without.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("edge.")})
    with torch.no_grad():
        outputs = without(image(32, 32), heads=True)
        assert "edge" not in outputs
        assert torch.equal(outputs["logits"], model(image(32, 32)))


def test_evaluation_does_not_compute_the_training_heads(model):
    called = []
    hooks = [m.register_forward_hook(lambda *_: called.append(1)) for m in (*model.auxiliaries, model.edge)]
    with torch.no_grad():
        model(image(32, 32))
        assert called == []
        model(image(32, 32), heads=True)
    assert len(called) == 3
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_encoders_keep_their_finer_context(stride):
    options = {"output_stride": stride}
    model = create_model("bialignnet", encoder="resnet18", num_classes=2, channels=16, encoder_options=options).eval()
    with torch.no_grad():
        assert model(image(65, 33)).shape == (1, 2, 65, 33)
        assert resize(model.decode(model.encode(image(64, 32))), (64, 32)).equal(model(image(64, 32)))
