"""Any folder of images and masks: no registration, no code.

Where the files are
-------------------
``images/...`` and ``masks/...`` may hold sub-folders. One of:

- ``root/images/...`` and ``root/masks/...``, divided by ``root/train.txt``, ``root/val.txt`` and ``root/test.txt`` if
  they are there (an image per line: its stem, or its path below ``root`` or ``images/``, with or without suffix), else
  deterministically: a fifth is for validation, by a hash of the name, and there is no test split;
- ``root/images/train/...``, ``root/masks/train/...`` and the same with ``val`` (and ``test``);
- ``root/train/images/...``, ``root/train/masks/...`` and the same with ``val`` (and ``test``).

``valid`` may stand for ``val`` in names of folders and files. Hidden files and folders (.name) are left out; links to
folders are followed. Images are JPEG, PNG, WebP, TIFF, BMP or GIF (`pixalign.data.images.read_image`).

Which mask belongs to which image: the one of the same path below ``masks/``, apart from the suffix. Other names are
told by ``mask_template``, a path below ``root`` with the fields ``{stem}`` (the image's file name without suffix),
``{name}`` (with suffix), ``{folder}`` (its folder below ``images/``, may be empty) and ``{split}`` (the split's
folder)::

    --data.mask_template 'masks/{folder}/{stem}_mask.png'

Files in ``images/`` that the template names as masks of others are masks, so both may lie side by side.

What a mask file may hold
-------------------------
PNG, BMP, TIFF, GIF or lossless WebP of the image's size, of one page or frame:

- grey of 1, 2, 4, 8 or 16 bits, or a palette: class ids (of a palette the index), 255 = no label. TIFF files also as
  other whole numbers of 0 to 65535; what counts is the stored value, whether the file shows 0 as black or as white;
- RGB, or RGBA that is opaque throughout: a colour per class, which classes.yaml must list;
- RGB that is grey in every pixel, where the classes have no colours: class ids.

JPEG, JPEG 2000, AVIF and lossy WebP are refused: their labels are not exact any more. A mask with an EXIF orientation
is turned by it, as images are.

Annotations in place of masks: Labelme files (``.json`` beside each image, then also without ``images/`` and ``masks/``
folders; or in ``masks/``; see `pixalign.data.labelme`), and COCO files where there is no ``masks/`` folder
(``root/annotations.json``, ``root/annotations/<split>.json``, ``root/<split>/_annotations.coco.json``; see
`pixalign.data.coco`). What they leave uncovered is the class ``background``.

classes.yaml
------------
``root/classes.yaml`` lists the classes in the order of their ids, as names or as entries of these keys::

    classes:
    - name: road
      ids: [7, 8]                                  # in grey and palette masks; `id: 7` for one
      colours: [[128, 64, 128], [244, 35, 232]]    # in colour masks
      colour: [128, 64, 128]                       # to draw it in; without `colours` also the one in colour masks
    - {name: car, id: 26, colours: [[0, 0, 142]]}
    ignore: [0, 1, [0, 0, 0]]                      # ids and colours that mean "no label"

- Several ids or colours of a class are merged into it. If one class has ids, all must; without any, the ids in the
  masks are the positions in the list, from 0.
- 255 means "no label" unless a class claims it, as in binary masks: ``- {name: background, id: 0}`` and
  ``- {name: object, id: 255}``.
- If classes have ``colours`` and none has ids, grey and palette masks are decoded by their colours, too.
- With Labelme and COCO, the names choose the labels and their order; pixels without annotation have no label if there
  is no class ``background``.

Without classes.yaml the classes are the ids found in the masks of all splits, which must be 0, 1, 2, ... without a gap,
named class_0 and so on, in the colours of the masks' palette; or the labels of the annotations, after ``background``.
"""

import functools
import hashlib
import os
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixalign.data.annotations import BACKGROUND, IGNORE
from pixalign.data.coco import SPLIT_FOLDERS, coco_classes, coco_files, coco_images
from pixalign.data.formats.layout import Found
from pixalign.data.formats.recognize import recognize
from pixalign.data.images import IMAGE_SUFFIXES, opened, walk
from pixalign.data.labelme import read_labelme
from pixalign.data.masks import (
    LOSSY_SUFFIXES,
    MASK_SUFFIXES,
    Labels,
    grey_of,
    labels_from_yaml,
    read_values,
    unpack,
)
from pixalign.data.pairs import Pairs
from pixalign.errors import InputError
from pixalign.palette import default_classes, default_colours

