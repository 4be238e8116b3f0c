"""Costs that can be worked out by hand."""

import torch
from torch import nn

from pixalign.models.cost import cost
from pixalign.sampling import warp


def test_a_convolution_worked_by_hand():
    module = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    assert cost(module, (2, 3, 9, 7)) == (8 * 27 + 8, 2 * 2 * 27 * 8 * 5 * 4)


def test_a_matrix_product_of_two_inputs_worked_by_hand():
    class Product(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a @ b

    assert cost(Product(), (5, 2, 3), (5, 3, 4)) == (0, 5 * 2 * (2 * 3 * 4))


def test_warping_is_not_counted_and_nothing_is_computed_or_changed():
    class Warp(nn.BatchNorm2d):
        def forward(self, x: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
            return super().forward(warp(x, flow))

    module = Warp(4)
    # 64 GiB, if it were made
    assert cost(module, (1, 4, 2**16, 2**16), (1, 2, 2**16, 2**16)) == (8, 0)
    assert module.training
    assert module.num_batches_tracked == 0
