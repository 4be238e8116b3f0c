"""Bilinear: resize and add, the merge of the plain feature pyramid (FPN, arXiv 1612.03144). The baseline."""

from torch import Tensor, nn

from pixalign.sampling import resize


class Bilinear(nn.Module):
    """``low + resize(high)``: no parameters, no alignment.

    Args:
        channels: channels of both maps (unused, every aligner is built the same way).
        convention: sampling convention of the resize (`pixalign.sampling`).
    """

    def __init__(self, channels: int, convention: str = "pixel") -> None:
        super().__init__()
        self.convention = convention

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Merge low (N, C, H, W) and high (N, C, h, w) into (N, C, H, W)."""
        return low + resize(high, (low.shape[-2], low.shape[-1]), self.convention)

    def geometry(self, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        """Return {}: nothing is displaced."""
        return {}
