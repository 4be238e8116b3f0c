"""The ResNet-50 of the IFA release."""

import pytest
import torch

from pixalign.encoders import TimmEncoder


@pytest.fixture(scope="module")
def encoder():
    return TimmEncoder("ifa_resnet50").eval()


def test_layer4_is_dilated_by_2_2_and_4_with_its_stride_kept(encoder):
    convolutions = [block.conv2 for block in encoder.body.layer4]
    assert [c.dilation[0] for c in convolutions] == [2, 2, 4]
    assert [c.padding[0] for c in convolutions] == [2, 2, 4]
    assert [c.stride[0] for c in convolutions] == [2, 1, 1]


@pytest.mark.parametrize(("side", "sizes"), [(97, [25, 13, 7, 4]), (96, [25, 13, 7, 4]), (64, [17, 9, 5, 3])])
def test_the_max_pool_rounds_up(encoder, side, sizes):
    with torch.no_grad():
        maps = encoder(torch.zeros(1, 3, side, 33))
    assert [x.shape[2] for x in maps] == sizes
    assert encoder.channels == [256, 512, 1024, 2048]
