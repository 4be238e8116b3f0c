"""DFNet1 and DFNet2: timm models like any other, with the maps, widths and blocks of the paper."""

import pytest
import timm
import torch
from torch import nn

from networks import image, randomized
from pixalign.encoders import TimmEncoder
from pixalign.errors import InputError

CHANNELS = {"dfnet1": [64, 64, 128, 512], "dfnet2": [64, 128, 256, 512]}
BLOCKS = {"dfnet1": 10, "dfnet2": 20}


@pytest.fixture(params=sorted(CHANNELS))
def name(request):
    return request.param


@pytest.mark.parametrize("size", [(33, 47), (64, 96), (97, 129)])
def test_encoder_gives_the_stem_and_the_last_map_of_every_stride(name, size):
    encoder = randomized(TimmEncoder(name)).eval()
    with torch.no_grad():
        maps = encoder(image(*size, batch=2))
    assert encoder.channels == CHANNELS[name]
    assert encoder.multiple == 1
    expected = [(2, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(CHANNELS[name], (4, 8, 16, 32))]
    assert [tuple(x.shape) for x in maps] == expected


def test_classifier_and_features_share_their_weights_and_last_map(name):
    classifier = randomized(timm.create_model(name, num_classes=7)).eval()
    encoder = TimmEncoder(name).eval()
    left = encoder.body.load_state_dict(classifier.state_dict(), strict=False)
    assert left.missing_keys == []
    assert left.unexpected_keys == ["head.fc.weight", "head.fc.bias"]
    with torch.no_grad():
        assert torch.equal(encoder(image(64, 96))[3], classifier.forward_features(image(64, 96)))
        assert classifier(image(64, 96)).shape == (1, 7)


def test_every_block_has_two_3x3_convolutions_and_shortcuts_are_1x1(name):
    convolutions = [m for m in timm.create_model(name).modules() if isinstance(m, nn.Conv2d)]
    kernels = [m.kernel_size for m in convolutions]
    assert kernels.count((3, 3)) == 2 + 2 * BLOCKS[name]
    assert kernels.count((1, 1)) == len(kernels) - kernels.count((3, 3)) == {"dfnet1": 4, "dfnet2": 6}[name]


def test_classifier_can_be_replaced_and_left_out(name):
    model = timm.create_model(name, num_classes=0, in_chans=1).eval()
    assert model(image(64, 64, channels=1)).shape == (1, 512)
    model.reset_classifier(3)
    assert model.get_classifier().out_features == model.num_classes == 3
    assert model(image(64, 64, channels=1)).shape == (1, 3)


def test_dilation_is_refused(name):
    with pytest.raises(InputError, match=f"{name}.*output_stride"):
        TimmEncoder(name, output_stride=16)
