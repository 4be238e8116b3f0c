"""Polygons in the layout of Ultralytics' YOLO: a .txt file per image, its classes in data.yaml.

- ``data.yaml`` (or another .yaml file in ``root``) has ``names``, a list or a dictionary by number, and where the
  images of ``train``, ``val`` and ``test`` are: folders, or .txt files that list images, one or several. Paths are
  below ``root`` or ``path``; of those that are not there (``../train/images``, or absolute ones of another computer)
  the end that is there counts. Without such a file, ``classes.txt`` names the classes (Label Studio), and the data is
  not divided.
- The labels of ``.../images/a.jpg`` are in ``.../labels/a.txt``: a line for each area, its class number and x, y of the
  points as shares of the image's width and height. An image without file is background throughout, as YOLO has it.
- Areas are drawn by size, larger first, as Ultralytics does. A box (a line of five numbers) is no area and is refused.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pixalign.data.formats.annotations import Drawing, Shape, class_name, polygon, upright_size
from pixalign.data.formats.files import read_lines
from pixalign.data.formats.layout import SPLIT_OF, SPLITS, Found, Layout, drawn
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.errors import InputError
from pixalign.text import first_line

_SLACK = 0.01  # of the image's size, by which rounded points may lie beside it
_LISTS = ("classes.txt", "train.txt", "val.txt", "test.txt")


def find(root: Path) -> Layout | None:
    """Return the splits of a YOLO data set, or None; InputError if its classes cannot be told."""
    example = None if (root / "masks").is_dir() else next(_label_files(root), None)
    if example is None:
        return None
    if config := _config(root):
        file, content = config
        splits = {split: content[split] for split in SPLITS if content.get(split)}
        names = _names(file, content)
    else:
        file = next((f for f in (root / "classes.txt", root / "labels" / "classes.txt") if f.is_file()), root)
        if file == root:
            raise InputError(
                f"{example}: YOLO labels, and no file tells their classes: write {root / 'data.yaml'}: "
                "{names: [road, car], train: images/train, val: images/val}"
            )
        splits, names = {"": "images"}, _names(file, {"names": [line for line in read_lines(file) if line]})
    if not splits:
        raise InputError(f"{file}: names no train and val: add where their images are, such as train: images/train")
    bases = [root]
    if config and isinstance(content.get("path"), str):
        path = Path(content["path"])
        bases.insert(1 if path.is_absolute() or ".." in path.parts else 0, root / path)
    return Layout(
        "YOLO polygons",
        {split: partial(_found, bases, file, names, value) for split, value in splits.items()},
        root / "images" if (root / "images").is_dir() else root,
        partial(drawn, [name for _, name in sorted(names.items())], file),
        file.name,
    )


def read_polygons(labels: Path, image: Path, names: dict[int, str], source: Path) -> Drawing:
    """Return what a .txt file, if it is there, draws on its image, whose size it needs.

    InputError for an image that cannot be read, or a line that is no polygon of a class in ``names`` (number -> class),
    which are those of the file ``source``.
    """
    height, width = upright_size(image)
    shapes = []
    for number, line in enumerate(read_lines(labels) if labels.is_file() else [], 1):
        if not line:
            continue
        what = f"{labels}: line {number}"
        first, *rest = line.split()
        if not _is_whole(first) or int(float(first)) not in names:
            raise InputError(f"{what} begins with {first[:20]!r}, which is not a class number of {source}: correct it")
        if len(rest) == 4:
            raise InputError(f"{what} is a box (5 numbers), and masks need areas: export polygons (segmentation)")
        points = polygon(rest, what, 3)
        if points.min() < -_SLACK or points.max() > 1 + _SLACK:
            raise InputError(f"{what} has points outside 0 to 1: write shares of the image's width and height")
        shapes.append(Shape(names[int(float(first))], [points * (width, height)]))
    return Drawing((height, width), shapes, by_area=True)


def _label_files(root: Path) -> Iterator[Path]:
    """Files of labels in a folder labels or its folders, there or in the folder of a split."""
    for place in (root, *(root / name for name in SPLIT_OF)):
        for base, folders, names in os.walk(place / "labels"):
            folders.sort()
            yield from (Path(base, name) for name in sorted(names) if name.endswith(".txt") and name not in _LISTS)


def _config(root: Path) -> tuple[Path, dict[str, Any]] | None:
    """The file that names classes and splits, and what it holds, or None."""
    files = sorted([*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda file: (file.stem != "data", file.name))
    for file in files:
        if file.stem == "classes":
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
            if file.stem == "data":
                raise InputError(f"{file}: is not valid YAML ({first_line(error)}): write it again") from error
            continue
        if isinstance(content, dict) and "names" in content:
            return file, content
    return None


def _names(file: Path, content: dict[str, Any]) -> dict[int, str]:
    """Class names by number."""
    given, count = content["names"], content.get("nc")
    pairs = [*enumerate(given)] if isinstance(given, list) else [*given.items()] if isinstance(given, dict) else []
    plain = [(key, name) for key, name in pairs if isinstance(name, str | int) and not isinstance(name, bool)]
    names = {int(key): class_name(str(name)) for key, name in plain if _is_whole(str(key))}
    if not pairs or len(names) != len(pairs) or not all(names.values()):
        raise InputError(f"{file}: names is {given!r}: write a list of the classes' names, words such as yes in quotes")
    if len(set(names.values())) != len(names):
        raise InputError(f"{file}: a name occurs twice in names, {[*names.values()]}: give each class its own")
    if count is not None and count != len(names):
        raise InputError(f"{file}: nc is {count}, and names has {len(names)}: write as many names as there are classes")
    return names


def _found(bases: Sequence[Path], file: Path, names: dict[int, str], value: Any) -> Found:
    """What lies in a split, which data.yaml gives as a path or several."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) and entry.strip() for entry in values):
        raise InputError(f"{file}: {value!r} is not a path of images: write a folder, such as images/train")
    images: dict[Path, None] = {}
    for entry in values:
        place = _there(bases, entry)
        if place is None:
            raise InputError(f"{file}: {entry} is neither there nor below {bases[0]}: add it or correct the path")
        if place.is_dir():
            inside = walk(place, IMAGE_SUFFIXES)
            _refuse_strays(place, inside)
        else:
            listed = {line: _there([place.parent, *bases], line) for line in read_lines(place) if line}
            if missing := [line for line, path in listed.items() if path is None]:
                raise InputError(
                    f"{place}: lists {missing[0]}, which is not there ({len(missing)} of {len(listed)} lines): add the "
                    "images or remove the lines"
                )
            inside = [path for path in listed.values() if path]
        if not inside:
            raise InputError(f"{place}: no image in it: is {file} right?")
        images |= dict.fromkeys(inside)
    labels = [_labels_of(image) for image in images]
    if not any(map(os.path.isfile, labels)):
        raise InputError(f"{labels[0]}: no such file, nor that of any other image of {value}: put the labels there")
    drawings = [partial(read_polygons, path, image, names, file) for path, image in zip(labels, images)]
    return Found([*images], [path if path.is_file() else file for path in labels], [], [], [*drawings])


