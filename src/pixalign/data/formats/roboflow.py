"""Roboflow's "Semantic Segmentation Masks": ``train/``, ``valid/`` and ``test/`` of ``x.jpg`` and ``x_mask.png``.

Each has ``_classes.csv`` with the lines "Pixel Value, Class"; the splits must agree on them.
"""

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pixalign.data.formats.files import entries, read_lines, split_folders, unique
from pixalign.data.formats.layout import Layout
from pixalign.data.formats.plain import Place, beside
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

_FILE, _MARK = "_classes.csv", "_mask"


def find(root: Path) -> Layout | None:
    """Return the layout of a folder whose folders of splits hold _classes.csv and masks."""
    folders = split_folders(root, _is_split)
    if not folders:
        return None
    splits = {split: partial(beside, _MARK, Place(folder, folder)) for split, folder in folders.items()}
    labels = partial(_labels, [folder / _FILE for folder in folders.values()])
    return Layout("Roboflow semantic masks", splits, root, labels, _FILE)


def _is_split(folder: Path) -> bool:
    files = [path.name for path in entries(folder)[1]]
    return _FILE in files and any(name.endswith(f"{_MARK}.png") for name in files)


def _labels(files: Sequence[Path]) -> Labels:
    classes = [_classes(file) for file in files]
    for file, others in zip(files, classes):
        if others != classes[0]:
            raise InputError(f"{file}: lists other classes than {files[0]}: export all splits again together")
    names = unique(classes[0].values(), files[0])
    ids = {IGNORE: IGNORE, **{value: i for i, value in enumerate(classes[0])}}
    remedy = f"export again, so that {_FILE} has it, or list the classes in classes.yaml"
    return Labels(names, default_colors(len(names)), ids, remedy=remedy)


def _classes(file: Path) -> dict[int, str]:
    """Names by the value of their pixels, in the order of the values."""
    rows = [row for row in csv.reader(read_lines(file), skipinitialspace=True) if row]
    classes: dict[int, str] = {}
    for row in rows[1:]:
        value, name = row[0].strip(), ", ".join(row[1:]).strip()
        if not value.isdecimal() or not 0 <= int(value) <= 255 or int(value) in classes:
            raise InputError(f"{file}: the line {','.join(row)!r} is no value of its own and a class: export it again")
        classes[int(value)] = name
    return dict(sorted(classes.items()))
