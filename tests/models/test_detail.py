"""A level at 1/2 adds to the logits what maps at 1/4 cannot hold."""

import pytest
import torch

from graphs import relative_error
from networks import CLASSES, image, network
from pixalign import create_model, fuse
from pixalign.errors import InputError
from pixalign.sampling import resize
from pixalign.training.initial import initialize


def test_a_network_that_gets_it_starts_where_it_was():
    without, given = network("sfnet"), network("sfnet", randomize=False, detail=8)
    left, _ = initialize(given, without)
    assert left
    assert all(line.startswith("detail.") for line in left)
    x = image(64, 96)
    with torch.no_grad():
        before = without.decode(without.encode(x))
        after = given.decode(given.encode(x))
    assert after.shape == (1, CLASSES, 32, 48)
    torch.testing.assert_close(after, resize(before, (32, 48)))


@pytest.mark.parametrize("aligner", ["bilinear", "flow", "dynamic_dual"])
def test_it_changes_the_logits_and_is_fused_as_the_rest(aligner):
    model = network(f"aligned_fpn-{aligner}", detail=8)
    for size in ((64, 96), (33, 47)):
        x = image(*size, batch=2)
        with torch.no_grad():
            logits = model(x)
            assert logits.shape == (2, CLASSES, *size)
            assert relative_error(fuse(model)(x), logits) < 1e-4
            model.detail, detail = None, model.detail
            assert relative_error(model(x), logits) > 0.05
            model.detail = detail


def test_all_of_it_is_trained_but_before_its_first_step_its_last_layer_alone():
    model = network("sfnet", randomize=False, detail=8).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for alone in (True, False):
        optimizer.zero_grad()
        (model(image(64, 96, batch=2)) ** 2).mean().backward()
        gradients = {name: x.grad.abs().sum() for name, x in model.detail.named_parameters()}
        assert {name for name, x in gradients.items() if x > 0} == (
            {"classify.weight", "classify.bias"} if alone else gradients.keys()
        )
        optimizer.step()


def test_classes_that_two_data_sets_share_keep_its_rows():
    theirs, ours = network("sfnet", detail=8), network("sfnet", randomize=False, detail=8, num_classes=2)
    theirs.config.classes, ours.config.classes = ["a", "b", "c", "d", "e"], ["e", "new"]
    assert initialize(ours, theirs) == ([], ["new"])
    torch.testing.assert_close(ours.detail.classify.weight[0], theirs.detail.classify.weight[4])


@pytest.mark.parametrize("encoder", ["test_vit", "convnext_atto"])
def test_an_encoder_without_a_map_at_half_is_refused(encoder):
    with pytest.raises(InputError, match=rf"{encoder}' has no map at 1/2"):
        create_model("sfnet", encoder=encoder, channels=8, detail=8)


@pytest.mark.parametrize("detail", [-8, 2.5, True, "24"])
def test_what_is_no_number_of_channels_is_refused(detail):
    with pytest.raises(InputError, match=r"detail is .*: give a number of channels"):
        create_model("sfnet", encoder="test_resnet", channels=8, detail=detail)
