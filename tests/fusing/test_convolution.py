"""Norms are folded where that is exact, and nowhere else."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn

from graphs import relative_error
from networks import randomized
from pixalign.encoders.same_padding import EvenConv2d
from pixalign.fusing.convolution import Convolution, convolve, fold, scale_and_shift


class Net(nn.Module):
    """Runs ``layers`` by the function given."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor, heads: bool = False) -> Tensor:
        return self.run(self, x)


def conv(**options) -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, **{"padding": 1, **options})


def folded_norms(net: Net) -> int:
    """Fold; check that nothing changed; return the number of norms folded."""
    randomized(net).eval().requires_grad_(False)
    x = torch.randn(1, 4, 9, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net(x.clone())
        count = fold(net, torch.zeros(1, 4, 8, 8))
        assert relative_error(net(x.clone()), expected) < 1e-5
    return count


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.1), nn.SiLU(), nn.Hardswish()])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"stride": 2}, {"groups": 2}, {"dilation": 2}])
def test_a_norm_and_its_activation_go_into_the_convolution(act, options):
    net = Net(lambda m, x: m.layers(x), layers=nn.Sequential(conv(**options), nn.BatchNorm2d(4), act))
    assert folded_norms(net) == 1
    assert isinstance(net.layers[0], Convolution)
    assert isinstance(net.layers[2], nn.Hardswish if isinstance(act, nn.Hardswish) else nn.Identity)


@pytest.mark.parametrize(
    "layer", [conv(padding="same"), conv(padding_mode="reflect"), EvenConv2d(Conv2dSame(4, 4, 3, stride=2))]
)
def test_other_paddings_keep_their_convolution_without_the_norm(layer):
    net = Net(lambda m, x: m.layers(x), layers=nn.Sequential(layer, nn.BatchNorm2d(4), nn.ReLU()))
    assert folded_norms(net) == 1
    assert net.layers[0] is layer


def test_a_norm_with_an_activation_of_its_own():
    net = Net(
        lambda m, x: m.layers(x),
        layers=nn.Sequential(conv(), BatchNormAct2d(4), conv(), BatchNormAct2d(4, act_layer=nn.GELU)),
    )
    assert folded_norms(net) == 2


NOT_EXACT = {
    "the convolution's output is read twice": lambda m, x: m.norm(y := m.conv(x)) + y,
    "the convolution is run twice": lambda m, x: m.norm(m.conv(x)) + m.conv(x + 1),
    "the norm is run twice": lambda m, x: m.norm(m.conv(x)) + m.norm(x),
    "something lies between": lambda m, x: m.norm(m.conv(x) + 1),
    "the output was changed in place": lambda m, x: m.norm(m.conv(x).relu_()),
}


@pytest.mark.parametrize("case", NOT_EXACT)
def test_a_norm_stays_where(case):
    assert folded_norms(Net(NOT_EXACT[case], conv=conv(), norm=nn.BatchNorm2d(4))) == 0


def test_an_activation_stays_where_what_it_reads_is_read_again():
    net = Net(lambda m, x: m.act(y := m.norm(m.conv(x))) + y, conv=conv(), norm=nn.BatchNorm2d(4), act=nn.ReLU())
    assert folded_norms(net) == 1
    assert isinstance(net.act, nn.ReLU)


def test_an_activation_in_place_may_be_read_by_many():
    net = Net(
        lambda m, x: m.act(m.conv(x)).sum() + m.act.inplace * m.conv.weight.sum(),
        conv=conv(),
        act=nn.ReLU(inplace=True),
    )
    net.run = lambda m, x: (y := m.act(m.conv(x))) + y.mean()
    assert folded_norms(net) == 0
    assert isinstance(net.act, nn.Identity)


def test_a_norm_without_statistics_stays():
    net = Net(lambda m, x: m.norm(m.conv(x)), conv=conv(), norm=nn.BatchNorm2d(4, track_running_stats=False))
    assert folded_norms(net) == 0


def test_scale_and_shift_are_the_norm():
    norm = randomized(nn.BatchNorm2d(4)).eval()
    x = torch.randn(2, 4, 3, 3)
    scale, shift = (v.view(1, -1, 1, 1) for v in scale_and_shift(norm))
    torch.testing.assert_close(scale * x + shift, norm(x))


@pytest.mark.parametrize("act", [("none", ()), ("relu", ()), ("leaky_relu", (0.1,)), ("swish", ())])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_map_is_added_before_the_activation(act, dtype):
    x, weight = torch.randn(1, 4, 7, 5, dtype=dtype), torch.randn(6, 4, 3, 3, dtype=dtype)
    onto, bias = torch.randn(1, 6, 7, 5, dtype=dtype), torch.randn(6, dtype=dtype)
    functions = {"none": lambda y: y, "relu": F.relu, "leaky_relu": lambda y: F.leaky_relu(y, 0.1), "swish": F.silu}
    expected = functions[act[0]](F.conv2d(x, weight, bias, padding=1) + onto)
    for some in (x, x.contiguous(memory_format=torch.channels_last)):
        result = convolve(some, weight, bias, padding=(1, 1), act=act, onto=onto.clone())
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("add", [False, True])
def test_few_numbers_are_left_to_torch_with_the_same_result(add, monkeypatch):
    x, weight = torch.randn(1, 4, 7, 5), torch.randn(6, 4, 3, 3)
    results = []
    for few in (0, x.numel()):
        monkeypatch.setattr("pixalign.fusing.convolution._FEW", few)
        onto = torch.ones(1, 6, 7, 5) if add else None
        results.append(convolve(x, weight, padding=(1, 1), act=("relu", ()), onto=onto))
        if add:
            assert torch.equal(onto, torch.ones(1, 6, 7, 5)) == (few > 0)  # oneDNN alone writes in place
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
