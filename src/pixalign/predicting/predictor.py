"""One image in, one result out."""

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from pixalign.data.images import read_image, to_pixels
from pixalign.errors import InputError, naming
from pixalign.limits import SMALLEST
from pixalign.models.network import NetworkConfig, SegmentationNetwork
from pixalign.predicting.forks import check_process, check_threads
from pixalign.predicting.inference import PLAIN, Mode, predict_ids, predict_probabilities
from pixalign.predicting.result import Result
from pixalign.runtime import Source, open_runtime


class Predictor:
    """A model made ready to be called on pictures.

    Args:
        model: what `pixalign.runtime.open_runtime` takes: a network, what `pixalign.load` takes, an exported FILE.onnx
            or FILE.xml; or what it gives, which has its own device and precision. A network is left as it is: unless
            it is in evaluation mode, on the device and channels last, a copy is used, as the network is now.
        device: a torch device by name; None or "auto" takes CUDA if it is there.
        precision: fp32, bf16 or fp16 (autocast).
        mode: whole images or tiles, scales, flip, output size.

    Attributes:
        runtime: what runs the network.

    Raises:
        InputError: no such model, device or precision.
    """

    def __init__(
        self,
        model: Source = "default",
        device: str | None = None,
        precision: str = "fp32",
        mode: Mode = PLAIN,
    ) -> None:
        check_threads()
        self.mode = mode
        self.made_in = os.getpid()
        self.runtime = open_runtime(model, device=device or "auto", precision=precision)

    @property
    def network(self) -> SegmentationNetwork | None:
        """What PyTorch runs, not to be changed; None for an exported file."""
        return self.runtime.network

    @property
    def config(self) -> NetworkConfig:
        """What is known about the network."""
        return self.runtime.config

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.config.in_channels

    def __call__(self, image: str | Path | Image.Image | np.ndarray, probabilities: bool = False) -> Result:
        """Segment one image.

        Args:
            image: a file, a Pillow image, or an array (H, W, C) uint8 in RGB (C is the model's number of channels).
            probabilities: also return them; they take 4 bytes per pixel and class, with tiles too.

        Returns:
            The result, at the image's size or the mode's ``output_size``.

        Raises:
            InputError: an image that cannot be read, is smaller than 32 x 32, or does not fit into memory; a process
                forked from the one in which threads computed (`pixalign.predicting.forks`).
        """
        if self.network is None:
            check_process(self.made_in)
        check_threads()
        pixels, name = self._pixels(image)
        height, width = pixels.shape[:2]
        if min(height, width) < SMALLEST:
            raise InputError(f"{name}: {width} x {height} pixels are too few: {SMALLEST} x {SMALLEST} are needed")
        with naming(name):
            if probabilities:
                shares = predict_probabilities(self.runtime, pixels, self.mode)
                ids = shares.argmax(0).astype(np.uint8)
            else:
                shares, ids = None, predict_ids(self.runtime, pixels, self.mode)
        if pixels.shape[:2] != ids.shape:
            pixels = _resized(pixels, ids.shape)
        return Result(pixels, ids, list(self.config.classes), list(self.config.colors), shares)

    def _pixels(self, image: str | Path | Image.Image | np.ndarray) -> tuple[np.ndarray, str]:
        """Return the image as (H, W, C) uint8 and what to call it in a message."""
        if isinstance(image, str | Path):
            return read_image(image, channels=self.channels), str(image)
        if isinstance(image, Image.Image):
            return to_pixels(image, self.channels), "image"
        if not isinstance(image, np.ndarray):
            raise InputError(f"image is a {type(image).__name__}: give a path, a Pillow image or a numpy array")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != self.channels:
            raise InputError(
                f"image is an array of shape {image.shape} and type {image.dtype}: "
                f"(H, W, {self.channels}) uint8 is needed"
            )
        return image, "image"


def _resized(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """An image (H, W, C) uint8 at another size, bilinearly with antialiasing."""
    image = torch.tensor(pixels).permute(2, 0, 1)[None]
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
