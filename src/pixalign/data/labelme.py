"""Labelme annotations (https://github.com/wkentaro/labelme): one .json file per picture.

Polygons, rectangles (also turned ones), circles and masks are areas, drawn in the file's order, later over earlier.
Points, lines and line strips have no area and are left out. Two labels are special, as in Labelme's own conversions:
``__ignore__`` is "no label", and ``_background_`` the class ``background``, which is also what no shape covers. The
picture itself, which Labelme may store in the file, is not read from it.
"""

import base64
import binascii
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixalign.data.annotations import BACKGROUND, Drawing, Shape, picture_size, polygon, read_json
from pixalign.errors import InputError

_LABELS = {"__ignore__": None, "_background_": BACKGROUND}
_WITHOUT_AREA = ("point", "points", "line", "linestrip")
_WITH_AREA = ("polygon", "rectangle", "oriented_rectangle", "circle", "mask")


def read_labelme(path: Path) -> Drawing:
    """Read a Labelme file; InputError if it is none, lacks the picture's size, or has a shape that cannot be drawn."""
    content = read_json(path)
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        raise InputError(f"{path}: is no Labelme file (it has no list of shapes): remove it or save it again")
    size = picture_size(content.get("imageHeight"), content.get("imageWidth"), str(path))
    read = [_shape(shape, size, f"{path}: shape {i}") for i, shape in enumerate(shapes)]
    return Drawing(size, [shape for shape in read if shape])


def _shape(shape: Any, size: tuple[int, int], what: str) -> Shape | None:
    """A shape of the file, or None if it has no area."""
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        raise InputError(f"{what} has no label: draw it again or remove it")
    label, kind = shape["label"], shape.get("shape_type") or "polygon"
    label = _LABELS.get(label, label)
    if kind in _WITHOUT_AREA:
        return None
    if kind not in _WITH_AREA:
        raise InputError(f"{what} ({label}) is a {kind}: areas are {', '.join(_WITH_AREA)}")
    points = polygon(shape.get("points"), f"{what} ({label})")
    if kind in ("rectangle", "circle", "mask") and len(points) < 2:
        raise InputError(f"{what} ({label}) is a {kind} of {len(points)} points: draw it again or remove it")
    if kind == "mask":
        return Shape(label, crop=_mask(shape.get("mask"), points, f"{what} ({label})"))
    if kind == "circle":
        return Shape(label, crop=_disc(points[0], float(np.hypot(*(points[1] - points[0]))), size))
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return Shape(label, [points])


def _disc(centre: np.ndarray, radius: float, size: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """The pixels whose centres are at most ``radius`` from ``centre`` (x, y), as `Shape.crop`."""
    low = np.clip(np.floor(centre - radius), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(centre + radius), low, size[::-1]).astype(int)
    x, y = (np.arange(a, b) + 0.5 - c for a, b, c in zip(low, high, centre))
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
