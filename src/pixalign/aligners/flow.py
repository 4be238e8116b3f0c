"""Flow: the Flow Alignment Module of SFNet (ECCV 2020, arXiv 2002.10120, section 3.3).

A displacement field ("semantic flow") is predicted from both maps, and the coarse map is warped along it before the
sum. Both maps are first reduced to half of their channels by 1x1 convolutions without bias; the flow comes from a 3x3
convolution without bias on their concatenation, the coarse map's part first.

The paper leaves the flow's initialization open, and the release uses the default one; so do we.
"""

import torch
from torch import Tensor, nn

from pixalign.sampling import resize, warp


class Flow(nn.Module):
    """``low + warp(high, flow)`` with flow = conv3x3([resize(conv1x1(high)), conv1x1(low)]).

    Args:
        channels: channels C of both maps.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
    """

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__()
        self.convention = convention
        reduced = channels // 2
        self.down_high = nn.Conv2d(channels, reduced, 1, bias=False)
        self.down_low = nn.Conv2d(channels, reduced, 1, bias=False)
        self.make_flow = nn.Conv2d(2 * reduced, 2, 3, padding=1, bias=False)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Merge low (N, C, H, W) and high (N, C, h, w) into (N, C, H, W)."""
        return low + warp(high, self.geometry(low, high)["flow"], self.convention)

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {"flow": (N, 2, H, W)}, dx then dy, in output pixels under the ``pixel`` convention."""
        size = (low.shape[-2], low.shape[-1])
        reduced_high = resize(self.down_high(high), size, self.convention)
        return {"flow": self.make_flow(torch.cat((reduced_high, self.down_low(low)), dim=1))}
