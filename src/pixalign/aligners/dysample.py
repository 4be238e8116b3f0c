"""DySample: upsampling by learned sampling (ICCV 2023, arXiv 2308.15085), in the style "lp" with the static scope.

A 1x1 convolution on the coarse map predicts, for each of the s x s pixels that a coarse pixel becomes, where to read
the coarse map: linear, then pixel shuffle. Offsets are relative to the places of the bilinear resize, in coarse pixels,
and multiplied by the static scope 0.25; the channels form 4 groups, each with offsets of its own.

What differs from the paper: it upsamples by a whole factor s, but the levels of a pyramid measure ceil(H / 2), and
their ratio may be any. So s is 2, and where the fine grid is not twice the coarse one, the shuffled offsets are resized
to it. On maps of exactly twice the size this is the paper's module. The sampled map is added to the fine one, as by
other aligners here.

As in the release: the convolution has a bias and starts with a standard deviation of 0.001.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Part, Points
from pixalign.errors import InputError
from pixalign.sampling import grid_of, resize, warp

SCOPE = 0.25
FACTOR = 2


@aligner("dysample")
class DySample(Aligner):
    """``fine + sampled(coarse)``, sampled where the coarse map itself says.

    Args:
        channels: channels C of both maps, a multiple of ``groups``.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
        groups: groups of channels with offsets of their own.

    Raises:
        InputError: channels that ``groups`` does not divide.
    """

    about = (
        "The coarse map itself says where each finer pixel reads it, for four groups of channels apart. Shown is the "
        "mean of the four places."
    )

    def __init__(self, channels: int, convention: str = "pixel", groups: int = 4) -> None:
        super().__init__(convention)
        if groups < 1 or channels % groups:
            raise InputError(f"groups is {groups}: it must divide the channels, {channels}")
        self.groups = groups
        self.make_flow = nn.Conv2d(channels, 2 * groups * FACTOR**2, 1)
        nn.init.normal_(self.make_flow.weight, std=0.001)
        nn.init.zeros_(self.make_flow.bias)  # type: ignore[arg-type]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        offsets = self.offsets(fine, coarse).flatten(0, 1)  # (N * groups, 2, H, W)
        grouped = coarse.unflatten(1, (self.groups, -1)).flatten(0, 1)  # (N * groups, C / groups, h, w)
        return fine + warp(grouped, offsets, self.convention).view(fine.shape)

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the place at which each group of channels is read."""
        return [Points(self.offsets(fine, coarse), None, grid_of(coarse), self.convention)]

    def offsets(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Displacements (N, groups, 2, H, W), dx then dy, in output pixels under the ``pixel`` convention."""
        size = grid_of(fine)
        shuffled = F.pixel_shuffle(self.make_flow(coarse), FACTOR)  # (N, 2 * groups, 2h, 2w)
        shuffled = resize(shuffled, size, self.convention)
        dx, dy = shuffled.to(torch.promote_types(shuffled.dtype, torch.float32)).chunk(2, dim=1)
        dx = dx * (SCOPE * size[1] / coarse.shape[-1])  # from coarse pixels to output pixels
        dy = dy * (SCOPE * size[0] / coarse.shape[-2])
        return torch.stack((dx, dy), dim=2)
