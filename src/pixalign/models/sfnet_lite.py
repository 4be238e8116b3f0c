"""SFNet-Lite (IJCV 2023, arXiv 2207.04415): one gated alignment at the end, in place of SFNet's three.

The pooled c5 and c2's lateral meet once, at 1/4, through the Gated Dual Flow Alignment Module: both are warped, each
along its own flow, and blended by a gate. The result and c4's lateral go to the fusion. c3 is not read. What the
release's checkpoint holds and its forward never uses (the lateral of c5) is left out here.

Open in the paper: where the auxiliary head sits; the release has it on c4's lateral, and so do we.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.blocks import LevelFusion, PyramidPooling, class_head, conv_norm_act
from pixalign.encoders import TimmEncoder
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import Size, check_convention


class SFNetLite(SegmentationNetwork):
    """Encoder, pyramid pooling, one gated dual flow alignment between c2 and the pooled c5, fusion with c4.

    Args:
        encoder: timm model name.
        num_classes: number of classes K.
        channels: width C of the decoder (the release: 128 for ResNet-18, 256 for ResNet-101).
        bins: grid sizes of the pyramid pooling.
        auxiliary: add an auxiliary class head on c4's lateral, used by the loss alone.
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
        pretrained: bool | str = False,
        in_channels: int = 3,
        encoder_options: dict[str, Any] | None = None,
        convention: str = "pixel",
    ) -> None:
        super().__init__()
        self.convention = check_convention(convention)
        self.encoder = TimmEncoder(encoder, pretrained, in_channels, levels=(0, 2, 3), **(encoder_options or {}))
        c2, c4, c5 = self.encoder.channels
        self.pool = PyramidPooling(c5, channels, bins, convention)
        self.lateral2 = conv_norm_act(c2, channels, bias=True)
        self.lateral4 = conv_norm_act(c4, channels, bias=True)
        self.aligner = GatedDualFlow(channels, convention)
        self.fuse = LevelFusion(2, channels, convention)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary = class_head(channels, channels, num_classes) if auxiliary else None

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits at ``size`` or at 1/4 of the image, and, with ``heads``, "auxiliaries" [logits at 1/16]."""
        c2, c4, c5 = features
        lateral4 = self.lateral4(c4)
        fused = self.aligner(self.lateral2(c2), self.pool(c5))
        logits = self.classify(self.fuse([fused, lateral4])).contiguous()  # few channels: resizing them is faster so
        return self._resized(logits, size), self._auxiliary_head(lateral4) if heads else {}
