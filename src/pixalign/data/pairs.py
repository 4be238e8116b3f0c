"""Images and their masks: the list of pairs that every data set comes down to."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pixalign.data.formats.annotations import Drawing
from pixalign.data.images import orientation, read_image
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE

__all__ = ["IGNORE", "Pairs", "pair_up"]


@dataclass
class Pairs:
    """One split of a data set.

    Attributes:
        name: the data set and split, such as ``camvid/val``.
        images, masks: files, pair by pair; with COCO the mask's file is the annotations' for every image.
        labels: the classes, and how the masks' values become their ids.
        channels: bands of the images: 3 (RGB), 1 (gray), or as `pixalign.data.images.read_image` says.
        drawings: where masks are drawn from annotations, the shapes of each image, or a function that reads them (one
            that can be pickled); otherwise empty.
    """

    name: str
    images: list[Path]
    masks: list[Path]
    labels: Labels
    channels: int = 3
    drawings: list[Drawing | Callable[[], Drawing]] = field(default_factory=list, repr=False)

    @property
    def classes(self) -> list[str]:
        """Class names; ids are their positions."""
        return self.labels.classes

    @property
    def colors(self) -> list[list[int]]:
        """The RGB triple (0 to 255) to draw each class in."""
        return self.labels.colors

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, channels) uint8 and mask (H, W) uint8 with ids below ``len(classes)`` and 255.

        Raises:
            InputError: an unreadable file, sizes that differ, a lossy mask, or values that mean no class.
        """
        image = self.read_image(index)
        mask, unknown = self.read_mask(index)
        if unknown:
            raise InputError(f"{self.where(index)}: {unknown_values(unknown, self.labels)}")
        if image.shape[:2] != mask.shape:
            turn = orientation(self.images[index])
            exif = f", turned by its EXIF orientation ({turn})" if turn in range(5, 9) else ""
            raise InputError(
                f"{self.where(index)}: the mask is {mask.shape[1]} x {mask.shape[0]} but its image "
                f"{self.images[index].name} is {image.shape[1]} x {image.shape[0]}{exif}: both must have one size"
            )
        return image, mask

    def read_image(self, index: int) -> np.ndarray:
        """Return an image (H, W, channels) uint8; InputError if its file cannot be read."""
        return read_image(self.images[index], channels=self.channels)

    def read_mask(self, index: int) -> tuple[np.ndarray, dict[str, int]]:
        """Return a mask's class ids and the values that mean no class, as `Labels.decode` does."""
        if self.drawings:
            return self.drawing(index).draw(self.classes)
        return self.labels.decode(self.masks[index])

    def drawing(self, index: int) -> Drawing:
        """The shapes that a mask is drawn from, where there are `drawings`; InputError if they cannot be read."""
        drawing = self.drawings[index]
        return drawing if isinstance(drawing, Drawing) else drawing()

    def where(self, index: int) -> str:
        """The file of a mask, for messages; with COCO also the image that it is of."""
        return f"{self.masks[index]} ({self.images[index].name})" if self.drawings else str(self.masks[index])

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when a file's name or size, the classes or their values do."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for path in (*self.images, *self.masks):
            digest.update(os.fsencode(f"{path.name}:{path.stat().st_size}\n"))
        return digest.hexdigest()[:16]


def unknown_values(values: dict[str, int], labels: Labels) -> str:
    """One sentence about values that mean no class, as `Labels.decode` counts them, with the remedy."""
    listed = ", ".join([*values][:5]) + (", ..." if len(values) > 5 else "")
    found, count = f"label value {listed} ({sum(values.values())} pixels)", len(labels.classes)
    if labels.remedy:
        return f"{found} belongs to no class: {labels.remedy}"
    if all(value.isdecimal() for value in values):
        if labels.ids is None:
            ids = f"ids are 0 to {count - 1}, and 255 for pixels without a label"
            return f"{found} lies outside the {count} classes: {ids}"
        return f"{found} belongs to no class: add it to a class's `ids`, or to `ignore`, in classes.yaml"
    if all(value.startswith("(") for value in values):
        return f"{found} belongs to no class: add it to a class's `colors`, or to `ignore`, in classes.yaml"
    return f"{found} is none of the classes {', '.join(labels.classes)}: add it to classes.yaml or rename it"


def check_place(name: str, split: str, splits: Sequence[str], folders: Sequence[Path], content: str) -> None:
    """Raise InputError for a split of the data set ``name`` that is none of ``splits``, or a folder that is not there.

    ``content`` says what data.root must be or hold.
    """
    if split not in splits:
        raise InputError(f"data split {split!r} is unknown to {name}: choose one of {', '.join(splits)}")
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: data.root must {content}")


def listed_names(file: Path) -> list[str]:
    """Return the first word of each line of a file that is not empty."""
    lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def pair_up(
    images: Sequence[Path], masks: Iterable[Path], where: Path, key: Callable[[Path], str] = lambda path: path.stem
) -> list[Path]:
    """Return the mask of each image, of the same ``key``; InputError names images that have none in ``where``."""
    by_key = {key(path): path for path in masks}
    if missing := [path for path in images if key(path) not in by_key]:
        raise InputError(
            f"{missing[0]}: no mask of the same stem in {where} ({len(missing)} of {len(images)} images lack one): "
            "add the masks or remove the images"
        )
    return [by_key[key(path)] for path in images]
