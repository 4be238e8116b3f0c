"""Modes of prediction: a whole image or tiles of it, at one scale or several, as it is or with its mirror image.

What is averaged are probabilities, never logits: each view of an image (a scale, mirrored or not) goes through the
network, its logits are brought to the output's size, then softmax, then the mean over the views. Tiles are treated in
the same way one by one, and their probabilities are blended (`pixalign.predicting.tiles`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.errors import InputError
from pixalign.limits import SMALLEST
from pixalign.predicting.tiles import blend
from pixalign.runtime import Runtime

LARGE, AUTOMATIC_TILE = 16_000_000, 1024  # pixels from which on images are predicted in tiles of this side by default

_SMALLEST_TILE = 64
_PIXELS = 2**16  # whose classes are compared at a time
_BATCH = {"cpu": 1, "cuda": 8}  # tiles at a time: a CPU is no faster with more of them


@dataclass(frozen=True)
class Mode:
    """How a network is applied to an image.

    Args:
        tile: side of square tiles in pixels, 64 or more; 0: the whole image at once; None: the whole image up to 16
            megapixels, tiles of 1024 above. An image that is no larger than a tile is taken whole.
        overlap: share of a tile's side that it has at least in common with the next one, 0 to below 1. Tiles begin
            at multiples of 32 pixels, so the smallest step is 32.
        scales: factors by which the image (or tile) is resized for the network, 0.1 to 10; probabilities are averaged.
        flip: also average over the mirror image, at each scale.
        output_size: (H, W) of the prediction; None: the image's. IFA is asked at each pixel of that size; the other
            networks decode at the size of their finest map and resize the logits once.
        refine: for IFA, the share (0 to 1) of the finest map's cells at whose pixels it is asked, where it is least
            sure, elsewhere the logits are resized (`pixalign.models.ifa`); None: all if there is an output size, else
            as its ``queries`` say.

    Raises:
        InputError: a value out of its range.
    """

    tile: int | None = None
    overlap: float = 1 / 3
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    output_size: tuple[int, int] | None = None
    refine: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
        if self.tile is not None and self.tile != 0 and self.tile < _SMALLEST_TILE:
            raise InputError(f"tile is {self.tile}: give {_SMALLEST_TILE} pixels or more, or 0 for the whole image")
        if not 0 <= self.overlap < 1:
            raise InputError(f"overlap is {self.overlap:g}: give a share of the tile, from 0 to below 1, such as 0.33")
        if not self.scales or not all(0.1 <= scale <= 10 for scale in self.scales):
            given = ", ".join(f"{scale:g}" for scale in self.scales) or "empty"
            raise InputError(f"scales is {given}: give factors from 0.1 to 10, such as 0.75,1,1.25")
        if self.output_size is not None:
            object.__setattr__(self, "output_size", tuple(self.output_size))
            if len(self.output_size) != 2 or min(self.output_size) < 1:
                raise InputError(f"output size is {self.output_size}: give height and width, 1 pixel or more each")
        if self.refine is not None and not 0 <= self.refine <= 1:
            raise InputError(f"refine is {self.refine:g}: give a share of the cells, from 0 to 1, such as 0.1")

    def __str__(self) -> str:
        """The mode in a few words."""
        if self.tile:
            parts = [f"tiles of {self.tile} px with overlap {self.overlap:.2g}"]
        else:
            parts = ["whole images" + ", tiled above 16 megapixels" * (self.tile is None)]
        if self.scales != (1.0,):
            parts.append("scales " + " + ".join(f"{scale:g}" for scale in self.scales))
        if self.flip:
            parts.append("flip")
        if self.output_size is not None:
            parts.append("output of {} x {} (height x width)".format(*self.output_size))
        if self.refine is not None:
            parts.append(f"refined in {self.refine:.3g} of the cells")
        return ", ".join(parts)

    def tile_for(self, height: int, width: int) -> int:
        """Side of the tiles for an image of this size; 0 if it is taken whole."""
        tile = (AUTOMATIC_TILE if height * width > LARGE else 0) if self.tile is None else self.tile
        return tile if tile < max(height, width) else 0


PLAIN = Mode()


def predict_ids(runtime: Runtime, image: np.ndarray, mode: Mode = PLAIN, batch: int | None = None) -> np.ndarray:
    """Class ids of an image under a mode.

    With tiles, memory does not hold the classes' probabilities of the whole image: ids are written as soon as no
    later tile reaches a pixel (see `pixalign.predicting.tiles.blend`).

    Args:
        runtime: the network (`pixalign.runtime.open_runtime`).
        image: (H, W, C) uint8.
        mode: how to apply the network.
        batch: tiles at a time; None: 1 on a CPU, 8 on a GPU. It does not change what is predicted.

    Returns:
        (H, W) uint8, or ``mode.output_size``.

    Raises:
        InputError: the memory is not enough.
    """
    height, width = image.shape[:2]
    size = mode.output_size or (height, width)
    with _within_memory(runtime, image, mode):
        if mode.tile_for(height, width):
            ids = np.empty(size, np.uint8)
            for row, column, block in _blended(runtime, image, mode, batch):
                ids[row : row + block.shape[1], column : column + block.shape[2]] = _best(block).numpy()
            return ids
        images = _as_batch([image], runtime)
        plain = mode.scales == (1,) and not mode.flip and size == image.shape[:2] and mode.refine is None
        if runtime.labels and plain:
            return runtime.ids(images)[0].numpy()
        if len(mode.scales) == 1 and not mode.flip:
            scores = runtime.logits(_scaled(images, mode.scales[0]), size, _refine(runtime, mode))
        else:
            scores = _probabilities(runtime, mode, images, size)
        return _best(scores[0]).cpu().numpy()


def predict_probabilities(
    runtime: Runtime, image: np.ndarray, mode: Mode = PLAIN, batch: int | None = None
) -> np.ndarray:
    """Probabilities (K, H, W) float32 of an image under a mode, which sum to 1 over K; arguments as in `predict_ids`.

    They take 4 bytes per pixel and class, with tiles too.

    Raises:
        InputError: the memory is not enough.
    """
    height, width = image.shape[:2]
    size = mode.output_size or (height, width)
    with _within_memory(runtime, image, mode, True):
        if not mode.tile_for(height, width):
            return _probabilities(runtime, mode, _as_batch([image], runtime), size)[0].cpu().numpy()
        shares: np.ndarray | None = None
        for row, column, block in _blended(runtime, image, mode, batch):
            if shares is None:
                shares = np.empty((block.shape[0], *size), np.float32)
            shares[:, row : row + block.shape[1], column : column + block.shape[2]] = block.numpy()
        assert shares is not None
        return shares


def _blended(runtime: Runtime, image: np.ndarray, mode: Mode, batch: int | None) -> Iterator[tuple[int, int, Tensor]]:
    """Yield row, column and probabilities (K, h, w) of parts that together fill the output."""
    height, width = image.shape[:2]

    def answer(parts: list[np.ndarray], size: tuple[int, int]) -> Tensor:
        return _probabilities(runtime, mode, _as_batch(parts, runtime), size).cpu()

    size = mode.output_size or (height, width)
    batch = batch or _BATCH.get(runtime.device.type, 1)
    return blend(answer, image, mode.tile_for(height, width), mode.overlap, size, batch)


def _probabilities(runtime: Runtime, mode: Mode, images: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean probabilities (N, K, *size), float32, of images (N, C, h, w) over the views of a mode."""
    total: Any = 0
    logits_of = partial(runtime.logits, size=size, refine=_refine(runtime, mode))
    for scale in mode.scales:
        view = _scaled(images, scale)
        total = total + logits_of(view).float().softmax(1)
        if mode.flip:
            total = total + logits_of(view.flip(-1)).flip(-1).float().softmax(1)
    views = len(mode.scales) * (1 + mode.flip)
    return total / views if views > 1 else total


