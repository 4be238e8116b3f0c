"""Labelme annotations (https://github.com/wkentaro/labelme): one .json file per picture, X-AnyLabeling's alike.

Polygons, rectangles (also turned ones), circles and masks are areas, drawn in the file's order, later over earlier.
Points, lines and line strips have no area and are left out. Two labels are special, as in Labelme's own conversions:
``__ignore__`` is "no label", and ``_background_`` the class ``background``, which is also what no shape covers. The
picture itself, which Labelme may store in the file, is not read from it; where the file lacks the picture's size, it is
that of the picture of the same name beside it or, of a file in ``masks/``, in ``images/``, or of the one that
``imagePath`` names.
"""

import base64
import binascii
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixalign.data.formats.annotations import Drawing, Shape, class_name, picture_size, polygon, read_json, upright_size
from pixalign.data.images import IMAGE_SUFFIXES
from pixalign.errors import InputError

_MASK_FOLDERS, _IMAGE_FOLDERS = ("masks", "mask"), ("images", "image", "imgs", "img")
_NO_LABEL = "__ignore__"
_WITHOUT_AREA = ("point", "points", "line", "linestrip")
# Areas, with the least number of their points.
_POINTS = {"polygon": 3, "rectangle": 2, "oriented_rectangle": 4, "rotation": 4, "circle": 2, "mask": 2}


def read_labelme(path: Path) -> Drawing:
    """Read a Labelme file; InputError if it is none, lacks the picture's size, or has a shape that cannot be drawn."""
    content = read_json(path)
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        raise InputError(f"{path}: is not a Labelme file (it has no list of shapes): remove it or save it again")
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if height is None and width is None and (picture := _picture(path, content.get("imagePath"))):
        height, width = upright_size(picture)
    size = picture_size(height, width, str(path))
    read = [_shape(shape, size, f"{path}: shape {i}") for i, shape in enumerate(shapes)]
    return Drawing(size, [shape for shape in read if shape])


def _picture(path: Path, named: Any) -> Path | None:
    """The picture of a Labelme file: of its name beside it or, from ``masks/``, in ``images/``; or the one it names."""
    suffixes = [suffix for lower in sorted(IMAGE_SUFFIXES) for suffix in (lower, lower.upper())]
    places = [path.parent]
    for folder in path.parents:
        if folder.name.casefold() in _MASK_FOLDERS:
            beside = sorted(place for place in folder.parent.iterdir() if place.name.casefold() in _IMAGE_FOLDERS)
            places += [place / path.parent.relative_to(folder) for place in beside]
    pictures = [place / f"{path.stem}{suffix}" for place in places for suffix in suffixes]
    if isinstance(named, str) and named:
        pictures += [place / named.replace("\\", "/") for place in places]
    return next((picture for picture in pictures if picture.is_file()), None)


def _shape(shape: Any, size: tuple[int, int], what: str) -> Shape | None:
    """A shape of the file, or None if it has no area."""
    given = shape.get("label") if isinstance(shape, dict) else None
    label = class_name(str(given)) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    if not label:
        raise InputError(f"{what} has no label: draw it again or remove it")
    kind = shape.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        return None
    what = f"{what} ({label})"
    if kind not in _POINTS:
        raise InputError(f"{what} has the kind {kind}, which is not read: areas are {', '.join(_POINTS)}")
    points = polygon(shape.get("points"), what, _POINTS[kind], kind)
    name = None if label == _NO_LABEL else label
    if kind == "mask":
        return Shape(name, crop=_mask(shape.get("mask"), points, what))
    if kind == "circle":
        return Shape(name, crop=_disc(points[0], float(np.hypot(*(points[1] - points[0]))), size))
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return Shape(name, [points])


def _disc(center: np.ndarray, radius: float, size: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """The pixels whose centers are at most ``radius`` from ``center`` (x, y), as `Shape.crop`."""
    low = np.clip(np.floor(center - radius), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(center + radius), low, size[::-1]).astype(int)
    x, y = (np.arange(a, b) + 0.5 - c for a, b, c in zip(low, high, center))
    return (int(low[1]), int(low[0])), x**2 + y[:, None] ** 2 <= radius**2


def _mask(encoded: Any, points: np.ndarray, what: str) -> tuple[tuple[int, int], np.ndarray]:
    """A mask given as PNG in base64, with its upper left pixel at the first point, as `Shape.crop`."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=("PNG",)) as image:
            inside = np.asarray(image.convert("L")) > 0
    except (TypeError, OSError, binascii.Error, ValueError) as error:
        raise InputError(f"{what} is a mask that cannot be read ({error}): draw it again or remove it") from error
    left, top = (int(v) for v in np.floor(points.min(0)))
    return (top, left), inside
