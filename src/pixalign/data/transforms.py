"""Augmentation for training, from torchvision's v2 transforms, and the normalisation that networks expect.

Randomness is torch's global generator: the loader seeds it from (seed, epoch, index) before each sample.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from pixalign.data.pairs import IGNORE


class RandomScale(v2.Transform):
    """Resize image (bilinear, antialiased) and mask (nearest) by a factor drawn log-uniformly from low to high."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = flat_inputs[0].shape[-2:]
        factor = self.low * (self.high / self.low) ** torch.rand(()).item()
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        mode = (
            v2.InterpolationMode.NEAREST_EXACT if isinstance(inpt, tv_tensors.Mask) else v2.InterpolationMode.BILINEAR
        )
        return self._call_kernel(F.resize, inpt, size=params["size"], interpolation=mode, antialias=True)


class RandomLight(v2.Transform):
    """Another light: a gamma and a gain per colour channel, as between noon, shade, street lamps and dusk (our choice).

    Args:
        strength: 0 to 1; the logarithms of gamma and gains are normal, with deviations of 0.5 and 0.2 times it.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels = flat_inputs[0].shape[-3]
        gamma = torch.exp(0.5 * self.strength * torch.randn(1)).clamp(0.4, 2.5)
        gain = torch.exp(0.2 * self.strength * torch.randn(channels, 1))
        levels = torch.arange(256) / 255
        return {"table": (255 * gain * levels**gamma).round().clamp(0, 255).to(torch.uint8)}  # (C, 256)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        pixels, table = inpt.as_subclass(Tensor).numpy(), params["table"].numpy()
        looked_up = np.stack([np.take(row, channel) for row, channel in zip(table, pixels)])  # 8 times torch's indexing
        return tv_tensors.wrap(torch.from_numpy(looked_up), like=inpt)


def training_transform(
    crop: tuple[int, int], scale: tuple[float, float], flip: float, colour: float, blur: float
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Build the training augmentation: scale, crop, flip, colour, blur, in this order.

    Args:
        crop: (height, width) of the result in pixels; a smaller image is padded, grey and label 255.
        scale: lowest and highest factor of the random resize.
        flip: probability of a horizontal flip, 0 to 1.
        colour: strength of the photometric changes, 0 (none) to 1 (strong).
        blur: probability of a gaussian blur, 0 to 1.

    Returns:
        A callable (tv_tensors.Image (C, H, W) uint8, tv_tensors.Mask (H, W) uint8) -> the same, at the crop's size.
    """
    fill = {tv_tensors.Image: 124, tv_tensors.Mask: IGNORE}
    steps: list[Any] = [RandomScale(*scale), v2.RandomCrop(crop, pad_if_needed=True, fill=fill)]
    if flip:
        steps.append(v2.RandomHorizontalFlip(flip))
    if colour:
        steps += [
            v2.ColorJitter(brightness=0.5 * colour, contrast=0.5 * colour, saturation=0.6 * colour),
            RandomLight(colour),
            v2.RandomApply([v2.ColorJitter(hue=0.1 * colour)], p=0.25),
            v2.RandomGrayscale(0.1 * colour),
        ]
    if blur:
        steps.append(v2.RandomApply([v2.GaussianBlur(5, (0.3, 2.0))], p=blur))
    return v2.Compose(steps)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Turn uint8 images (N, C, H, W) into float32 (pixel / 255 - mean) / std, in the layout that they came in."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device).view(-1, 1, 1)
    shift = torch.tensor([-m / s for m, s in zip(mean, std)], device=images.device).view(-1, 1, 1)
    return torch.addcmul(shift, images.float(), scale)
