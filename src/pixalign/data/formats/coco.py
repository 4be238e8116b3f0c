"""COCO annotations (https://cocodataset.org/#format-data) drawn as masks, without pycocotools.

- Where there is no folder ``masks`` (in ``root`` or ``root/<split>``), the file is, with train, val (valid, validation)
  or test for <split>: ``root/annotations.json``, ``root/annotations/<split>.json``,
  ``root/annotations/instances_<split>2017.json`` (any year or none), ``root/<split>/_annotations.coco.json``
  (Roboflow), ``root/annotations/instances_default.json`` (CVAT). Otherwise it is the one .json file of ``root``,
  ``root/annotations`` or ``root/<split>`` that has lists of images, annotations and categories, such as
  ``result.json`` (Label Studio) and ``labels.json`` (FiftyOne); files of key points, captions and panoptic ones are
  passed over.
- Images lie below one of ``images/<split>``, ``images``, ``data``, the file's folder (or ``images`` and ``data`` in
  it), ``<split>``, ``<split>2017`` or ``root``: the one that holds most of those listed. A ``file_name`` may have
  backslashes.
- Ids are compared as text: 1, "1" and 1.0 are one. An annotation whose image or category is not listed is an error.
- Polygons, and run lengths plain or compressed, are drawn by area, larger first, so that small objects stay on top of
  large ones. A region with ``iscrowd`` is "no label" (255), and so is the box of an annotation that has nothing else,
  or only polygons of less than three points.
- Categories become classes in the order of their ids, after the class ``background``: id 0, the pixels that no
  annotation covers, or that one covers which is called so. A category without annotations whose name is the
  supercategory of others is a heading, not a class.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.data.formats.annotations import (
    Drawing,
    Shape,
    class_name,
    json_keys,
    picture_size,
    polygon,
    read_json,
    until_changed,
)
from pixalign.data.formats.files import entries
from pixalign.data.formats.layout import SPLIT_NAMES, SPLIT_OF, SPLITS, Found, Layout, drawn, split_of
from pixalign.data.images import IMAGE_SUFFIXES
from pixalign.data.masks import Labels
from pixalign.errors import InputError

_LISTS = ("images", "annotations", "categories")
_OTHER_KINDS = ("captions_", "image_info_", "panoptic_", "person_keypoints_", "stuff_")

_Id = int | str


def find(root: Path) -> Layout | None:
    """Return the layout of a folder with COCO files, unless it has a folder of masks."""
    folders = entries(root)[0]
    inside = [path for folder in folders if split_of(folder.name) for path in entries(folder)[0]]
    if any(path.name.casefold() == "masks" for path in (*folders, *inside)):
        return None
    files = coco_files(root)
    splits = {split: partial(_pairs, root, files[split], split) for split in ("", *SPLITS) if split in files}
    names = ", ".join(dict.fromkeys(file.name for file in files.values()))
    labels = partial(coco_classes, [*files.values()])
    return Layout("COCO annotations", splits, root, labels, names) if files else None


def coco_files(root: Path) -> dict[str, Path]:
    """Return the COCO file of each split ("" if there is one for all) below a folder; {} if it has none.

    InputError if one split has several files, or it is not clear which split they are of.
    """
    files: dict[str, Path] = {}
    candidates = _json_files(root)
    by_name = [file for file in candidates if _named(root, file)]
    whole = [file for file in (root / "annotations.json", root / "_annotations.coco.json") if file in by_name]
    chosen = [file for file in by_name if file not in whole] or whole
    for file in chosen or [file for file in candidates if set(_LISTS) <= json_keys(file)]:
        split = _split_of(root, file)
        if split in files or ("" in files) or (split == "" and files):
            names = ", ".join(path.relative_to(root).as_posix() for path in (*files.values(), file))
            raise InputError(
                f"{root}: several COCO files ({names}): keep one as annotations.json, or one for each split as "
                "annotations/train.json and annotations/val.json"
            )
        files[split] = file
    return files


def coco_classes(files: Sequence[Path]) -> Labels:
    """Return the categories as classes in order of their ids, over the files of all splits.

    InputError for a file that is not a COCO file, an id with two names, or a name with two ids.
    """
    by_id: dict[_Id, dict[str, Any]] = {}
    used: set[_Id | None] = set()
    for file in files:
        categories, in_file = _categories(file)
        used |= in_file
        for key, category in categories.items():
            if by_id.setdefault(key, category)["name"] != category["name"]:
                raise InputError(
                    f"{file}: category {key} is {category['name']!r}, and {by_id[key]['name']!r} in another split: "
                    "give the splits the same categories"
                )
    headings = {str(category.get("supercategory")) for category in by_id.values()}
    names = [
        category["name"]
        for key, category in sorted(by_id.items(), key=lambda item: (isinstance(item[0], str), item[0]))
        if key in used or category["name"] not in headings or category.get("supercategory") == category["name"]
    ]
    if len(set(names)) != len(names):
        raise InputError(f"{files[0]}: a category's name occurs twice in {names}: give each its own name")
    return drawn(names, files[0])


def _pairs(root: Path, file: Path, split: str) -> Found:
    """The images that a COCO file lists, in order of names, with what is drawn on them.

    InputError for a file that is not a COCO file, none of whose images is there, with annotations of images it does not
    list, or with one that cannot be drawn.
    """
    content = _read(file)
    names = {key: category["name"] for key, category in _by_id(file, content).items()}
    if not content["images"]:
        raise InputError(f"{file}: lists no image: export it again")
    images: dict[_Id, tuple[str, tuple[int, int]]] = {}
    for image in content["images"]:
        key = _id(image.get("id")) if isinstance(image, dict) else None
        if key is None or not isinstance(image.get("file_name"), str):
            raise InputError(f"{file}: an image has no id or file_name: export the file again")
        name = _file_name(file, image["file_name"])
        if key in images:
            raise InputError(f"{file}: two images have one id or file_name ({key}, {name}): export the file again")
        size = picture_size(image.get("height"), image.get("width"), f"{file}: image {image['file_name']!r}")
        images[key] = name, size
    if twice := [name for name, count in Counter(name for name, _ in images.values()).items() if count > 1]:
        raise InputError(f"{file}: two images have one id or file_name ({twice[0]}): export the file again")
    shapes = _shapes(file, content["annotations"], images, names)
    base = _image_folder(root, file, split, [name for name, _ in images.values()])
    found = Found([], [], [], [], folders=(base, file))
    for key, (name, size) in sorted(images.items(), key=lambda item: item[1][0]):
        if os.path.isfile(base / name):
            found.images.append(base / name)
            found.masks.append(file)
            found.drawings.append(Drawing(size, shapes[key], by_area=True))
        else:
            found.lone_masks.append(base / name)
    return found


def decode_counts(text: str, what: str = "") -> list[int]:
    """Return the run lengths of COCO's compressed form; InputError begins with ``what``.

    Each number is a series of characters of 5 bits (code - 48), the lowest first; bit 5 says that another follows, and
    bit 4 of the last one is the sign. From the fourth number on, it is the difference from the number two before.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise InputError(f"{what}: the run lengths hold the character {character!r}: export the file again")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _json_files(root: Path) -> list[Path]:
    """The .json files in the folders where COCO's may lie, apart from those of single images and of other kinds."""
    splits = (root / name / inner for name in SPLIT_OF for inner in ("", "annotations"))
    files = []
    for folder in (root, root / "annotations", *splits):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        chosen = [name for name in names if name.endswith(".json") and not name.startswith((".", *_OTHER_KINDS))]
        parts = (os.path.splitext(name) for name in names if chosen)
        beside = {stem for stem, suffix in parts if suffix.lower() in IMAGE_SUFFIXES}
        files += [folder / name for name in chosen if name[:-5] not in beside and (folder / name).is_file()]
    return files


