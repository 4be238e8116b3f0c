"""The aligner `implicit` against its definition, pixel by pixel."""

import pytest
import torch

from graphs import relative_error
from networks import randomized
from pixalign.aligners.implicit import Implicit

CHANNELS = 8


@pytest.mark.parametrize(("low_size", "high_size"), [((25, 33), (13, 17)), ((25, 18), (4, 12)), ((7, 9), (7, 9))])
@pytest.mark.parametrize("training", [False, True])
def test_it_adds_an_mlp_of_the_nearest_feature_and_its_encoded_position(low_size, high_size, training):
    torch.manual_seed(0)
    low, high = torch.randn(2, CHANNELS, *low_size), torch.randn(2, CHANNELS, *high_size)
    aligner = randomized(Implicit(CHANNELS)).train(training)
    offsets = aligner.geometry(low, high)["offsets"]
    assert offsets.abs().max() <= 1

    read = torch.zeros(2, CHANNELS + 26, *low_size)
    for i in range(low_size[0]):
        for j in range(low_size[1]):
            dx, dy = offsets[0, :, i, j].tolist()  # the cell whose center lies dx, dy half cells back
            row = round(((2 * i + 1) * high_size[0] / low_size[0] - dy - 1) / 2)
            column = round(((2 * j + 1) * high_size[1] / low_size[1] - dx - 1) / 2)
            read[:, :CHANNELS, i, j] = high[:, :, row, column]
            read[:, CHANNELS:, i, j] = aligner.encoding(torch.tensor([dy, dx]))
    first = torch.cat((aligner.on_features.weight, aligner.on_position.weight), dim=1)
    expected = low + aligner.mix(torch.nn.functional.conv2d(read, first))
    assert relative_error(aligner(low, high), expected) < 1e-5


def test_on_one_grid_every_offset_is_zero():
    x = torch.randn(1, CHANNELS, 7, 9)
    assert not Implicit(CHANNELS).geometry(x, x)["offsets"].any()
