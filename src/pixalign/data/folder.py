"""Any folder of images and masks: no registration, no code.

Where the files are
-------------------
``images/...`` and ``masks/...`` may hold sub-folders. One of:

- ``root/images/...`` and ``root/masks/...``, divided by ``root/train.txt``, ``root/val.txt`` and ``root/test.txt`` if
  they are there (an image per line: its stem, or its path below ``root`` or ``images/``, with or without suffix), else
  deterministically: about a fifth is for validation, by a hash of the name, and there is no test split. Images that
  belong together by their names, such as both eyes of a patient or frames of a video, stay on one side
  (`pixalign.data.groups`);
- ``root/images/train/...``, ``root/masks/train/...`` and the same with ``val`` (and ``test``);
- ``root/train/images/...``, ``root/train/masks/...`` and the same with ``val`` (and ``test``);
- ``root/train/...``, ``root/train_masks/...`` or ``root/train_images/...``, ``root/train_masks/...``, and so on;
- ``x.jpg`` and ``x_mask.png`` (or another of `pixalign.data.formats.plain.MARKS`) in one folder, if every image there
  has its mask; else the error proposes a ``mask_template``.

Other usual names are known in any case: ``img``, ``imgs``, ``img_dir`` and so on for images, ``labels``,
``annotations``, ``ann_dir``, ``gt`` and so on for masks (`pixalign.data.formats.plain`), ``valid``, ``validation``,
``training`` and ``testing`` for splits. Two that could both be meant, such as ``masks`` and ``labels`` with pictures,
are an error. What tools write is recognized as theirs (`pixalign.data.formats.recognize`): CVAT, PASCAL VOC, Roboflow,
PaddleSeg, Supervisely, COCO, FiftyOne, Label Studio, YOLO. `describe` says what a folder was taken for, as ``pixalign
data check`` and training do.

Hidden files and folders (.name) and a Mac's ``__MACOSX`` are left out; links to folders are followed. Images are JPEG,
PNG, WebP, TIFF, BMP or GIF (`pixalign.data.images.read_image`).

Which mask belongs to which image: the one of the same path below ``masks/``, apart from the suffix and the form of
Unicode (archives made on a Mac hold names decomposed). Upper and lower case count; a mask of two images and an image of
two masks are errors. Other names are told by ``mask_template``, a path below ``root`` with the fields ``{stem}`` (the
image's file name without suffix), ``{name}`` (with suffix), ``{folder}`` (its folder below ``images/``, may be empty)
and ``{split}`` (the split's folder). Images and splits stay those of the layout::

    --data.mask_template 'masks/{folder}/{stem}_mask.png'

Files in ``images/`` that the template names as masks of others are masks, so both may lie side by side.

What a mask file may hold
-------------------------
PNG, BMP, TIFF, GIF or lossless WebP of the image's size, of one page or frame:

- gray of 1, 2, 4, 8 or 16 bits, or a palette: class ids (of a palette the index), 255 = no label. TIFF files also as
  other whole numbers of 0 to 65535; what counts is the stored value, whether the file shows 0 as black or as white;
- RGB, or RGBA that is opaque throughout: a color per class, which classes.yaml must list;
- RGB that is gray in every pixel, where the classes have no colors: class ids.

JPEG, JPEG 2000, AVIF and lossy WebP are refused: their labels are not exact any more. A mask with an EXIF orientation
is turned by it, as images are.

Annotations in place of masks: Labelme files (``.json`` beside each image, then also without ``images/`` and ``masks/``
folders; or in ``masks/``; see `pixalign.data.formats.labelme`), COCO files where there is no ``masks/`` folder (see
`pixalign.data.formats.coco`), and those of YOLO, Supervisely and Label Studio (see `pixalign.data.formats`). What they
leave uncovered is the class ``background``.

classes.yaml
------------
``root/classes.yaml`` lists the classes in the order of their ids, as names or as entries of these keys::

    classes:
    - name: road
      ids: [7, 8]                                  # in gray and palette masks; `id: 7` for one
      colors: [[128, 64, 128], [244, 35, 232]]    # in color masks
      color: [128, 64, 128]                       # to draw it in; without `colors` also the one in color masks
    - {name: car, id: 26, colors: [[0, 0, 142]]}
    ignore: [0, 1, [0, 0, 0]]                      # ids and colors that mean "no label"

- Several ids or colors of a class are merged into it. If one class has ids, all must; without any, the ids in the
  masks are the positions in the list, from 0.
- 255 means "no label" unless a class claims it, as in binary masks: ``- {name: background, id: 0}`` and
  ``- {name: object, id: 255}``.
- If classes have ``colors`` and none has ids, gray and palette masks are decoded by their colors, too.
- With annotations, the names choose the labels and their order; pixels without annotation have no label if there
  is no class ``background``.

Without classes.yaml the classes are those of the tool's own list (labelmap.txt, _classes.csv and so on; class_dict.csv
and labelmap.txt also beside ``images/``), else the ids found in the masks of all splits, which must be 0, 1, 2, ...
without a gap, named class_0 and so on, in the colors of the masks' palette; or the labels of the annotations, after
``background``.
"""