SPLITS = ("train", "val", "test")
_VAL_SHARE = 0.2
_FIELDS = ("stem", "folder", "name", "split")
_LISTED = 12
_MANY_COLOURS = 4096


@dataclass(frozen=True)
class _Place:
    """Folders of images and masks, and the name of the split that they hold ("" for all of them)."""

    images: Path
    masks: Path
    split: str = ""


def folder(root: str | Path, split: str, mask_template: str = "", channels: int = 3) -> Pairs:
    """Return a split (train, val or test) of a folder; layouts and formats are those of this module's text.

    Args:
        root: the folder.
        split: train, val or test.
        mask_template: where the mask of an image is, below ``root``; empty for the image's own name in masks/.
        channels: bands of the images, as `pixalign.data.images.read_image` takes it.

    Raises:
        InputError: an unknown split, a missing or empty folder, an image without mask, classes that cannot be told.
    """
    root = Path(root)
    found, place = _everything(root, split, mask_template)
    if found.lone_images or (found.lone_masks and (found.drawings or not found.images)):
        raise _lacking(root, place, found, mask_template)
    if not place.split:
        found = _part(root, found, place, split)
    labels = known_labels(root, mask_template) or labels_in(root, _masks_of_all_splits(root, mask_template))
    return Pairs(f"{root.resolve().name}/{split}", found.images, found.masks, labels, channels, found.drawings)


def splits(root: str | Path, mask_template: str = "") -> list[str]:
    """Return which of train, val and test are there, as folders, lists or COCO files; [] if the data is not divided."""
    root = Path(root)
    if not mask_template:
        if layout := recognize(root):
            return [
                split for split in SPLITS if split in layout.splits or ("" in layout.splits and _list_file(root, split))
            ]
        if files := coco_files(root):
            return [split for split in SPLITS if split in files]
    as_folders = [split for split in SPLITS if _place_of(root, split)]
    return as_folders or [split for split in SPLITS if _list_file(root, split)]


def find(root: str | Path, split: str, mask_template: str = "") -> Found:
    """Return the pairs of a split, and what has no partner.

    Of data that is not divided, an image without mask belongs to the split that its name gives, as if it had one, and
    a mask without image to train. With COCO no image is without mask: unlisted images do not belong to the data.

    Raises:
        InputError: no such folder or split, no image in it, two masks for one image, a template that cannot be used.
    """
    root = Path(root)
    found, place = _everything(root, split, mask_template)
    return found if place.split else _part(root, found, place, split)


def known_labels(root: str | Path, mask_template: str = "") -> Labels | None:
    """Return the classes if they can be told without a look at the masks: from classes.yaml, or a tool's own files.

    With a mask template only classes.yaml is asked: the masks that it names need not be those of the tool.

    Raises:
        InputError: a wrong classes.yaml or file of the tool.
    """
    root = Path(root)
    if file := _classes_file(root):
        return labels_from_yaml(file)
    layout = None if mask_template else recognize(root)
    return layout.labels() if layout and layout.labels else None


def read_labels(root: str | Path, masks: Sequence[Path]) -> Labels:
    """Return `known_labels`, or else `labels_in` the masks of all splits."""
    return known_labels(root) or labels_in(root, masks)


def labels_in(root: str | Path, masks: Sequence[Path]) -> Labels:
    """Return the classes that ``masks`` hold, those of all splits (COCO: of its files).

    Raises:
        InputError: masks whose classes cannot be told; with the remedy.
    """
    root = Path(root)
    if (files := coco_files(root)) and not set(masks) - set(files.values()):
        return _drawn(coco_classes(list(files.values())))
    if not masks:
        raise InputError(f"{root}: no mask to find the classes in: list them in {root / 'classes.yaml'}")
    stamps = tuple((path, path.stat().st_mtime_ns if path.exists() else 0) for path in masks)
    return _labels_found(root, stamps)


def _classes_file(root: Path) -> Path | None:
    return next((file for file in (root / "classes.yaml", root / "classes.yml") if file.is_file()), None)


def _place_of(root: Path, split: str) -> _Place | None:
    """Where a split of its own has its files, or None."""
    for name in SPLIT_FOLDERS[split]:
        for images, masks in (
            (root / "images" / name, root / "masks" / name),
            (root / name / "images", root / name / "masks"),
        ):
            if images.is_dir():
                return _Place(images, masks, name)
        if _has_labelme(root / name):
            return _Place(root / name, root / name, name)
    return None


