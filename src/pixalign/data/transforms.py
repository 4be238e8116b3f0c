"""Augmentation for training, from torchvision's v2 transforms.

Randomness is torch's global generator: the loader seeds it from (seed, epoch, index) before each sample.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from pixalign.errors import InputError
from pixalign.palette import IGNORE
from pixalign.text import first_line

_GRAY = 124


@dataclass
class RandomScaledCrop:
    """Cut a window out of an image and its mask and resize it to the crop: a random scale and a random crop in one.

    The image's scale is drawn log-uniformly from low to high; the window has the crop's size divided by it, so only
    pixels that are seen are resized (image: bilinear with antialiasing, mask: nearest). What the window has beyond the
    image is gray, with label 255.

    Args:
        crop: (height, width) of the result, pixels.
        low, high: bounds of the scale.
    """

    crop: tuple[int, int]
    low: float
    high: float

    def __call__(self, image: Tensor, mask: Tensor, focus: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return image (C, h, w) and mask (h, w) of the crop's size.

        Args:
            image: (C, H, W) uint8.
            mask: (H, W) uint8.
            focus: (row, column) that the window is centered on as far as the image reaches; None draws its place
                uniformly.
        """
        where = []
        factor = self.low * (self.high / self.low) ** torch.rand(()).item()
        window = [max(1, round(side / factor)) for side in self.crop]
        for axis, size in enumerate(mask.shape):
            spare = size - window[axis]
            place = round(torch.rand(()).item() * spare)  # where the image is the smaller one, its place in the window
            if focus is not None and spare > 0:
                place = min(max(focus[axis] - window[axis] // 2, 0), spare)
            where.append(place)
        # The window's part inside the image, and how large it becomes.
        inside = [(max(0, a), min(a + n, side)) for a, n, side in zip(where, window, mask.shape)]
        (y0, y1), (x0, x1) = inside
        start = [round((a0 - a) * c / n) for (a0, _), a, n, c in zip(inside, where, window, self.crop)]
        stop = [round((a1 - a) * c / n) for (_, a1), a, n, c in zip(inside, where, window, self.crop)]
        shape = [max(1, b - a) for a, b in zip(start, stop)]
        part = image[:, y0:y1, x0:x1]
        if min(*part.shape[1:], *shape) < 8:  # torch's resize of bytes fails on a few pixels
            part = part.float()
        small = TF.resize(part, shape, v2.InterpolationMode.BILINEAR, antialias=True).to(image.dtype)
        labels = TF.resize(mask[None, y0:y1, x0:x1], shape, v2.InterpolationMode.NEAREST_EXACT)[0]
        if shape == list(self.crop):
            return small, labels
        out = image.new_full((image.shape[0], *self.crop), _GRAY)
        out_labels = mask.new_full(self.crop, IGNORE)
        (y0, x0), (height, width) = (min(a, c - n) for a, c, n in zip(start, self.crop, shape)), shape
        out[:, y0 : y0 + height, x0 : x0 + width] = small
        out_labels[y0 : y0 + height, x0 : x0 + width] = labels
        return out, out_labels


class RandomLight(v2.Transform):
    """Another light: a gamma and a gain per channel, as between noon, shade, street lamps and dusk (our choice).

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
        return tv_tensors.wrap(_look_up(inpt, params["table"]), like=inpt)


class RandomDusk(v2.Transform):
    """Low light (our choice): a dark gamma and gain, clouds of light and shade, sensor noise.

    gamma is uniform from 1 to 2.6 and the gain from 0.45 to 1 (times up to 8 % per channel); the light field is the
    exponential of smooth noise of two sizes, with a deviation up to 0.4; the noise is normal with a deviation up to 5
    of 255. A saturated sky gets the texture of clouds and a street the darkness of dusk, where none is in the data.

    Args:
        probability: of changing an image at all, 0 to 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        if torch.rand(()).item() >= self.probability:
            return {"table": None}
        channels, height, width = flat_inputs[0].shape[-3:]
        gamma, gain, shade, noise = torch.rand(4).tolist()
        tint = 1 + 0.08 * (2 * torch.rand(channels, 1) - 1)
        table = 255 * (0.45 + 0.55 * gain) * tint * (torch.arange(256) / 255) ** (1 + 1.6 * gamma)
        field = torch.zeros(1, 1, height, width)
        for cells, share in ((3, 0.7), (11, 0.5)):
            rough = torch.randn(1, 1, cells, cells + 1)
            field += share * F.interpolate(rough, size=(height, width), mode="bicubic", align_corners=False)
        return {"table": table, "field": torch.exp(0.4 * shade * field[0]), "noise": 5 * noise}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["table"] is None:
            return inpt
        light = _look_up(inpt, params["table"]).mul_(params["field"])
        light += params["noise"] * torch.randn(light.shape)
        return tv_tensors.wrap(light.round_().clamp_(0, 255).to(torch.uint8), like=inpt)


class TrainingTransform:
    """The training augmentation: scale and crop, flip, turn, color, dusk, blur, in this order.

    Args:
        crop: (height, width) of the result in pixels; a smaller image is padded, gray and label 255.
        scale: lowest and highest factor of the random resize.
        flip: probability of a horizontal flip, 0 to 1.
        color: strength of the photometric changes, 0 (none) to 1 (strong).
        dusk: probability of low light, 0 to 1.
        blur: probability of a gaussian blur, 0 to 1.
        channels: of the images; hue, saturation and grayness are changed for 3 alone.
        turn: probability, 0 to 1, of a turn: by a quarter either way or a half.

    A crop of three equal channels stays gray: its light changes by one gain and one noise, not by one of each channel.
    """

    def __init__(
        self,
        crop: tuple[int, int],
        scale: tuple[float, float],
        flip: float,
        color: float,
        dusk: float,
        blur: float,
        channels: int = 3,
        turn: float = 0.0,
    ) -> None:
        self.upright, self.sideways = (RandomScaledCrop(size, *scale) for size in (crop, (crop[1], crop[0])))
        self.flip, self.turn = flip, turn
        self.steps: list[Any] = []
        if color and channels == 3:
            self.steps.append(v2.ColorJitter(brightness=0.5 * color, contrast=0.5 * color, saturation=0.6 * color))
        if color:
            self.steps.append(RandomLight(color))
        if color and channels == 3:
            self.steps.append(v2.RandomApply([v2.ColorJitter(hue=0.1 * color)], p=0.25))
            self.steps.append(v2.RandomGrayscale(0.1 * color))
        if dusk:
            self.steps.append(RandomDusk(dusk))
        if blur:
            self.steps.append(v2.RandomApply([v2.GaussianBlur(5, (0.3, 2.0))], p=blur))

    def __call__(self, image: Tensor, mask: Tensor, focus: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Turn image (C, H, W) and mask (H, W), uint8, into the crop's size; for ``focus`` see `RandomScaledCrop`."""
        quarters = int(torch.randint(1, 4, ())) if self.turn and torch.rand(()).item() < self.turn else 0
        image, mask = (self.sideways if quarters % 2 else self.upright)(image, mask, focus)
        if torch.rand(()).item() < self.flip:
            image, mask = image.flip(-1), mask.flip(-1)
        if quarters:
            image, mask = image.rot90(quarters, (-2, -1)), mask.rot90(quarters, (-2, -1))
        gray = len(image) == 3 and all(torch.equal(image[0], channel) for channel in image[1:])
        shown = tv_tensors.Image(image[:1] if gray else image)
        for step in self.steps:
            shown = step(shown)
        changed = shown.as_subclass(Tensor)
        return changed.repeat(3, 1, 1) if gray else changed, mask


@dataclass
class UsersTransform:
    """A user's augmentation, on arrays (H, W, C) and (H, W) uint8, in place of ours; NumPy and Python are seeded.

    Args:
        transform: the callable.
        classes: number of classes that masks may have; None does not look.
    """

    transform: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    classes: int | None = None

    def __call__(self, image: Tensor, mask: Tensor, focus: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return what the callable makes of image and mask; InputError if it fails, or if that is of another kind."""
        seed = int(torch.randint(2**32, ()))
        np.random.seed(seed)  # noqa: NPY002  (what such libraries draw from)
        random.seed(seed)
        try:
            made = self.transform(np.array(image.permute(1, 2, 0)), np.array(mask))  # its own: it may change them
        except Exception as error:
            raise InputError(f"transform: failed with {type(error).__name__}: {first_line(error)}") from error
        needed = f"(image, mask) is needed, uint8 arrays (H, W, {len(image)}) and (H, W)"
        if not isinstance(made, tuple | list) or len(made) != 2:
            raise InputError(f"transform: returned {_described(made)}: {needed}")
        changed, labels = made
        if not all(isinstance(part, np.ndarray) and part.dtype == np.uint8 and part.size for part in made) or (
            (*labels.shape, len(image)) != changed.shape
        ):
            raise InputError(f"transform: returned ({_described(changed)}, {_described(labels)}): {needed}")
        if self.classes is not None and (wrong := labels[(labels >= self.classes) & (labels != IGNORE)]).size:
            raise InputError(
                f"transform: returned a mask with the value {wrong[0]}, and there are {self.classes} classes: "
                "resize and rotate masks by the nearest pixel, and fill what is empty with 255"
            )
        return torch.from_numpy(np.ascontiguousarray(changed)).permute(2, 0, 1), torch.from_numpy(labels.copy())


def _described(value: Any) -> str:
    """What a value is, in a few words."""
    kind = type(value).__name__
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{kind} {tuple(value.shape)} {value.dtype}"
    if isinstance(value, dict):
        return f"a dictionary of {', '.join(map(repr, value)) or 'nothing'}"
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else "None" if value is None else f"a {kind}"


def _look_up(image: Tensor, table: Tensor) -> Tensor:
    """Replace the values of image (C, H, W) by those of table (C, 256), eight times as fast as torch's indexing."""
    pixels = image.as_subclass(Tensor).numpy()
    return torch.from_numpy(np.stack([np.take(row, channel) for row, channel in zip(table.numpy(), pixels)]))
