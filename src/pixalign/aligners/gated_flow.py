"""Gated flow: the Gated Flow Alignment Module of BiAlignNet (ICIP 2021, arXiv 2105.11651).

A displacement field is predicted from both maps as in SFNet (`pixalign.aligners.flow`), then multiplied by a gate that
the map which will be warped predicts from itself: ``flow * resize(sigmoid(conv1x1(moved)))``. The gate has two
channels, one per axis, and scales the displacement, not the features; where it is 0 the map is only resized.

The network has two of these, one that warps the coarse map and one that warps the fine map at its own size, and
concatenates what they give (`pixalign.models.bialignnet`). As an operator of the frame (our choice), `GatedFlow` warps
the coarse map and adds it to the fine one.

The paper leaves the initialization open; the flow's and the gate's are torch's defaults, as in the release.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from pixalign.sampling import resize, warp


class GatedFlowAlignment(nn.Module):
    """``warp(moved, gate * flow)`` with flow = conv3x3([resize(conv1x1(high)), conv1x1(low)]), moved one of the two.

    Args:
        channels: channels C of both maps.
        moved: "high" warps the coarse map to low's grid, "low" the fine map on its own grid.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    def __init__(self, channels: int, moved: Literal["high", "low"] = "high", convention: str = "pixel") -> None:
        super().__init__()
        self.moved = moved
        self.convention = convention
        reduced = channels // 2
        self.down_high = nn.Conv2d(channels, reduced, 1, bias=False)
        self.down_low = nn.Conv2d(channels, reduced, 1, bias=False)
        self.make_flow = nn.Conv2d(2 * reduced, 2, 3, padding=1, bias=False)
        self.make_gate = nn.Conv2d(channels, 2, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Return the moved one of low (N, C, H, W) and high (N, C, h, w), warped, on low's grid: (N, C, H, W)."""
        moved = high if self.moved == "high" else low
        return warp(moved, self.geometry(low, high)["flow"], self.convention)

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {"flow": (N, 2, H, W), dx then dy, gated, "gate": (N, 2, H, W) in 0..1 on dx and dy}.

        The flow is in output pixels under the ``pixel`` convention.
        """
        size = (low.shape[-2], low.shape[-1])
        reduced_high = resize(self.down_high(high), size, self.convention)
        flow = self.make_flow(torch.cat((reduced_high, self.down_low(low)), dim=1))
        gate = self.make_gate(high if self.moved == "high" else low).sigmoid()
        gate = resize(gate, size, self.convention) if self.moved == "high" else gate
        return {"flow": flow * gate, "gate": gate}


class GatedFlow(nn.Module):
    """``low + warp(high, gate * flow)``.

    Args:
        channels: channels C of both maps.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__()
        self.alignment = GatedFlowAlignment(channels, "high", convention)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Merge low (N, C, H, W) and high (N, C, h, w) into (N, C, H, W)."""
        return low + self.alignment(low, high)

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {"flow": (N, 2, H, W) gated, "gate": (N, 2, H, W)}, see `GatedFlowAlignment.geometry`."""
        return self.alignment.geometry(low, high)
