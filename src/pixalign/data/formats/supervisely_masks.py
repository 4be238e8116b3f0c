"""Supervisely's "Export as masks": ``img/`` and ``masks_machine/`` in the folder of each data set of a project.

``obj_class_to_machine_color.json`` has the value of each class; 0 is the class ``background``. Data sets that are all
named after splits are the splits, others are taken together.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pixalign.data.formats.annotations import BACKGROUND, read_json
from pixalign.data.formats.files import entries, images_in, nfc, pair, unique
from pixalign.data.formats.layout import SPLITS, Found, Layout, split_of
from pixalign.data.images import walk
from pixalign.data.masks import MASK_SUFFIXES, Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

_IMAGES, _MASKS, _FILE = "img", "masks_machine", "obj_class_to_machine_color.json"


def find(root: Path) -> Layout | None:
    """Return the layout of a project's folder, or of a data set's, that has masks_machine/."""
    sets = [path for path in (root, *entries(root)[0]) if (path / _MASKS).is_dir() and (path / _IMAGES).is_dir()]
    if not sets:
        return None
    file = next((path / _FILE for path in (root, *sets) if (path / _FILE).is_file()), None)
    by_split: dict[str, list[Path]] = {}
    for path in sets:
        by_split.setdefault("" if path == root else split_of(path.name), []).append(path)
    if len(by_split) > 1 and "" in by_split:
        raise InputError(f"{by_split[''][0]}: no split's name, though others have one: name it train, val or test")
    splits = {split: partial(_pairs, root, by_split[split]) for split in ("", *SPLITS) if split in by_split}
    return Layout(
        "Supervisely machine masks", splits, root, partial(_labels, file) if file else None, _FILE * bool(file)
    )


def _pairs(root: Path, sets: Sequence[Path]) -> Found:
    images: dict[Path, str] = {}
    masks: dict[Path, str] = {}
    for path in sets:
        names = {nfc(image.name) for image in images_in(path / _IMAGES)}
        images |= {image: f"{path.name}/{nfc(image.stem)}" for image in images_in(path / _IMAGES)}
        for mask in walk(path / _MASKS):
            if mask.suffix.lower() in MASK_SUFFIXES:
                whole = nfc(mask.stem)  # x.png or x.jpg.png
                masks[mask] = f"{path.name}/{Path(whole).stem if whole in names else whole}"
    base = sets[0] if len(sets) == 1 else root
    return pair(
        images, masks, folders=(base / _IMAGES if base in sets else root, base / _MASKS if base in sets else root)
    )


def _labels(file: Path) -> Labels:
    values: dict[str, int] = {}
    for name, color in read_json(file).items():
        if not isinstance(color, list) or len({*map(str, color)}) != 1 or not isinstance(color[0], int):
            raise InputError(
                f"{file}: {name!r} has the color {color}, which is not a value of a class: export it again"
            )
        values[name] = color[0]
    if len({*values.values()}) != len(values) or not all(0 <= value < IGNORE for value in values.values()):
        raise InputError(f"{file}: two classes have one value, or one above 254: export it again")
    names = [*values] if 0 in values.values() or BACKGROUND in values else [BACKGROUND, *values]
    names = unique(sorted(names, key=lambda name: values.get(name, 0)), file)
    ids = {0: IGNORE, **{values.get(name, 0): i for i, name in enumerate(names)}, IGNORE: IGNORE}
    remedy = f"export again, so that {_FILE} has it, or list the classes in classes.yaml"
    return Labels(names, default_colors(len(names)), ids, remedy=remedy)