import functools
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from pixalign.data.formats import plain
from pixalign.data.formats.files import entries, images_in, key_of, lists_of_splits, nfc, read_lines
from pixalign.data.formats.labelme import read_labelme
from pixalign.data.formats.lacking import lacking, unknown
from pixalign.data.formats.layout import SPLITS, Found, Layout, drawn
from pixalign.data.formats.recognize import recognize
from pixalign.data.formats.template import by_template
from pixalign.data.groups import held_out
from pixalign.data.images import opened
from pixalign.data.mask_values import proposed_ids
from pixalign.data.masks import Labels, gray_of, labels_from_yaml, read_values, unpack
from pixalign.data.pairs import Pairs
from pixalign.data.samples import in_threads, require_two_classes
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_classes, default_colors

_LISTED = 12
_MANY_COLORS = 4096


def folder(root: str | Path, split: str, mask_template: str = "", channels: int = 3, groups: str = "") -> Pairs:
    """Return a split (train, val or test) of a folder; layouts and formats are those of this module's text.

    Args:
        root: the folder.
        split: train, val or test.
        mask_template: where the mask of an image is, below ``root``; empty for the image's own name in masks/.
        channels: bands of the images, as `pixalign.data.images.read_image` takes it.
        groups: which images of data that is not divided belong together, as `pixalign.data.groups` reads it.

    Raises:
        InputError: an unknown split, a missing or empty folder, an image without mask, classes that cannot be told,
            groups of data that is divided or that cannot be used.
    """
    root = Path(root)
    found, name, divided = _everything(root, split, mask_template)
    if found.lone_images or (found.lone_masks and (found.drawings or not found.images)):
        raise lacking(root, found, name, divided, mask_template)
    found = _part(root, found, split, divided, groups)
    labels = known_labels(root, mask_template) or labels_in(root, _masks_of_all_splits(root, mask_template))
    require_two_classes(labels.classes, str(root))
    return Pairs(f"{root.resolve().name}/{split}", found.images, found.masks, labels, channels, found.drawings)


def splits(root: str | Path, mask_template: str = "") -> list[str]:
    """Return which of train, val and test are there, as folders, lists or annotations; [] if all is one."""
    root = Path(root)
    if mask_template and (divided := plain.image_splits(root)):
        return divided
    layout = _layout(root, mask_template)
    if layout and "" not in layout.splits:
        return [split for split in SPLITS if split in layout.splits]
    return [*lists_of_splits(entries(root)[1])]


def find(root: str | Path, split: str, mask_template: str = "", groups: str = "") -> Found:
    """Return the pairs of a split, and what has no partner.

    Of data that is not divided, an image without mask belongs to the split that its name gives, as if it had one, and
    a mask without image to train. With COCO no image is without mask: unlisted images do not belong to the data.

    Raises:
        InputError: no such folder or split, no image in it, two masks for one image, a template or groups that cannot
            be used.
    """
    root = Path(root)
    found, _, divided = _everything(root, split, mask_template)
    return _part(root, found, split, divided, groups)


def known_labels(root: str | Path, mask_template: str = "") -> Labels | None:
    """Return the classes if they can be told without a look at the masks: from classes.yaml, or a tool's own files.

    With a mask template, a tool's classes count where its masks are the ones that the template names. InputError if
    classes.yaml or the tool's file is wrong.
    """
    root = Path(root)
    if file := _classes_file(root):
        return labels_from_yaml(file)
    layout = _layout(root, mask_template)
    if not layout or not layout.labels:
        return None
    if mask_template:
        own: set[Path] = set()
        for pairs in layout.splits.values():
            with suppress(InputError):
                own |= set(pairs().masks)
        if not own.issuperset(_masks_of_all_splits(root, mask_template)):
            return None
    return layout.labels()


