"""Mask files and the classes that their values mean: ids, palettes, colors, binary masks, Labelme files."""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pixalign.data import tiff as tags
from pixalign.data.formats.labelme import read_labelme
from pixalign.data.images import opened, stored_kind
from pixalign.data.tiff import Tiff, opened_bands, tiff_of, upright
from pixalign.errors import InputError, naming
from pixalign.palette import IGNORE, default_colors
from pixalign.text import first_line

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")
_LOSSY_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "JPEG"),
    **dict.fromkeys((".jp2", ".j2k"), "JPEG 2000"),
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    ".avif": "AVIF",
}
LOSSY_SUFFIXES = tuple(_LOSSY_KINDS)

_LOSSY = "has lost its exact labels: store masks as PNG"
_LOSSY_FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "AVIF": "AVIF"}
_ONE_PAGE = "store one picture of class ids in its place, or the one that holds the labels alone"
_TRANSPARENT = "transparent pixels, which have no known label: store it without an alpha channel"
_KEYS = ("name", "id", "ids", "color", "colors")
_FORM = "write `classes: [road, car]`, or a list of `{name: road, color: [128, 64, 128]}`, in the order of the ids"
_SCALED = {"L;2": 85, "L;4": 17}  # Pillow stretches gray of 2 and 4 bits to 0..255


@dataclass(frozen=True)
class Labels:
    """How the values of mask files become class ids.

    Attributes:
        classes: class names; ids are their positions. At most 255.
        colors: the color to draw each class in, RGB 0 to 255.
        ids: values of gray, palette and 1-bit masks (0 to 65535) -> class id, or 255 for "no label". None: the class
            ids themselves and 255. Empty: the classes are told by color alone, and every file is read as RGB.
        mask_colors: (red, green, blue) in color masks -> class id, or 255 for "no label". Empty: color masks are
            refused, unless they are gray in every pixel (red = green = blue): then that value is an id.
        remedy: what to do about values that mean no class, where classes.yaml is not the place to say it.
    """

    classes: list[str]
    colors: list[list[int]]
    ids: dict[int, int] | None = None
    mask_colors: dict[tuple[int, int, int], int] = field(default_factory=dict)
    remedy: str = field(default="", repr=False)

    def decode(self, path: Path) -> tuple[np.ndarray, dict[str, int]]:
        """Read a mask file.

        Returns:
            Class ids (H, W) uint8, 255 for "no label"; and the values that mean no class, most frequent first, as text
            ("37", "(1, 2, 3)", in Labelme files the label) -> pixels. Those pixels are 255 in the ids.

        Raises:
            InputError: a file that cannot be read, is lossy, or is of a kind that does not go with the classes.
        """
        if path.suffix.lower() == ".json":
            return read_labelme(path).draw(self.classes)
        values = read_values(path, as_colors=self.ids == {}, gray_as_ids=not self.mask_colors)
        if values.dtype != np.uint32:
            table = _table(tuple(self.id_table().items()), 1 << 16)
        elif self.mask_colors:
            table = _table(tuple((pack(color), index) for color, index in self.mask_colors.items()), 1 << 24)
        else:
            raise InputError(
                f"{path}: the mask is stored in colors, and the classes have none: give each class its color in "
                "classes.yaml ({name: ..., color: [r, g, b]}), or store class ids, one 8-bit value per pixel"
            )
        found = np.take(table, values)
        unknown = sorted(value_counts(values[found == 0]).items(), key=lambda item: -item[1])
        return (found - 1).astype(np.uint8), dict(unknown)  # 0 - 1 and 256 - 1 both become 255

    def id_table(self) -> dict[int, int]:
        """Return what `ids` stands for: value -> class id or 255."""
        return plain_ids(len(self.classes)) if self.ids is None else self.ids


def plain_ids(count: int) -> dict[int, int]:
    """Return the table of masks that hold the ids of ``count`` classes themselves, and 255 for "no label"."""
    return {**{i: i for i in range(count)}, IGNORE: IGNORE}


