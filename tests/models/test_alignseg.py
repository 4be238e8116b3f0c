"""AlignSeg: what aligns with what, and where its training starts."""

import pytest
import torch

from graphs import relative_error
from networks import displacements, image, network, randomized
from pixalign import create_model
from pixalign.losses.weights import adjust_logits
from pixalign.models.alignseg import AlignedContext
from pixalign.sampling import resize, warp


@pytest.fixture(scope="module")
def model():
    return network("alignseg")


def test_the_tested_network_moves_features_by_more_than_a_pixel_on_average(model):
    means = displacements(model, image(97, 129), torch.mean)
    assert len(means) == 9
    assert min(means) > 0.5
    assert sum(means) / len(means) > 1


def test_nothing_is_displaced_before_training():
    torch.manual_seed(0)
    fresh = create_model("alignseg", encoder="test_resnet", channels=16).eval()
    assert max(displacements(fresh, image(64, 96))) == 0


def test_every_level_reaches_the_logits_and_levels_up_to_c4_the_auxiliary(model):
    def outputs(maps):
        logits, others = model.decode_heads(maps, None, heads=True)
        (auxiliary,) = others["auxiliaries"]
        return logits, auxiliary

    with torch.no_grad():
        features = model.encode(image(64, 96))
        before = outputs(features)
        for level, reaches_auxiliary in enumerate((True, True, True, False)):
            changed = [x + (i == level) * torch.randn_like(x) for i, x in enumerate(features)]
            after = outputs(changed)
            assert relative_error(after[0], before[0]) > 1e-2
            assert torch.equal(after[1], before[1]) != reaches_auxiliary


def test_context_is_the_grid_where_the_offsets_say_added_to_the_local_map():
    context = randomized(AlignedContext(24, 16)).eval()
    x = torch.randn(2, 24, 14, 17, generator=torch.Generator().manual_seed(0))
    pooled = torch.nn.functional.adaptive_avg_pool2d(x, 3)
    with torch.no_grad():
        grid, local = context.grid(pooled), context.local(x)
        assert grid.shape == (2, 16, 3, 3)
        offsets = context.offsets(local, grid)
        assert offsets.abs().mean() > 1
        assert relative_error(context(x, pooled), local + warp(grid, offsets)) < 1e-5
        torch.nn.init.zeros_(context.offsets.make_flow.weight)
        assert relative_error(context(x, pooled), local + resize(grid, (14, 17))) < 1e-5


def test_class_weights_can_be_taken_back_from_the_last_layer(model):
    weight = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    x = image(33, 47)
    with torch.no_grad():
        expected = model(x) - weight.log().view(1, -1, 1, 1)
        assert relative_error(adjust_logits(model, weight, 1.0)(x), expected) < 1e-5
