"""Folders of images and of masks by their usual names, in any case: `pixalign.data.folder` describes them.

Two folders that could both be meant are an error, never a choice.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pixalign.data.formats.colors import colors_beside
from pixalign.data.formats.files import PICTURES, below, entries, holds, images_in, keyed, pair
from pixalign.data.formats.layout import SPLIT_NAMES, SPLIT_OF, SPLITS, Found, Layout, split_of
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import LOSSY_SUFFIXES, MASK_SUFFIXES
from pixalign.errors import InputError

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "jpegimages")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "anns", "ann", "ann_dir", "gt", "gts"),
    *("ground_truth", "groundtruth", "targets", "target", "segmentations", "segmentation", "seg", "segmentationclass"),
)
MARKS = ("_mask", "_masks", "_label", "_labels", "_seg", "_segmentation", "_gt", "_annotation", "_target", "_l")
LABELME = "images with Labelme files beside them"

_BESIDE_A_SPLIT = (*MASK_FOLDERS, "annot", "annots")  # trainannot/ beside train/, as CamVid has them


@dataclass(frozen=True)
class Place:
    """Folders of images and masks; the masks' may not be there. ``split`` is the split's folder, as it is spelled."""

    images: Path
    masks: Path
    split: str = ""


def find(root: Path) -> Layout | None:
    """Return the layout of folders of images and masks, or of images with Labelme files or masks beside them."""
    places = {split: place for split in SPLITS if (place := _place(root, split))}
    places = places or {split: place for split in [""] if (place := _place(root, split))}
    if any(_has_masks(place) for place in places.values()):
        return _layout(root, places, _title(root, places))
    if marked := _side_by_side(root, places or {"": Place(root, root)}):
        return marked
    return _layout(root, places, LABELME) if any(has_labelme(place.images) for place in places.values()) else None


def without_masks(root: Path) -> Layout | None:
    """Return the layout of folders of images whose masks are nowhere, so that they can be reported one by one."""
    places = {split: place for split in ("", *SPLITS) if (place := _place(root, split))}
    if len(places) > 1:
        places.pop("", None)
    return _layout(root, places, "images without masks") if places else None


def image_splits(root: Path) -> list[str]:
    """Return the splits whose images have a folder of their own."""
    return [split for split in SPLITS if _images(root, split)]


def image_place(root: Path, split: str) -> Place | None:
    """Return where the images of a split are, or of undivided data; the folder of the masks is any.

    InputError if other splits have their folder, and this one has not; or two folders could be meant.
    """
    if images := _images(root, split):
        return Place(images, root, _split_folder(root, images))
    if divided := image_splits(root):
        raise InputError(
            f"{root}: no folder for the split {split!r}, though {', '.join(divided)} is there: add it, or name another"
        )
    images = _images(root, "")
    return Place(images, root) if images else None


def has_labelme(folder: Path) -> bool:
    """Whether an image in this very folder has a .json file beside it."""
    files = {path.name for path in entries(folder)[1]}
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES and f"{Path(name).stem}.json" in files for name in files)


def _place(root: Path, split: str) -> Place | None:
    """Where a split has its images, or undivided data ("") has them; None if nowhere."""
    images = _images(root, split)
    if images is None:
        return None
    candidates = [*_of_kind(root, split, MASK_FOLDERS)]
    if images.parent == root and split:
        candidates += _joined(root, split, _BESIDE_A_SPLIT)
    holding = _distinct([path for path in candidates if _holds_masks(path)])
    if len(holding) > 1:
        raise InputError(
            f"{root}: {below(root, holding[0])}/ and {below(root, holding[1])}/ both hold masks: say which are meant "
            f"with --data.mask_template '{_template(root, holding[0], split)}', or move the others out of the folder"
        )
    name = _split_folder(root, images) if split else ""
    if holding:
        return Place(images, holding[0], name)
    if images.parent == root and split:
        return Place(images, images if split_of(images.name) else root / f"{name}_masks", name)
    if images.parent == root or images == root:
        return Place(images, images if images == root else root / "masks")
    top = images.parent.parent
    kinds = [path for path in entries(top)[0] if path.name.casefold() in MASK_FOLDERS and _holds_masks(path)]
    masks = kinds[0] if len(kinds) == 1 else top / "masks"
    return Place(images, masks / name if split_of(images.name) else images.parent / "masks", name)


def _images(root: Path, split: str) -> Path | None:
    """The folder of the images of a split or of undivided data; InputError if two could be meant."""
    candidates = [*_of_kind(root, split, IMAGE_FOLDERS)]
    if split:
        candidates += _joined(root, split, IMAGE_FOLDERS)
    holding = _distinct([path for path in candidates if holds(path, IMAGE_SUFFIXES)])
    if not holding and split:
        holding = [path for path in entries(root)[0] if split_of(path.name) == split and _has_images(path)]
    elif not holding and (has_labelme(root) or (_has_images(root) and any(_of_kind(root, "", MASK_FOLDERS)))):
        holding = [root]
    if len(holding) > 1:
        raise InputError(
            f"{root}: {below(root, holding[0])}/ and {below(root, holding[1])}/ both hold images"
            f"{f' of the split {split}' if split else ''}: move the ones that are not meant out of the folder"
        )
    return next(iter([*holding, *candidates]), None)


def _has_images(folder: Path) -> bool:
    """Whether an image lies in this very folder."""
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries(folder)[1])


def _of_kind(root: Path, split: str, names: Collection[str]) -> Iterator[Path]:
    """Folders of one of these names below ``root``; with a split, those in its folder and its folders in them."""
    for top in entries(root)[0]:
        if top.name.casefold() in names:
            if not split:
                yield top
            yield from (path for path in entries(top)[0] if split and split_of(path.name) == split)
        elif split and split_of(top.name) == split:
            yield from (path for path in entries(top)[0] if path.name.casefold() in names)


def _joined(root: Path, split: str, names: Collection[str]) -> list[Path]:
    """Folders whose name is a split and one of these names: train_images, masks-train, trainannot."""
    one_split, one_name = ("|".join(map(re.escape, options)) for options in (SPLIT_NAMES[split], names))
    pattern = re.compile(rf"({one_split})[ _-]?({one_name})|({one_name})[ _-]?({one_split})")
    return [path for path in entries(root)[0] if pattern.fullmatch(path.name.casefold())]


def _distinct(paths: list[Path]) -> list[Path]:
    """Paths without further names (links) of one folder."""
    return [*{os.path.realpath(path): path for path in reversed(paths)}.values()][::-1]


def _holds_masks(folder: Path) -> bool:
    """Whether a folder holds pictures, or, under the name of masks, Labelme files."""
    named = any(part.casefold() in ("masks", "mask") for part in folder.parts[-2:])
    return folder.is_dir() and holds(folder, PICTURES | {".json"} if named else PICTURES)


def _has_masks(place: Place) -> bool:
    return place.masks != place.images and _holds_masks(place.masks)


def _split_folder(root: Path, images: Path) -> str:
    """The part of a path that names the split: a folder, or what stands before or after the kind in its name."""
    parts = images.relative_to(root).parts
    if folders := [part for part in parts if split_of(part)]:
        return folders[0]
    names = sorted(SPLIT_OF, key=len, reverse=True)
    found = re.match("|".join(names), parts[0], re.IGNORECASE) or re.search(f"({'|'.join(names)})$", parts[0], re.I)
    return found[0] if found else parts[0]


def _template(root: Path, masks: Path, split: str) -> str:
    """The template that names the masks in a folder by their images' names."""
    parts = ["{split}" if split and split_of(part) == split else part for part in masks.relative_to(root).parts]
    return "/".join([*parts, "{folder}", "{stem}.png"])