def _locate(root: Path, split: str) -> _Place:
    """Where the files of ``split`` are; InputError if there is no such place."""
    if place := _place_of(root, split):
        return place
    images, masks = root / "images", root / "masks"
    if others := [other for other in SPLITS if _place_of(root, other)]:
        raise InputError(
            f"{root}: no folder for the split {split!r}, though {', '.join(others)} is there: add it, or name another"
        )
    if images.is_dir():
        return _Place(images, masks)
    if _has_labelme(root):
        return _Place(root, root)
    raise InputError(
        f"{root}: found neither images/ and masks/ nor {split}/images and {split}/masks in it, nor annotations of "
        "Labelme or COCO: is data.root right?"
    )


def _has_labelme(place: Path) -> bool:
    """Whether an image in this very folder has a .json file beside it."""
    if not place.is_dir():
        return False
    try:
        names = set(os.listdir(place))
    except OSError as error:
        raise InputError(f"{place}: may not be read ({error.strerror}): change its permissions") from error
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES and f"{Path(name).stem}.json" in names for name in names)


def _everything(root: Path, split: str, template: str) -> tuple[Found, _Place]:
    """What lies where ``split`` does: this split alone, or the pairs of all splits if the data is not divided."""
    if split not in SPLITS:
        raise InputError(f"data split {split!r} is unknown to folder: choose one of {', '.join(SPLITS)}")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: data.root must hold images/ and masks/")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: may not be read: change its permissions")
    if not template and (layout := recognize(root)):
        name = split if split in layout.splits else ""
        if name not in layout.splits:
            raise InputError(f"{root}: {layout.name} without the split {split!r}: it has {', '.join(layout.splits)}")
        return layout.splits[name](), _Place(layout.images, layout.images, name)
    if template or not (files := coco_files(root)):
        place = _locate(root, split)
        return (_by_template(root, place, template) if template else _by_name(place)), place
    name = split if split in files else ""
    if name not in files:
        raise InputError(f"{root}: no annotations of the split {split!r}, which would be annotations/{split}.json")
    base, images, drawings = coco_images(root, files[name], name)
    there = [os.path.isfile(path) for path in images]
    found = Found(
        [path for path, is_there in zip(images, there) if is_there],
        [files[name]] * sum(there),
        [],
        [path for path, is_there in zip(images, there) if not is_there],
        [drawing for drawing, is_there in zip(drawings, there) if is_there],
    )
    if not images:
        raise InputError(f"{files[name]}: lists no image: export it again")
    return found, _Place(base, files[name], name)


