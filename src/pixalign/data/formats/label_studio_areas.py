"""What is drawn on an image in Label Studio: brush strokes, polygons, rectangles and ellipses."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.data.formats.annotations import Drawing, Shape, class_name, picture_size, polygon, upright_size
from pixalign.errors import InputError

_CORNERS = 180  # of an ellipse


def read_task(image: Path, results: Sequence[dict[str, Any]], what: str) -> Drawing:
    """Return what is drawn on an image; InputError begins with ``what`` and says what cannot be drawn."""
    sizes = [(r.get("original_height"), r.get("original_width")) for r in results if _has_area(r)]
    if any(size != sizes[0] for size in sizes):
        raise InputError(f"{what} has areas on pictures of different sizes: export it again")
    size = picture_size(*sizes[0], what) if sizes else upright_size(image)
    shapes = [_shape(result, label, size, what) for result, label in labeled(results, what)]
    return Drawing(size, shapes)


def labeled(results: Sequence[dict[str, Any]], what: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Results that are areas, with their labels; of an area that is there once with and once without one, the first."""
    given = [(result, _names(_value(result))) for result in results]
    with_label = {repr(result.get("id")) for result, names in given if names}
    for result, names in given:
        what_area = f"{what}, area {result.get('id')}"
        if not _has_area(result):
            if names and not str(result.get("type", "keypoint")).startswith("keypoint"):
                raise InputError(f"{what_area} is of the type {result['type']}, which is not read: draw a polygon")
            continue
        if len(names) == 1 and names[0]:
            yield result, names[0]
        elif len(names) > 1 or names:
            raise InputError(f"{what_area} has the labels {names}: give it one")
        elif repr(result.get("id")) not in with_label:
            raise InputError(f"{what_area} has no label: give it one or remove it")


def decode_brush(data: bytes, what: str = "") -> np.ndarray:
    """Return the values (N,) uint8 of Label Studio's run lengths of bits; InputError begins with ``what``.

    The stream, highest bits first: 32 bits the number of values; 5 bits the size of a value less 1; four times 4 bits
    the sizes of run lengths less 1; then runs: a bit (1: one value repeated), 2 bits which size the length has, the
    length less 1, and the value or values.
    """
    total = 8 * len(data)
    position = 0

    def read(bits: int) -> int:
        nonlocal position
        first, last = position // 8, (position + bits + 7) // 8
        position += bits
        if position > total:
            raise InputError(f"{what} has brush strokes that end too early: export it again")
        part = int.from_bytes(data[first:last], "big") >> (8 * last - position)
        return part & ((1 << bits) - 1)

    count, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if word > 8:
        raise InputError(f"{what} has brush strokes of {word} bits, and 8 are expected: export it again")
    unpacked = np.unpackbits(np.frombuffer(data, np.uint8))
    values: list[np.ndarray] = []
    done = 0
    while done < count:
        repeated, length = read(1), read(lengths[read(2)]) + 1
        if repeated:
            values.append(np.full(length, read(word), np.uint8))
        else:
            bits = unpacked[position : position + length * word]
            if len(bits) < length * word:
                raise InputError(f"{what} has brush strokes that end too early: export it again")
            position += length * word
            values.append(bits.reshape(length, word) @ (1 << np.arange(word)[::-1]).astype(np.uint8))
        done += length
    return np.concatenate(values)[:count] if values else np.zeros(0, np.uint8)


def _value(result: dict[str, Any]) -> dict[str, Any]:
    value = result.get("value")
    return value if isinstance(value, dict) else {}


def _has_area(result: dict[str, Any]) -> bool:
    value = _value(result)
    return any(key in value for key in ("rle", "points", "radiusX")) or {"x", "y", "width", "height"} <= value.keys()


def _names(value: dict[str, Any]) -> list[str]:
    """The labels of an area."""
    lists = [entry for key, entry in value.items() if key.endswith("labels") and isinstance(entry, list)]
    return [class_name(str(name)) for entry in lists for name in entry]


def _shape(result: dict[str, Any], label: str, size: tuple[int, int], what: str) -> Shape:
    value, (height, width) = _value(result), size
    what = f"{what}, area {result.get('id')} ({label})"
    if result.get("image_rotation"):
        raise InputError(f"{what} lies on an image turned by {result['image_rotation']} degrees: turn it back")
    if "rle" in value:
        return Shape(label, crop=((0, 0), _brush(value["rle"], size, what)))
    if "points" in value:
        points = polygon(value["points"], what)
        if len(points) < 3:
            raise InputError(f"{what} is a polygon of {len(points)} points: draw it again or remove it")
        return Shape(label, [points * (width / 100, height / 100)])
    keys = ("x", "y", "radiusX", "radiusY") if "radiusX" in value else ("x", "y", "width", "height")
    numbers = polygon([value.get(key) for key in keys], what) * (width / 100, height / 100)
    origin, (across, down) = numbers
    if "radiusX" in value:
        turns = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        offsets = np.stack([across * np.cos(turns), down * np.sin(turns)], 1)
    else:
        offsets = np.array([(0, 0), (across, 0), (across, down), (0, down)])
    turn = value.get("rotation") or 0
    turn = np.deg2rad(polygon([turn, 0], what)[0, 0])
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    return Shape(label, [origin + offsets @ rotation])


def _brush(rle: Any, size: tuple[int, int], what: str) -> np.ndarray:
    """Pixels (H, W) that brush strokes cover: their alpha is a half or more."""
    try:
        data = bytes(rle) if isinstance(rle, list) else None
    except (TypeError, ValueError):
        data = None
    if data is None:
        raise InputError(f"{what} has brush strokes that are not a list of bytes: export it again")
    values = decode_brush(data, what)
    if len(values) != 4 * size[0] * size[1]:
        raise InputError(
            f"{what}: the brush strokes are of {len(values) // 4} pixels, and the image has {size[1]} x {size[0]}: "
            "export it again"
        )
    return values.reshape(*size, 4)[..., 3] >= 128