def _named(root: Path, file: Path) -> bool:
    """Whether a file has a name that says that it is a COCO file."""
    known = file.stem in SPLIT_OF or file.name.startswith("instances_")
    return (
        file.name == "_annotations.coco.json"
        or file == root / "annotations.json"
        or (file.parent.name == "annotations" and known)
    )


def _split_of(root: Path, file: Path) -> str:
    """The split that the name of a file (instances_train2017.json), or else of its folder, tells, or ""."""
    name = re.sub(r"[_-]?(19|20)\d\d$", "", file.stem.removeprefix("instances_")).lower()
    return SPLIT_OF.get(name) or SPLIT_OF.get(file.relative_to(root).parts[0], "")


def _read(file: Path) -> dict[str, Any]:
    content = read_json(file)
    for key in _LISTS:
        if not isinstance(content.get(key), list):
            raise InputError(f"{file}: is not a COCO file (it has no list of {key}): export it again")
    return content


def _id(value: Any) -> _Id | None:
    """An id such that 1, "1" and 1.0 are one, and "01" is another; None if it is none."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value) else value
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _file_name(file: Path, name: str) -> str:
    """A file_name with slashes; InputError if it is no path below a folder."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", name):
        raise InputError(
            f"{file}: the file_name {name!r} is an address: download the images and write their paths below the "
            "images' folder"
        )
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        raise InputError(f"{file}: the file_name {name!r} is absolute: write it below the images' folder")
    path = Path(name.replace("\\", "/"))
    if not path.name:
        raise InputError(f"{file}: the file_name {name!r} names no file: export the file again")
    return path.as_posix()


