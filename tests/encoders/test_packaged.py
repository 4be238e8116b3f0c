"""ImageNet weights from packages: known files alone, names mapped right, a picture recognized."""

from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import timm
import torch
from PIL import Image

import pixalign
from pixalign.encoders import packaged
from pixalign.encoders.packaged import PACKAGES, packaged_weights, weights_at_hand
from pixalign.errors import InputError

LITE0 = PACKAGES["tf_efficientnet_lite0"]
MILITARY_UNIFORM = 652  # of ImageNet's classes; what matplotlib's sample picture shows


@pytest.fixture(scope="module")
def model():
    return timm.create_model("tf_efficientnet_lite0")


def test_the_weights_recognize_a_picture(model):
    weights = packaged_weights("tf_efficientnet_lite0.in1k")
    recognizing = timm.create_model("tf_efficientnet_lite0").eval()
    recognizing.load_state_dict(weights)
    picture = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side)).resize((224, 224))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        assert recognizing(pixels).argmax().item() == MILITARY_UNIFORM


def test_norms_get_statistics_and_convolutions_weights(model):
    weights = packaged_weights("tf_efficientnet_lite0")
    assert list(weights) == list(model.state_dict())
    assert all(x.min() >= 0 for name, x in weights.items() if name.endswith("running_var"))
    assert all(x.dtype == model.state_dict()[name].dtype for name, x in weights.items())


def test_a_file_that_is_not_the_known_one_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, other)
    monkeypatch.setattr(packaged.Package, "path", lambda self: other)
    with pytest.raises(InputError, match=r"is not the file that .* is known for"):
        packaged_weights("tf_efficientnet_lite0")


def test_weights_of_another_network_are_refused(monkeypatch):
    monkeypatch.setitem(PACKAGES, "tf_efficientnet_lite1", LITE0)
    with pytest.raises(InputError, match="does not fit timm's tf_efficientnet_lite1"):
        packaged_weights("tf_efficientnet_lite1")


def test_other_models_and_packages_that_are_not_installed_have_none(monkeypatch):
    assert packaged_weights("resnet18") is None
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    assert packaged_weights("tf_efficientnet_lite0") is None


def test_a_network_tells_where_its_encoders_weights_are_from(tmp_path):
    model = pixalign.create_model("sfnet", encoder="tf_efficientnet_lite0", num_classes=2, pretrained=True, channels=16)
    expected = {"package": f"{LITE0.name} {version(LITE0.name)}", "sha256": LITE0.sha256, "license": "Apache-2.0"}
    assert model.config.encoder_weights == expected
    pixalign.save(model, tmp_path / "model")
    assert pixalign.load(tmp_path / "model").config.encoder_weights == expected
    assert pixalign.create_model("sfnet", encoder="test_resnet", channels=16).config.encoder_weights is None


def test_what_is_at_hand_is_listed_with_its_package():
    assert weights_at_hand()["tf_efficientnet_lite0"] == f"package {LITE0.name}"