def _there(bases: Sequence[Path], text: str) -> Path | None:
    """The path that is there of those that a text may mean: below a base, or as much of its end as is there."""
    parts = Path(text.strip().replace("\\", "/")).parts
    fewest = len(parts) - parts[::-1].index("images") - 1 if "images" in parts else len(parts)
    for skipped in range(max(1, min(fewest, len(parts) - 2) + 1)):  # "images" stays, and the name before a last one
        tail = Path(*parts[skipped:])
        if tail.parts and tail.parts[0] not in ("..", "/"):
            for base in bases:
                if (base / tail).exists():
                    return base / tail
    return next((base / text for base in bases if (base / text).exists()), None)


def _labels_of(image: Path) -> Path:
    """Where an image's labels are: its path with the last folder "images" called "labels"."""
    parts = [*image.parts]
    at = next((i for i in range(len(parts) - 2, -1, -1) if parts[i] == "images"), None)
    if at is not None:
        parts[at] = "labels"
    return Path(*parts).with_suffix(".txt")


def _refuse_strays(folder: Path, images: Sequence[Path]) -> None:
    """InputError if there are labels of images that are not in their folder: nobody would miss them."""
    place = _labels_of(folder / "any").parent
    if place == folder or not place.is_dir():
        return
    known = {_labels_of(image) for image in images}
    labels = [path for path in walk(place) if path.suffix == ".txt" and path.name not in _LISTS]
    if strays := [path for path in labels if path not in known]:
        raise InputError(
            f"{strays[0]}: no image of its name in {folder} ({len(strays)} of {len(labels)} files of labels lack "
            "one): add the images or remove the labels"
        )


def _is_whole(text: str) -> bool:
    try:
        return float(text) >= 0 and float(text) == np.floor(float(text)) and float(text) < 1e6
    except ValueError:
        return False
