"""COCO annotations (https://cocodataset.org/#format-data) drawn as masks, without pycocotools.

- The file is ``root/annotations.json``, ``root/annotations/<split>.json`` or, as Roboflow exports it,
  ``root/<split>/_annotations.coco.json``; it is read where there is no folder ``masks`` (in ``root`` or
  ``root/<split>``). Images lie in ``images/<split>``, ``images``, beside the file, in ``<split>`` or in ``root``: the
  first of these that holds one.
- Polygons, and run lengths plain or compressed, are drawn by area, larger first, so that small objects stay on top of
  large ones. A region with ``iscrowd`` is "no label" (255), and so is the box of an annotation that has nothing else.
- Categories become classes in the order of their ids, after the class ``background``: id 0, the pixels that no
  annotation covers. A category without annotations whose name is the supercategory of others is a heading, not a class.
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.data.annotations import Drawing, Shape, picture_size, polygon, read_json
from pixalign.errors import InputError

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


def coco_files(root: Path) -> dict[str, Path]:
    """Return the COCO file of each split ("" if there is one for all) below a folder; {} if it has none."""
    names_of_all = (name for names in SPLIT_FOLDERS.values() for name in names)
    if (root / "masks").is_dir() or any((root / name / "masks").is_dir() for name in names_of_all):
        return {}
    files: dict[str, Path] = {}
    for split, names in SPLIT_FOLDERS.items():
        for name in names:
            for file in (root / "annotations" / f"{name}.json", root / name / "_annotations.coco.json"):
                if file.is_file():
                    files.setdefault(split, file)
    for file in (root / "annotations.json", root / "_annotations.coco.json"):
        if not files and file.is_file():
            files[""] = file
    return files


def coco_classes(files: Sequence[Path]) -> list[str]:
    """Return the names of the categories in order of their ids, over the files of all splits.

    Raises:
        InputError: a file that is no COCO file, an id with two names, a name with two ids.
    """
    by_id: dict[int, dict[str, Any]] = {}
    used: set[Any] = set()
    for file in files:
        categories, in_file = _categories(file, file.stat().st_mtime_ns)
        used |= in_file
        for key, category in categories.items():
            if by_id.setdefault(key, category)["name"] != category["name"]:
                raise InputError(
                    f"{file}: category {key} is {category['name']!r}, and {by_id[key]['name']!r} in another split: "
                    "give the splits the same categories"
                )
    headings = {category.get("supercategory") for category in by_id.values()}
    names = [c["name"] for key, c in sorted(by_id.items()) if key in used or c["name"] not in headings - {_own(c)}]
    if len(set(names)) != len(names):
        raise InputError(f"{files[0]}: a category's name occurs twice in {names}: give each its own name")
    return names


def coco_images(root: Path, file: Path, split: str) -> tuple[Path, list[Path], list[Drawing]]:
    """Return a COCO file's folder of images, where each should be, in order of names, and what is drawn on it.

    Raises:
        InputError: a file that is no COCO file, or holds an annotation that cannot be drawn.
    """
    content = _read(file)
    names = {key: category["name"] for key, category in _by_id(file, content).items()}
    images: dict[Any, tuple[str, tuple[int, int]]] = {}
    for image in content["images"]:
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str) or "id" not in image:
            raise InputError(f"{file}: an image has no id or file_name: export the file again")
        if Path(image["file_name"]).is_absolute():
            raise InputError(
                f"{file}: the file_name {image['file_name']!r} is absolute: write it below the images' folder"
            )
        size = picture_size(image.get("height"), image.get("width"), f"{file}: image {image['file_name']!r}")
        images[image["id"]] = image["file_name"], size
    if len({name for name, _ in images.values()}) != len(content["images"]):
        raise InputError(f"{file}: two images have one id or file_name: export the file again")
    shapes: dict[Any, list[Shape]] = {key: [] for key in images}
    for annotation in content["annotations"]:
        if not isinstance(annotation, dict):
            raise InputError(f"{file}: the annotation {annotation!r} is none: export the file again")
        what = f"{file}: annotation {annotation.get('id')}"
        if annotation.get("image_id") not in images:
            continue
        if annotation.get("category_id") not in names:
            raise InputError(f"{what} has the category {annotation.get('category_id')}, which is not listed: add it")
        name, size = images[annotation["image_id"]]
        shape = _shape(annotation, names[annotation["category_id"]], size, f"{what} (image {name})")
        shapes[annotation["image_id"]].append(shape)
    base = _image_folder(root, file, split, [name for name, _ in images.values()])
    order = sorted(images, key=lambda key: images[key][0])
    drawings = [Drawing(images[key][1], shapes[key], by_area=True) for key in order]
    return base, [base / images[key][0] for key in order], drawings


def decode_counts(text: str, what: str = "") -> np.ndarray:
    """Return the run lengths (R,) int64 of COCO's compressed form; InputError begins with ``what``.

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
    return np.array(counts, np.int64)


def _read(file: Path) -> dict[str, Any]:
    content = read_json(file)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise InputError(f"{file}: is no COCO file (it has no list of {key}): export it again")
    return content


def _by_id(file: Path, content: dict[str, Any]) -> dict[int, dict[str, Any]]:
    for category in content["categories"]:
        if not isinstance(category, dict) or not isinstance(category.get("id"), int) or not category.get("name"):
            raise InputError(f"{file}: the category {category!r} has no id or name: export the file again")
    return {category["id"]: {**category, "name": str(category["name"])} for category in content["categories"]}


@functools.lru_cache(maxsize=8)
def _categories(file: Path, changed: int) -> tuple[dict[int, dict[str, Any]], set[Any]]:
    """Categories by id, and the ids that annotations use, of a file as it was at its time of change."""
    content = _read(file)
    return _by_id(file, content), {a.get("category_id") for a in content["annotations"] if isinstance(a, dict)}


def _own(category: dict[str, Any]) -> Any:
    """The supercategory of a category that is its own, which makes no heading of it."""
    return category["name"] if category.get("supercategory") == category["name"] else None


def _image_folder(root: Path, file: Path, split: str, names: Sequence[str]) -> Path:
    folders = [root / "images" / name for name in SPLIT_FOLDERS.get(split, ())]
    folders += [root / "images", file.parent, *(root / name for name in SPLIT_FOLDERS.get(split, ())), root]
    return next((folder for name in names for folder in folders if os.path.isfile(folder / name)), folders[0])


def _shape(annotation: dict[str, Any], name: str, size: tuple[int, int], what: str) -> Shape:
    label = None if annotation.get("iscrowd") else name
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return Shape(label, runs=_runs(segmentation, size, what))
    if isinstance(segmentation, list) and segmentation:
        return Shape(label, [points for part in segmentation if len(points := polygon(part, what))])
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        raise InputError(f"{what} has neither a segmentation nor a box: draw it or remove it")
    x, y, width, height = box
    return Shape(None, [np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], float)])


def _runs(segmentation: dict[str, Any], size: tuple[int, int], what: str) -> np.ndarray:
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        runs = decode_counts(counts, what)
    elif isinstance(counts, list) and all(isinstance(count, int) for count in counts):
        runs = np.array(counts, np.int64)
    else:
        raise InputError(f"{what} has run lengths that are none: export the file again")
    if list(segmentation.get("size", size)) != list(size) or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise InputError(
            f"{what}: the run lengths cover {runs.sum()} pixels, and the image has {size[1]} x {size[0]}: export it "
            "again"
        )
    return runs
