"""COCO files as a layout; `pixalign.data.formats.coco` reads them."""

import os
from functools import partial
from pathlib import Path

from pixalign.data.formats.coco import coco_classes, coco_files, coco_images
from pixalign.data.formats.files import entries
from pixalign.data.formats.layout import SPLITS, Found, Layout, drawn, split_of
from pixalign.data.masks import Labels


def find(root: Path) -> Layout | None:
    """Return the layout of a folder with COCO files, unless it has a folder of masks."""
    folders = entries(root)[0]
    inside = [path for folder in folders if split_of(folder.name) for path in entries(folder)[0]]
    if any(path.name.casefold() == "masks" for path in (*folders, *inside)):
        return None
    files = coco_files(root)
    splits = {split: partial(_pairs, root, files[split], split) for split in ("", *SPLITS) if split in files}
    names = ", ".join(dict.fromkeys(file.name for file in files.values()))
    return Layout("COCO annotations", splits, root, partial(_labels, [*files.values()]), names) if files else None


def _pairs(root: Path, file: Path, split: str) -> Found:
    base, images, drawings = coco_images(root, file, split)
    there = [os.path.isfile(path) for path in images]
    return Found(
        [path for path, is_there in zip(images, there) if is_there],
        [file] * sum(there),
        [],
        [path for path, is_there in zip(images, there) if not is_there],
        [drawing for drawing, is_there in zip(drawings, there) if is_there],
        (base, file),
    )


def _labels(files: list[Path]) -> Labels:
    return drawn(coco_classes(files), files[0])