def _images(place: _Place) -> list[Path]:
    images = [path for path in walk(place.images) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise InputError(f"{place.images}: no image in it ({', '.join(sorted(IMAGE_SUFFIXES))}): is data.root right?")
    return images


def _key(path: Path, base: Path) -> str:
    return path.relative_to(base).with_suffix("").as_posix()


def _by_name(place: _Place) -> Found:
    """Pairs of one name; a mask file goes before a Labelme file, and that before a JPEG mask."""
    images = _images(place)
    masks: dict[str, Path] = {}
    beside = [path for path in walk(place.images) if path.suffix.lower() == ".json"]
    candidates = walk(place.masks) if place.masks.is_dir() and place.masks != place.images else []
    for kind in ((*LOSSY_SUFFIXES,), (".json",), MASK_SUFFIXES):
        chosen = {path: place.masks for path in candidates if path.suffix.lower() in kind}
        if kind == (".json",):
            chosen = dict.fromkeys(beside, place.images) | chosen
        taken: dict[str, Path] = {}
        for path, base in chosen.items():
            key = _key(path, base)
            if key in taken and taken[key].parent == path.parent:
                raise InputError(f"{taken[key]} and {path.name}: two masks for one image: keep one of them")
            taken[key] = path
        masks |= taken
    keys = [_key(path, place.images) for path in images]
    used = set(keys)
    return Found(
        [path for path, key in zip(images, keys) if key in masks],
        [masks[key] for key in keys if key in masks],
        [path for path, key in zip(images, keys) if key not in masks],
        sorted(path for key, path in masks.items() if key not in used),
    )


def _by_template(root: Path, place: _Place, template: str) -> Found:
    """Pairs by `mask_template`; masks without image are the unused files that it could name."""
    fields = _fields(template)
    if "split" in fields and not place.split:
        raise InputError(f"data.mask_template {template!r} has {{split}}, and {root} is not divided: leave it out")

    def mask_of(image: Path) -> Path:
        inside = image.parent.relative_to(place.images).as_posix()
        values = {"stem": image.stem, "name": image.name, "folder": "" if inside == "." else inside}
        return root / template.format(**values, split=place.split)

    images = _images(place)
    targets = {image: mask_of(image) for image in images}
    named = Counter(targets.values())
    images = [image for image in images if image not in named]  # a mask beside its image is no image
    for image in images:
        if named[targets[image]] > 1 and os.path.exists(targets[image]):
            raise InputError(
                f"data.mask_template {template!r} names {targets[image]} for {named[targets[image]]} images, such as "
                f"{image}: add {{folder}} or {{name}} to it"
            )
    there = {image: os.path.isfile(targets[image]) for image in images}
    used = {targets[image] for image in images if there[image]}
    return Found(
        [image for image in images if there[image]],
        [targets[image] for image in images if there[image]],
        [image for image in images if not there[image]],
        [path for path in _candidates(root, place, template) if path not in used and path not in there],
    )


def _fields(template: str) -> set[str]:
    """The fields of a mask template; InputError if it cannot tell the masks of two images apart, or has others."""
    allowed = ", ".join(f"{{{name}}}" for name in _FIELDS)
    try:
        parts = [part for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"data.mask_template {template!r} is wrong ({error}): its fields are {allowed}") from error
    for _, name, spec, conversion in parts:
        if name not in _FIELDS or spec or conversion:
            raise InputError(f"data.mask_template {template!r} has the field {{{name}}}: its fields are {allowed}")
    fields = {str(part[1]) for part in parts}
    if not fields & {"stem", "name"}:
        raise InputError(f"data.mask_template {template!r} names one mask for all images: add {{stem}} or {{name}}")
    return fields


def _candidates(root: Path, place: _Place, template: str) -> list[Path]:
    """Files that a mask template could name, given an image of the right name."""
    parts = [part.replace("{split}", place.split) for part in Path(template).parts]
    fixed = next(i for i, part in enumerate(parts) if "{" in part)
    base = root.joinpath(*parts[:fixed])
    if not base.is_dir():
        return []
    pattern, path_below = "", "/".join(parts[fixed:])
    for text, name, _, _ in string.Formatter().parse(path_below):
        pattern += re.escape(text)
        pattern += {None: "", "folder": ".*", "split": ".*"}.get(name, "[^/]+")
    pattern = pattern.replace(".*/", "(?:.*/)?")
    return [path for path in walk(base) if re.fullmatch(pattern, path.relative_to(base).as_posix())]


def _part(root: Path, found: Found, place: _Place, split: str) -> Found:
    """The share of ``split`` in data that is not divided: as its list says, or by the hash of the names."""
    images = sorted([*found.images, *found.lone_images])
    keys = {path: _key(path, place.images) for path in images}
    if any(_list_file(root, other) for other in SPLITS):
        chosen = _listed(root, split, keys)
    elif split == "test":
        raise InputError(f"{place.images}: no test split in it: add images/test and masks/test, or use val")
    elif len(images) < 2:
        raise InputError(f"{place.images}: one image cannot be divided into train and val: add images")
    else:
        by_hash = sorted(images, key=lambda path: hashlib.sha256(os.fsencode(keys[path])).digest())
        held_out = set(by_hash[: max(1, round(_VAL_SHARE * len(images)))])
        chosen = {path for path in images if (path in held_out) == (split == "val")}
    kept = [i for i, path in enumerate(found.images) if path in chosen]
    return Found(
        [found.images[i] for i in kept],
        [found.masks[i] for i in kept],
        [path for path in found.lone_images if path in chosen],
        found.lone_masks if split == "train" else [],
        [found.drawings[i] for i in kept] if found.drawings else [],
    )


def _list_file(root: Path, split: str) -> Path | None:
    return next((root / f"{name}.txt" for name in SPLIT_FOLDERS[split] if (root / f"{name}.txt").is_file()), None)


def _listed(root: Path, split: str, keys: dict[Path, str]) -> set[Path]:
    """The images that the list of a split names."""
    file = _list_file(root, split)
    if file is None:
        raise InputError(f"{root / split}.txt: no such list, though other splits have theirs: add it")
    by_name: dict[str, set[Path]] = {}
    for path, key in keys.items():
        for name in (key, key + path.suffix, path.relative_to(root).as_posix(), _key(path, root)):
            by_name.setdefault(name, set()).add(path)
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}): write an image per line as UTF-8 text") from error
    names = [line.replace("\\", "/").removeprefix("./") for line in lines if line]
    if missing := [name for name in names if name not in by_name]:
        raise InputError(
            f"{file}: lists {missing[0]!r}, which is no image below {root} ({len(missing)} of {len(names)} lines): "
            "write a stem or a path per line"
        )
    if not names:
        raise InputError(f"{file}: lists no image: write a stem or a path per line")
    return set().union(*(by_name[name] for name in names))


