"""What every network promises: any size, one result however it is asked for, gradients everywhere, and clear errors."""

import json
from contextlib import nullcontext

import pytest
import torch

from graphs import relative_error
from networks import CLASSES, NETWORKS, image, network, randomized
from pixalign import create_model, list_models
from pixalign.blocks import PyramidPooling
from pixalign.errors import InputError
from pixalign.models.network import NetworkConfig
from pixalign.palette import default_classes
from pixalign.sampling import fill, resize

SIZES = ((32, 32), (33, 47), (64, 96), (97, 129))
STRIDES = {"sfnet_lite": (4, 16, 32), "bialignnet": (8, 16, 32, 8)}  # the last is the spatial path's
AUXILIARY_STRIDES = {"alignseg": (4,), "bialignnet": (16, 8)}  # a sixteenth for the others


@pytest.fixture(scope="module", params=NETWORKS)
def key(request):
    return request.param


@pytest.fixture(scope="module")
def model(key):
    return network(key)


@pytest.mark.parametrize("size", SIZES)
def test_logits_have_the_images_size(model, size):
    with torch.no_grad():
        logits = model(image(*size, batch=2))
    assert logits.shape == (2, CLASSES, *size)
    assert logits.isfinite().all()
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("size", SIZES)
def test_heads_are_the_same_logits_and_auxiliaries_at_their_own_size(key, model, size):
    with torch.no_grad():
        outputs = model(image(*size), heads=True)
        whole = fill(image(*size), model.step)
        assert torch.equal(model(whole, heads=True)["logits"], model(whole))
    expected = [(1, CLASSES, -(-size[0] // s), -(-size[1] // s)) for s in AUXILIARY_STRIDES.get(key, (16,))]
    assert [tuple(x.shape) for x in outputs["auxiliaries"]] == expected


@pytest.mark.parametrize("size", SIZES)
def test_decoding_the_encoding_of_the_levels_that_are_read_is_forward(key, model, size):
    x = image(*size)
    with torch.no_grad():
        features = model.encode(x)
        levels = [(-(-size[0] // s), -(-size[1] // s)) for s in STRIDES.get(key, (4, 8, 16, 32))]
        assert [tuple(f.shape[-2:]) for f in features] == levels
        whole = fill(x, model.step)
        maps, sides = model.encode(whole), (whole.shape[-2], whole.shape[-1])
        assert torch.equal(model.decode(maps, sides), model(whole))
        assert torch.equal(resize(model.decode(maps), sides), model(whole))
        assert model.decode(features, (50, 20)).shape[-2:] == (50, 20)


@pytest.mark.parametrize("size", [(33, 47), (50, 96), (360, 20), (1, 1)])
def test_an_image_is_mirrored_up_to_whole_cells_of_every_map_and_the_logits_are_cut_back(model, size):
    x = image(*size, batch=2)
    whole = fill(x, model.step)
    assert all(side % 32 == 0 for side in whole.shape[-2:])
    with torch.no_grad():
        assert torch.equal(model(x), model(whole)[..., : size[0], : size[1]])


def test_a_pixel_is_read_at_one_place_whatever_the_images_size_is(key):
    """A larger image continues a smaller one: where the mirror image is what is there anyway, nothing changes."""
    model = network(key)
    x = fill(image(72, 80), 32)  # 96 x 96, mirrored by itself
    with torch.no_grad():
        assert relative_error(model(x[..., :72, :80]), model(x)[..., :72, :80]) < 1e-5


def test_the_releases_networks_take_an_image_as_it_is():
    model = network("sfnet", convention="sfnet")
    x = image(33, 47)
    with torch.no_grad():
        assert model.step == 1
        assert torch.equal(model(x), model.decode(model.encode(x), (33, 47)))


def test_a_size_without_pixels_is_refused(model):
    with pytest.raises((ValueError, InputError), match=r"size is \(0, 10\): give a height and a width of 1 or more"):
        model.decode(model.encode(image(33, 47)), (0, 10))


def test_images_of_a_batch_do_not_influence_each_other(model):
    x = image(33, 47, batch=3)
    with torch.no_grad():
        assert relative_error(model(x)[1:2], model(x[1:2])) < 1e-5


def test_gradients_reach_every_parameter(key):
    torch.manual_seed(0)
    model = network(key).train()
    outputs = model(image(64, 96, batch=3), heads=True)
    maps = [outputs.pop("logits"), *outputs.pop("auxiliaries"), *outputs.values()]
    sum(x.square().mean() for x in maps).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if not (key == "ifa" and name == "encodings.0.frequencies"):  # asked at the finest cells' centers, d is 0 there
            assert parameter.grad.abs().sum() > 0, name


def test_bfloat16_autocast_stays_close(model):
    x = image(97, 129)
    with torch.no_grad():
        expected = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(x)
    assert relative_error(logits.float(), expected) < 0.25  # positions off by pixels would make it about 1


def test_training_on_one_image_raises_torchs_own_error_where_a_map_is_pooled_to_one_value(key):
    model = network(key).train()
    pooled = any(isinstance(module, PyramidPooling) for module in model.modules())
    with pytest.raises(ValueError, match="Expected more than 1 value per channel") if pooled else nullcontext():
        model(image(64, 96))


def test_config_rebuilds_the_network(key, model):
    config = json.loads(json.dumps(model.config.to_json()))
    again = create_model(config["architecture"], **config["arguments"])
    again.load_state_dict(model.state_dict())
    assert config["classes"] == default_classes(CLASSES)
    assert len(config["colors"]) == CLASSES
    assert config["mean"] == list(model.encoder.mean)
    with torch.no_grad():
        assert torch.equal(again.eval()(image(33, 47)), model(image(33, 47)))


def test_a_description_read_again_is_the_same_with_keys_that_are_not_ours():
    written = {
        "architecture": "sfnet", "arguments": {"num_classes": 1, "in_channels": 1}, "classes": ["a"],
        "colors": [[1, 2, 3]], "mean": [0.5], "std": [0.5], "pixalign": "0.1", "theirs": {"deep": [1]},
    }  # fmt: skip
    config = NetworkConfig.from_json(written)
    assert config.to_json() == written
    assert NetworkConfig.from_json(config.to_json()) == config


def test_convention_changes_the_result_and_is_kept_in_the_config(key, model):
    other = network(key, convention="sfnet")
    assert other.config.arguments["convention"] == "sfnet"
    with torch.no_grad():
        assert relative_error(other(image(33, 47)), model(image(33, 47))) > 1e-2


def test_auxiliary_head_can_be_left_out(key):
    model = network(key, auxiliary=False)
    assert model(image(32, 32), heads=True)["auxiliaries"] == []
    assert not any(name.startswith("auxiliary") for name in model.state_dict())


def test_sfnet_is_the_aligned_fpn_with_flow():
    sfnet, frame = network("sfnet"), randomized(network("aligned_fpn-flow"), seed=1)
    frame.load_state_dict(sfnet.state_dict())
    with torch.no_grad():
        assert torch.equal(frame(image(97, 129)), sfnet(image(97, 129)))


def test_every_listed_network_is_tested_here():
    assert list_models() == sorted({name for name, _ in NETWORKS.values()})


@pytest.mark.parametrize("encoder", ["test_convnext", "test_vit", "mobilenetv4_conv_small_050"])
@pytest.mark.parametrize("name", list_models())
def test_networks_take_encoders_of_other_kinds(name, encoder):
    model = create_model(name, encoder=encoder, num_classes=CLASSES, channels=16).eval()
    with torch.no_grad():
        assert model(image(33, 47)).shape == (1, CLASSES, 33, 47)


def test_encoder_options_and_channels_of_the_image_are_passed_on():
    options = {"output_stride": 16}
    model = create_model("sfnet", encoder="resnet18", num_classes=2, in_channels=4, encoder_options=options).eval()
    with torch.no_grad():
        assert model.encode(image(64, 64, channels=4))[3].shape[-2:] == (4, 4)
        assert model(image(64, 64, channels=4)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sfnett"}, r"model 'sfnett' is unknown: choose one of aligned_fpn, .*sfnet_lite"),
        ({"name": "sfnet", "num_classes": 0}, r"num_classes is 0: it must lie between 1 and 255"),
        ({"name": "sfnet", "num_classes": 256}, r"num_classes is 256"),
        ({"name": "sfnet", "chanels": 64}, r"sfnet has no option 'chanels': choose from .*channels"),
        ({"name": "sfnet", "aligner": "bilinear"}, r"sfnet has no option 'aligner'"),
        ({"name": "aligned_fpn", "aligner": "none"}, r"aligner 'none' is unknown"),
        ({"name": "sfnet", "encoder": "resnet81"}, r"encoder 'resnet81' is unknown"),
        ({"name": "sfnet", "encoder_options": {"depth": 3}}, r"'resnet18' cannot be built: .*'depth'"),
        ({"name": "sfnet", "encoder_options": {"in_channels": 3}}, r"encoder_options: .*'in_channels'"),
        ({"name": "sfnet_lite", "convention": "corners"}, r"convention 'corners' is unknown: choose one of pixel"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(arguments, message):
    with pytest.raises(InputError, match=message):
        create_model(**arguments)
