"""Images and their masks: the list of pairs that every data set comes down to."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pixalign.data.images import read_image
from pixalign.errors import InputError

IGNORE = 255
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")
LOSSY_SUFFIXES = (".jpg", ".jpeg")


@dataclass
class Pairs:
    """One split of a data set.

    Attributes:
        name: the data set and split, such as ``camvid/val``.
        images, masks: files, pair by pair.
        classes: class names; ids are their positions.
        colours: an RGB triple (0 to 255) per class.
        void: ids in the mask files that mean "not labelled", besides 255.
        cached: decoded pairs once `cache` has read them.
    """

    name: str
    images: list[Path]
    masks: list[Path]
    classes: list[str]
    colours: list[list[int]]
    void: tuple[int, ...] = ()
    cached: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, 3) uint8 and mask (H, W) uint8 with ids below ``len(classes)`` and 255.

        Raises:
            InputError: an unreadable file, sizes that differ, a lossy mask, or ids outside the classes.
        """
        if self.cached:
            return self.cached[index]
        image = read_image(self.images[index])
        mask = read_mask(self.masks[index], len(self.classes), self.void)
        if image.shape[:2] != mask.shape:
            raise InputError(
                f"{self.masks[index]}: the mask is {mask.shape[1]} x {mask.shape[0]} but its image "
                f"{self.images[index].name} is {image.shape[1]} x {image.shape[0]}: both must have one size"
            )
        return image, mask

    def cache(self, advance: Callable[[int], None] = lambda count: None) -> "Pairs":
        """Return the same pairs held decoded in memory; ``advance(1)`` is called after each."""

        def read(index: int) -> tuple[np.ndarray, np.ndarray]:
            pair = self[index]
            advance(1)
            return pair

        with ThreadPoolExecutor(4) as threads:
            return replace(self, cached=list(threads.map(read, range(len(self)))))

    def decoded_bytes(self) -> int:
        """Memory that `cache` would take, estimated from the first image's header."""
        width, height = Image.open(self.images[0]).size
        return len(self) * width * height * 4

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when a file's name or size changes."""
        digest = hashlib.sha256()
        for path in (*self.images, *self.masks):
            digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]


def read_mask(path: Path, num_classes: int, void: Sequence[int] = ()) -> np.ndarray:
    """Read a mask of class ids as (H, W) uint8, with ``void`` ids turned into 255; palette files give their indices.

    Raises:
        InputError: an unreadable or lossy file, colours in place of ids, or ids outside the classes.
    """
    ids = read_ids(path)
    allowed = np.zeros(max(int(ids.max(initial=0)) + 1, 256), dtype=bool)
    allowed[[*range(num_classes), *void, IGNORE]] = True
    if not allowed[ids].all():
        values, counts = np.unique(ids[~allowed[ids]], return_counts=True)
        listed = ", ".join(str(v) for v in values[:5]) + (", ..." if len(values) > 5 else "")
        raise InputError(
            f"{path}: label value {listed} ({counts.sum()} pixels) lies outside the {num_classes} classes: "
            f"ids are 0 to {num_classes - 1}, and 255 for pixels without a label"
        )
    table = np.arange(256, dtype=np.uint8)
    table[list(void)] = IGNORE
    return table[ids]


def read_ids(path: Path) -> np.ndarray:
    """Read a mask file's values as they are: (H, W) uint8, or uint16 from a 16-bit file."""
    if path.suffix.lower() in LOSSY_SUFFIXES:
        raise InputError(f"{path}: a JPEG mask has lost its exact labels: store masks as PNG")
    try:
        with Image.open(path) as file:
            if file.mode not in ("L", "P", "1", "I;16", "I"):
                raise InputError(
                    f"{path}: the mask is stored in mode {file.mode}, as colours: store class ids, "
                    "one 8-bit value per pixel (0 for the first class, 255 for no label)"
                )
            ids = np.asarray(file)
    except OSError as error:
        raise InputError(f"{path}: the mask cannot be read ({error}): write it again or remove the pair") from error
    return ids.astype(np.uint8) if ids.dtype == bool else ids


def pair_up(images: Sequence[Path], masks: dict[str, Path], key: Callable[[Path], str], where: Path) -> list[Path]:
    """Return the mask of each image, found by ``key``; InputError names the images that have none."""
    missing = [path for path in images if key(path) not in masks]
    if missing:
        raise InputError(
            f"{missing[0]}: no mask of the same stem in {where} ({len(missing)} of {len(images)} images lack one): "
            "add the masks or remove the images"
        )
    return [masks[key(path)] for path in images]
