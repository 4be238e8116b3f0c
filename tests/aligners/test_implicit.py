"""The aligner `implicit` against its definition, pixel by pixel."""

import pytest
import torch

from graphs import relative_error
from networks import randomized
from pixalign.aligners.implicit import Implicit

CHANNELS = 8


@pytest.mark.parametrize(("fine_size", "coarse_size"), [((25, 33), (13, 17)), ((25, 18), (4, 12)), ((7, 9), (7, 9))])
@pytest.mark.parametrize("training", [False, True])
def test_it_adds_an_mlp_of_the_nearest_feature_and_its_encoded_position(fine_size, coarse_size, training):
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, CHANNELS, *fine_size), torch.randn(2, CHANNELS, *coarse_size)
    aligner = randomized(Implicit(CHANNELS)).train(training)
    offsets = aligner.geometry(fine, coarse)[0].offset
    assert offsets.abs().max() <= 1

    read = torch.zeros(2, CHANNELS + 26, *fine_size)
    for i in range(fine_size[0]):
        for j in range(fine_size[1]):
            dx, dy = offsets[0, :, i, j].tolist()  # the cell whose center lies dx, dy half cells back
            row = round(((2 * i + 1) * coarse_size[0] / fine_size[0] - dy - 1) / 2)
            column = round(((2 * j + 1) * coarse_size[1] / fine_size[1] - dx - 1) / 2)
            read[:, :CHANNELS, i, j] = coarse[:, :, row, column]
            read[:, CHANNELS:, i, j] = aligner.encoding(torch.tensor([dy, dx]))
    first = torch.cat((aligner.on_features.weight, aligner.on_position.weight), dim=1)
    expected = fine + aligner.mix(torch.nn.functional.conv2d(read, first))
    assert relative_error(aligner(fine, coarse), expected) < 1e-5


def test_on_one_grid_every_offset_is_zero():
    x = torch.randn(1, CHANNELS, 7, 9)
    assert not Implicit(CHANNELS).geometry(x, x)[0].offset.any()