def _title(root: Path, places: dict[str, Place]) -> str:
    """The folders as the layout's name: "images/SPLIT/ and masks/SPLIT/"."""
    place = next(place for place in places.values() if _has_masks(place))
    names = [below(root, path) for path in (place.images, place.masks)]
    if place.split:
        names = [name.replace(place.split, "SPLIT", 1) for name in names]
    tool = "mmsegmentation, " if place.images.name == "img_dir" or place.images.parent.name == "img_dir" else ""
    return tool + " and ".join(f"{name}/" for name in names)


def _layout(root: Path, places: dict[str, Place], name: str, read: Callable[[Place], Found] | None = None) -> Layout:
    splits = {split: partial(read or _by_name, place) for split, place in places.items()}
    images = places[""].images if "" in places else root
    return Layout(name, splits, images, *colors_beside(root))


def _by_name(place: Place) -> Found:
    """Pairs of one name; a mask file goes before a Labelme file, and that before a JPEG mask."""
    candidates = walk(place.masks) if place.masks.is_dir() and place.masks != place.images else []
    masks, labelme, lossy = (
        keyed([path for path in candidates if path.suffix.lower() in suffixes], place.masks)
        for suffixes in (MASK_SUFFIXES, (".json",), LOSSY_SUFFIXES)
    )
    images = keyed(images_in(place.images, place.masks), place.images)
    beside = keyed(walk(place.images, (".json",)), place.images)
    return pair(images, masks, labelme, beside, lossy, folders=(place.images, place.masks))


# Masks beside their images --------------------------------------------------------------------------------------------


def _side_by_side(root: Path, places: dict[str, Place]) -> Layout | None:
    """The layout of masks beside their images, if each image has one and all of them the same mark."""
    keys = [[*_pictures(place.images).values()] for place in places.values()]
    for mark in MARKS:
        if keys and all(_is_complete(of_split, mark) for of_split in keys):
            return _layout(root, places, f"masks beside their images, marked {mark}", partial(beside, mark))
    return None


def _pictures(folder: Path) -> dict[Path, str]:
    """Keys of the pictures in a folder and below it."""
    return keyed(walk(folder, IMAGE_SUFFIXES), folder)


def _is_complete(keys: list[str], mark: str) -> bool:
    """Whether some files are masks, by the mark, and the others their images, with none to spare."""
    masks = {key[: -len(mark)] for key in keys if key.casefold().endswith(mark)}
    return bool(masks) and masks == {key for key in keys if not key.casefold().endswith(mark)}


def beside(mark: str, place: Place) -> Found:
    """Return the pairs of pictures in one folder, of which those whose names end with a mark are masks."""
    pictures = _pictures(place.images)
    masks = {path: key[: -len(mark)] for path, key in pictures.items() if key.casefold().endswith(mark)}
    images = {path: key for path, key in pictures.items() if path not in masks}
    return pair(images, masks, folders=(place.images, place.images))
