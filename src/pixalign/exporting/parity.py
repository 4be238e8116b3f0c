"""Does the exported graph do what the network does? Three sizes, one of them odd, and the differences as numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.errors import InputError

SIZES = ((1, 97, 161), (2, 160, 128), (1, 256, 320))  # (N, H, W); none is the size that the graph was traced at
TOLERANCE = 1e-4  # largest difference over the largest logit


def parity_images(channels: int) -> list[Tensor]:
    """Seeded images (N, channels, H, W) uint8 of the sizes in `SIZES`: colored clouds under fine noise."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for batch, height, width in SIZES:
        clouds = torch.rand(batch, channels, 7, 9, generator=generator)
        clouds = F.interpolate(clouds, size=(height, width), mode="bicubic")
        noise = torch.randn(batch, channels, height, width, generator=generator)
        images.append((255 * clouds + 12 * noise).clamp(0, 255).to(torch.uint8))
    return images


def compare(
    graph: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], expected: Sequence[Tensor]
) -> list[dict[str, Any]]:
    """Run the graph and compare it with the network's logits.

    Args:
        graph: its input to logits (N, K, H, W) or, if they are uint8, to labels (N, H, W).
        inputs: what the graph takes, one batch per size.
        expected: the network's logits for them.

    Returns:
        Per size: ``size`` [N, H, W]; ``difference``, the largest over the largest logit; ``labels_changed`` and
        ``pixels``. For labels, the difference is by how much the network's own logit of a label that came out lies
        below its largest one: 0 where the labels are equal.
    """
    rows = []
    with torch.no_grad():
        for x, logits in zip(inputs, expected):
            found = graph(x)
            labels = logits.argmax(1)
            if found.dtype == torch.uint8 and found.shape == labels.shape:
                ids = found.long()
                gap = logits.amax(1) - logits.gather(1, ids.clamp(max=logits.shape[1] - 1)[:, None])[:, 0]
                absolute = gap.max()
            elif found.shape == logits.shape:
                ids = found.argmax(1)
                absolute = (found - logits).abs().max()
            else:
                raise InputError(
                    f"export: the graph gives {tuple(found.shape)} where the network gives {tuple(logits.shape)}: "
                    "choose another format or encoder"
                )
            rows.append(
                {
                    "size": [x.shape[0], x.shape[2], x.shape[3]],
                    "difference": float(absolute / logits.abs().max()),
                    "labels_changed": int((ids != labels).sum()),
                    "pixels": labels.numel(),
                }
            )
    return rows


def require_parity(rows: Sequence[dict[str, Any]]) -> None:
    """Raise InputError if a difference exceeds `TOLERANCE` (or is no number)."""
    for row in rows:
        if not row["difference"] <= TOLERANCE:
            size = " x ".join(map(str, row["size"]))
            raise InputError(
                f"export: at {size} the graph differs from the network by {row['difference']:.1e} of the largest logit "
                f"({TOLERANCE:.0e} is allowed): nothing was written; try another format or encoder"
            )
