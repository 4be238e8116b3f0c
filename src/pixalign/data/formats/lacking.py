"""What to say of images without mask, of files that a list misses, and of folders of no layout that is known."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from pixalign.data.formats.files import below, entries, nfc
from pixalign.data.formats.layout import Found
from pixalign.data.formats.plain import LABELME, MASK_FOLDERS
from pixalign.data.formats.recognize import recognize
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import MASK_SUFFIXES
from pixalign.errors import InputError

_FOLDERS, _SUFFIXES = 6, 3  # the most that a message names
_ANNOTATIONS = (".json", ".txt", ".xml")


def lacking(root: Path, found: Found, name: str, split: str, template: str) -> InputError:
    """Return the error about images without mask, or listed images that are not there.

    Args:
        root, found: the data.
        name: the layout's.
        split: the folder of the split, or "".
        template: the mask template, or "".
    """
    if not found.lone_images:
        missing = found.lone_masks
        listing = found.folders[1] if found.folders and found.folders[1].is_file() else root
        return InputError(
            f"{listing}: lists {missing[0].name}, which is not in {missing[0].parent} ({len(missing)} of "
            f"{len(missing) + len(found.images)} images are missing): add the images or remove them from the file"
        )
    first, count = found.lone_images[0], len(found.lone_images)
    share = f"({count} of {count + len(found.images)} images lack one)"
    if template:
        otherwise = _other_case(root, found) or ": add it or correct it"
        return InputError(f"{first}: no mask where data.mask_template {template!r} has it {share}{otherwise}")
    if name == LABELME:
        return InputError(f"{first}: no Labelme file (.json) beside it {share}: draw it or remove the image")
    if found.folders is None:
        return InputError(f"{first}: no mask or annotation of it {share}: add it or remove the image ({name})")
    images, masks = found.folders
    if proposal := _proposal(root, found, images, masks if masks.is_dir() else images, split):
        example, better = proposal
        return InputError(
            f"{first}: no mask of the same stem in {masks} {share}: masks are named {example.name}: "
            f"try --data.mask_template '{better}'"
        )
    if not masks.is_dir() and not found.images:
        holds = f"{root.name}/ holds {seen(root)}"
        return InputError(f"{masks}: no such folder, though {images} is there ({holds}): put the masks into it")
    if not masks.is_dir() or masks == images:
        return InputError(f"{first}: no mask of it {share}: add it or remove the image ({name})")
    otherwise = _other_case(root, found) or ": add the masks or remove the images"
    return InputError(f"{first}: no mask of the same stem in {masks} {share}{otherwise}")


def unknown(root: Path) -> InputError:
    """Return the error about a folder of no known layout: what it holds, and what comes nearest."""
    return InputError(
        f"{root}: found neither images/ and masks/ nor another layout that is known; it holds {seen(root)}: "
        f"{_nearest(root)}"
    )


def unread(root: Path, parts: Iterable[Found]) -> str:
    """Return the end of a line about a layout: pictures, and annotations beside them, that no split has; "" for none.

    Args:
        root: the folder of the data.
        parts: what its splits hold.
    """
    used = {path for part in parts for path in (*part.images, *part.masks, *part.lone_images, *part.lone_masks)}
    left: dict[str, list[Path]] = {}
    for path in walk(root):
        inside = path.relative_to(root).parts[:-1]
        named = {part.casefold() for part in inside}
        annotates = path.suffix.lower() in _ANNOTATIONS and named & {*MASK_FOLDERS} and "imagesets" not in named
        if path not in used and (annotates or path.suffix.lower() in IMAGE_SUFFIXES):
            left.setdefault("/".join(inside[:2]), []).append(path)
    listed = [f"{name or '.'}/ ({_counted(files)})" for name, files in [*left.items()][:_FOLDERS]]
    if len(left) > _FOLDERS:
        listed.append(f"and {len(left) - _FOLDERS} more folders")
    return f"; not read: {', '.join(listed)}" if left else ""


def seen(root: Path) -> str:
    """Return what a folder holds, in a few words: "pics/ (6 .png), notes/ (2 .txt), 1 .yaml"."""
    folders, files = entries(root)
    listed = [f"{path.name}/ ({_counted(walk(path))})" for path in folders[:_FOLDERS]]
    if (left := len(folders) - _FOLDERS) > 0:
        listed.append(f"{left} more folders")
    return ", ".join([*listed, *([_counted(files)] if files else [])]) or "nothing"


def _counted(files: list[Path]) -> str:
    counts = Counter(path.suffix.lower() or path.name for path in files)
    listed = [f"{count} {suffix}" for suffix, count in counts.most_common(_SUFFIXES)]
    return ", ".join(listed + ["..."] * (len(counts) > _SUFFIXES)) or "empty"


def _nearest(root: Path) -> str:
    """What to do about a folder of no known layout."""
    folders = entries(root)[0]
    for path in folders:
        try:
            layout = recognize(path)
        except InputError:
            continue
        if layout:
            return f"{path.name}/ is such a folder ({layout.name}): is data.root {path}?"
    stems = {path: {nfc(p.stem) for p in walk(path) if p.suffix.lower() in IMAGE_SUFFIXES} for path in folders}
    pairs = [(len(stems[a] & stems[b]), a, b) for a, b in combinations(folders, 2)]
    common, one, other = max(pairs, default=(0, root, root))
    if common:
        return f"{one.name}/ and {other.name}/ have {common} names in common: call them images/ and masks/"
    return "call the folders images/ and masks/, the masks by the names of their images; or see docs/own-data.md"


def _other_case(root: Path, found: Found) -> str:
    """The end of an error: lone masks whose names differ from those of lone images by the case of letters alone."""
    if not found.folders:
        return ""
    lone = {_folded(path): path for path in found.lone_masks}
    alike = [(path, lone[_folded(path)]) for path in found.lone_images if _folded(path) in lone]
    if not alike:
        return ""
    image, mask = alike[0]
    names = f"{below(root, image)} and {below(root, mask)}"
    return f"; {names} differ in upper and lower case alone ({len(alike)} such pairs): give both one name"


def _folded(path: Path) -> str:
    return nfc(path.stem).casefold()


def _proposal(root: Path, found: Found, images: Path, masks: Path, split: str) -> tuple[Path, str] | None:
    """A lone mask and the template by which every lone image has its mask, if there is one."""
    lone = {nfc(str(path)): path for path in found.lone_masks if path.is_relative_to(masks)}
    wanting = found.lone_images
    if masks == images:  # whose masks may lie beside them, and pass for images
        lone = {nfc(str(path)): path for path in wanting if path.suffix.lower() in MASK_SUFFIXES}
    by_folder: dict[str, list[Path]] = {}
    for mask in lone.values():
        by_folder.setdefault(mask.parent.relative_to(masks).as_posix(), []).append(mask)
    folder_of = {image: image.parent.relative_to(images).as_posix() for image in wanting}
    for first in wanting[:2]:
        stem = nfc(first.stem)
        for mask in by_folder.get(folder_of[first], []):
            before, found_stem, after = nfc(mask.name).partition(stem)
            if not found_stem or mask == first or (masks == images and first.suffix.lower() == after):
                continue
            targets = {i: nfc(str(masks / folder_of[i] / f"{before}{nfc(i.stem)}{after}")) for i in wanting}
            beside = {*targets.values()} if masks == images else set()
            has_mask = [targets[image] in lone for image in wanting if nfc(str(image)) not in beside]
            if all(has_mask) or (beside and 2 * sum(has_mask) >= len(has_mask)):
                base = [part.replace(split, "{split}", 1) if split else part for part in masks.relative_to(root).parts]
                inside = ["{folder}"] if any(name != "." for name in folder_of.values()) else []
                return mask, "/".join([*base, *inside, f"{before}{{stem}}{after}"])
    return None
