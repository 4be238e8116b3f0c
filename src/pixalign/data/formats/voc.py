"""PASCAL VOC's folders, also as CVAT ("Segmentation mask 1.1") and Labelme's converter write them.

- ``JPEGImages/`` (with lists also ``images/`` and the like) and ``SegmentationClass/``: PNG of colors, of ids, or with
  a palette. ``SegmentationObject`` and the rest is not read. With lists, the pairs are those that they name, since VOC
  itself labels a part of its images.
- ``ImageSets/Segmentation/train.txt``, ``val.txt`` and ``test.txt``, else ``trainval.txt``, else the only other list
  (CVAT's ``default.txt``), which is not divided.
- Classes: ``labelmap.txt`` by color (see `pixalign.data.formats.colors`), ``class_names.txt`` by id, or, of images
  named as VOC names its own (2007_000032), VOC's 21; else the masks tell them. 255, a white-ish border, is no label.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pixalign.data.formats.colors import VOC_BORDER, read_labelmap, voc_colors
from pixalign.data.formats.files import (
    PICTURES,
    entries,
    holds,
    images_in,
    keyed,
    lists_of_splits,
    nfc,
    pair,
    read_lines,
    unique,
)
from pixalign.data.formats.layout import Found, Layout
from pixalign.data.formats.plain import IMAGE_FOLDERS
from pixalign.data.images import walk
from pixalign.data.masks import LOSSY_SUFFIXES, MASK_SUFFIXES, Labels, plain_ids
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

_KINDS = ("jpegimages", "segmentationclass")
_OWN_NAME = re.compile(r"(2007|2008|2009|201[0-2])_\d{6}")


def find(root: Path) -> Layout | None:
    """Return the layout of a folder that has SegmentationClass/ and JPEGImages/, VOC's lists or CVAT's labelmap.txt."""
    folders: dict[str, Path] = {}
    for path in entries(root)[0]:
        if folders.setdefault(path.name.casefold(), path) != path and path.name.casefold().startswith(_KINDS):
            raise InputError(f"{root}: {folders[path.name.casefold()].name}/ and {path.name}/: keep one of them")
    named = (folders.get(name) for name in ("segmentationclass", "segmentationclasspng"))
    masks = next((path for path in named if path and holds(path, PICTURES)), None)
    labeled = [path for name, path in folders.items() if name in IMAGE_FOLDERS and holds(path, PICTURES)]
    images = folders.get("jpegimages") or (labeled[0] if len(labeled) == 1 else None)
    lists = _lists(root)
    if masks is None or not ("jpegimages" in folders or lists or (not labeled and (root / "labelmap.txt").is_file())):
        return None
    images = images or root / "JPEGImages"
    labels, file = _labels(root, masks)
    splits = {split: partial(_pairs, images, masks, list_file) for split, list_file in lists.items()}
    name = "CVAT or PASCAL VOC masks" if file == "labelmap.txt" else "PASCAL VOC masks"
    return Layout(name, splits or {"": partial(_pairs, images, masks, None)}, images, labels, file)


def _lists(root: Path) -> dict[str, Path]:
    """The list of each split, or of all images ("")."""
    files = [path for path in entries(root / "ImageSets" / "Segmentation")[1] if path.suffix.lower() == ".txt"]
    by_split = lists_of_splits(files)
    if by_split and by_split.keys() != {"test"}:
        if default := [path for path in files if path.stem.casefold() == "default"]:
            names = ", ".join(path.name for path in by_split.values())
            raise InputError(f"{default[0]}: lists images beside {names}: give them a split, or remove this list")
        return by_split
    others = [path for path in files if path not in by_split.values()]
    whole = [path for path in others if path.stem.casefold() == "trainval"] or others
    if len(whole) > 1:
        names = ", ".join(path.name for path in whole)
        raise InputError(f"{whole[0].parent}: holds {names}: name the lists train.txt and val.txt")
    return {"": whole[0]} if whole else by_split


def _pairs(image_folder: Path, mask_folder: Path, list_file: Path | None) -> Found:
    if not image_folder.is_dir():
        raise InputError(f"{image_folder}: no such folder: export with the images (in CVAT: Save images), or add them")
    images = keyed(images_in(image_folder), image_folder)
    masks, lossy = (keyed(walk(mask_folder, kind), mask_folder) for kind in (MASK_SUFFIXES, LOSSY_SUFFIXES))
    folders = (image_folder, mask_folder)
    if list_file is None:
        return pair(images, masks, lossy, folders=folders)
    keys, known = {*images.values()}, {*images.values()} | {nfc(path.name) for path in images}
    lines = [nfc(line.replace("\\", "/")) for line in read_lines(list_file) if line]
    listed = [_name(line, known) for line in lines]
    if missing := [name for name in listed if name not in known]:
        raise InputError(
            f"{list_file}: lists {missing[0]!r}, which is not an image in {image_folder} ({len(missing)} of "
            f"{len(listed)} lines): add the images or remove the lines"
        )
    if not listed:
        raise InputError(f"{list_file}: lists no image: write the stem of an image per line")
    wanted = {name if name in keys else key for name in listed for key in (name.rpartition(".")[0],)}
    found = pair({path: key for path, key in images.items() if key in wanted}, masks, lossy, folders=folders)
    found.lone_masks = []  # of other splits, or of no list
    return found


def _name(line: str, known: set[str]) -> str:
    """The name in a line: in quotation marks, all of it, or its first word (VOC's lists of a class have a second)."""
    quoted = re.fullmatch(r'"([^"]*)".*', line)
    name = quoted[1] if quoted else line
    first = name.split()[0] if name.split() else name
    return first if name not in known and first in known else name


def _labels(root: Path, masks: Path) -> tuple[Callable[[], Labels] | None, str]:
    """What reads the classes, and from which file."""
    if (root / "labelmap.txt").is_file():
        return partial(read_labelmap, root / "labelmap.txt"), "labelmap.txt"
    if (root / "class_names.txt").is_file():
        return partial(_class_names, root / "class_names.txt"), "class_names.txt"
    names = [path.stem for path in walk(masks, PICTURES)]
    if names and all(_OWN_NAME.fullmatch(name) for name in names):
        return _own_classes, "VOC's own list"
    return None, ""


def _class_names(file: Path) -> Labels:
    """The classes that Labelme's converter lists in the order of their ids; ``__ignore__`` is no label."""
    names = unique([line for line in read_lines(file) if line], file)
    classes = [name for name in names if name != "__ignore__"]
    remedy = f"add it to {file.name}, or list the classes in classes.yaml"
    return Labels(classes, default_colors(len(classes)), remedy=remedy)


def _own_classes() -> Labels:
    colors = voc_colors(len(CLASSES))
    by_color = {VOC_BORDER: IGNORE, **{color: i for i, color in enumerate(colors)}}
    remedy = "PASCAL VOC has 0 to 20 and 255: list other classes in classes.yaml"
    return Labels([*CLASSES], [[*color] for color in colors], plain_ids(len(CLASSES)), by_color, remedy)