def _by_id(file: Path, content: dict[str, Any]) -> dict[_Id, dict[str, Any]]:
    by_id: dict[_Id, dict[str, Any]] = {}
    for category in content["categories"]:
        key = _id(category.get("id")) if isinstance(category, dict) else None
        name = category["name"] if key is not None and category.get("name") is not None else ""
        if key is None or not isinstance(name, str | int) or not class_name(str(name)):
            raise InputError(f"{file}: the category {category!r} has no id or name: export the file again")
        category = {**category, "name": class_name(str(name))}
        if by_id.setdefault(key, category)["name"] != category["name"]:
            raise InputError(
                f"{file}: category {key} is {by_id[key]['name']!r} and {category['name']!r}: give each its own id"
            )
    return by_id


@until_changed(8)
def _categories(file: Path) -> tuple[dict[_Id, dict[str, Any]], set[_Id | None]]:
    """Categories by id, and the ids that annotations use."""
    content = _read(file)
    return _by_id(file, content), {_id(a.get("category_id")) for a in content["annotations"] if isinstance(a, dict)}


def _image_folder(root: Path, file: Path, split: str, names: Sequence[str]) -> Path:
    """The folder that holds most of the images; InputError if none holds any."""
    words = dict.fromkeys([file.stem.removeprefix("instances_"), *SPLIT_NAMES.get(split, ())])
    folders = [root / "images" / word for word in words]
    folders += [root / "images", root / "data", file.parent / "images", file.parent / "data", file.parent]
    folders += [root / word / inner for word in words for inner in ("", "images", "data")]
    held = {
        folder: sum(os.path.isfile(folder / name) for name in names)
        for folder in dict.fromkeys([*folders, root])
        if folder.is_dir()
    }
    best = max(held, key=lambda folder: held[folder])
    if not held[best]:
        wanted = {Path(name).name: name for name in reversed(names)}
        near = next((path for folder in held for path in sorted(folder.rglob("*")) if path.name in wanted), None)
        place = next(folder for folder in folders if folder.is_dir())
        hint = f"{near} is there, so move the images or write their paths below {place}" if near else "add the images"
        first = wanted[near.name] if near else names[0]
        raise InputError(
            f"{file}: lists {first}, which is not in {place} ({len(names)} of {len(names)} images are missing): {hint}"
        )
    return best


