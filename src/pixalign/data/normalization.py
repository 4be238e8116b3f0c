"""The normalization that networks expect: not among the training transforms, which import torchvision."""

from collections.abc import Sequence

import torch
from torch import Tensor


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Turn uint8 images (N, C, H, W) into float32 (pixel / 255 - mean) / std, in the layout that they came in."""
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32, device=images.device).view(-1, 1, 1)
    shift = torch.tensor([-m / s for m, s in zip(mean, std)], dtype=torch.float32, device=images.device).view(-1, 1, 1)
    return torch.addcmul(shift, images.float(), scale)
