"""AlignSeg: feature-aligned segmentation networks (TPAMI 2022, arXiv 2003.00872).

From an encoder's maps c2 c3 c4 c5 (1/4 1/8 1/16 1/32), with C channels (256) everywhere after it:

- refinement block, RRB(x): f = 1x1(x); norm(f + 3x3(norm(3x3(f)))), the inner map with C/4 channels;
- aligned context, AlignCM(c5): the average of c5 over 3x3 cells, and c5 itself, both through a 1x1 and a 3x3
  convolution; each pixel reads the 3x3 grid at a place displaced by its own offset, so chooses its context;
- aggregation from shallow to deep, every step on the 1/4 grid: d1 = RRB(c2), and d = RRB(AlignFA(d, RRB(x))) for x in
  c3, c4, c5 and AlignCM(c5). AlignFA is `pixalign.aligners.dual_flow`: it moves both maps;
- head 3x3 with bias, norm, dropout, 1x1 with bias; logits are resized to the image. The auxiliary head is alike and
  reads d at 1/4 once c4 has joined.

Every norm of the decoder is followed by a leaky ReLU of slope 0.01.

Open in the paper, from the release: that slope, dropout 0.1, the place of the auxiliary head, no biases but those of
the heads. Our choice: the first convolutions of AlignCM keep c5's channels (2048 of 2048 in the release), so that
smaller encoders get a smaller module.
"""

from typing import Any

from torch import Tensor, nn

from pixalign.aligners import Aligner
from pixalign.aligners.dual_flow import SLOPE, DualFlow, Offsets
from pixalign.aligners.geometry import Displacement, Part
from pixalign.encoders import TimmEncoder
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import Size, check_convention, grid_of, pool_to_bins, warp


class AlignSeg(SegmentationNetwork):
    """Encoder, aligned context, four aligned aggregations at 1/4, head.

    Args:
        encoder: timm model name.
        num_classes: number of classes K.
        channels: width C of the decoder, a multiple of 4.
        auxiliary: add an auxiliary class head on the aggregation up to c4, used by the loss alone.
        pretrained, in_channels, encoder_options: see `pixalign.encoders.TimmEncoder`.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    def __init__(
        self,
        encoder: str = "resnet18",
        num_classes: int = 19,
        channels: int = 256,
        auxiliary: bool = True,
        pretrained: bool | str = False,
        in_channels: int = 3,
        encoder_options: dict[str, Any] | None = None,
        convention: str = "pixel",
    ) -> None:
        super().__init__()
        self.convention = check_convention(convention)
        self.encoder = TimmEncoder(encoder, pretrained, in_channels, **(encoder_options or {}))
        level_channels = [*self.encoder.channels, channels]
        self.context = AlignedContext(self.encoder.channels[3], channels, convention)
        self.laterals = nn.ModuleList(RefinementBlock(c, channels) for c in level_channels)
        self.aligners = nn.ModuleList(DualFlow(channels, convention) for _ in level_channels[1:])
        self.refine = nn.ModuleList(RefinementBlock(channels, channels) for _ in level_channels[1:])
        self.head = _head(channels)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary = nn.Sequential(*_head(channels), nn.Conv2d(channels, num_classes, 1)) if auxiliary else None

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits at ``size`` or at 1/4 of the image, and, with ``heads``, "auxiliaries" [logits at 1/4]."""
        deeper = [*features[1:], self.context(features[3], pool_to_bins(features[3], 3))]
        fused = self.laterals[0](features[0])
        others: dict[str, Any] = {}
        steps = zip(deeper, self.laterals[1:], self.aligners, self.refine)
        for level, (x, lateral, aligner, refine) in enumerate(steps, start=3):
            fused = refine(aligner(fused, lateral(x)))  # (N, C, H/4, W/4)
            if level == 4 and heads:
                others = self._auxiliary_head(fused)
        logits = self.classify(self.head(fused)).contiguous()  # few channels: resizing them is faster so
        return self._resized(logits, size), others


class AlignedContext(Aligner):
    """Aligned Context Modeling (AlignCM): local(x) + warp(grid(pooled), offsets), where ``pooled`` are x's 3 x 3 means.

    Without offsets each pixel would read the bilinearly resized grid.

    Args:
        in_channels: channels of the input (N, in_channels, h, w).
        channels: channels C of the output.
        convention: sampling convention of resize and warp (`pixalign.sampling`).
    """

    about = "The coarsest map is averaged over 3 × 3 cells; each of its pixels chooses which context it reads there."

    def __init__(self, in_channels: int, channels: int, convention: str = "pixel") -> None:
        super().__init__(convention)
        self.grid = nn.Sequential(*_conv_norm(in_channels, in_channels), *_conv_norm(in_channels, channels, 3))
        self.local = nn.Sequential(*_conv_norm(in_channels, in_channels), *_conv_norm(in_channels, channels, 3))
        self.offsets = Offsets(channels, convention)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, in_channels, h, w) and coarse, its means (N, in_channels, 3, 3), into (N, C, h, w)."""
        local, grid = self.local(fine), self.grid(coarse)  # (N, C, h, w), (N, C, 3, 3)
        merged: Tensor = local + warp(grid, self.offsets(local, grid), self.convention)
        return merged

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the displacement of the means."""
        flow = self.offsets(self.local(fine), self.grid(coarse))
        return [Displacement("coarse", flow, grid_of(coarse), self.convention)]


class RefinementBlock(nn.Module):
    """Residual refinement block (RRB): (N, in_channels, h, w) to (N, C, h, w), C = ``channels``."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.unify = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.residual = nn.Sequential(
            *_conv_norm(channels, channels // 4, 3), nn.Conv2d(channels // 4, channels, 3, padding=1, bias=False)
        )
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.unify(x)
        merged: Tensor = self.act(self.norm(x + self.residual(x)))  # (N, C, h, w)
        return merged


def _conv_norm(in_channels: int, channels: int, kernel_size: int = 1, bias: bool = False) -> nn.Sequential:
    """Convolution with "same" padding, batch norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=bias),
        nn.BatchNorm2d(channels),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(*_conv_norm(channels, channels, 3, bias=True), nn.Dropout2d(0.1))
