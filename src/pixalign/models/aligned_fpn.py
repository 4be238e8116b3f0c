"""Aligned FPN: one plain frame in which any aligner can be swapped, for a fair comparison of alignment operators.

The frame is that of SFNet (ECCV 2020, arXiv 2002.10120): with the aligner ``flow`` this is SFNet, with ``dynamic_dual``
DDSM, with ``bilinear`` a plain feature pyramid, the baseline. From an encoder's maps c2 c3 c4 c5 (1/4 1/8 1/16 1/32):

- pyramid pooling on c5; laterals (1x1 with bias, BN, ReLU) on c4, c3, c2;
- top-down, f = aligner(lateral, f), starting from the pooled c5; f is passed on unsmoothed;
- a smoothed copy (3x3, BN, ReLU) of each f goes to the fusion, the pooled c5 as it is;
- fusion at 1/4: concatenate [f2, f3, f4, pooled c5], 3x3 BN ReLU, 1x1 with bias; logits are resized to the image.

Open in the paper, our choice: one auxiliary head, on c4's lateral (the SFNet-Lite release has it there), and none where
``auxiliary`` is false (the converted checkpoints have none). Ours altogether: a level at 1/2, with ``detail``.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pixalign.aligners import create_aligner
from pixalign.blocks import Detail, LevelFusion, PyramidPooling, class_head, conv_norm_act
from pixalign.encoders import TimmEncoder
from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import Size, check_convention


class AlignedFPN(SegmentationNetwork):
    """A feature pyramid whose merges are done by an aligner.

    InputError for a ``detail`` that is no number of channels, or an encoder that has no map at 1/2 for it.

    Args:
        encoder: timm model name.
        num_classes: number of classes K.
        aligner: key of `pixalign.aligners.ALIGNERS`.
        aligner_options: further arguments of the aligner, such as DynamicDual's {"branches": "spatial"}.
        channels: width C of the decoder (SFNet: 128 for ResNet-18, 256 for ResNet-50 and 101).
        bins: grid sizes of the pyramid pooling.
        auxiliary: add an auxiliary class head on c4's lateral, used by the loss alone.
        detail: channels of a further level at 1/2 (`pixalign.blocks.Detail`), for things of a few pixels; 0: none.
        pretrained, in_channels, encoder_options: see `pixalign.encoders.TimmEncoder`.
        convention: sampling convention of every resize and warp (`pixalign.sampling`).
    """

    def __init__(
        self,
        encoder: str = "resnet18",
        num_classes: int = 19,
        aligner: str = "bilinear",
        aligner_options: dict[str, Any] | None = None,
        channels: int = 128,
        bins: Sequence[int] = (1, 2, 3, 6),
        auxiliary: bool = True,
        detail: int = 0,
        pretrained: bool | str = False,
        in_channels: int = 3,
        encoder_options: dict[str, Any] | None = None,
        convention: str = "pixel",
    ) -> None:
        super().__init__()
        if isinstance(detail, bool) or not isinstance(detail, int) or detail < 0:
            raise InputError(f"detail is {detail!r}: give a number of channels, such as 24, or 0 for no level at 1/2")
        self.convention = check_convention(convention)
        self.encoder = TimmEncoder(encoder, pretrained, in_channels, half=detail > 0, **(encoder_options or {}))
        *lateral_channels, top_channels = self.encoder.channels[-4:]
        self.pool = PyramidPooling(top_channels, channels, bins, convention)
        self.laterals = nn.ModuleList(conv_norm_act(c, channels, bias=True) for c in lateral_channels)
        self.aligners = nn.ModuleList(
            create_aligner(aligner, channels, convention, **(aligner_options or {})) for _ in lateral_channels
        )
        self.smooth = nn.ModuleList(conv_norm_act(channels, channels, 3) for _ in lateral_channels)
        self.fuse = LevelFusion(len(lateral_channels) + 1, channels, convention)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary = class_head(channels, channels, num_classes) if auxiliary else None
        self.detail = (
            Detail(self.encoder.channels[0], channels, detail, num_classes, convention) if detail > 0 else None
        )

    @property
    def class_layers(self) -> list[nn.Module]:
        """As of every network, and the last layer of ``detail``."""
        return [*super().class_layers, *([self.detail.classify] if self.detail is not None else [])]

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits at ``size`` or the finest map's, and, with ``heads``, "auxiliaries" [logits at 1/16].

        The finest map is that at 1/4 of the image, or with ``detail`` that at 1/2.
        """
        stem, features = features[0], features[-4:]
        fused = self.pool(features[3])
        lateral4 = self.laterals[2](features[2])
        pyramid = [fused]
        for level in (2, 1, 0):
            lateral = lateral4 if level == 2 else self.laterals[level](features[level])
            fused = self.aligners[level](lateral, fused)
            pyramid.insert(0, self.smooth[level](fused))
        del lateral, fused  # large ones, read by now
        fused = self.fuse(pyramid)
        logits = self.classify(fused).contiguous()  # few channels: resizing them is faster so
        if self.detail is not None:
            logits = self.detail(stem, fused, logits)
        return self._resized(logits, size), self._auxiliary_head(lateral4) if heads else {}
