"""TensorFlow's SAME padding as a constant, for sides that every stride divides.

timm's layers compute it from the size of each map, since it depends on the parity of a side. An encoder whose images
are padded to multiples of 32 has one case left, and a graph exported with symbolic sizes stays small: with the
computation in it, export of an EfficientNet does not end.
"""

from typing import Any

import torch.nn.functional as F
from timm.layers import AvgPool2dSame, Conv2dSame
from timm.layers.pool2d_same import MaxPool2dSame
from torch import Tensor, nn


class EvenConv2d(nn.Conv2d):
    """timm's ``Conv2dSame``, its parameters shared, for maps whose sides are multiples of its stride."""

    def __init__(self, same: Conv2dSame) -> None:
        layout: dict[str, Any] = {"kernel_size": same.kernel_size, "stride": same.stride}
        layout |= {"dilation": same.dilation, "groups": same.groups}
        bias = same.bias is not None
        super().__init__(same.in_channels, same.out_channels, bias=bias, device="meta", **layout)
        self.weight, self.bias = same.weight, same.bias
        self.sides = _sides(same)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        return super().forward(F.pad(x, self.sides))


def pad_by_constants(body: nn.Module) -> None:
    """Replace the convolutions and poolings of ``body`` that compute SAME padding, except weight-standardized ones."""
    for parent in list(body.modules()):
        for name, child in parent.named_children():
            if type(child) is Conv2dSame:
                setattr(parent, name, EvenConv2d(child))
            elif type(child) is MaxPool2dSame:
                pool = nn.MaxPool2d(child.kernel_size, child.stride, 0, child.dilation, ceil_mode=child.ceil_mode)
                setattr(parent, name, nn.Sequential(nn.ConstantPad2d(_sides(child), float("-inf")), pool))
            elif type(child) is AvgPool2dSame:
                average = nn.AvgPool2d(child.kernel_size, child.stride, 0, child.ceil_mode, child.count_include_pad)
                setattr(parent, name, nn.Sequential(nn.ConstantPad2d(_sides(child), 0.0), average))


def _sides(layer: Any) -> tuple[int, int, int, int]:
    """Left, right, top and bottom, as `torch.nn.functional.pad` takes them."""
    dilation = getattr(layer, "dilation", (1, 1))
    totals = [max((layer.kernel_size[i] - 1) * dilation[i] + 1 - layer.stride[i], 0) for i in (1, 0)]
    left, top = (total // 2 for total in totals)
    return left, totals[0] - left, top, totals[1] - top
