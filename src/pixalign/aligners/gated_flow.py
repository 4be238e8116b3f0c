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

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Displacement, Gate, Part
from pixalign.sampling import grid_of, resize, warp


class GatedFlowAlignment(Aligner):
    """``warp(moved, gate * flow)`` with flow = conv3x3([resize(conv1x1(coarse)), conv1x1(fine)]), moved one of the two.

    Args:
        channels: channels C of both maps.
        moved: "coarse" warps the coarse map to the fine grid, "fine" the fine map on its own grid.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    about = (
        "Both maps are moved: the coarse context and the fine detail, each along a flow that both predict. A gate says "
        "how much of the way is gone."
    )
    merges = False

    def __init__(self, channels: int, moved: Literal["coarse", "fine"] = "coarse", convention: str = "pixel") -> None:
        super().__init__(convention)
        self.moved = moved
        reduced = channels // 2
        self.down_coarse = nn.Conv2d(channels, reduced, 1, bias=False)
        self.down_fine = nn.Conv2d(channels, reduced, 1, bias=False)
        self.make_flow = nn.Conv2d(2 * reduced, 2, 3, padding=1, bias=False)
        self.make_gate = nn.Conv2d(channels, 2, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the moved one of fine (N, C, H, W) and coarse (N, C, h, w), warped, on the fine grid: (N, C, H, W)."""
        moved = coarse if self.moved == "coarse" else fine
        flow, gate = self.flow_and_gate(fine, coarse)
        return warp(moved, flow * gate, self.convention)

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the displacement of the moved map, gated, and its gate, which has a share for dx and one for dy."""
        flow, gate = self.flow_and_gate(fine, coarse)
        source = grid_of(coarse if self.moved == "coarse" else fine)
        return [Displacement(self.moved, flow * gate, source, self.convention), Gate(gate, "displacement")]

    def flow_and_gate(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """The displacement before its gate, dx then dy, and the gate in 0 to 1, both (N, 2, H, W)."""
        size = grid_of(fine)
        reduced_coarse = resize(self.down_coarse(coarse), size, self.convention)
        flow = self.make_flow(torch.cat((reduced_coarse, self.down_fine(fine)), dim=1))
        gate = self.make_gate(coarse if self.moved == "coarse" else fine).sigmoid()
        return flow, resize(gate, size, self.convention) if self.moved == "coarse" else gate


@aligner("gated_flow")
class GatedFlow(Aligner):
    """``fine + warp(coarse, gate * flow)``.

    Args:
        channels: channels C of both maps.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    about = "Each pixel fetches its coarse feature from another place; a gate says how much of the way is gone."

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__(convention)
        self.alignment = GatedFlowAlignment(channels, "coarse", convention)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        moved: Tensor = self.alignment(fine, coarse)
        return fine + moved

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the displacement of the coarse map and its gate, see `GatedFlowAlignment.geometry`."""
        return self.alignment.geometry(fine, coarse)
