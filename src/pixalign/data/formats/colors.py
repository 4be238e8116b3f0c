"""Lists of classes with the colors of their masks: CVAT's labelmap.txt, and class_dict.csv of name, r, g and b."""

import csv
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from pixalign.data.formats.annotations import BACKGROUND
from pixalign.data.formats.files import read_lines, unique
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE

VOC_BORDER = (224, 224, 192)  # of VOC's objects: no label

_UNLABELED = ("ignore", "ignored", "void", "unlabeled", "unlabelled")
_FORM = "write a class per line, such as road:128,64,128::"


def colors_beside(root: Path) -> tuple[Callable[[], Labels] | None, str]:
    """Return what reads the list of classes with colors that lies in a folder, and its name; (None, "") without."""
    for name in ("labelmap.txt", "class_dict.csv", "label_class_dict.csv"):
        if (root / name).is_file():
            return partial(read_labelmap if name == "labelmap.txt" else read_class_dict, root / name), name
    return None, ""


def read_labelmap(file: Path) -> Labels:
    """Return the classes of a labelmap.txt: lines of label:color_rgb:parts:actions, # for comments.

    Where no class has a color, they have VOC's, in their order. Black means the class ``background``, which comes first
    if it is not listed, and VOC's border color no label, unless a class has them. InputError for lines of another form,
    or a name or color twice.
    """
    lines = [line for line in read_lines(file) if line and not line.startswith("#")]
    fields = [[*line.split(":"), ""][:2] for line in lines]
    names = unique([name.strip() for name, _ in fields], file)
    given = [_triple(file, text) if text.strip() else None for _, text in fields]
    missing = [name for name, color in zip(names, given) if color is None]
    if missing and any(given):
        raise InputError(f"{file}: {missing[0]!r} has no color, though others have: {_FORM}")
    colors = voc_colors(len(names)) if missing else [color for color in given if color]
    pairs = zip(names, colors)
    named = {name: color for name, color in pairs if color != VOC_BORDER or name.casefold() not in _UNLABELED}
    if (0, 0, 0) not in named.values() and BACKGROUND not in named:
        named = {BACKGROUND: (0, 0, 0), **named}
    return _by_color(file, named, {VOC_BORDER: IGNORE})


def read_class_dict(file: Path) -> Labels:
    """Return the classes of a class_dict.csv: a header of name,r,g,b, then a class per line.

    InputError for lines of another form, or a name or color twice.
    """
    rows = [row for row in csv.reader(read_lines(file), skipinitialspace=True) if row]
    if [cell.strip().lower() for cell in rows[0] if rows] != ["name", "r", "g", "b"]:
        raise InputError(f"{file}: its first line is not name,r,g,b: write it so, and a class per line")
    names = unique([row[0].strip() for row in rows[1:]], file)
    return _by_color(file, {name: _triple(file, ",".join(row[1:])) for name, row in zip(names, rows[1:])}, {})


def voc_colors(count: int) -> list[tuple[int, int, int]]:
    """Return the first colors of PASCAL VOC's palette: the bits of an id, three by three, from the highest bit on."""
    colors = []
    for index in range(count):
        red, green, blue = (sum((index >> (3 * i + band) & 1) << (7 - i) for i in range(8)) for band in range(3))
        colors.append((red, green, blue))
    return colors


def _by_color(file: Path, colors: dict[str, tuple[int, int, int]], others: dict[tuple[int, int, int], int]) -> Labels:
    """Classes that masks show in colors, and what ``others`` mean unless a class has them."""
    owner: dict[tuple[int, int, int], str] = {}
    for name, color in colors.items():
        if owner.setdefault(color, name) != name:
            raise InputError(f"{file}: {owner[color]} and {name} both have the color {[*color]}: give each its own")
    index = {color: i for i, color in enumerate(colors.values())}
    remedy = f"add it to {file.name}, or list classes, colors and what to ignore in classes.yaml"
    return Labels([*colors], [[*color] for color in index], {}, {**others, **index}, remedy)


def _triple(file: Path, text: str) -> tuple[int, int, int]:
    with suppress(ValueError):
        red, green, blue = map(int, text.split(","))
        if 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
            return red, green, blue
    raise InputError(f"{file}: {text!r} is not a color: write three numbers 0 to 255 with commas")
