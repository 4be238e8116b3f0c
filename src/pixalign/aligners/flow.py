"""Flow: the Flow Alignment Module of SFNet (ECCV 2020, arXiv 2002.10120, section 3.3).

A displacement field ("semantic flow") is predicted from both maps, and the coarse map is warped along it before the
sum. Both maps are first reduced to half of their channels by 1x1 convolutions without bias; the flow comes from a 3x3
convolution without bias on their concatenation, the coarse map's part first.

The paper leaves the flow's initialization open, and the release uses the default one; so do we.
"""

import torch
from torch import Tensor, nn

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Displacement, Part
from pixalign.sampling import grid_of, resize, warp


@aligner("flow")
class Flow(Aligner):
    """``fine + warp(coarse, flow)`` with flow = conv3x3([resize(conv1x1(coarse)), conv1x1(fine)]).

    Args:
        channels: channels C of both maps.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
    """

    about = (
        "Before a coarse map is added to a finer one, each pixel fetches its coarse feature from another place, which "
        "both maps together choose."
    )

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__(convention)
        reduced = channels // 2
        self.down_coarse = nn.Conv2d(channels, reduced, 1, bias=False)
        self.down_fine = nn.Conv2d(channels, reduced, 1, bias=False)
        self.make_flow = nn.Conv2d(2 * reduced, 2, 3, padding=1, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        return fine + warp(coarse, self.flow(fine, coarse), self.convention)

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the displacement of the coarse map."""
        return [Displacement("coarse", self.flow(fine, coarse), grid_of(coarse), self.convention)]

    def flow(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Displacements (N, 2, H, W), dx then dy, in output pixels under the ``pixel`` convention."""
        reduced_coarse = resize(self.down_coarse(coarse), grid_of(fine), self.convention)
        flow: Tensor = self.make_flow(torch.cat((reduced_coarse, self.down_fine(fine)), dim=1))
        return flow