def _refine(runtime: Runtime, mode: Mode) -> float | None:
    """``mode.refine``; where it is None, all cells of a network that takes it if there is an output size."""
    if mode.refine is None and mode.output_size is not None and runtime.takes_refine:
        return 1.0
    return mode.refine


def _best(scores: Tensor) -> Tensor:
    """Where the largest of scores (K, H, W) is, (H, W) uint8; of equal ones the first, as ``argmax`` does.

    On a CPU, class by class: ``argmax`` goes through memory across the classes, which takes ten times as long.
    """
    if scores.device.type != "cpu":
        return scores.argmax(0).to(torch.uint8)
    scores = scores.float()
    best, ids = scores[0].numpy().copy(), np.zeros(scores.shape[1:], np.uint8)
    for row in range(0, len(best), step := max(1, _PIXELS // best.shape[1])):
        band = slice(row, row + step)
        for i, values in enumerate(scores[1:, band].numpy(), start=1):
            np.copyto(ids[band], np.uint8(i), where=values > best[band])
            np.maximum(best[band], values, out=best[band])
    return torch.from_numpy(ids)


def _scaled(images: Tensor, scale: float) -> Tensor:
    """Images (N, C, h, w) resized by a factor, bilinearly with antialiasing, to 32 x 32 or more; values 0 to 255."""
    if scale == 1:
        return images
    size = [max(SMALLEST, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(images.float(), size=size, mode="bilinear", antialias=True)


def _as_batch(parts: Sequence[np.ndarray], runtime: Runtime) -> Tensor:
    """Images (h, w, C) uint8 of one size as a tensor (N, C, h, w), channels last, on the network's device."""
    return torch.from_numpy(np.stack(parts)).to(runtime.device).permute(0, 3, 1, 2)


@contextmanager
def _within_memory(runtime: Runtime, image: np.ndarray, mode: Mode, probabilities: bool = False) -> Iterator[None]:
    """Turn what the allocators raise into an `InputError` that names the remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own is a RuntimeError
        if isinstance(error, RuntimeError) and ("memory" not in str(error) or "illegal memory" in str(error)):
            raise
        height, width = image.shape[:2]
        tile = mode.tile_for(height, width)
        smaller = AUTOMATIC_TILE if max(height, width) > AUTOMATIC_TILE else AUTOMATIC_TILE // 4
        remedy = f"take smaller tiles than {tile} (--tile)" if tile else f"predict in tiles (--tile {smaller})"
        remedy += ", without probabilities" * probabilities
        raise InputError(
            f"{width} x {height} pixels do not fit into the memory of {runtime.device}: {remedy}"
        ) from error
