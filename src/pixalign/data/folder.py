"""Any folder of images and masks of class ids: no registration, no list files.

Three layouts are understood (``.../`` may hold sub-folders; pairs are matched by path without suffix):

- ``root/images/...`` and ``root/masks/...``: split deterministically, a fifth for validation, by a hash of the name;
- ``root/images/train/...``, ``root/masks/train/...`` and the same with ``val`` (and ``test``);
- ``root/train/images/...``, ``root/train/masks/...`` and the same with ``val`` (and ``test``).

Classes come from ``root/classes.yaml`` (a list of names, or of ``{name: ..., colour: [r, g, b]}``, under ``classes:``
or at the top) or, without it, from the ids in the masks. Id 255 means "no label".
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pixalign.data.images import IMAGE_SUFFIXES
from pixalign.data.pairs import IGNORE, LOSSY_SUFFIXES, MASK_SUFFIXES, Pairs, pair_up, read_ids
from pixalign.errors import InputError
from pixalign.palette import default_classes, default_colours

SPLITS = ("train", "val", "test")
_VAL_SHARE = 0.2


def folder(root: str | Path, split: str) -> Pairs:
    """Return a split (train, val or test) of a folder of images/ and masks/.

    Raises:
        InputError: an unknown split, a missing or empty folder, an image without mask, classes that cannot be told.
    """
    root = Path(root)
    if split not in SPLITS:
        raise InputError(f"data split {split!r} is unknown to folder: choose one of {', '.join(SPLITS)}")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: data.root must hold images/ and masks/")
    image_folder, mask_folder, is_split = _locate(root, split)
    images, masks = _pairs(image_folder, mask_folder)
    if not is_split:
        images, masks = _share(image_folder, images, masks, split)
    classes, colours = _classes(root, _all_masks(root, split))
    return Pairs(f"{root.resolve().name}/{split}", images, masks, classes, colours)


def _locate(root: Path, split: str) -> tuple[Path, Path, bool]:
    """Return the folders of images and masks of ``split``, and whether they hold this split alone."""
    for images, masks in (
        (root / "images" / split, root / "masks" / split),
        (root / split / "images", root / split / "masks"),
    ):
        if images.is_dir():
            if not masks.is_dir():
                raise InputError(f"{masks}: no such folder, though {images} is there: put the masks into it")
            return images, masks, True
    images, masks = root / "images", root / "masks"
    if not images.is_dir() or not masks.is_dir():
        raise InputError(f"{root}: found neither images/ and masks/ nor {split}/images and {split}/masks in it")
    if any((images / other).is_dir() for other in SPLITS):
        raise InputError(
            f"{images / split}: no such folder, though other splits are there: add it or name another split"
        )
    return images, masks, False


def _pairs(image_folder: Path, mask_folder: Path) -> tuple[list[Path], list[Path]]:
    images = sorted(p for p in image_folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != ".")
    if not images:
        raise InputError(f"{image_folder}: no image in it ({', '.join(sorted(IMAGE_SUFFIXES))}): is data.root right?")
    masks: dict[str, Path] = {}
    for path in sorted(mask_folder.rglob("*")):
        if path.suffix.lower() in (*MASK_SUFFIXES, *LOSSY_SUFFIXES) and path.name[0] != ".":
            masks[str(path.relative_to(mask_folder).with_suffix(""))] = path
    key = lambda path: str(path.relative_to(image_folder).with_suffix(""))  # noqa: E731
    return images, pair_up(images, masks, key, mask_folder)


def _share(image_folder: Path, images: list[Path], masks: list[Path], split: str) -> tuple[list[Path], list[Path]]:
    """Divide unsplit pairs: those with the lowest name hashes are for validation, one at least of two or more."""
    if split == "test":
        raise InputError(f"{image_folder}: no test split in it: add images/test and masks/test, or use val")
    names = [str(path.relative_to(image_folder).with_suffix("")) for path in images]
    by_hash = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    count = max(1, round(_VAL_SHARE * len(names)))
    if len(names) < 2:
        raise InputError(f"{image_folder}: one image cannot be divided into train and val: add images")
    held_out = set(by_hash[:count])
    chosen = [i for i in range(len(names)) if (i in held_out) == (split == "val")]
    return [images[i] for i in chosen], [masks[i] for i in chosen]


def _all_masks(root: Path, split: str) -> list[Path]:
    """Masks of every split that is there, so that all splits agree on the classes."""
    folders = [root / "masks"] if (root / "masks").is_dir() else [root / name / "masks" for name in SPLITS]
    return sorted(p for f in folders if f.is_dir() for p in f.rglob("*") if p.suffix.lower() in MASK_SUFFIXES)


def _classes(root: Path, masks: list[Path]) -> tuple[list[str], list[list[int]]]:
    """Class names and colours from classes.yaml, or found in the masks."""
    for file in (root / "classes.yaml", root / "classes.yml"):
        if file.is_file():
            return _read_classes(file)
    with ThreadPoolExecutor(4) as threads:
        present = np.zeros(65536, dtype=bool)
        for values in threads.map(lambda path: np.unique(read_ids(path)), masks):
            present[values] = True
    present[IGNORE] = False
    found = np.flatnonzero(present)
    remedy = f"list the classes in {root / 'classes.yaml'} (classes: [name, ...]) and store ids from 0 up"
    if not len(found):
        raise InputError(f"{root}: the masks hold no label but 255: {remedy}")
    if found[-1] > 254 or len(found) != found[-1] + 1:
        listed = ", ".join(str(v) for v in found[:8]) + (", ..." if len(found) > 8 else "")
        binary = " (0 and 255: a binary mask? store 0 and 1)" if len(found) == 1 else ""
        raise InputError(f"{root}: the masks hold the ids {listed}{binary}, not 0 to {len(found) - 1}: {remedy}")
    if len(found) == 1:
        raise InputError(
            f"{root}: the masks hold the id {found[0]} and 255 alone (a binary mask? store 0 and 1): {remedy}"
        )
    return default_classes(len(found)), _palette(masks[0], len(found))


def _palette(mask: Path, count: int) -> list[list[int]]:
    """The mask file's own palette if it has one with distinct colours, else the default colours."""
    with Image.open(mask) as file:
        palette = file.getpalette() if file.mode == "P" else None
    if palette and len(palette) >= 3 * count:
        colours = [palette[3 * i : 3 * i + 3] for i in range(count)]
        if len({tuple(c) for c in colours}) == count:
            return colours
    return default_colours(count)