def _lacking(root: Path, place: _Place, found: Found, template: str) -> InputError:
    """The error about images without mask, or listed images that are not there."""
    if not found.lone_images:
        missing = found.lone_masks
        return InputError(
            f"{place.masks}: lists {missing[0].name}, which is not in {missing[0].parent} ({len(missing)} of "
            f"{len(missing) + len(found.images)} images are missing): add the images or remove them from the file"
        )
    first, count = found.lone_images[0], len(found.lone_images)
    share = f"({count} of {count + len(found.images)} images lack one)"
    if template:
        return InputError(
            f"{first}: no mask where data.mask_template {template!r} has it {share}: add it or correct it"
        )
    if not place.masks.is_dir() and not found.images:
        return InputError(f"{place.masks}: no such folder, though {place.images} is there: put the masks into it")
    if not place.masks.is_dir() or place.masks == place.images:
        return InputError(f"{first}: no Labelme file (.json) beside it {share}: draw it or remove the image")
    if proposal := _proposal(root, place, found):
        example, better = proposal
        return InputError(
            f"{first}: no mask of the same stem in {place.masks} {share}: masks are named {example.name}: "
            f"try --data.mask_template '{better}'"
        )
    return InputError(f"{first}: no mask of the same stem in {place.masks} {share}: add the masks or remove the images")


def _proposal(root: Path, place: _Place, found: Found) -> tuple[Path, str] | None:
    """A lone mask and the template by which every lone image has its mask, if there is one."""
    by_folder: dict[str, list[Path]] = {}
    for mask in found.lone_masks:
        if mask.is_relative_to(place.masks):
            by_folder.setdefault(mask.parent.relative_to(place.masks).as_posix(), []).append(mask)
    folder_of = {image: image.parent.relative_to(place.images).as_posix() for image in found.lone_images}
    first = found.lone_images[0]
    lone = set(found.lone_masks)
    for mask in by_folder.get(folder_of[first], []):
        before, stem, after = mask.name.partition(first.stem)
        if stem and all(
            place.masks / folder_of[image] / f"{before}{image.stem}{after}" in lone for image in found.lone_images
        ):
            base = "/".join("{split}" if part == place.split else part for part in place.masks.relative_to(root).parts)
            inside = "{folder}/" if any(name != "." for name in folder_of.values()) else ""
            return mask, f"{base}/{inside}{before}{{stem}}{after}"
    return None


def _masks_of_all_splits(root: Path, template: str) -> list[Path]:
    """Masks of every split that is there, so that all splits agree on the classes; none if classes.yaml tells them."""
    if _classes_file(root):
        return []
    if not template and (files := coco_files(root)):
        return [*files.values()]
    masks: list[Path] = []
    for split in splits(root, template) or ["train"]:
        with suppress(InputError):  # of another split, which is reported when that is opened
            masks += _everything(root, split, template)[0].masks
    return sorted(set(masks))


def _drawn(labels: Iterable[str]) -> Labels:
    """Classes of annotations: the background, then ``labels`` in their order."""
    classes = [BACKGROUND, *(label for label in labels if label != BACKGROUND)]
    return Labels(classes, default_colours(len(classes)))


@functools.lru_cache(maxsize=2)
def _labels_found(root: Path, stamps: tuple[tuple[Path, int], ...]) -> Labels:
    """Classes found in masks; ``stamps`` (files and times of change) keep a second split from reading all again."""
    masks = [path for path, _ in stamps]
    drawings = [path for path in masks if path.suffix.lower() == ".json"]
    if len(drawings) == len(masks):
        found = {shape.label for path in drawings for shape in read_labelme(path).shapes}
        if not found - {None}:
            raise InputError(f"{root}: the Labelme files hold no labelled area: draw some, or remove the files")
        return _drawn(sorted(label for label in found if label is not None))
    if drawings:
        raise InputError(
            f"{drawings[0]}: a Labelme file among masks: list the classes in {root / 'classes.yaml'}, or use one kind"
        )
    ids, colours = np.zeros(65536, np.int64), Counter[int]()
    first: dict[str, Path] = {}
    with ThreadPoolExecutor(4) as threads:
        for path, (kind, values, counts) in zip(masks, threads.map(_contents, masks)):
            first.setdefault(kind, path)
            if kind != "colours":
                ids[values] += counts
            if kind != "ids" and len(colours) <= _MANY_COLOURS:
                packed = values * 0x010101 if kind == "grey" else values
                colours.update(dict(zip(packed.tolist(), counts.tolist())))
    if "colours" in first and "ids" in first:
        raise InputError(
            f"{first['colours']}: the mask is stored in colours, and {first['ids']} as class ids: store all one way, "
            f"or list ids and colours of the classes in {root / 'classes.yaml'}"
        )
    if "colours" in first:
        raise _unlisted_colours(root, first["colours"], colours)
    ids[IGNORE], unlabelled = 0, ids[IGNORE]
    return _from_ids(root, masks[0], np.flatnonzero(ids).tolist(), bool(unlabelled))