def labels_from_yaml(file: Path) -> Labels:
    """Read classes.yaml, whose form `pixalign.data.folder` describes.

    InputError if it is no YAML, has unknown keys, an id, color or name that is none or occurs twice, or fewer than two
    classes.
    """
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        mark, reason = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f"line {mark.line + 1}: {reason}" if mark and reason else " ".join(str(error).split())
        raise InputError(f"{file}: not valid YAML ({line}): {_FORM}") from error
    if not isinstance(content, dict):
        content = {"classes": content}
    entries, ignore = content.get("classes"), content.get("ignore", [])
    if not isinstance(entries, list) or not 1 <= len(entries) <= IGNORE:
        count = f", but {len(entries)} entries" if isinstance(entries, list) else ""
        raise InputError(f"{file}: no list of 1 to {IGNORE} classes in it{count}: {_FORM}")
    if unknown := [key for key in content if key not in ("classes", "ignore")]:
        raise InputError(f"{file}: the key {unknown[0]!r} is unknown: the keys are classes and ignore")
    classes = [_entry(file, i, entry) for i, entry in enumerate(entries)]
    names = [entry["name"] for entry in classes]
    if len(set(names)) != len(names):
        raise InputError(f"{file}: a class name occurs twice in {names}: give each class its own name")
    owners: dict[Any, str] = {}
    drawn: dict[Any, str] = {}
    meaning: dict[Any, int] = {}  # of ids and colors
    with_ids = any("ids" in entry for entry in classes)
    by_color = not with_ids and any("colors" in entry for entry in classes)
    for index, entry in enumerate(classes):
        name = entry["name"]
        if with_ids and "ids" not in entry:
            raise InputError(f"{file}: class {name!r} has no ids, though others have: give each class its id or ids")
        if by_color and not {"color", "colors"} & set(entry):
            raise InputError(f"{file}: class {name!r} has no colors, though others have: give each class its colors")
        own = [entry["color"]] if "color" in entry else []
        for color in own:
            _claim(file, drawn, color, name)
        for value in (*entry.get("ids", [] if by_color else [index]), *entry.get("colors", own)):
            _claim(file, owners, value, name)
            meaning[value] = index
    if not isinstance(ignore, list):
        raise InputError(f"{file}: ignore is {ignore!r}: write a list of ids or colors, such as [0, [0, 0, 0]]")
    for value in ignore:
        if by_color and not isinstance(value, list):
            raise InputError(f"{file}: ignore holds {value!r}, but the classes are given by colors: write [r, g, b]")
        value = (_color if isinstance(value, list) else _id)(file, "ignore", value)
        _claim(file, owners, value, "ignore")
        meaning[value] = IGNORE
    if len(classes) == 1:
        both = _with_background(classes[0], ignore)
        raise InputError(f"{file}: one class cannot be learned: list everything else as a class, too: {both}")
    ids = {value: index for value, index in meaning.items() if isinstance(value, int)}
    if not by_color:
        ids.setdefault(IGNORE, IGNORE)
    colors = [
        list(entry.get("color") or entry.get("colors", [default])[0])
        for entry, default in zip(classes, default_colors(len(classes)))
    ]
    mask_colors = {value: index for value, index in meaning.items() if not isinstance(value, int)}
    return Labels(names, colors, None if ids == plain_ids(len(classes)) else ids, mask_colors)


def _with_background(entry: dict[str, Any], ignore: list[Any]) -> str:
    """The text of a classes.yaml of two classes, the only one listed and its background."""
    name = json.dumps(entry["name"], ensure_ascii=False) if not entry["name"].isidentifier() else entry["name"]
    other = "object" if name == "background" else "background"
    if "ids" in entry:
        ids = [value for value in ignore if isinstance(value, int)] or [255 if 0 in entry["ids"] else 0]
        return f"classes: [{{name: {other}, ids: {ids}}}, {{name: {name}, ids: {entry['ids']}}}]"
    if "colors" in entry or "color" in entry:
        own = [list(color) for color in entry.get("colors", [entry.get("color")])]
        rest = [value for value in ignore if isinstance(value, list)]
        rest = rest or [[255, 255, 255] if [0, 0, 0] in own else [0, 0, 0]]
        return f"classes: [{{name: {other}, colors: {rest}}}, {{name: {name}, colors: {own}}}]"
    return f"classes: [{', '.join([name, other] if other == 'object' else [other, name])}]"


