"""Dual flow: the Aligned Feature Aggregation module of AlignSeg (TPAMI 2022, arXiv 2003.00872), AlignFA there.

The coarse map is resized to the fine one's grid, and then both are moved, each along its own offsets, and added:
``warp(resize(high), flow) + warp(low, flow_low)``. Each offset branch reads both maps: 1x1 convolution on their
concatenation, batch norm, leaky ReLU, 3x3 convolution to dx and dy that starts at zero. So training starts from the
plain merge, ``low + resize(high)``.

The 1x1 convolution commutes with the resize, whose weights sum to one. It is therefore computed on each map at its own
size, and the resized halves are added: the concatenation at the fine size is never made.

Open in the paper: the slope of the leaky ReLU; the release has 0.01, and so do we. Its batch norm scales by the
absolute value of its weight, which a converted checkpoint has folded into it; ours is the common one.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pixalign.sampling import resize, warp

SLOPE = 0.01


class DualFlow(nn.Module):
    """``warp(resize(high), flow) + warp(low, flow_low)``, both flows predicted from both maps.

    Args:
        channels: channels C of both maps.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
    """

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__()
        self.convention = convention
        self.offsets_high = Offsets(channels, convention)
        self.offsets_low = Offsets(channels, convention)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Merge low (N, C, H, W) and high (N, C, h, w) into (N, C, H, W)."""
        geometry = self.geometry(low, high)
        size = (low.shape[-2], low.shape[-1])
        warped_high = warp(resize(high, size, self.convention), geometry["flow"], self.convention)
        return warped_high + warp(low, geometry["flow_low"], self.convention)

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {"flow": (N, 2, H, W) of the resized high, "flow_low": the same of low}, dx then dy.

        In output pixels under the ``pixel`` convention.
        """
        return {"flow": self.offsets_high(low, high), "flow_low": self.offsets_low(low, high)}


class Offsets(nn.Module):
    """An offset branch of AlignSeg: conv3x3(leaky(norm(conv1x1([low, resize(high)])))), no biases, zero at first.

    Args:
        channels: channels C of both maps.
        convention: sampling convention of the resize (`pixalign.sampling`).
    """

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__()
        self.convention = convention
        self.reduce = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.LeakyReLU(SLOPE, inplace=True)
        self.make_flow = nn.Conv2d(channels, 2, 3, padding=1, bias=False)
        nn.init.zeros_(self.make_flow.weight)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Displacements (N, 2, H, W) for low (N, C, H, W) and high (N, C, h, w)."""
        weight_low, weight_high = self.reduce.weight.chunk(2, dim=1)
        reduced_high = resize(F.conv2d(high, weight_high), (low.shape[-2], low.shape[-1]), self.convention)
        return self.make_flow(self.act(self.norm(F.conv2d(low, weight_low) + reduced_high)))
