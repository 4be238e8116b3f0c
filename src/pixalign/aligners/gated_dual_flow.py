"""Gated dual flow: the Gated Dual Flow Alignment Module of SFNet-Lite (IJCV 2023, arXiv 2207.04415, section 3.4).

Both maps are warped, each along its own flow, and blended by a gate: ``gate * warp(high) + (1 - gate) * warp(low)``.
One 3x3 convolution without bias gives both flows (the first two channels for high). The gate is the sigmoid of a 3x3
convolution without bias over four maps: mean over channels of the reduced and resized high, mean of low, maximum of
the former, maximum of the latter; as in the release, high's are taken from its reduced C/2 channels, low's from all C.
"""

import torch
from torch import Tensor, nn

from pixalign.sampling import resize, warp


class GatedDualFlow(nn.Module):
    """Two flows and a gate between a finer and a coarser map.

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
        self.make_flow = nn.Conv2d(2 * reduced, 4, 3, padding=1, bias=False)
        self.make_gate = nn.Conv2d(4, 1, 3, padding=1, bias=False)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Merge low (N, C, H, W) and high (N, C, h, w) into (N, C, H, W)."""
        geometry = self.geometry(low, high)
        warped_high = warp(high, geometry["flow"], self.convention)
        warped_low = warp(low, geometry["flow_low"], self.convention)
        return torch.lerp(warped_low, warped_high, geometry["gate"].to(warped_low.dtype))

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {"flow": (N, 2, H, W) of high, "flow_low": the same of low, "gate": (N, 1, H, W) in 0..1}."""
        reduced_high = resize(self.down_high(high), (low.shape[-2], low.shape[-1]), self.convention)
        flows = self.make_flow(torch.cat((reduced_high, self.down_low(low)), dim=1))
        summary = [reduced_high.mean(1, keepdim=True), low.mean(1, keepdim=True)]
        summary += [reduced_high.amax(1, keepdim=True), low.amax(1, keepdim=True)]
        gate = self.make_gate(torch.cat(summary, dim=1)).sigmoid()
        return {"flow": flows[:, :2], "flow_low": flows[:, 2:], "gate": gate}
