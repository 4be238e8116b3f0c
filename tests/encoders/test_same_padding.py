"""Constant padding is timm's SAME padding on every side that the stride divides."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import AvgPool2dSame, Conv2dSame
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn

from pixalign.encoders.same_padding import pad_by_constants

pairs = st.tuples(st.integers(1, 7), st.integers(1, 7))


@given(kernel=pairs, stride=st.sampled_from([1, 2, 4]), dilation=st.integers(1, 2), cells=pairs)
@settings(max_examples=30, deadline=None)
def test_layers_give_what_timms_give(kernel, stride, dilation, cells):
    torch.manual_seed(0)
    layers = [Conv2dSame(2, 4, kernel, stride, dilation=dilation, groups=2)]
    layers += [MaxPool2dSame(kernel, stride), AvgPool2dSame(kernel, stride, count_include_pad=True)]
    x = torch.randn(1, 2, cells[0] * stride, cells[1] * stride)
    for same in layers:
        constant = nn.Sequential(same)
        pad_by_constants(constant)
        assert constant[0] is not same
        torch.testing.assert_close(constant(x), same(x))


@pytest.mark.parametrize("name", ["tf_mobilenetv3_small_minimal_100", "tf_efficientnet_b0", "tf_mixnet_s"])
def test_encoders_keep_their_parameters_and_maps(name):
    torch.manual_seed(0)
    body = timm.create_model(name, features_only=True).eval()
    x, names, parameters = torch.randn(1, 3, 64, 96), list(body.state_dict()), list(body.parameters())
    with torch.no_grad():
        expected = body(x)
        pad_by_constants(body)
        assert not any(isinstance(m, Conv2dSame) for m in body.modules())
        for mine, theirs in zip(body(x), expected, strict=True):
            assert torch.equal(mine, theirs)
    assert list(body.state_dict()) == names
    assert all(a is b for a, b in zip(body.parameters(), parameters, strict=True))
