"""SFNet-Lite (IJCV 2023, arXiv 2207.04415): one gated alignment at the end, in place of SFNet's three.

The pooled c5 and c2's lateral meet once, at 1/4, through the Gated Dual Flow Alignment Module: both are warped, each
along its own flow, and blended by a gate. The result and c4's lateral go to the fusion. c3 is not read. What the
release's checkpoint holds and its forward never uses (the lateral of c5) is left out here.

Open in the paper: where the auxiliary head sits; the release has it on c4's lateral, and so do we.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.blocks import PyramidPooling, class_head, conv_norm_act
from pixalign.encoders import TimmEncoder
from pixalign.sampling import check_convention, resize


class SFNetLite(nn.Module):
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
        self.fuse = conv_norm_act(2 * channels, channels, 3)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary = class_head(channels, channels, num_classes) if auxiliary else None

    def forward(self, image: Tensor, heads: bool = False) -> Tensor | dict[str, Any]:
        """Return logits (N, K, H, W) for a normalized image (N, in_channels, H, W).

        With ``heads``, return {"logits": ..., "auxiliaries": [logits at 1/16, not resized]} for the loss.
        """
        size = (image.shape[-2], image.shape[-1])
        logits, lateral4 = self._decode(self.encode(image))
        logits = resize(logits, size, self.convention)
        if not heads:
            return logits
        auxiliaries = [self.auxiliary(lateral4)] if self.auxiliary is not None else []
        return {"logits": logits, "auxiliaries": auxiliaries}

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's maps c2, c4 and c5."""
        return self.encoder(image)

    def decode(self, features: list[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Return logits at ``size``, or at 1/4 of the image (the finest map's size) if none is given."""
        logits, _ = self._decode(features)
        return logits if size is None else resize(logits, size, self.convention)

    def _decode(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits at 1/4 and c4's lateral, which the auxiliary head reads."""
        c2, c4, c5 = features
        lateral2, lateral4 = self.lateral2(c2), self.lateral4(c4)
        fused = self.aligner(lateral2, self.pool(c5))
        middle = resize(lateral4, (lateral2.shape[-2], lateral2.shape[-1]), self.convention)
        logits = self.classify(self.fuse(torch.cat((fused, middle), dim=1)))
        logits = logits.contiguous()  # few channels: resizing them is faster so
        return logits, lateral4