def _contents(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """What a mask file holds, "ids", "colours" or "grey" (colours, all of them grey): values and pixels of each."""
    values = read_values(path)
    if values.dtype != np.uint32:
        kind, counts = "ids", np.bincount(values.ravel())
    elif (grey := grey_of(values)) is not None:
        kind, counts = "grey", np.bincount(grey.ravel())
    else:
        return "colours", *np.unique(values, return_counts=True)
    present = np.flatnonzero(counts)
    return kind, present, counts[present]


def _unlisted_colours(root: Path, mask: Path, colours: Counter[int]) -> InputError:
    """The error about colour masks without classes.yaml, with the file to write."""
    start = f"{mask}: the mask is stored in colours"
    if len(colours) > _LISTED:
        many = f"more than {_MANY_COLOURS:,}" if len(colours) > _MANY_COLOURS else str(len(colours))
        return InputError(
            f"{start}, {many} in all masks: list those of the classes in {root / 'classes.yaml'} ({{name: road, "
            "colour: [128, 64, 128]}, ...), or store the masks again without smoothing"
        )
    ranked = colours.most_common()
    entries = ", ".join(f"{{name: class_{i}, colour: {[*unpack(value)]}}}" for i, (value, _) in enumerate(ranked))
    shares = ", ".join(f"{100 * count / colours.total():.2g} %" for _, count in ranked)
    return InputError(
        f"{start}: name the classes and write them into {root / 'classes.yaml'}: classes: [{entries}] "
        f"(these cover {shares} of the pixels)"
    )


def _from_ids(root: Path, mask: Path, found: list[int], unlabelled: bool) -> Labels:
    """Classes named by their ids 0, 1, 2, ...; InputError, with the remedy, for any others."""
    file = root / "classes.yaml"
    if not found:
        raise InputError(f"{root}: the masks hold no label but 255, which means none: draw some, or see whether it is")
    if found == [0] and unlabelled:
        raise InputError(
            f"{root}: the masks hold 0 and 255 alone: if these are binary masks, write {file}: "
            "classes: [{name: background, id: 0}, {name: object, id: 255}]"
        )
    listed = ", ".join(str(value) for value in found[:8]) + (", ..." if len(found) > 8 else "")
    if len(found) == 1:
        raise InputError(
            f"{root}: the masks hold the id {listed} alone{' and 255' if unlabelled else ''}, and one class cannot be "
            f"learnt: label a second one, or list the classes in {file} (classes: [name, ...])"
        )
    if found == [*range(len(found))] and len(found) <= IGNORE:
        return Labels(default_classes(len(found)), _palette(mask, len(found)))
    if len(found) > _LISTED:
        raise InputError(
            f"{root}: the masks hold {len(found)} ids ({listed}), not 0 to {len(found) - 1}: list those of the classes "
            f"in {file} ({{name: road, id: 7}}, ...), or store the masks again without smoothing"
        )
    entries = ", ".join(f"{{name: class_{value}, id: {value}}}" for value in found)
    raise InputError(
        f"{root}: the masks hold the ids {listed}, not 0 to {len(found) - 1}: name the classes and write them into "
        f"{file}: classes: [{entries}]"
    )


def _palette(mask: Path, count: int) -> list[list[int]]:
    """The mask file's own palette if it has one with distinct colours, else the default colours."""
    palette = None
    with suppress(InputError), opened(mask) as file:  # which Pillow need not read
        palette = file.getpalette() if file.mode == "P" else None
    if palette and len(palette) >= 3 * count:
        colours = [palette[3 * i : 3 * i + 3] for i in range(count)]
        if len({tuple(c) for c in colours}) == count:
            return colours
    return default_colours(count)