def _entry(file: Path, index: int, entry: Any) -> dict[str, Any]:
    """An entry of classes.yaml as a dictionary: name, and where given ids, colors (tuples) and color (a tuple)."""
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict) or "name" not in entry:
        raise InputError(f"{file}: entry {index} is {entry!r}: {_FORM}")
    name = entry["name"]
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise InputError(f"{file}: entry {index} has the name {name!r}: write it in quotes")
    for british, key in (("colour", "color"), ("colours", "colors")):
        if british in entry and key in entry:
            raise InputError(f"{file}: class {name!r} has {british} and {key}: leave one out")
        entry = {key if each == british else each: value for each, value in entry.items()}
    if unknown := [key for key in entry if key not in _KEYS]:
        raise InputError(f"{file}: class {name!r} has the unknown key {unknown[0]!r}: the keys are {', '.join(_KEYS)}")
    read: dict[str, Any] = {"name": str(name)}
    where = f"class {str(name)!r}"
    if "id" in entry and "ids" in entry:
        raise InputError(f"{file}: {where} has id and ids: write all into ids")
    if "id" in entry:
        entry = {**entry, "ids": [entry["id"]]}
    for key, checked, example in (("ids", _id, [7, 8]), ("colors", _color, [[0, 0, 142]])):
        if key in entry:
            if not isinstance(entry[key], list) or not entry[key]:
                raise InputError(f"{file}: {where} has the {key} {entry[key]!r}: write a list, such as {example}")
            read[key] = [checked(file, where, value) for value in entry[key]]
    if "color" in entry:
        read["color"] = _color(file, where, entry["color"])
    return read


