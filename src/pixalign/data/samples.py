"""What every data set here is to training and evaluation, and any map-style data set as one.

`Samples` wraps what a program hands to ``pixalign.train(config, dataset=...)``: a list, or a data set of torch,
torchvision or Hugging Face. `cached` holds any data set decoded in memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from pixalign.data.images import to_pixels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

_BATCH = 64
_T = TypeVar("_T")


class Data(Protocol):
    """One split of a data set; ids are positions in ``classes``, 255 is "no label"."""

    name: str

    @property
    def classes(self) -> list[str]: ...
    @property
    def colors(self) -> list[list[int]]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, C) uint8 and mask (H, W) uint8."""

    def where(self, index: int) -> str:
        """What to call pair ``index`` in a message."""

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the data do."""


@dataclass
class Samples:
    """A map-style data set of images and masks.

    Args:
        items: has a length and, per index, (image, mask) or a dictionary with the keys "image" and "mask". An image is
            a Pillow image, an array (H, W, C) uint8 or a tensor (C, H, W) uint8; a mask a Pillow image of mode L, P or
            I, or an array or tensor (H, W) of integers.
        classes: class names; ids are positions.
        colors: RGB triples (0 to 255) per class; None takes default ones.
        name: what to call it.
        channels: of the images, which decides how Pillow images are converted: 3 (RGB) or 1 (gray).
    """

    items: Any
    classes: list[str]
    colors: list[list[int]] = field(default_factory=list)
    name: str = "dataset"
    channels: int = 3

    def __post_init__(self) -> None:
        self.colors = self.colors or default_colors(len(self.classes))
        if not len(self.items):
            raise InputError(f"{self.name}: has no sample")
        require_two_classes(self.classes, self.name)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        item = self.items[index]
        try:
            image, mask = (item["image"], item["mask"]) if isinstance(item, dict) else item
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.where(index)}: is a {type(item).__name__}, not (image, mask) or a dictionary with these keys"
            ) from error
        if isinstance(image, Image.Image):
            image = to_pixels(image, self.channels)
        elif not isinstance(image, np.ndarray):
            image = image.permute(1, 2, 0).numpy()  # a tensor (C, H, W)
        mask = np.asarray(mask)
        if image.dtype != np.uint8 or image.ndim != 3 or mask.shape != image.shape[:2] or mask.dtype.kind not in "iub":
            raise InputError(
                f"{self.where(index)}: image {image.dtype} {image.shape} and mask {mask.dtype} {mask.shape}: "
                "expected uint8 (H, W, C), or (C, H, W) for a tensor, and integers (H, W)"
            )
        wrong = (mask < 0) | ((mask >= len(self.classes)) & (mask != IGNORE))
        if wrong.any():
            raise InputError(
                f"{self.where(index)}: label value {int(mask[wrong][0])} ({int(wrong.sum())} pixels) lies outside the "
                f"{len(self.classes)} classes: ids are 0 to {len(self.classes) - 1}, and 255 for pixels without a label"
            )
        return np.ascontiguousarray(image), mask.astype(np.uint8)

    def where(self, index: int) -> str:
        return f"{self.name}, sample {index}"

    def fingerprint(self) -> str:
        """Of name, length, classes and three samples."""
        digest = hashlib.sha256(repr((self.name, len(self), self.classes)).encode())
        for index in sorted({0, len(self) // 2, len(self) - 1}):
            for part in self[index]:
                digest.update(part.tobytes())
        return digest.hexdigest()[:16]


@dataclass
class _Cached:
    """Decoded pairs, with what else there is to know of the data that they come from."""

    pairs: Sequence[tuple[np.ndarray, np.ndarray]]
    name: str
    classes: list[str]
    colors: list[list[int]]
    where: Callable[[int], str]
    fingerprint: Callable[[], str]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.pairs[index]


def require_two_classes(classes: Sequence[str], what: str) -> None:
    """Refuse one class, of which there is nothing to learn; the InputError begins with ``what``."""
    if len(classes) < 2:
        raise InputError(
            f"{what}: has the class {', '.join(classes)!r} alone, and one class cannot be learned: label everything "
            "else as a class as well, such as background"
        )


def cached(data: Data, advance: Callable[[int], None] = lambda count: None) -> Data:
    """Return the same data held decoded in memory; ``advance(1)`` is called after each pair."""

    pairs = []
    for pair in in_threads(data.__getitem__, len(data)):
        pairs.append(pair)
        advance(1)
    return _Cached(pairs, data.name, data.classes, data.colors, data.where, data.fingerprint)


def in_threads(read: Callable[[int], _T], total: int, threads: int | None = 4) -> Iterator[_T]:
    """Return what ``read`` gives for 0 to ``total`` - 1, in this order, of which only a batch waits at a time."""
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, total, _BATCH):
            yield from pool.map(read, range(start, min(start + _BATCH, total)))


def require_two_labels(data: Data) -> None:
    """Raise InputError for data that is labeled with one class throughout, or not at all: there is nothing to learn.

    Pairs are read until a second class is seen.
    """
    seen: set[int] = set()
    for index in range(len(data)):
        seen.update(np.unique(data[index][1]).tolist())
        if len(seen - {IGNORE}) > 1:
            return
    found = f"the class {data.classes[min(seen)]!r} alone" if seen - {IGNORE} else "no class (255 is no label)"
    raise InputError(f"{data.name}: the masks hold {found}, and one class cannot be learned: label a second one")
