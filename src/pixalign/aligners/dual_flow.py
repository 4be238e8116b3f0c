"""Dual flow: the Aligned Feature Aggregation module of AlignSeg (TPAMI 2022, arXiv 2003.00872), AlignFA there.

The coarse map is resized to the fine one's grid, and then both are moved, each along its own offsets, and added:
``warp(resize(coarse), flow_coarse) + warp(fine, flow_fine)``. Each offset branch reads both maps: 1x1 convolution on
their concatenation, batch norm, leaky ReLU, 3x3 convolution to dx and dy that starts at zero. So training starts from
the plain merge, ``fine + resize(coarse)``.

The 1x1 convolution commutes with the resize, whose weights sum to one. It is therefore computed on each map at its own
size, and the resized halves are added: the concatenation at the fine size is never made.

Open in the paper: the slope of the leaky ReLU; the release has 0.01, and so do we. Its batch norm scales by the
absolute value of its weight, which a converted checkpoint has folded into it; ours is the common one.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Displacement, Part
from pixalign.sampling import grid_of, resize, warp

SLOPE = 0.01


@aligner("dual_flow")
class DualFlow(Aligner):
    """``warp(resize(coarse), flow_coarse) + warp(fine, flow_fine)``, both flows predicted from both maps.

    Args:
        channels: channels C of both maps.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
    """

    about = "Two offset maps: the resized coarse map and the fine map are both moved, then added."

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__(convention)
        self.offsets_coarse = Offsets(channels, convention)
        self.offsets_fine = Offsets(channels, convention)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        flow_coarse, flow_fine = self.offsets_coarse(fine, coarse), self.offsets_fine(fine, coarse)
        warped_coarse = warp(resize(coarse, grid_of(fine), self.convention), flow_coarse, self.convention)
        return warped_coarse + warp(fine, flow_fine, self.convention)

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the displacements of the resized coarse map and of the fine map."""
        return [
            Displacement("coarse", self.offsets_coarse(fine, coarse), grid_of(fine), self.convention),
            Displacement("fine", self.offsets_fine(fine, coarse), grid_of(fine), self.convention),
        ]


class Offsets(nn.Module):
    """An offset branch of AlignSeg: conv3x3(leaky(norm(conv1x1([fine, resize(coarse)])))), no biases, zero at first.

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

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Displacements (N, 2, H, W) for fine (N, C, H, W) and coarse (N, C, h, w)."""
        weight_fine, weight_coarse = self.reduce.weight.chunk(2, dim=1)
        reduced_coarse = resize(F.conv2d(coarse, weight_coarse), grid_of(fine), self.convention)
        flow: Tensor = self.make_flow(self.act(self.norm(F.conv2d(fine, weight_fine) + reduced_coarse)))
        return flow