def _shapes(
    file: Path, annotations: Sequence[Any], images: dict[_Id, tuple[str, tuple[int, int]]], names: dict[_Id, str]
) -> dict[_Id, list[Shape]]:
    """The shapes of each image."""
    shapes: dict[_Id, list[Shape]] = {key: [] for key in images}
    strays: list[dict[str, Any]] = []
    outside = 0
    for annotation in annotations:
        if not isinstance(annotation, dict):
            raise InputError(f"{file}: the annotation {annotation!r} is none: export the file again")
        what = f"{file}: annotation {annotation.get('id')}"
        image, category = _id(annotation.get("image_id")), _id(annotation.get("category_id"))
        if image is None or image not in images:
            strays.append(annotation)
            continue
        if category is None or category not in names:
            raise InputError(f"{what} has the category {annotation.get('category_id')}, which is not listed: add it")
        name, size = images[image]
        shape = _shape(annotation, names[category], size, f"{what} (image {name})")
        outside += _is_outside(shape, size)
        shapes[image].append(shape)
    if strays:
        raise InputError(
            f"{file}: {len(strays)} of {len(annotations)} annotations have an image_id that no image has, the first "
            f"{strays[0].get('image_id')!r}: list the images, or remove the annotations"
        )
    if outside > len(annotations) / 2:
        raise InputError(
            f"{file}: {outside} of {len(annotations)} annotations lie outside their images or within one pixel: write "
            "the coordinates in pixels of images of the listed height and width"
        )
    return shapes


def _is_outside(shape: Shape, size: tuple[int, int]) -> bool:
    """Whether polygons lie beside the picture, or in its first pixel, as fractions of its size do."""
    if not shape.polygons:
        return False
    low = np.min([points.min(0) for points in shape.polygons], 0)
    high = np.max([points.max(0) for points in shape.polygons], 0)
    return bool((high <= 0).any() or (low >= size[::-1]).any() or (high <= 1).all())


def _shape(annotation: dict[str, Any], name: str, size: tuple[int, int], what: str) -> Shape:
    crowd = annotation.get("iscrowd")
    if crowd not in (None, 0, 1, "0", "1"):
        raise InputError(f"{what} has the iscrowd {crowd!r}: write 0 or 1")
    label = None if crowd in (1, "1") else name
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return Shape(label, runs=_runs(segmentation, size, what))
    if not isinstance(segmentation, list | None):
        raise InputError(f"{what} has the segmentation {str(segmentation)[:40]!r}: write polygons or run lengths")
    polygons = [polygon(part, what) for part in segmentation or ()]
    if polygons := [points for points in polygons if len(points) >= 3]:
        return Shape(label, polygons)
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        raise InputError(f"{what} has neither a segmentation nor a box: draw it or remove it")
    x, y, width, height = box
    return Shape(None, [polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], what)])


def _runs(segmentation: dict[str, Any], size: tuple[int, int], what: str) -> np.ndarray:
    counts, given = segmentation.get("counts"), segmentation.get("size", list(size))
    if isinstance(counts, str):
        lengths = decode_counts(counts, what)
    elif isinstance(counts, list) and all(type(c) in (int, float) and c % 1 == 0 for c in counts):
        lengths = [int(count) for count in counts]
    else:
        raise InputError(f"{what} has run lengths that are none: export the file again")
    if given != list(size):
        raise InputError(
            f"{what}: the run lengths are of a picture of height and width {given}, and the image has {[*size]}: "
            "export it again"
        )
    if min(lengths, default=0) < 0 or sum(lengths) != size[0] * size[1]:
        raise InputError(
            f"{what}: the run lengths cover {sum(lengths)} pixels, and the image has {size[1]} x {size[0]}: export it "
            "again"
        )
    return np.array(lengths, np.int64)
