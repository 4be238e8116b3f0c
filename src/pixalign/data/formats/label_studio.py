"""Label Studio's export as JSON or JSON-MIN: one .json file in ``root`` that lists the tasks, and the images below it.

- Brush strokes, polygons, rectangles and ellipses are areas, drawn in the file's order, later over earlier; key points
  and what is said of the whole image are left out. Classes are the labels by name, after the class ``background``,
  which is also what no area covers.
- A task's image is the file below ``root`` of its name, with or without the eight digits that Label Studio puts before
  the names of uploads; where several have this name, the one that lies in the folders that the task names.
- Of a task with several annotations the one marked as ground truth counts; without such a mark it is an error.
- Brush strokes exported as PNG do not tell their images, and are refused. Exports as COCO and YOLO are read as these.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from pixalign.data.formats.annotations import (
    Drawing,
    Shape,
    class_name,
    json_keys,
    load_json,
    picture_size,
    polygon,
    until_changed,
    upright_size,
)
from pixalign.data.formats.files import entries, nfc
from pixalign.data.formats.layout import Found, Layout, drawn
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import Labels
from pixalign.errors import InputError

_BRUSH_FILE = re.compile(r"task-\d+-annotation-\d+-by-.*-tag-.*\.png")
_UPLOAD = re.compile(r"[0-9a-f]{8}-")
_CORNERS = 180  # of an ellipse

Task = tuple[str, str, list[dict[str, Any]] | None]


def find(root: Path) -> Layout | None:
    """Return the tasks of Label Studio, all in one split; InputError for several files, or brush strokes as PNG."""
    if (root / "masks").is_dir():
        return None
    files = entries(root)[1]
    if brush := next((file for file in files if _BRUSH_FILE.fullmatch(file.name)), None):
        raise InputError(f"{brush}: Label Studio's brush strokes as PNG, without their images' names: export JSON")
    images = {file.stem for file in files if file.suffix.lower() in IMAGE_SUFFIXES}
    files = [file for file in files if file.suffix == ".json" and file.stem not in images]
    tasks = ({"annotations", "data"}, {"annotator", "annotation_id"})  # keys in JSON and JSON-MIN
    files = [file for file in files if any(keys <= json_keys(file) for keys in tasks)]
    if not files:
        return None
    if len(files) > 1:
        raise InputError(f"{files[0]} and {files[1].name}: two exports of Label Studio: keep one of them")
    splits = {"": partial(_found, root, files[0])}
    return Layout("Label Studio's JSON", splits, root, partial(_labels, files[0]), files[0].name)


@until_changed(2)
def _tasks(file: Path) -> list[Task]:
    """What errors call each task, its image as it names it, and its results, or None if it was not annotated."""
    return [_task(file, i, task) for i, task in enumerate(load_json(file))]


def _task(file: Path, index: int, task: Any) -> Task:
    if not isinstance(task, dict):
        raise InputError(f"{file}: entry {index} is not a task: export it again")
    what = f"{file}: task {task.get('id', index)}"
    data = task.get("data", task)
    named = [v for v in data.values() if isinstance(v, str) and _path_of(v)] if isinstance(data, dict) else []
    if len(named) != 1:
        raise InputError(
            f"{what} names {len(named)} images: one is needed, in a format of {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    if "data" not in task:
        lists = [value for value in task.values() if isinstance(value, list)]
        given = [entry for part in lists for entry in part if isinstance(entry, dict)]
        return what, named[0], [{"value": entry, **entry} for entry in given]
    annotations = task.get("annotations")
    if not _are_dicts(annotations):
        raise InputError(f"{what} has no list of annotations: export it again")
    valid = [a for a in annotations if not a.get("was_cancelled")]
    if len(valid) > 1:
        valid = [a for a in valid if a.get("ground_truth")]
        if len(valid) != 1:
            raise InputError(
                f"{what} ({_path_of(named[0])}) has {len(annotations)} annotations: keep one, or mark one as ground "
                "truth"
            )
    results = valid[0].get("result") if valid else None
    if valid and not _are_dicts(results):
        raise InputError(f"{what} has no list of results: export it again")
    return what, named[0], results


def _are_dicts(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _path_of(named: str) -> str:
    """The path in what a task calls its image, a path or an address; "" if that is no image."""
    parts = urlsplit(named.replace("\\", "/"))
    local = parse_qs(parts.query).get("d") if "local-files" in parts.path else None
    path = local[0] if local else unquote(parts.path)
    return path if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES else ""


def _labels(file: Path) -> Labels:
    """The labels of all areas, by name."""
    names = {label for what, _, results in _tasks(file) for _, label in _labeled(results or (), what)}
    if not names:
        raise InputError(f"{file}: holds no labeled area: draw some")
    return drawn(sorted(names), file)


def _found(root: Path, file: Path) -> Found:
    by_name: dict[str, list[Path]] = {}
    for path in walk(root, IMAGE_SUFFIXES):
        by_name.setdefault(_plain(path.name), []).append(path)
    found = Found([], [], [], [])
    owners: dict[Path, str] = {}
    for what, named, results in _tasks(file):
        image = _image(by_name, _path_of(named), what)
        if image is None:
            found.lone_masks.append(root / PurePosixPath(_path_of(named)).name)
        elif other := owners.get(image):
            raise InputError(
                f"{what} and {other.removeprefix(f'{file}: ')} have one image, {image}: remove one of them"
            )
        elif results is None:
            found.lone_images.append(image)
        else:
            found.images.append(image)
            found.masks.append(file)
            found.drawings.append(partial(_draw, image, results, what))
        if image:
            owners[image] = what
    if not found.images:
        first = f", such as {found.lone_masks[0].name}" if found.lone_masks else ""
        raise InputError(
            f"{file}: none of its annotated images is below {root}{first}: put them into {root / 'images'}"
        )
    return found


def _image(by_name: dict[str, list[Path]], path: str, what: str) -> Path | None:
    """The file that a task's image is."""
    name = PurePosixPath(path).name
    for wanted in (name, _UPLOAD.sub("", name, count=1)):
        files = by_name.get(_plain(wanted), [])
        if len(files) > 1:
            files = [file for file in files if f"/{path.lstrip('/')}".endswith(f"/{file.parent.name}/{name}")] or files
        if len(files) > 1:
            raise InputError(f"{what}: {files[0]} and {files[1]} both have the name of its image: keep one of them")
        if files:
            return files[0]
    return None


