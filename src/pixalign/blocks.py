"""Small modules that several networks share: convolution-norm-activation, pyramid pooling, heads, encodings."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pixalign.errors import InputError
from pixalign.sampling import grid_of, pool_to_bins, resize

ENCODINGS = {"learnable": 26, "sinusoidal": 26, "raw": 2, "none": 0}


def conv_norm_act(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    bias: bool = False,
    act: bool = True,
) -> nn.Sequential:
    """Convolution with "same" padding, batch norm (eps 1e-5) and, with ``act``, a ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if act else nn.Sequential(*layers)


def class_head(in_channels: int, channels: int, num_classes: int, dropout: float = 0.1) -> nn.Sequential:
    """3x3 convolution with bias, batch norm, ReLU, dropout, 1x1 to the classes: the usual auxiliary head."""
    return nn.Sequential(
        *conv_norm_act(in_channels, channels, 3, bias=True), nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, 1)
    )


class PyramidPooling(nn.Module):
    """Pyramid pooling module (PSPNet, arXiv 1612.01105) in the form that SFNet and BiAlignNet use.

    Each bin size: average pool -> 1x1 convolution -> batch norm (no ReLU) -> resize back. Pooled maps first, the input
    last, then a 1x1 convolution, batch norm, ReLU, dropout 0.1.

    In training mode the 1 x 1 bin leaves one value per channel and image, so batch norm needs two images.

    Args:
        in_channels: channels of the input (N, in_channels, h, w).
        channels: channels of each pooled branch and of the output.
        bins: side lengths of the pooled grids.
        convention: sampling convention of the resize (`pixalign.sampling`).
    """

    def __init__(
        self, in_channels: int, channels: int, bins: Sequence[int] = (1, 2, 3, 6), convention: str = "pixel"
    ) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.convention = convention
        self.branches = nn.ModuleList(conv_norm_act(in_channels, channels, act=False) for _ in self.bins)
        self.bottleneck = nn.Sequential(
            *conv_norm_act(in_channels + len(self.bins) * channels, channels), nn.Dropout2d(0.1)
        )

    def forward(self, x: Tensor) -> Tensor:
        planes = x.contiguous()  # once for all bins
        pooled = [
            resize(branch(pool_to_bins(planes, bins)), grid_of(x), self.convention)
            for bins, branch in zip(self.bins, self.branches)
        ]
        return self.bottleneck(torch.cat((*pooled, x), dim=1))  # (N, channels, h, w)


class LevelFusion(nn.Sequential):
    """Maps of several levels as one: resized to the first one's grid, concatenated; 3x3 convolution, batch norm, ReLU.

    Args:
        levels: number of maps (N, C, h, w).
        channels: channels C of each map and of the output.
        convention: sampling convention of the resizes (`pixalign.sampling`).
    """

    def __init__(self, levels: int, channels: int, convention: str = "pixel") -> None:
        super().__init__(*conv_norm_act(levels * channels, channels, 3))
        self.convention = convention

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        grid = grid_of(maps[0])
        resized = [maps[0], *(resize(x, grid, self.convention) for x in maps[1:])]
        return super().forward(torch.cat(resized, dim=1))  # (N, channels, H, W)


class Detail(nn.Module):
    """A level at 1/2, our choice: what it sees in the stem's map, and in the fused one, is added to the logits there.

    Its last layer is zero at first: a network without it, continued, starts where it was.

    Args:
        stem_channels: of the encoder's map at 1/2.
        channels: of the fused map at 1/4.
        width: channels at 1/2.
        num_classes: number of classes K.
        convention: sampling convention of the resizes (`pixalign.sampling`).
    """

    def __init__(self, stem_channels: int, channels: int, width: int, num_classes: int, convention: str) -> None:
        super().__init__()
        self.lateral = conv_norm_act(stem_channels, width)
        self.reduce = conv_norm_act(channels, width)
        self.fuse = LevelFusion(2, width, convention)
        self.classify = nn.Conv2d(width, num_classes, 1)
        for parameter in self.classify.parameters():
            nn.init.zeros_(parameter)
        self.convention = convention

    def forward(self, stem: Tensor, fused: Tensor, logits: Tensor) -> Tensor:
        """Return logits (N, K, H/2, W/2) for maps at 1/2 and 1/4 and the logits at 1/4."""
        more = self.classify(self.fuse([self.lateral(stem), self.reduce(fused)])).contiguous()
        return resize(logits, grid_of(stem), self.convention) + more


class RelativeEncoding(nn.Module):
    """Encoding of a position inside a cell, as in IFA (ECCV 2022, arXiv 2206.08655): [d, sin(d F^T), cos(d F^T)].

    F (12, 2) holds frequencies without the factor pi: six of them, 2^0 to 2^6, on y, and the same six on x.

    Args:
        kind: "learnable" (F is trained from there), "sinusoidal" (F stays), "raw" (d alone) or "none" (no numbers).

    Attributes:
        channels: numbers E per position: 26, 26, 2 or 0.
    """

    def __init__(self, kind: str = "learnable") -> None:
        super().__init__()
        if kind not in ENCODINGS:
            raise InputError(f"encoding {kind!r} is unknown: choose one of {', '.join(ENCODINGS)}")
        self.kind = kind
        self.channels = ENCODINGS[kind]
        octaves = torch.tensor([2.0 ** (6 * i / 5) for i in range(6)])
        frequencies = torch.block_diag(octaves[:, None], octaves[:, None])  # (12, 2)
        if kind == "learnable":
            self.frequencies = nn.Parameter(frequencies)
        elif kind == "sinusoidal":
            self.register_buffer("frequencies", frequencies, persistent=False)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that do not decay, as timm's models have it: a frequency of 0 is no simpler one."""
        return {"frequencies"} & {name for name, _ in self.named_parameters()}

    def forward(self, offset: Tensor) -> Tensor:
        """Encode offsets (..., 2), y then x, in half cells, as (..., E). float32 offsets give float32."""
        if self.kind == "none":
            return offset[..., :0]
        if self.kind == "raw":
            return offset
        along_y, along_x = self.frequencies.to(offset.dtype).unbind(1)
        phase = offset[..., :1] * along_y + offset[..., 1:] * along_x  # no matrix product: autocast would round it
        return torch.cat((offset, phase.sin(), phase.cos()), dim=-1)
