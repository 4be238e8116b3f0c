"""Implicit: a pairwise relative of IFA (ECCV 2022, arXiv 2206.08655), as an operator between two maps. It is ours.

IFA itself (`pixalign.models.ifa`) reads all levels at once and has no operator between two. Here each pixel of low
reads the nearest feature z of high, never a resized one, and its encoded position psi(d) inside that cell
(`pixalign.blocks.RelativeEncoding`); a small MLP of both, C -> C with BN and ReLU -> C, is added to low. As in IFA, the
first layer is split exactly: W_z z is computed at high's own resolution, W_psi psi once for the batch.
"""

import torch
from torch import Tensor, nn

from pixalign.blocks import RelativeEncoding
from pixalign.sampling import check_convention, gather_cells, nearest_grid_cells


class Implicit(nn.Module):
    """``low + W2 relu(bn(nearest(W_z high) + W_psi psi))``.

    Args:
        channels: channels C of both maps.
        convention: decides which of two equally near cells is read (`pixalign.sampling.nearest_grid_cells`).
    """

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__()
        self.convention = check_convention(convention)
        self.encoding = RelativeEncoding()
        self.on_features = nn.Conv2d(channels, channels, 1, bias=False)
        self.on_position = nn.Conv2d(self.encoding.channels, channels, 1, bias=False)
        self.mix = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Merge low (N, C, H, W) and high (N, C, h, w) into (N, C, H, W)."""
        index, offsets = self._cells(low, high)
        nearest = gather_cells(self.on_features(high), index.flatten().unsqueeze(0)).unflatten(2, index.shape)
        codes = self.encoding(offsets).permute(2, 0, 1).unsqueeze(0).to(low.dtype)  # (1, E, H, W)
        return low + self.mix(nearest + self.on_position(codes))

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {"offsets": (N, 2, H, W)}: where low's pixel lies in high's cell, dx then dy, -1..1 in half cells."""
        _, offsets = self._cells(low, high)
        return {"offsets": offsets.flip(-1).permute(2, 0, 1).expand(low.shape[0], -1, -1, -1)}

    def _cells(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Index (H, W) of the nearest cells of high and relative positions (H, W, 2), y then x."""
        rows, dy = nearest_grid_cells(low.shape[-2], high.shape[-2], low.device, self.convention)
        columns, dx = nearest_grid_cells(low.shape[-1], high.shape[-1], low.device, self.convention)
        offsets = torch.stack(torch.broadcast_tensors(dy.unsqueeze(1), dx), dim=-1)
        return rows.unsqueeze(1) * high.shape[-1] + columns, offsets
