"""Annotations as shapes, drawn into masks: what the files of annotation tools come down to.

Coordinates are continuous, in pixels: (0, 0) is the upper left corner of the picture, and the center of its first pixel
lies at (0.5, 0.5). A pixel belongs to a shape if its center does; so areas that share an edge share no pixel.

Names of classes lose spaces at their ends, and are one however their accents are stored (Unicode's NFC); apart from
that, and from the background's, their case counts.
"""

import functools
import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pixalign.data.images import MAX_PIXELS, image_size, orientation
from pixalign.errors import InputError
from pixalign.palette import IGNORE
from pixalign.text import first_line

BACKGROUND = "background"

_T = TypeVar("_T")
_FAR = 1e9  # pixels from the origin at which no picture ends


@dataclass(frozen=True)
class Shape:
    """A labeled area.

    Attributes:
        label: class name, or None for "no label".
        polygons: (P, 2) float x, y each; the area is their union, each filled by the even-odd rule.
        runs: in place of polygons, lengths of alternating runs outside and inside, down the columns from the left.
        crop: in place of polygons, (top, left) and a bool array (h, w) to lay there.
    """

    label: str | None
    polygons: Sequence[np.ndarray] = ()
    runs: np.ndarray | None = None
    crop: tuple[tuple[int, int], np.ndarray] | None = None


