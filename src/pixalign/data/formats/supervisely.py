"""Projects of Supervisely: meta.json, and data sets with images in ``img`` and a .json file for each in ``ann``.

- Data sets called train, val (valid, validation) and test are the splits; of other names they are divided together.
- Polygons, bitmaps and rectangles are areas, drawn in the file's order, later over earlier. As Supervisely does, whole
  coordinates are pixels that belong to the area: a rectangle from 2 to 4 is three pixels wide. Points, lines and key
  points have no area and are left out; so are the classes that hold nothing else. Tags are not read.
- Classes have meta.json's order and names, after the class ``background``, which is also what no area covers.

"Export as masks" (`find_masks`) gives ``img/`` and ``masks_machine/`` in the folder of each data set. There,
``obj_class_to_machine_color.json`` has the value of each class; 0 is the class ``background``. Data sets that are all
named after splits are the splits, others are taken together.
"""

import base64
import io
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pixalign.data.formats.annotations import (
    BACKGROUND,
    Drawing,
    Shape,
    class_name,
    json_keys,
    picture_size,
    polygon,
    read_json,
)
from pixalign.data.formats.files import entries, images_in, nfc, pair, unique
from pixalign.data.formats.layout import SPLITS, Found, Layout, drawn, split_of
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import MASK_SUFFIXES, Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors
from pixalign.text import first_line

_IMAGES, _MASKS, _VALUES = "img", "masks_machine", "obj_class_to_machine_color.json"
_WITH_AREA = ("polygon", "bitmap", "rectangle")
_WITHOUT_AREA = ("point", "line", "graph")


def find(root: Path) -> Layout | None:
    """Return the splits of a Supervisely project, or None; InputError if its data sets are named as splits in part."""
    meta = root / "meta.json"
    if not meta.is_file() or "classes" not in json_keys(meta) or not (sets := _data_sets(root)):
        return None
    by_split: dict[str, list[Path]] = {}
    for data_set in sets:
        by_split.setdefault(split_of(data_set.name), []).append(data_set)
    if "" in by_split and len(by_split) > 1:
        raise InputError(
            f"{by_split[''][0]}: a data set that is no split, though {', '.join(filter(None, by_split))} is there: "
            "call it train, val or test, or move it away"
        )
    splits = {split: partial(_found, sets) for split, sets in by_split.items()}
    return Layout("Supervisely project", splits, root, partial(_labels, meta), meta.name)


def read_annotation(path: Path) -> Drawing:
    """Read the file of an image; InputError if it is none of Supervisely's, or has an object that cannot be drawn."""
    content = read_json(path)
    size, objects = content.get("size"), content.get("objects")
    if not isinstance(size, dict) or not isinstance(objects, list):
        raise InputError(f"{path}: is not a Supervisely file (it has no size or objects): export it again")
    height_width = picture_size(size.get("height"), size.get("width"), str(path))
    shapes = [_shape(entry, height_width, f"{path}: object {i}") for i, entry in enumerate(objects)]
    return Drawing(height_width, [shape for shape in shapes if shape])


def _data_sets(root: Path) -> list[Path]:
    """Folders that hold img and ann, also inside a data set's folder datasets."""
    sets = []
    for folder in entries(root)[0]:
        sets += [folder] if (folder / "img").is_dir() and (folder / "ann").is_dir() else []
        sets += _data_sets(folder / "datasets") if (folder / "datasets").is_dir() else []
    return sets


def _labels(meta: Path) -> Labels:
    """The classes that meta.json lists, apart from those without area."""
    listed = read_json(meta)["classes"]
    for entry in listed if isinstance(listed, list) else [None]:
        if not isinstance(entry, dict) or not isinstance(entry.get("title"), str) or not class_name(entry["title"]):
            raise InputError(f"{meta}: the class {entry!r} has no title: export the project again")
    names = [class_name(entry["title"]) for entry in listed if entry.get("shape") not in _WITHOUT_AREA]
    if len(set(names)) != len(names):
        raise InputError(f"{meta}: a class's title occurs twice in {names}: give each its own")
    return drawn(names, meta)


def _found(sets: Sequence[Path]) -> Found:
    found = Found([], [], [], [])
    for data_set in sets:
        annotations = {path for path in walk(data_set / "ann") if path.suffix == ".json"}
        for image in walk(data_set / "img", IMAGE_SUFFIXES):
            base = data_set / "ann" / image.relative_to(data_set / "img")
            names = (base.with_name(f"{base.name}.json"), base.with_suffix(".json"))
            file = next((path for path in names if path in annotations), None)
            if file is None:
                found.lone_images.append(image)
                continue
            annotations.remove(file)
            found.images.append(image)
            found.masks.append(file)
            found.drawings.append(partial(read_annotation, file))
        found.lone_masks += sorted(annotations)
    if not found.images:
        raise InputError(f"{sets[0]}: no image in img that has its file in ann: is data.root right?")
    return found