def _id(file: Path, where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise InputError(f"{file}: {where} has the id {value!r}: write a number of 0 to 65535")
    return value


def _color(file: Path, where: str, value: Any) -> tuple[int, int, int]:
    numbers = isinstance(value, list) and all(isinstance(c, int) and not isinstance(c, bool) for c in value)
    if not numbers or len(value) != 3 or not all(0 <= c <= 255 for c in value):
        raise InputError(f"{file}: {where} has the color {value}: write three numbers 0 to 255")
    return (value[0], value[1], value[2])


def _claim(file: Path, owners: dict[Any, str], value: Any, name: str) -> None:
    """Note that ``name`` has an id or color; InputError if another class has it."""
    if owners.setdefault(value, name) != name:
        kind = "id" if isinstance(value, int) else "color"
        shown = list(value) if isinstance(value, tuple) else value
        raise InputError(f"{file}: {owners[value]} and {name} both have the {kind} {shown}: give it to one of them")


def read_values(path: Path, as_colors: bool = False, gray_as_ids: bool = False) -> np.ndarray:
    """Read what a mask file stores, (H, W) upright by its EXIF orientation: ids as uint8 or uint16, colors as uint32.

    Gray of 1 to 16 bits and palettes give ids (of a palette the index; of TIFF files the stored values, whether 0 is
    shown as black or as white), RGB and RGBA colors (see `pack`); with ``as_colors`` palettes and gray give the
    colors that they show, too. With ``gray_as_ids`` colors that are gray in every pixel become ids again. MATLAB files
    (.mat) give the ids in their variable LabelMap (PASCAL Context).

    Raises:
        InputError: an unreadable or lossy file, several pages or frames, transparent pixels, values that are neither
            ids nor 8-bit colors.
    """
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return _label_map(path)
    if suffix in LOSSY_SUFFIXES:
        raise InputError(f"{path}: a {_LOSSY_KINDS[suffix]} mask {_LOSSY}")
    if tiff := tiff_of(path):
        with naming(path):
            _check_tiff(tiff)
    values = (_by_rasterio if tiff and not tiff.by_pillow else _by_pillow)(path, tiff, as_colors)
    gray = gray_of(values) if gray_as_ids and values.dtype == np.uint32 else None
    return values if gray is None else gray


def _by_pillow(path: Path, tiff: Any, as_colors: bool) -> np.ndarray:
    """As `read_values`, of a file that Pillow reads."""
    with opened(path) as image:
        _check_kind(image, path)
        kind = stored_kind(image)
        if ";16" in kind and image.mode in ("RGB", "RGBA", "LA"):
            raise InputError(f"the mask has 16 bits per color (mode {image.mode}): store 8 bits per color, or ids")
        if kind.startswith("BGR;1"):
            raise InputError("the mask has 5 or 6 bits per color: store 8 bits per color, or ids")
        image.load()
        turn = 1 if tiff else image.getexif().get(0x0112, 1)  # Pillow turns TIFF files itself
        if image.mode in ("RGB", "RGBA", "LA", "PA") or (as_colors and image.mode in ("1", "L", "P")):
            return upright(_colors(image), turn)
        if image.mode in ("1", "L", "P"):
            values = np.asarray(image).astype(np.uint8)
            if tiff and tiff.kinds[0] == tags.SIGNED:
                return _ids_of(values.view(np.int8))
            if tiff and tiff.photometric in (tags.WHITE_IS_ZERO, -1):
                values = (1 if image.mode == "1" else 255) - values
            return upright(values // _SCALED.get(kind[:3], 1), turn)
        if not image.mode.startswith(("I", "F")) or as_colors:
            reason = "which is not a color of a class" if as_colors else "which holds neither class ids nor RGB colors"
            raise InputError(f"the mask is stored in mode {image.mode}, {reason}: store it as 8-bit PNG")
        return upright(_ids_of(np.asarray(image)), turn)


def _check_kind(image: Image.Image, path: Path) -> None:
    """InputError for a mask in a lossy format, or of several frames."""
    if image.format in _LOSSY_FORMATS:
        raise InputError(f"a mask in {_LOSSY_FORMATS[image.format]} compression {_LOSSY}")
    if image.format == "WEBP" and _is_lossy_webp(path):
        raise InputError(f"a mask in lossy WebP {_LOSSY}, or as lossless WebP")
    if image.format != "TIFF" and (frames := getattr(image, "n_frames", 1)) > 1:
        raise InputError(f"the mask has {frames} frames: {_ONE_PAGE}")


def _check_tiff(tiff: Tiff) -> None:
    """InputError for a mask in a TIFF file whose labels are not exact, or that holds other bands than labels."""
    if tiff.compression in tags.LOSSY:
        raise InputError(f"a mask in {tags.LOSSY[tiff.compression]} compression {_LOSSY}")
    if tiff.pages > 1:
        raise InputError(f"the mask has {tiff.pages} pages: {_ONE_PAGE}")
    if tiff.reduced:
        raise InputError("the mask's first page is a thumbnail: store the whole mask as the first page")
    colors = tiff.photometric == tags.RGB
    if colors and (set(tiff.bits) != {8} or set(tiff.kinds) != {tags.UNSIGNED}):
        raise InputError(f"the mask has {tiff.bits[0]} bits per color: store 8 bits per color, or ids")
    if not colors and tiff.photometric not in (-1, tags.WHITE_IS_ZERO, tags.BLACK_IS_ZERO, tags.PALETTE):
        raise InputError(
            f"the mask has PhotometricInterpretation {tiff.photometric}, which is neither ids nor RGB: store it as PNG"
        )
    if not colors and tiff.bands > 1 + tiff.transparent:
        raise InputError(f"the mask has {tiff.bands} bands, and which holds the labels is not known: store that alone")


def _by_rasterio(path: Path, tiff: Any, as_colors: bool) -> np.ndarray:
    """As `read_values`, of a TIFF file that Pillow does not read."""
    with opened_bands(path) as file:
        bands = file.read()
        first = 3 if tiff.photometric == tags.RGB else 1
        if tiff.transparent and (count := int((bands[first] != np.iinfo(bands.dtype).max).sum())):
            raise InputError(f"the mask has {count} {_TRANSPARENT}")
        if first == 3:
            image = Image.fromarray(np.ascontiguousarray(bands[:3].transpose(1, 2, 0)))
            return upright(_colors(image), tiff.orientation)
        if as_colors:
            raise InputError(f"the mask holds {bands.dtype}, which is not a color of a class: store it as 8-bit PNG")
        return upright(_ids_of(bands[0]), tiff.orientation)


def _ids_of(values: np.ndarray) -> np.ndarray:
    """Numbers of any kind as ids (uint16); InputError for those that are none."""
    if values.dtype.kind == "f" and not (values == np.trunc(values)).all():
        raise InputError(f"the mask holds fractions ({values.dtype}): store class ids, one 8-bit value per pixel")
    if values.min() < 0 or values.max() > 65535:
        low, high = values.min().item(), values.max().item()
        raise InputError(f"the mask holds values from {low:g} to {high:g}: ids are 0 to 65535, and 255 is no label")
    return values.astype(np.uint16)


def pack(color: Iterable[int]) -> int:
    """Return red + 256 green + 65536 blue, the number by which `read_values` gives a color."""
    red, green, blue = color
    return red | green << 8 | blue << 16


def unpack(value: int) -> tuple[int, int, int]:
    """Return the (red, green, blue) of a number made by `pack`."""
    return value & 255, value >> 8 & 255, value >> 16


def value_counts(values: np.ndarray) -> dict[str, int]:
    """Return the values of `read_values` as text, ascending ("37", and of colors "(1, 2, 3)") -> how often each is."""
    found, counts = np.unique(values, return_counts=True)
    name = unpack if values.dtype == np.uint32 else int
    return {str(name(value)): count for value, count in zip(found.tolist(), counts.tolist())}


def gray_of(colors: np.ndarray) -> np.ndarray | None:
    """Return packed colors (H, W) uint32 as gray (H, W) uint8, or None if red, green and blue differ in a pixel."""
    gray = colors & 255
    return gray.astype(np.uint8) if (colors == gray * 0x010101).all() else None


def _colors(image: Image.Image) -> np.ndarray:
    """Packed colors (H, W) uint32 of an opaque image."""
    packed = np.asarray(image.convert("RGBA")).view("<u4")[..., 0].astype(np.uint32, copy=False)
    if image.has_transparency_data and (packed >> 24 != 255).any():
        raise InputError(f"the mask has {int((packed >> 24 != 255).sum())} {_TRANSPARENT}")
    return packed & 0xFFFFFF


@functools.lru_cache(maxsize=8)
def _table(entries: tuple[tuple[int, int], ...], size: int) -> np.ndarray:
    """(size,) uint16: class id + 1, 256 for "no label", 0 for values that mean nothing.

    Pages that hold no entry stay unmapped zeros: the table of 2^24 colors takes a few KiB of memory, not 32 MiB.
    """
    table = np.zeros(size, np.uint16)
    for value, index in entries:
        table[value] = index + 1
    return table


def _label_map(path: Path) -> np.ndarray:
    """The ids (H, W) uint16 in a MATLAB file's variable LabelMap."""
    from scipy.io import loadmat

    try:
        values = np.asarray(loadmat(path, variable_names=["LabelMap"])["LabelMap"])
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except KeyError as error:
        raise InputError(f"{path}: has no variable LabelMap: it is no label of PASCAL Context") from error
    except Exception as error:  # damaged files make the reader raise almost anything
        reason = first_line(error)
        raise InputError(f"{path}: is truncated or damaged ({reason}): copy it again or remove it") from error
    whole = values.ndim == 2 and values.size and values.dtype.kind in "iuf" and (values == np.trunc(values)).all()
    if not whole or values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: LabelMap is {values.dtype} {values.shape}: whole numbers of 0 to 65535 are expected")
    return values.astype(np.uint16)


def _is_lossy_webp(path: Path) -> bool:
    """Whether a WebP file's picture is in a VP8 chunk (lossy), not VP8L (lossless)."""
    data = path.read_bytes()
    position = 12
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8 "
        position += 24 if kind == b"ANMF" else 8 + length + length % 2  # a frame holds its chunk after 16 bytes
    return False
