"""Bilinear: resize and add, the merge of the plain feature pyramid (FPN, arXiv 1612.03144). The baseline."""

from torch import Tensor

from pixalign.aligners.base import Aligner, aligner
from pixalign.sampling import grid_of, resize


@aligner("bilinear")
class Bilinear(Aligner):
    """``fine + resize(coarse)``: no parameters, no alignment.

    Args:
        channels: channels of both maps (unused, every aligner is built the same way).
        convention: sampling convention of the resize (`pixalign.sampling`).
    """

    about = "The coarse map is resized and added to the fine one. Nothing is moved: this is the baseline."

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__(convention)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        return fine + resize(coarse, grid_of(fine), self.convention)
