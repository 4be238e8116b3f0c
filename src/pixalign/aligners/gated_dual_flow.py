"""Gated dual flow: the Gated Dual Flow Alignment Module of SFNet-Lite (IJCV 2023, arXiv 2207.04415, section 3.4).

Both maps are warped, each along its own flow, and blended by a gate: ``gate * warp(coarse) + (1 - gate) * warp(fine)``.
One 3x3 convolution without bias gives both flows (the first two channels for the coarse map). The gate is the sigmoid
of a 3x3 convolution without bias over four maps: mean over channels of the reduced and resized coarse map, mean of the
fine one, maximum of the former, maximum of the latter; as in the release, those of the coarse map are taken from its
reduced C/2 channels, those of the fine one from all C.
"""

import torch
from torch import Tensor, nn

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Displacement, Gate, Part
from pixalign.sampling import grid_of, resize, warp


@aligner("gated_dual_flow")
class GatedDualFlow(Aligner):
    """Two flows and a gate between a finer and a coarser map.

    Args:
        channels: channels C of both maps.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
    """

    about = "The coarse map and the fine map are both moved, and a gate blends them."

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__(convention)
        reduced = channels // 2
        self.down_coarse = nn.Conv2d(channels, reduced, 1, bias=False)
        self.down_fine = nn.Conv2d(channels, reduced, 1, bias=False)
        self.make_flow = nn.Conv2d(2 * reduced, 4, 3, padding=1, bias=False)
        self.make_gate = nn.Conv2d(4, 1, 3, padding=1, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        flow_coarse, flow_fine, gate = self.flows_and_gate(fine, coarse)
        warped_coarse = warp(coarse, flow_coarse, self.convention)
        warped_fine = warp(fine, flow_fine, self.convention)
        return torch.lerp(warped_fine, warped_coarse, gate.to(warped_fine.dtype))

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the displacements of the coarse and of the fine map, and the gate between them."""
        flow_coarse, flow_fine, gate = self.flows_and_gate(fine, coarse)
        return [
            Displacement("coarse", flow_coarse, grid_of(coarse), self.convention),
            Displacement("fine", flow_fine, grid_of(fine), self.convention),
            Gate(gate, "maps"),
        ]

    def flows_and_gate(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Displacements (N, 2, H, W) of the coarse and of the fine map, and the gate (N, 1, H, W) in 0 to 1."""
        reduced_coarse = resize(self.down_coarse(coarse), grid_of(fine), self.convention)
        flows = self.make_flow(torch.cat((reduced_coarse, self.down_fine(fine)), dim=1))
        summary = [reduced_coarse.mean(1, keepdim=True), fine.mean(1, keepdim=True)]
        summary += [reduced_coarse.amax(1, keepdim=True), fine.amax(1, keepdim=True)]
        gate = self.make_gate(torch.cat(summary, dim=1)).sigmoid()
        return flows[:, :2], flows[:, 2:], gate