def labels_in(root: str | Path, masks: Sequence[Path]) -> Labels:
    """Return the classes that the masks of all splits hold; InputError, with the remedy, if they cannot be told."""
    root = Path(root)
    if not masks:
        raise InputError(f"{root}: no mask to find the classes in: list them in {root / 'classes.yaml'}")
    stamps = tuple((path, path.stat().st_mtime_ns if path.exists() else 0) for path in masks)
    return _labels_found(root, stamps)


def describe(root: str | Path, mask_template: str = "", groups: str = "") -> str:
    """Return what a folder is, as "Roboflow semantic masks: 3 splits, 4 classes from ..."; InputError if unknown.

    Where it is not divided, and groups of images are kept together when it is, it says which.
    """
    root = Path(root)
    layout = _layout(root, mask_template)
    if not layout and not mask_template:
        raise unknown(root)
    name = f"masks by the template {mask_template}" if mask_template or not layout else layout.name
    count = len(splits(root, mask_template))
    division = f"{count} split{'s' * (count > 1)}" if count else f"not divided{_grouping(root, mask_template, groups)}"
    classes = "classes from the masks"
    with suppress(InputError):  # of a wrong file, which is reported when the classes are needed
        if labels := known_labels(root, mask_template):
            file = _classes_file(root)
            source = file.name if file else layout.classes_from if layout else ""
            many = len(labels.classes)
            classes = f"{many} class{'es' * (many > 1)}" + f" from {source}" * bool(source)
    return f"{name}: {division}, {classes}"


def _classes_file(root: Path) -> Path | None:
    return next((file for file in (root / "classes.yaml", root / "classes.yml") if file.is_file()), None)


def _layout(root: Path, template: str) -> Layout | None:
    """The layout of a folder; with a template, none rather than an error, since only parts of it are asked for."""
    if not template:
        return recognize(root) or plain.without_masks(root)
    with suppress(InputError):
        return recognize(root)
    return None


def _everything(root: Path, split: str, template: str) -> tuple[Found, str, str]:
    """What lies where ``split`` does, the layout's name, and the split's folder (or name).

    The last is "" if the data is not divided: then the pairs are those of all splits.
    """
    if split not in SPLITS:
        raise InputError(f"data split {split!r} is unknown to folder: choose one of {', '.join(SPLITS)}")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: data.root must hold images/ and masks/")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: permission denied: change its permissions")
    layout = _layout(root, template)
    if template:
        return _by_template(root, split, template, layout)
    if layout is None:
        raise unknown(root)
    name = split if split in layout.splits else ""
    if name not in layout.splits:
        there = ", ".join(layout.splits)
        raise InputError(f"{root}: no folder or file of the split {split!r}, though {there} is there ({layout.name})")
    found = layout.splits[name]()
    found.folders = found.folders or (layout.images, layout.images)
    return found, layout.name, name


def _by_template(root: Path, split: str, template: str, layout: Layout | None) -> tuple[Found, str, str]:
    """The pairs of a template; of a layout that is known, the images and splits stay the same."""
    place = plain.image_place(root, split)
    name = layout.name if layout else ""
    if layout and not (place and place.split) and "" not in layout.splits:
        if split not in layout.splits:
            raise InputError(f"{root}: no split {split!r}: {layout.name} has {', '.join(layout.splits)}")
        found = layout.splits[split]()
        base = place.images if place else found.folders[0] if found.folders else layout.images
        return by_template(root, sorted([*found.images, *found.lone_images]), base, "", template), name, split
    if place is None:
        if not layout or "" not in layout.splits:
            raise unknown(root)
        place = plain.Place(layout.images, root)
    found = by_template(root, images_in(place.images), place.images, place.split, template)
    return found, name, place.split


