"""Data sets as pairs of image and mask: `open_data` finds one by name."""

from pathlib import Path

import numpy as np

from pixalign.data.camvid import camvid
from pixalign.data.folder import folder
from pixalign.data.pairs import IGNORE, Pairs
from pixalign.errors import InputError

DATASETS = {"camvid": camvid, "folder": folder}

__all__ = ["DATASETS", "IGNORE", "Pairs", "label_counts", "open_data"]


def open_data(name: str, root: str | Path, split: str) -> Pairs:
    """Return a split of the data set ``name`` (a key of `DATASETS`) at ``root``; InputError if it is not there."""
    if name not in DATASETS:
        raise InputError(f"data.name {name!r} is unknown: choose one of {', '.join(DATASETS)}")
    if not str(root):
        raise InputError("data.root is not set: give the folder of the data, as in --data.root DIR")
    return DATASETS[name](root, split)


def label_counts(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (K,) counts: pixels of each class, and labelled pixels of the images in which the class occurs."""
    pixels, image_pixels = (np.zeros(len(pairs.classes), np.int64) for _ in range(2))
    for index in range(len(pairs)):
        counts = np.bincount(pairs[index][1].ravel(), minlength=256)[: len(pairs.classes)]
        pixels += counts
        image_pixels += (counts > 0) * counts.sum()
    return pixels, image_pixels
