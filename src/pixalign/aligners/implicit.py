"""Implicit: a pairwise relative of IFA (ECCV 2022, arXiv 2206.08655), as an operator between two maps. It is ours.

IFA itself (`pixalign.models.ifa`) reads all levels at once and has no operator between two. Here each fine pixel reads
the nearest feature z of the coarse map, never a resized one, and its encoded position psi(d) inside that cell
(`pixalign.blocks.RelativeEncoding`); a small MLP of both, C -> C with BN and ReLU -> C, is added to the fine map. As in
IFA, the first layer is split exactly: W_z z is computed at the coarse map's own resolution, W_psi psi once for the
batch.
"""

import torch
from torch import Tensor, nn

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Cell, Part
from pixalign.blocks import RelativeEncoding
from pixalign.sampling import check_convention, gather_cells, grid_of, nearest_grid_cells


@aligner("implicit")
class Implicit(Aligner):
    """``fine + W2 relu(bn(nearest(W_z coarse) + W_psi psi))``.

    Args:
        channels: channels C of both maps.
        convention: decides which of two equally near cells is read (`pixalign.sampling.nearest_grid_cells`).
    """

    about = "Nothing is resized: each pixel reads the nearest coarse cell and where in that cell it lies."

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__(check_convention(convention))
        self.encoding = RelativeEncoding()
        self.on_features = nn.Conv2d(channels, channels, 1, bias=False)
        self.on_position = nn.Conv2d(self.encoding.channels, channels, 1, bias=False)
        self.mix = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        index, offsets = self._cells(fine, coarse)
        nearest = gather_cells(self.on_features(coarse), index.flatten().unsqueeze(0)).unflatten(2, index.shape)
        codes = self.encoding(offsets).permute(2, 0, 1).unsqueeze(0).to(fine.dtype)  # (1, E, H, W)
        mixed: Tensor = self.mix(nearest + self.on_position(codes))
        return fine + mixed

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the cell that is read."""
        _, offsets = self._cells(fine, coarse)
        return [Cell(offsets.flip(-1).permute(2, 0, 1).expand(fine.shape[0], -1, -1, -1), grid_of(coarse))]

    def _cells(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Index (H, W) of the nearest cells of coarse and relative positions (H, W, 2), y then x."""
        rows, dy = nearest_grid_cells(fine.shape[-2], coarse.shape[-2], fine.device, self.convention)
        columns, dx = nearest_grid_cells(fine.shape[-1], coarse.shape[-1], fine.device, self.convention)
        offsets = torch.stack(torch.broadcast_tensors(dy.unsqueeze(1), dx), dim=-1)
        return rows.unsqueeze(1) * coarse.shape[-1] + columns, offsets
