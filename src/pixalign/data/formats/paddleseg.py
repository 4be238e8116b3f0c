"""PaddleSeg's and PaddleX's lists: ``train.txt``, ``val.txt`` and ``test.txt`` (or ``train_list.txt`` and so on).

A line names an image and its mask by their paths below the folder, with a space, a tab or a comma between them; names
may hold spaces. ``labels.txt`` has the names of the classes in the order of their ids, 255 is no label.
"""

import re
from functools import cache, partial
from pathlib import Path

from pixalign.data.formats.files import PICTURES, entries, lists_of_splits, nfc, read_lines, unique
from pixalign.data.formats.layout import Found, Layout
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import default_colors


def find(root: Path) -> Layout | None:
    """Return the layout of a folder whose lists have two columns."""
    lists = lists_of_splits(path for path in entries(root)[1] if _has_columns(root, path))
    if not lists:
        return None
    labels = partial(_labels, root / "labels.txt") if (root / "labels.txt").is_file() else None
    splits = {split: partial(_pairs, root, path) for split, path in lists.items()}
    return Layout("PaddleSeg lists", splits, root, labels, "labels.txt" if labels else "")


def _has_columns(root: Path, file: Path) -> bool:
    """Whether the first line of a text file that is not empty names two files."""
    try:
        first = next((line for line in read_lines(file) if line), "") if file.suffix.lower() == ".txt" else ""
    except InputError:  # some other text, which is no list
        return False
    return bool(_columns(first)) and not (root / first).is_file()


def _columns(line: str) -> list[tuple[str, str]]:
    """The ways to read a line as the names of an image and a mask."""
    line = line.replace("\\", "/")
    ways = [(line[: space.start()], line[space.end() :]) for space in re.finditer(r"[ \t]+|, *", line)]
    kinds = (IMAGE_SUFFIXES, PICTURES)
    return [way for way in ways if all(Path(name).suffix.lower() in kind for name, kind in zip(way, kinds))]


def _pairs(root: Path, file: Path) -> Found:
    @cache
    def by_name() -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for path in walk(root):
            files.setdefault(nfc(path.relative_to(root).as_posix()), []).append(path)
        return files

    def there(name: str) -> Path | None:
        """The file of a name, which an archive may have written in another form of Unicode."""
        name = name.removeprefix("./")
        for path in (root / name, root / name.removeprefix(f"{root.resolve().name}/")):
            if path.is_file():
                return path
        paths = [] if name.isascii() else by_name().get(nfc(name), [])
        return paths[0] if len(paths) == 1 else None

    lines = [line for line in read_lines(file) if line]
    found = Found([], [], [], [], folders=(root, root))
    mask_of: dict[Path, Path] = {}
    owner: dict[Path, Path] = {}
    for line in lines:
        ways = [(there(image), there(mask), image) for image, mask in _columns(line)]
        image, mask, name = max(ways, key=lambda way: (way[0] is not None) + (way[1] is not None), default=(None,) * 3)
        image = image or there(line.replace("\\", "/"))
        if image is None:
            raise InputError(
                f"{file}: lists {name or line!r}, which is not a file in {root}: add it or remove the line"
            )
        if mask is None:
            found.lone_images.append(image)
            continue
        if owner.setdefault(mask, image) != image:
            raise InputError(f"{file}: {owner[mask]} and {image} have one mask, {mask}: correct the list")
        if mask_of.setdefault(image, mask) != mask:
            raise InputError(f"{file}: {image} has two masks, {mask_of[image]} and {mask}: correct the list")
    if not lines:
        raise InputError(f"{file}: lists no image: write an image and its mask per line")
    found.images, found.masks = [*mask_of], [*mask_of.values()]
    return found


def _labels(file: Path) -> Labels:
    names = unique("\n".join(read_lines(file)).rstrip("\n").splitlines(), file)
    remedy = f"add its class to {file.name}, or list the classes in classes.yaml"
    return Labels(names, default_colors(len(names)), remedy=remedy)