def _read_classes(file: Path) -> tuple[list[str], list[list[int]]]:
    """Read classes.yaml; InputError quotes the form that it must have."""
    form = "write `classes: [road, car]`, or a list of `{name: road, colour: [128, 64, 128]}`, in the order of the ids"
    try:
        content: Any = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML ({str(error).splitlines()[0]}): {form}") from error
    entries = content.get("classes") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not 1 <= len(entries) <= IGNORE:
        raise InputError(f"{file}: no list of 1 to 255 classes in it: {form}")
    names, colours = [], default_colours(len(entries))
    for i, entry in enumerate(entries):
        if isinstance(entry, dict) and set(entry) <= {"name", "colour"} and "name" in entry:
            names.append(str(entry["name"]))
            colour = entry.get("colour", colours[i])
            if not (isinstance(colour, list) and len(colour) == 3 and all(c in range(256) for c in colour)):
                raise InputError(f"{file}: class {names[-1]!r} has the colour {colour}: write three numbers 0 to 255")
            colours[i] = colour
        elif isinstance(entry, str):
            names.append(entry)
        else:
            raise InputError(f"{file}: entry {i} is {entry!r}: {form}")
    if len(set(names)) != len(names):
        raise InputError(f"{file}: a class name occurs twice in {names}: give each class its own name")
    return names, colours