def _part(root: Path, found: Found, split: str, divided: str, groups: str) -> Found:
    """The share of ``split`` in data that is not ``divided``: as its list says, or by the names."""
    lists = lists_of_splits(entries(root)[1])
    if groups and (divided or lists):
        raise InputError(f"data.groups is {groups!r}, and {root} is divided already: leave it out")
    if divided:
        return found
    keys = _keys(root, found)
    if lists:
        chosen = _listed(root, split, lists.get(split), keys)
    elif split == "test":
        raise InputError(f"{_base(found)}: no test split in it: add images/test and masks/test, or use val")
    elif len(keys) < 2:
        raise InputError(f"{_base(found)}: one image cannot be divided into train and val: add images")
    else:
        held, _ = held_out([*keys.values()], groups)
        chosen = {path for i, path in enumerate(keys) if (i in held) == (split == "val")}
    kept = [i for i, path in enumerate(found.images) if path in chosen]
    return Found(
        [found.images[i] for i in kept],
        [found.masks[i] for i in kept],
        [path for path in found.lone_images if path in chosen],
        found.lone_masks if split == "train" else [],
        [found.drawings[i] for i in kept] if found.drawings else [],
        found.folders,
    )


def _grouping(root: Path, template: str, groups: str) -> str:
    """Which groups are kept together where data is divided by the names, as " (val: ...)"; "" without groups."""
    with suppress(InputError):  # which is reported when the data is opened
        keys = _keys(root, _everything(root, "train", template)[0])
        if len(keys) > 1 and (said := held_out([*keys.values()], groups)[1]):
            return f" ({said})"
    return ""


def _base(found: Found) -> Path:
    """The folder below which the names of the images divide them."""
    assert found.folders
    return found.folders[0]


def _keys(root: Path, found: Found) -> dict[Path, str]:
    """The names that images are divided by, in the order of their paths."""
    base = _base(found)
    images = sorted([*found.images, *found.lone_images])
    return {path: key_of(path, base) if path.is_relative_to(base) else key_of(path, root) for path in images}


def _listed(root: Path, split: str, file: Path | None, keys: dict[Path, str]) -> set[Path]:
    """The images that the list of a split names."""
    if file is None:
        raise InputError(f"{root / split}.txt: no such list, though other splits have theirs: add it")
    by_name: dict[str, set[Path]] = {}
    for path, key in keys.items():
        for name in (key, key + path.suffix, nfc(path.relative_to(root).as_posix()), key_of(path, root)):
            by_name.setdefault(name, set()).add(path)
    names = [nfc(line.replace("\\", "/").removeprefix("./")) for line in read_lines(file) if line]
    if missing := [name for name in names if name not in by_name]:
        raise InputError(
            f"{file}: lists {missing[0]!r}, which is not an image below {root} ({len(missing)} of {len(names)} lines): "
            "write a stem or a path per line"
        )
    if not names:
        raise InputError(f"{file}: lists no image: write a stem or a path per line")
    return set().union(*(by_name[name] for name in names))


def _masks_of_all_splits(root: Path, template: str) -> list[Path]:
    """Masks of every split that is there, so that all splits agree on the classes."""
    masks: list[Path] = []
    for split in splits(root, template) or ["train"]:
        with suppress(InputError):  # of another split, which is reported when that is opened
            masks += _everything(root, split, template)[0].masks
    return sorted(set(masks))


@functools.lru_cache(maxsize=2)
def _labels_found(root: Path, stamps: tuple[tuple[Path, int], ...]) -> Labels:
    """Classes found in masks; ``stamps`` (files and times of change) keep a second split from reading all again."""
    masks = [path for path, _ in stamps]
    drawings = [path for path in masks if path.suffix.lower() == ".json"]
    if len(drawings) == len(masks):
        found = {shape.label for path in drawings for shape in read_labelme(path).shapes}
        if not found - {None}:
            raise InputError(f"{root}: the Labelme files hold no labeled area: draw some, or remove the files")
        return drawn(sorted(label for label in found if label is not None), root)
    if drawings:
        raise InputError(
            f"{drawings[0]}: a Labelme file among masks: list the classes in {root / 'classes.yaml'}, or use one kind"
        )
    ids, colors = np.zeros(65536, np.int64), Counter[int]()
    first: dict[str, Path] = {}
    for path, (kind, values, counts) in zip(masks, in_threads(lambda i: _contents(masks[i]), len(masks))):
        first.setdefault(kind, path)
        if kind != "colors":
            ids[values] += counts
        if kind != "ids" and len(colors) <= _MANY_COLORS:
            packed = values * 0x010101 if kind == "gray" else values
            colors.update(dict(zip(packed.tolist(), counts.tolist())))
    if "colors" in first and "ids" in first:
        raise InputError(
            f"{first['colors']}: the mask is stored in colors, and {first['ids']} as class ids: store all one way, "
            f"or list ids and colors of the classes in {root / 'classes.yaml'}"
        )
    if "colors" in first:
        raise _unlisted_colors(root, first["colors"], colors)
    ids[IGNORE], unlabeled = 0, ids[IGNORE]
    return _from_ids(root, masks[0], np.flatnonzero(ids).tolist(), bool(unlabeled))