@dataclass(frozen=True)
class Drawing:
    """The shapes of one picture.

    Attributes:
        size: (height, width) of the picture in pixels.
        shapes: areas, later over earlier.
        by_area: draw large areas first, whatever their order.
    """

    size: tuple[int, int]
    shapes: Sequence[Shape]
    by_area: bool = False

    def draw(self, classes: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
        """Draw the shapes as class ids (H, W) uint8; what none covers is the class "background", or 255 without one.

        Labels and classes are compared as `class_name` writes them.

        Returns:
            The ids, and the labels that are no class -> pixels that they would cover; these are 255 in the ids.
        """
        height, width = self.size
        index = {class_name(name): i for i, name in reversed([*enumerate(classes)])}
        ids = np.full((height, width), index.get(BACKGROUND, IGNORE), np.uint8)
        unknown: dict[str, int] = {}
        areas = [(shape.label, *_area(shape, self.size)) for shape in self.shapes]
        if self.by_area:
            areas.sort(key=lambda area: -int(area[3].sum()))
        for label, top, left, inside in areas:
            if label is not None and label not in index:
                unknown[label] = unknown.get(label, 0) + int(inside.sum())
            view = ids[top : top + inside.shape[0], left : left + inside.shape[1]]
            view[inside] = IGNORE if label is None else index.get(label, IGNORE)
        return ids, unknown


def class_name(label: str) -> str:
    """Return a label as the name of a class: see this module's text; "Background" or "_background_" is "background"."""
    name = unicodedata.normalize("NFC", label).strip()
    return BACKGROUND if name.casefold().strip("_") == BACKGROUND else name


def load_json(path: Path) -> Any:
    """Read a JSON file in UTF-8, or in the UTF-16 or UTF-32 that its first bytes tell; InputError if it is none."""
    try:
        data = path.read_bytes()
        return json.loads(data.decode(json.detect_encoding(data)), parse_constant=_no_number)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}): check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not valid UTF-8 (byte {error.start}), perhaps written in the encoding of its system, such as "
            "GBK: save it again as UTF-8"
        ) from error
    except (RecursionError, ValueError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else first_line(error)
        raise InputError(f"{path}: is not valid JSON ({reason}): write it again or remove it") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object; InputError if it does not."""
    content = load_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object: it is neither a COCO nor a Labelme file")
    return content


def until_changed(maxsize: int) -> Callable[[Callable[[Path], _T]], Callable[[Path], _T]]:
    """Keep what a function returns of the last ``maxsize`` files, until they change."""

    def keeping(read: Callable[[Path], _T]) -> Callable[[Path], _T]:
        kept = functools.lru_cache(maxsize)(lambda path, changed: read(path))
        return functools.wraps(read)(lambda path: kept(path, path.stat().st_mtime_ns if path.exists() else 0))

    return keeping


@until_changed(64)
def json_keys(path: Path) -> frozenset[str]:
    """Return the keys of a JSON file's object, or of the first object in its list; none if it is no such file."""
    try:
        content = load_json(path)
    except InputError:
        return frozenset()
    if isinstance(content, list):
        content = next((entry for entry in content if isinstance(entry, dict)), {})
    return frozenset(content) if isinstance(content, dict) else frozenset()


@until_changed(1 << 16)
def upright_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image file, turned by EXIF as `read_image` does; InputError if it cannot be read."""
    height, width = image_size(path)
    return (width, height) if orientation(path) in range(5, 9) else (height, width)


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def picture_size(height: Any, width: Any, what: str) -> tuple[int, int]:
    """Return (height, width) if they are the size of a picture; InputError begins with ``what``."""
    sides = [int(side) if isinstance(side, float) and side.is_integer() else side for side in (height, width)]
    if not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides):
        raise InputError(f"{what}: the picture's height and width are {height} and {width}: write its size in pixels")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise InputError(f"{what}: {sides[1]} x {sides[0]} pixels are more than {MAX_PIXELS:,}: use smaller pictures")
    return sides[0], sides[1]


def polygon(points: Any, what: str, least: int = 0, kind: str = "polygon") -> np.ndarray:
    """Return x, y of points as (P, 2) float64; InputError, beginning with ``what``, if less than ``least``."""
    try:
        array = np.array(points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 2:
            array = array.reshape(-1, 2) if array.ndim == 1 else array.reshape(0, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what}: has no list of points x, y: draw it again or remove it") from error
    if not np.isfinite(array).all():
        raise InputError(f"{what}: has a point that is no number: draw it again or remove it")
    if (np.abs(array) > _FAR).any():
        raise InputError(f"{what}: has a point at {np.abs(array).max():.3g} pixels: draw it again or remove it")
    if len(array) < least:
        raise InputError(f"{what} is a {kind} of {len(array)} points: draw it again or remove it")
    return array


def fill(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """Return the pixels whose centers lie inside a polygon, by the even-odd rule.

    Args:
        points: (P, 2) float, x and y.
        size: (height, width) of the picture.

    Returns:
        top, left and a bool array (h, w): the part of the picture that the polygon touches.
    """
    if len(points) < 3:
        return 0, 0, np.zeros((0, 0), bool)
    limits = np.array(size[::-1])
    low = np.clip(np.floor(points.min(0)), 0, limits).astype(int)
    left, top = low.tolist()
    width, height = (np.clip(np.ceil(points.max(0)), low, limits).astype(int) - low).tolist()
    x, y = (points - 0.5).T
    to_x, to_y = np.roll(x, -1), np.roll(y, -1)
    down = y <= to_y  # every edge is followed downward, so that two areas round a common edge alike
    x, y, to_x, to_y = (np.where(down, *ends) for ends in ((x, to_x), (y, to_y), (to_x, x), (to_y, y)))
    first, last = (np.clip(np.ceil(end), top, top + height).astype(int) for end in (y, to_y))
    rows = last - first  # how many pixel rows an edge crosses: a center on an end point counts for one of two edges
    edge = np.repeat(np.arange(len(x)), rows)
    row = first[edge] + np.arange(len(edge)) - (np.cumsum(rows) - rows)[edge]
    crossing = x[edge] + (row - y[edge]) * (to_x - x)[edge] / (to_y - y)[edge]
    column = np.clip(np.ceil(crossing) - left, 0, width).astype(int)
    crossings = np.bincount((row - top) * (width + 1) + column, minlength=height * (width + 1))
    return top, left, np.cumsum(crossings.reshape(height, width + 1), 1)[:, :width] % 2 == 1


def _area(shape: Shape, size: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """Top, left and the bool array (h, w) of a shape's pixels."""
    if shape.runs is not None:
        inside = np.arange(len(shape.runs)) % 2 == 1
        return 0, 0, np.repeat(inside, shape.runs).reshape(size, order="F")
    if shape.crop is not None:
        (top, left), inside = shape.crop
        inside = inside[max(-top, 0) :, max(-left, 0) :]
        top, left = max(top, 0), max(left, 0)
        return top, left, inside[: max(size[0] - top, 0), : max(size[1] - left, 0)]
    parts = [fill(points, size) for points in shape.polygons]
    if len(parts) == 1:
        return parts[0]
    together = np.zeros(size, bool)
    for top, left, inside in parts:
        together[top : top + inside.shape[0], left : left + inside.shape[1]] |= inside
    return 0, 0, together