def _shape(entry: Any, size: tuple[int, int], what: str) -> Shape | None:
    """An object of the file, or None if it has no area."""
    if not isinstance(entry, dict) or not isinstance(entry.get("classTitle"), str):
        raise InputError(f"{what} has no classTitle: export the file again")
    label = class_name(entry["classTitle"])
    what = f"{what} ({label})"
    kind = entry.get("geometryType") or ("bitmap" if entry.get("bitmap") else "polygon")
    if kind in _WITHOUT_AREA:
        return None
    if kind not in _WITH_AREA:
        raise InputError(f"{what} is of the type {kind}, which is not read: areas are {', '.join(_WITH_AREA)}")
    if kind == "bitmap":
        return Shape(label, crop=_bitmap(entry.get("bitmap"), what))
    points = entry["points"] if isinstance(entry.get("points"), dict) else {}
    rings = [polygon(points.get("exterior"), what)]
    holes = points.get("interior") or []
    rings += [polygon(ring, what) for ring in holes] if isinstance(holes, list) else [polygon(holes, what)]
    if len(rings[0]) < (2 if kind == "rectangle" else 3) or any(len(ring) < 3 for ring in rings[1:]):
        raise InputError(f"{what} is a {kind} of {len(rings[0])} points: draw it again or remove it")
    return Shape(label, crop=_filled(kind, rings, size))


def _filled(kind: str, rings: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """The pixels that a rectangle or polygon touches, without those that its holes do, as `Shape.crop`."""
    whole = [np.floor(ring).astype(int) for ring in rings]
    left, top = np.clip(whole[0].min(0), 0, size[::-1]).tolist()
    right, bottom = np.clip(whole[0].max(0) + 1, (left, top), size[::-1]).tolist()
    canvas = Image.new("1", (right - left, bottom - top), kind == "rectangle")
    if kind == "polygon" and canvas.width and canvas.height:
        draw = ImageDraw.Draw(canvas)
        for i, ring in enumerate(whole):
            draw.polygon([(x - left, y - top) for x, y in ring.tolist()], fill=i == 0, outline=i == 0)
    return (top, left), np.asarray(canvas)


def _bitmap(bitmap: Any, what: str) -> tuple[tuple[int, int], np.ndarray]:
    """A bitmap (base64 of a zlib stream of a PNG) at its origin x, y, as `Shape.crop`."""
    try:
        data = zlib.decompress(base64.b64decode(bitmap["data"], validate=True))
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            bands = np.asarray(image.convert("RGBA"))
            inside = (bands[..., 3] if image.has_transparency_data else bands[..., :3].max(-1)) > 0
        left, top = (int(v) for v in bitmap["origin"])
    except (TypeError, KeyError, OSError, ValueError, SyntaxError, zlib.error) as error:
        raise InputError(f"{what} is a bitmap that cannot be read ({first_line(error)}): export it again") from error
    return (top, left), inside


# Export as masks ------------------------------------------------------------------------------------------------------


def find_masks(root: Path) -> Layout | None:
    """Return the layout of a project's folder, or of a data set's, that has masks_machine/."""
    sets = [path for path in (root, *entries(root)[0]) if (path / _MASKS).is_dir() and (path / _IMAGES).is_dir()]
    if not sets:
        return None
    file = next((path / _VALUES for path in (root, *sets) if (path / _VALUES).is_file()), None)
    by_split: dict[str, list[Path]] = {}
    for path in sets:
        by_split.setdefault("" if path == root else split_of(path.name), []).append(path)
    if len(by_split) > 1 and "" in by_split:
        raise InputError(f"{by_split[''][0]}: no split's name, though others have one: name it train, val or test")
    splits = {split: partial(_mask_pairs, root, by_split[split]) for split in ("", *SPLITS) if split in by_split}
    labels = partial(_mask_labels, file) if file else None
    return Layout("Supervisely machine masks", splits, root, labels, _VALUES * bool(file))


def _mask_pairs(root: Path, sets: Sequence[Path]) -> Found:
    images: dict[Path, str] = {}
    masks: dict[Path, str] = {}
    for path in sets:
        names = {nfc(image.name) for image in images_in(path / _IMAGES)}
        images |= {image: f"{path.name}/{nfc(image.stem)}" for image in images_in(path / _IMAGES)}
        for mask in walk(path / _MASKS, MASK_SUFFIXES):
            whole = nfc(mask.stem)  # x.png or x.jpg.png
            masks[mask] = f"{path.name}/{Path(whole).stem if whole in names else whole}"
    base = sets[0] if len(sets) == 1 else root
    return pair(images, masks, folders=(base / _IMAGES, base / _MASKS) if base in sets else (root, root))


def _mask_labels(file: Path) -> Labels:
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
    remedy = f"export again, so that {_VALUES} has it, or list the classes in classes.yaml"
    return Labels(names, default_colors(len(names)), ids, remedy=remedy)