def _plain(name: str) -> str:
    """A file name as Label Studio may change it: without encoding of addresses, and with _ for spaces."""
    return nfc(unquote(name)).replace(" ", "_")


# What is drawn on an image --------------------------------------------------------------------------------------------


def _draw(image: Path, results: Sequence[dict[str, Any]], what: str) -> Drawing:
    """Return what is drawn on an image; InputError begins with ``what`` and says what cannot be drawn."""
    sizes = [(r.get("original_height"), r.get("original_width")) for r in results if _has_area(r)]
    if any(size != sizes[0] for size in sizes):
        raise InputError(f"{what} has areas on pictures of different sizes: export it again")
    size = picture_size(*sizes[0], what) if sizes else upright_size(image)
    shapes = [_shape(result, label, size, what) for result, label in _labeled(results, what)]
    return Drawing(size, shapes)


def _labeled(results: Sequence[dict[str, Any]], what: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Results that are areas, with their labels; of an area that is there once with and once without one, the first."""
    given = []
    for result in results:
        lists = [names for key, names in _value(result).items() if key.endswith("labels") and isinstance(names, list)]
        given.append((result, [class_name(str(name)) for names in lists for name in names]))
    with_label = {repr(result.get("id")) for result, names in given if names}
    for result, names in given:
        what_area = f"{what}, area {result.get('id')}"
        if not _has_area(result):
            if names and not str(result.get("type", "keypoint")).startswith("keypoint"):
                raise InputError(f"{what_area} is of the type {result['type']}, which is not read: draw a polygon")
            continue
        if len(names) == 1 and names[0]:
            yield result, names[0]
        elif names:
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


def _shape(result: dict[str, Any], label: str, size: tuple[int, int], what: str) -> Shape:
    value, (height, width) = _value(result), size
    what = f"{what}, area {result.get('id')} ({label})"
    if result.get("image_rotation"):
        raise InputError(f"{what} lies on an image turned by {result['image_rotation']} degrees: turn it back")
    if "rle" in value:
        return Shape(label, crop=((0, 0), _brush(value["rle"], size, what)))
    if "points" in value:
        return Shape(label, [polygon(value["points"], what, 3) * (width / 100, height / 100)])
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
    data = None
    with suppress(TypeError, ValueError):
        data = bytes(rle) if isinstance(rle, list) else None
    if data is None:
        raise InputError(f"{what} has brush strokes that are not a list of bytes: export it again")
    values = decode_brush(data, what)
    if len(values) != 4 * size[0] * size[1]:
        raise InputError(
            f"{what}: the brush strokes are of {len(values) // 4} pixels, and the image has {size[1]} x {size[0]}: "
            "export it again"
        )
    return values.reshape(*size, 4)[..., 3] >= 128
