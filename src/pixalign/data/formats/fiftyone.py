"""FiftyOne's ImageSegmentationDirectory: images in ``data`` and masks in ``labels``, in ``root`` or in its splits.

Its COCO export is read as COCO. Its exports of other kinds, which hold boxes or lie in its own database's form, are
refused by name.
"""

from functools import partial
from pathlib import Path

from pixalign.data.formats.annotations import json_keys
from pixalign.data.formats.files import PICTURES, holds, images_in, keyed, pair, split_folders
from pixalign.data.formats.layout import Found, Layout
from pixalign.data.images import walk
from pixalign.errors import InputError

_REMEDY = "export fiftyone.types.ImageSegmentationDirectory, or COCODetectionDataset with polygons or masks"


def find(root: Path) -> Layout | None:
    """Return the layout of FiftyOne's images and masks; InputError if it is another export of FiftyOne."""
    if places := split_folders(root, _is_place) or ({"": root} if _is_place(root) else {}):
        splits = {split: partial(_found, path) for split, path in places.items()}
        return Layout("FiftyOne's images and masks", splits, root)
    if (root / "data").is_dir():
        if (root / "metadata.json").is_file() and (root / "samples.json").is_file():
            raise InputError(
                f"{root / 'samples.json'}: FiftyOne's own form of a data set, which is not read: {_REMEDY}"
            )
        file = root / "labels.json"
        if file.is_file() and {"classes", "labels"} <= json_keys(file):
            raise InputError(f"{file}: FiftyOne's boxes or classes of whole images, and masks need areas: {_REMEDY}")
    return None


def _is_place(folder: Path) -> bool:
    return not (folder / "masks").is_dir() and (folder / "data").is_dir() and holds(folder / "labels", PICTURES)


def _found(folder: Path) -> Found:
    images, masks = folder / "data", folder / "labels"
    return pair(keyed(images_in(images), images), keyed(walk(masks, PICTURES), masks), folders=(images, masks))
