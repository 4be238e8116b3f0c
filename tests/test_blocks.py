import pytest
import torch

from pixalign.blocks import ENCODINGS, RelativeEncoding
from pixalign.errors import InputError


def test_encoding_is_the_offset_then_sines_then_cosines_of_six_octaves_on_y_and_x():
    dy, dx = 0.3, -0.7
    octaves = [2 ** (1.2 * i) for i in range(6)]
    phases = torch.tensor([f * dy for f in octaves] + [f * dx for f in octaves])
    expected = torch.cat((torch.tensor([dy, dx]), phases.sin(), phases.cos()))
    for kind in ("learnable", "sinusoidal"):
        torch.testing.assert_close(RelativeEncoding(kind)(torch.tensor([dy, dx])), expected, atol=1e-5, rtol=0)


def test_raw_is_the_offset_and_none_is_nothing():
    offset = torch.rand(3, 5, 2)
    assert torch.equal(RelativeEncoding("raw")(offset), offset)
    assert RelativeEncoding("none")(offset).shape == (3, 5, 0)


@pytest.mark.parametrize("kind", ENCODINGS)
def test_only_learnable_frequencies_are_trained_and_saved(kind):
    encoding = RelativeEncoding(kind)
    assert encoding(torch.rand(4, 2)).shape == (4, encoding.channels)
    names = ["frequencies"] if kind == "learnable" else []
    assert [name for name, _ in encoding.named_parameters()] == names
    assert list(encoding.state_dict()) == names


def test_encoding_stays_float32_under_autocast():
    offset, encoding = torch.rand(100, 2), RelativeEncoding()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = encoding(offset)
    assert torch.equal(got, encoding(offset))


def test_unknown_encoding_lists_the_known_ones():
    with pytest.raises(
        InputError, match="encoding 'cosine' is unknown: choose one of learnable, sinusoidal, raw, none"
    ):
        RelativeEncoding("cosine")
