"""What to say of images without mask, of files that a list misses, and of folders of no layout that is known."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from pixalign.data.formats.files import below, entries, nfc
from pixalign.data.formats.layout import Found, split_of
from pixalign.data.formats.plain import LABELME, MASK_FOLDERS
from pixalign.data.formats.recognize import recognize
from pixalign.data.images import IMAGE_SUFFIXES, walk
from pixalign.data.masks import MASK_SUFFIXES
from pixalign.errors import InputError

_FOLDERS, _SUFFIXES = 6, 3  # the most that a message names
_ANNOTATIONS = (".json", ".txt", ".xml")


def lacking(root: Path, found: Found, name: str, split: str, template: str) -> InputError:
    """Return the error about images without mask, or listed images that are not there.

    ``name`` is the layout's; ``split``, the split's folder, and the mask template may be "".
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
        otherwise = _namesake(root, found) or ": add it or correct it"
        return InputError(f"{first}: no mask where data.mask_template {template!r} has it {share}{otherwise}")
    if name == LABELME:
        return InputError(f"{first}: no Labelme file (.json) beside it {share}: draw it or remove the image")
    if found.folders is None:
        return InputError(f"{first}: no mask or annotation of it {share}: add it or remove the image ({name})")
    images, masks = found.folders
    nearest = masks if masks.is_dir() else masks.parent if masks.parent != root and masks.parent.is_dir() else images
    if proposal := _proposal(root, found, images, nearest, split):
        example, better = proposal
        return InputError(
            f"{first}: no mask of the same stem in {masks} {share}: masks are named {below(root, example)}: "
            f"try --data.mask_template '{better}'"
        )
    if not masks.is_dir() and not found.images:
        holds = f"{root.resolve().name}/ holds {seen(root)}"
        return InputError(f"{masks}: no such folder, though {images} is there ({holds}): put the masks into it")
    if not masks.is_dir() or masks == images:
        return InputError(f"{first}: no mask of it {share}: add it or remove the image ({name})")
    otherwise = _namesake(root, found) or ": add the masks or remove the images"
    return InputError(f"{first}: no mask of the same stem in {masks} {share}{otherwise}")


def unknown(root: Path) -> InputError:
    """Return the error about a folder of no known layout: what it holds, and what comes nearest."""
    return InputError(
        f"{root}: found neither images/ and masks/ nor another layout that is known; it holds {seen(root)}: "
        f"{_nearest(root)}"
    )


def unread(root: Path, parts: Iterable[Found]) -> str:
    """Return the end of a line about a layout: pictures, annotations and lists in none of ``parts``; "" for none."""
    used = {path for part in parts for path in (*part.images, *part.masks, *part.lone_images, *part.lone_masks)}
    left: dict[str, list[Path]] = {}
    for path in walk(root):
        inside = path.relative_to(root).parts[:-1]
        named = {part.casefold() for part in inside}
        annotates = path.suffix.lower() in _ANNOTATIONS and "imagesets" not in named
        annotates = annotates and bool(named & {*MASK_FOLDERS} or (inside and split_of(path.stem)))
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


def _namesake(root: Path, found: Found) -> str:
    """The end of an error: lone masks of lone images' names in another folder, or in other case of the letters."""
    lone = {_folded(path): path for path in found.lone_masks}
    alike = [(path, lone[_folded(path)]) for path in found.lone_images if _folded(path) in lone]
    if not alike:
        return ""
    image, mask = (below(root, path) for path in alike[0])
    if nfc(alike[0][0].stem) == nfc(alike[0][1].stem):
        return f"; {mask} has the name of {image} ({len(alike)} such pairs): put both into folders of one name"
    return f"; {image} and {mask} differ in upper and lower case alone ({len(alike)} such pairs): give both one name"


def _folded(path: Path) -> str:
    return nfc(path.stem).casefold()


def _proposal(root: Path, found: Found, images: Path, masks: Path, split: str) -> tuple[Path, str] | None:
    """A mask and the template by which the lone images have their masks, if there is one.

    The masks are looked for below ``masks``: in the images' folders of the same name, or in one folder for all; beside
    the images (``masks`` is ``images``) half of those that the template leaves as images must have one.
    """
    beside = masks == images
    others = found.lone_images if beside else walk(masks)
    lone = {}
    for path in others:
        other_split = any(split_of(part) and part != split for part in path.relative_to(root).parts[:-1])
        if path.suffix.lower() in MASK_SUFFIXES and not other_split:
            lone[nfc(str(path))] = path
    wanting = {image: image.parent.relative_to(images).as_posix() for image in found.lone_images}
    nested = any(inside != "." for inside in wanting.values())
    for first in found.lone_images[:2]:
        stem = nfc(first.stem)
        for mask in lone.values():
            name = nfc(mask.name)
            if mask == first or stem not in name:
                continue
            before, _, after = name.partition(stem)
            mirrored = mask.parent == masks / wanting[first]
            targets = {
                image: nfc(str((masks / inside if mirrored else mask.parent) / f"{before}{nfc(image.stem)}{after}"))
                for image, inside in wanting.items()
            }
            masked = {*targets.values()} if beside else set()
            has_mask = [target in lone for image, target in targets.items() if nfc(str(image)) not in masked]
            if all(has_mask) or (beside and 2 * sum(has_mask) >= len(has_mask)):
                parts = (masks if mirrored else mask.parent).relative_to(root).parts
                base = [part.replace(split, "{split}", 1) if split else part for part in parts]
                return mask, "/".join([*base, *["{folder}"] * (nested and mirrored), f"{before}{{stem}}{after}"])
    return None