def _contents(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """What a mask file holds, "ids", "colors" or "gray" (colors, all of them gray): values and pixels of each."""
    values = read_values(path)
    gray = gray_of(values) if values.dtype == np.uint32 else None
    if values.dtype == np.uint32 and gray is None:
        return "colors", *np.unique(values, return_counts=True)
    kind, counts = ("ids", np.bincount(values.ravel())) if gray is None else ("gray", np.bincount(gray.ravel()))
    present = np.flatnonzero(counts)
    return kind, present, counts[present]


def _unlisted_colors(root: Path, mask: Path, colors: Counter[int]) -> InputError:
    """The error about color masks without classes.yaml, with the file to write."""
    start = f"{mask}: the mask is stored in colors"
    if len(colors) > _LISTED:
        many = f"more than {_MANY_COLORS:,}" if len(colors) > _MANY_COLORS else str(len(colors))
        return InputError(
            f"{start}, {many} in all masks: list those of the classes in {root / 'classes.yaml'} ({{name: road, "
            "color: [128, 64, 128]}, ...), or store the masks again without smoothing"
        )
    ranked = colors.most_common()
    entries = ", ".join(f"{{name: class_{i}, color: {[*unpack(value)]}}}" for i, (value, _) in enumerate(ranked))
    shares = ", ".join(f"{100 * count / colors.total():.2g} %" for _, count in ranked)
    return InputError(
        f"{start}: name the classes and write them into {root / 'classes.yaml'}: classes: [{entries}] "
        f"(these cover {shares} of the pixels)"
    )


def _from_ids(root: Path, mask: Path, found: list[int], unlabeled: bool) -> Labels:
    """Classes named by their ids 0, 1, 2, ...; InputError, with the remedy, for any others."""
    file = root / "classes.yaml"
    if not found:
        raise InputError(f"{root}: the masks hold no label but 255, which means none: draw some, or see whether it is")
    listed = ", ".join(str(value) for value in found[:8]) + (", ..." if len(found) > 8 else "")
    if len(found) == 1 and not unlabeled:
        raise InputError(
            f"{root}: the masks hold the id {listed} alone, and one class cannot be learned: label a second one, or "
            f"list the classes in {file} (classes: [name, ...])"
        )
    if found == [*range(len(found))] and 1 < len(found) <= IGNORE:
        return Labels(default_classes(len(found)), _palette(mask, len(found)))
    if len(found) > _LISTED:
        raise InputError(
            f"{root}: the masks hold {len(found)} ids ({listed}), not 0 to {len(found) - 1}: list those of the classes "
            f"in {file} ({{name: road, id: 7}}, ...), or store the masks again without smoothing"
        )
    chosen, looks, note = proposed_ids(sorted([*found, IGNORE]) if unlabeled else found)
    names = ["background", "object"] if found == [0] else [f"class_{value}" for value in chosen]
    entries = ", ".join(f"{{name: {name}, id: {value}}}" for name, value in zip(names, chosen))
    ids = f"the ids {listed}{' and 255' if unlabeled else ''}" if len(found) > 1 else f"{listed} and 255 alone"
    looks += f" ({note})" if note else ""
    raise InputError(f"{root}: the masks hold {ids}: {looks}: write {file}: classes: [{entries}]")


def _palette(mask: Path, count: int) -> list[list[int]]:
    """The mask file's own palette if it has one with distinct colors, else the default colors."""
    palette = None
    with suppress(InputError), opened(mask) as file:  # which Pillow need not read
        palette = file.getpalette() if file.mode == "P" else None
    colors = [palette[3 * i : 3 * i + 3] for i in range(count)] if palette and len(palette) >= 3 * count else []
    if len({tuple(color) for color in colors}) == count:
        return colors
    return default_colors(count)
