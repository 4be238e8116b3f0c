"""BiAlignNet (ICIP 2021, arXiv 2105.11651): a context path and a spatial path, each aligned to the other.

- Context: any encoder down to 1/32 (DFNet2 in the release), then pyramid pooling: C channels.
- Spatial: on the image, 7x7, 3x3 and 3x3 convolutions of stride 2 (C/2 channels), 1x1 to C, each with BN and ReLU: 1/8.
- Two gated flow alignments between both (`pixalign.aligners.gated_flow`), weights not shared: one warps the context to
  1/8, one the spatial map on its own grid.
- Fusion: concatenate (context first), 3x3 to 2C, BN, ReLU, 1x1 with bias to 64 numbers per class, which a pixel shuffle
  lays out as 8 x 8 pixels; resized to the image.
- For the loss alone: an edge map from the warped spatial map (3x3 to C/2, BN, ReLU, 1x1 to 64, pixel shuffle), at 8 x
  the size of the 1/8 map, and class heads (1x1 with bias) on the encoder's 1/16 and 1/8.

The edge head gives logits (in the release probabilities, to which its loss then applies another sigmoid). The release
resizes the class heads' logits to the image, in two steps; here they stay at their own size, see
`pixalign.losses.total_loss`. Open in the paper, our choice: C/2 and 2C where the width differs from its 128; of the
encoder, the map at 1/4 is not read, and those at 1/8 and 1/16 are for the class heads alone.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixalign.aligners.gated_flow import GatedFlowAlignment
from pixalign.blocks import PyramidPooling, conv_norm_act
from pixalign.encoders import TimmEncoder
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import Size, check_convention

CELL = 8  # the pixel shuffle lays out this many pixels along each side of a position


class BiAlignNet(SegmentationNetwork):
    """Context and spatial path, bidirectional gated flow alignment, pixel-shuffle head.

    Args:
        encoder: timm model name.
        num_classes: number of classes K.
        channels: width C of the decoder (the paper: 128).
        bins: grid sizes of the pyramid pooling.
        auxiliary: add class heads on the encoder's 1/16 and 1/8, used by the loss alone.
        edge: add the edge head, used by the loss alone.
        pretrained, in_channels, encoder_options: see `pixalign.encoders.TimmEncoder`.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    def __init__(
        self,
        encoder: str = "resnet18",
        num_classes: int = 19,
        channels: int = 128,
        bins: Sequence[int] = (1, 2, 3, 6),
        auxiliary: bool = True,
        edge: bool = True,
        pretrained: bool | str = False,
        in_channels: int = 3,
        encoder_options: dict[str, Any] | None = None,
        convention: str = "pixel",
    ) -> None:
        super().__init__()
        self.convention = check_convention(convention)
        levels = (1, 2, 3) if auxiliary else (3,)
        self.encoder = TimmEncoder(encoder, pretrained, in_channels, levels=levels, **(encoder_options or {}))
        *finer, c5 = self.encoder.channels
        half = channels // 2
        self.pool = PyramidPooling(c5, channels, bins, convention)
        self.spatial = nn.Sequential(
            conv_norm_act(in_channels, half, 7, stride=2),
            conv_norm_act(half, half, 3, stride=2),
            conv_norm_act(half, half, 3, stride=2),
            conv_norm_act(half, channels),
        )
        self.align_context = GatedFlowAlignment(channels, "coarse", convention)
        self.align_spatial = GatedFlowAlignment(channels, "fine", convention)
        self.fuse = conv_norm_act(2 * channels, 2 * channels, 3)
        self.classify = nn.Conv2d(2 * channels, num_classes * CELL**2, 1)
        self.auxiliaries = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in reversed(finer))
        self.edge = nn.Sequential(*conv_norm_act(channels, half, 3), nn.Conv2d(half, CELL**2, 1)) if edge else None

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's maps, finest first, and the spatial path's map (N, C, ceil(H / 8), ceil(W / 8)).

        The encoder's are c3, c4 and c5, or c5 alone without the class heads.
        """
        return [*self.encoder(image), self.spatial(image)]

    @property
    def class_layers(self) -> list[nn.Module]:
        """The last layers of every head."""
        return [self.classify, *self.auxiliaries]

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits at ``size`` or at 8 x the size of the spatial map, and, with ``heads``, what is for the loss.

        "auxiliaries" [logits at 1/16, at 1/8], and "edge" (N, 1, 8 ceil(H / 8), 8 ceil(W / 8)) logits of the class
        borders, absent without the edge head.
        """
        *_, c5, spatial = features
        context = self.pool(c5)
        warped_context = self.align_context(spatial, context)  # (N, C, H/8, W/8)
        warped_spatial = self.align_spatial(spatial, context)  # (N, C, H/8, W/8)
        fused = self.fuse(torch.cat((warped_context, warped_spatial), dim=1))
        logits = F.pixel_shuffle(self.classify(fused), CELL)  # (N, K, 8 H/8, 8 W/8)
        return self._resized(logits, size), self._heads(features, warped_spatial) if heads else {}

    def _heads(self, features: list[Tensor], warped_spatial: Tensor) -> dict[str, Any]:
        """The class heads on the encoder's maps, and the edge head on the warped spatial map."""
        *finer, _, _ = features
        heads: dict[str, Any] = {"auxiliaries": [head(x) for head, x in zip(self.auxiliaries, reversed(finer))]}
        if self.edge is not None:
            heads["edge"] = F.pixel_shuffle(self.edge(warped_spatial), CELL)
        return heads
