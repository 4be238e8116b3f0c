"""Data sets as pairs of image and mask: `open_data` finds one by name."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.data.folder import folder
from pixalign.data.pairs import Pairs
from pixalign.data.samples import Data
from pixalign.data.sets.ade20k import ade20k
from pixalign.data.sets.camvid import camvid, camvid_b
from pixalign.data.sets.cityscapes import cityscapes
from pixalign.data.sets.hub import hub
from pixalign.data.sets.pascal_context import pascal_context, pascal_context_60
from pixalign.data.sets.streets import Streets
from pixalign.errors import InputError
from pixalign.palette import IGNORE

DATASETS: dict[str, Callable[..., Any]] = {
    "folder": folder,
    "hub": hub,
    "camvid": camvid,
    "camvid-b": camvid_b,
    "cityscapes": cityscapes,
    "ade20k": ade20k,
    "pascal_context": pascal_context,
    "pascal_context_60": pascal_context_60,
    "streets": lambda root, split: Streets(split),
}

__all__ = ["DATASETS", "IGNORE", "Data", "Pairs", "class_pixels", "label_counts", "open_data"]


def open_data(
    name: str, root: str | Path, split: str, mask_template: str = "", channels: int = 3, groups: str = ""
) -> Any:
    """Return a split of the data set ``name`` (a key of `DATASETS`) at ``root``.

    ``mask_template`` says where the mask of an image is (see `pixalign.data.folder`), ``channels`` how many bands the
    images have, and ``groups`` which of them belong together (see `pixalign.data.groups`), for data sets that take
    these.

    Raises:
        InputError: the data is not there, or an option is set that the data set does not take.
    """
    if name not in DATASETS:
        raise InputError(f"data.name {name!r} is unknown: choose one of {', '.join(DATASETS)}")
    if not str(root) and name != "streets":  # which are drawn
        raise InputError("data.root is not set: give the folder with --data.root DIR (in compare: --root DIR)")
    options = {
        key: value
        for key, value, default in (
            ("mask_template", mask_template, ""),
            ("channels", channels, 3),
            ("groups", groups, ""),
        )
        if value != default
    }
    for key, value in options.items():
        if key not in inspect.signature(DATASETS[name]).parameters:
            raise InputError(f"data.{key} is {value!r}, and the data set {name} takes none: leave it out")
    return DATASETS[name](root, split, **options)


def class_pixels(data: Data, limit: int = 2000) -> np.ndarray:
    """Return int64 (N, K): the pixels of each class in each pair.

    Of more than ``limit`` pairs, so many are read, evenly spread; the rows of the others are 0 (our choice: weights and
    class-uniform sampling do not gain from more, and every mask has to be decoded for it).
    """
    counts = np.zeros((len(data), len(data.classes)), np.int64)
    for index in np.unique(np.linspace(0, len(data) - 1, min(limit, len(data))).round().astype(int)).tolist():
        counts[index] = np.bincount(data[index][1].ravel(), minlength=256)[: len(data.classes)]
    return counts


def label_counts(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (K,) counts from (N, K): pixels of each class, and labeled pixels of the pairs that hold it."""
    return pixels.sum(0), ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)
