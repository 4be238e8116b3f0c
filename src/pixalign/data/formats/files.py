"""What readers of layouts share: looking at folders, and pairing images and masks by their names.

Names are compared in Unicode's composed form (NFC): archives made on a Mac hold them decomposed. Two files whose names
are one in that form are two files all the same, and an error where it matters which is meant.
"""

import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from pixalign.data.formats.layout import SPLITS, Found, split_of
from pixalign.data.images import IMAGE_SUFFIXES, each_file, is_visible, walk
from pixalign.data.masks import LOSSY_SUFFIXES, MASK_SUFFIXES
from pixalign.errors import InputError
from pixalign.text import first_line

PICTURES = frozenset({*MASK_SUFFIXES, *LOSSY_SUFFIXES})


def nfc(text: str) -> str:
    """Return text in Unicode's composed form, in which equal names are equal."""
    return unicodedata.normalize("NFC", text)


def key_of(path: Path, base: Path) -> str:
    """Return a file's path below ``base`` without its suffix, composed: what an image and its mask have in common."""
    return nfc(path.relative_to(base).with_suffix("").as_posix())


def keyed(paths: Iterable[Path], base: Path) -> dict[Path, str]:
    """Return `key_of` each of the paths below ``base``."""
    return {path: key_of(path, base) for path in paths}


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, sorted, without hidden ones and ``__MACOSX``; [] if there is none.

    InputError if it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            listed = sorted((entry.name, entry.is_dir()) for entry in found if is_visible(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}): change its permissions") from error
    folders, files = ([folder / name for name, is_dir in listed if is_dir == kind] for kind in (True, False))
    return folders, files


def holds(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether a file of one of these suffixes lies in a folder or below it."""
    return any(path.suffix.lower() in suffixes for path in each_file(folder))


def images_in(folder: Path, masks: Path | None = None) -> list[Path]:
    """Return the images in a folder and below it, apart from its folder of masks; InputError if there are none."""
    images = walk(folder, IMAGE_SUFFIXES)
    if masks and masks != folder and masks.is_relative_to(folder):
        images = [path for path in images if not path.is_relative_to(masks)]
    if not images:
        raise InputError(f"{folder}: no image in it ({', '.join(sorted(IMAGE_SUFFIXES))}): is data.root right?")
    return images


def pair(images: Mapping[Path, str], *masks: Mapping[Path, str], folders: tuple[Path, Path] | None = None) -> Found:
    """Pair images and masks of one key; InputError for two masks of a kind for one image, or one mask for two images.

    Args:
        images: key of each image.
        masks: key of each mask, by kinds: where several kinds have an image's mask, the first is taken.
        folders: as in `Found`.
    """
    by_key: dict[str, Path] = {}
    for kind in reversed(masks):
        taken: dict[str, Path] = {}
        for path, key in kind.items():
            if key in taken:
                raise InputError(f"{taken[key]} and {path.name}: two masks for one image{_how(taken[key], path)}")
            taken[key] = path
        by_key |= taken
    image_of: dict[str, Path] = {}
    for path, key in images.items():
        if key in image_of and key in by_key:
            raise InputError(
                f"{image_of[key]} and {path.name}: two images for one mask, {by_key[key]}{_how(image_of[key], path)}"
            )
        image_of[key] = path
    return Found(
        [path for path, key in images.items() if key in by_key],
        [by_key[key] for key in images.values() if key in by_key],
        [path for path, key in images.items() if key not in by_key],
        sorted(path for key, path in by_key.items() if key not in image_of),
        folders=folders,
    )


def _how(one: Path, other: Path) -> str:
    """The end of an error about two files of one name."""
    unlike = one.stem != other.stem and nfc(one.stem) == nfc(other.stem)
    return (" (their names are one, written in two ways of Unicode)" if unlike else "") + ": keep one of them"


def below(root: Path, path: Path) -> str:
    """Return a path as it is below ``root``, for messages."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text file, without spaces around them; InputError if it is not UTF-8 text."""
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({first_line(error)}): write it as UTF-8 text") from error


def lists_of_splits(files: Iterable[Path]) -> dict[str, Path]:
    """Return those text files that their names make lists of splits (train.txt, train_list.txt, in any case).

    InputError for two lists of one split.
    """
    lists: dict[str, Path] = {}
    for path in files:
        split = split_of(path.stem.casefold().removesuffix("_list")) if path.suffix.lower() == ".txt" else ""
        if split and lists.setdefault(split, path) != path:
            raise InputError(f"{path}: {lists[split].name} is a list of the same split: keep one of them")
    return {split: lists[split] for split in SPLITS if split in lists}


def split_folders(root: Path, fits: Callable[[Path], bool]) -> dict[str, Path]:
    """Return the folders in ``root`` that fit and whose names make them splits; InputError for two of one split."""
    folders: dict[str, Path] = {}
    for path in entries(root)[0]:
        split = split_of(path.name)
        if split and fits(path) and folders.setdefault(split, path) != path:
            raise InputError(f"{root}: {folders[split].name}/ and {path.name}/ are the same split: remove one")
    return {split: folders[split] for split in SPLITS if split in folders}


def unique(names: Iterable[str], file: Path) -> list[str]:
    """Return names of classes as a list; InputError if one occurs twice or is empty, or there are none."""
    listed = [*names]
    if not listed or not all(listed):
        raise InputError(f"{file}: {'lists no class' if not listed else 'a class has no name'}: export it again")
    if twice := [name for i, name in enumerate(listed) if name in listed[:i]]:
        raise InputError(f"{file}: the class {twice[0]!r} occurs twice: give each class its own name")
    return listed
