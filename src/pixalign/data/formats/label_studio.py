"""Label Studio's export as JSON or JSON-MIN: one .json file in ``root`` that lists the tasks, and the images below it.

- Brush strokes, polygons, rectangles and ellipses are areas, drawn in the file's order, later over earlier; key points
  and what is said of the whole image are left out. Classes are the labels by name, after the class ``background``,
  which is also what no area covers.
- A task's image is the file below ``root`` of its name, with or without the eight digits that Label Studio puts before
  the names of uploads; where several have this name, the one that lies in the folders that the task names.
- Of a task with several annotations the one marked as ground truth counts; without such a mark it is an error.
- Brush strokes exported as PNG do not tell their images, and are refused. Exports as COCO and YOLO are read as these.
"""

import functools
import os
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pixalign.data.formats.annotations import json_keys, load_json
from pixalign.data.formats.label_studio_areas import labeled, read_task
from pixalign.data.formats.layout import Found, Layout, drawn
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import Labels
from pixalign.errors import InputError

_BRUSH_FILE = re.compile(r"task-\d+-annotation-\d+-by-.*-tag-.*\.png")
_UPLOAD = re.compile(r"[0-9a-f]{8}-")

Task = tuple[str, str, list[dict[str, Any]] | None]


def find(root: Path) -> Layout | None:
    """Return the tasks of Label Studio, all in one split, or None.

    Raises:
        InputError: several files of tasks, or brush strokes as PNG files.
    """
    if (root / "masks").is_dir():
        return None
    names = sorted(os.listdir(root)) if root.is_dir() else []
    if brush := next((name for name in names if _BRUSH_FILE.fullmatch(name)), None):
        raise InputError(
            f"{root / brush}: Label Studio's brush strokes as PNG, without their images' names: export JSON"
        )
    images = {os.path.splitext(name)[0] for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES}
    files = [root / name for name in names if name.endswith(".json") and name.removesuffix(".json") not in images]
    files = [file for file in files if _is_list_of_tasks(json_keys(file))]
    if not files:
        return None
    if len(files) > 1:
        raise InputError(f"{files[0]} and {files[1].name}: two exports of Label Studio: keep one of them")
    labels = functools.partial(_labels, files[0])
    return Layout("Label Studio's JSON", {"": functools.partial(_found, root, files[0])}, root, labels, files[0].name)


def _is_list_of_tasks(keys: frozenset[str]) -> bool:
    """Whether the first entry of a file's list has the keys of a task, in JSON or JSON-MIN."""
    return {"annotations", "data"} <= keys or {"annotator", "annotation_id"} <= keys


@functools.lru_cache(maxsize=2)
def _tasks(file: Path, changed: int) -> list[Task]:
    """What errors call each task, its image as it names it, and its results, or None if it was not annotated."""
    tasks = load_json(file)
    return [_task(file, i, task) for i, task in enumerate(tasks)]


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
        return (
            what,
            named[0],
            [{"value": entry, **entry} for part in lists for entry in part if isinstance(entry, dict)],
        )
    annotations = task.get("annotations")
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
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
    if valid and not (isinstance(results, list) and all(isinstance(r, dict) for r in results)):
        raise InputError(f"{what} has no list of results: export it again")
    return what, named[0], results


def _path_of(named: str) -> str:
    """The path in what a task calls its image, a path or an address; "" if that is no image."""
    parts = urlsplit(named.replace("\\", "/"))
    local = parse_qs(parts.query).get("d") if "local-files" in parts.path else None
    path = local[0] if local else unquote(parts.path)
    return path if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES else ""


def _labels(file: Path) -> Labels:
    """The labels of all areas, by name."""
    names: set[str] = set()
    for what, _, results in _tasks(file, file.stat().st_mtime_ns):
        names |= {label for _, label in labeled(results or (), what)}
    if not names:
        raise InputError(f"{file}: holds no labeled area: draw some")
    return drawn(sorted(names), file)


def _found(root: Path, file: Path) -> Found:
    by_name: dict[str, list[Path]] = {}
    for path in walk(root):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            by_name.setdefault(_plain(path.name), []).append(path)
    found = Found([], [], [], [])
    owners: dict[Path, str] = {}
    for what, named, results in _tasks(file, file.stat().st_mtime_ns):
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
            found.drawings.append(functools.partial(read_task, image, results, what))
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
    return unicodedata.normalize("NFC", unquote(name)).replace(" ", "_")
