"""Masks by a template, ``data.mask_template``: a path with the fields stem, name, folder and split."""

import os
import re
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pixalign.data.formats.files import nfc
from pixalign.data.formats.layout import Found
from pixalign.data.images import walk
from pixalign.errors import InputError

_FIELDS = ("stem", "folder", "name", "split")


def by_template(root: Path, images: Sequence[Path], base: Path, split: str, template: str) -> Found:
    """Return the pairs that a template makes of images; masks without image are the unused files that it could name.

    Args:
        root: the template's paths are below it.
        images, base: the images, and the folder whose sub-folders are ``{folder}``.
        split: the folder of the split, or "" where there is none.
        template: as `pixalign.data.folder` describes it; InputError if it cannot be used, or names one mask for two.
    """
    fields = _fields(template)
    if "split" in fields and not split:
        raise InputError(f"data.mask_template {template!r} has {{split}}, and {root} is not divided: leave it out")
    candidates = _candidates(root, split, template)
    composed: dict[str, list[Path]] = {}
    for path in candidates:
        composed.setdefault(nfc(path.relative_to(root).as_posix()), []).append(path)

    def mask_of(image: Path) -> Path:
        inside = image.parent.relative_to(base).as_posix() if image.is_relative_to(base) else ""
        values = {"stem": image.stem, "name": image.name, "folder": "" if inside == "." else inside}
        path = root / template.format(**values, split=split)
        same = [] if path.as_posix().isascii() else composed.get(nfc(os.path.relpath(path, root)), [])
        if len(same) > 1:
            raise InputError(f"{same[0]} and {same[1]}: one name, written in two ways of Unicode: keep one of them")
        return same[0] if same else path

    targets = {image: mask_of(image) for image in images}
    masks = {*targets.values()}
    images = [image for image in images if image not in masks]  # a mask beside its image is no image
    named = Counter(targets[image] for image in images)
    for image in images:
        if named[targets[image]] > 1 and os.path.exists(targets[image]):
            raise InputError(
                f"data.mask_template {template!r} names {targets[image]} for {named[targets[image]]} images, such as "
                f"{image}: add {{folder}} or {{name}} to it, or keep one of the images"
            )
    there = {image: os.path.isfile(targets[image]) for image in images}
    used = {targets[image] for image in images if there[image]}
    return Found(
        [image for image in images if there[image]],
        [targets[image] for image in images if there[image]],
        [image for image in images if not there[image]],
        [path for path in candidates if path not in used and path not in there],
        folders=(base, root),
    )


def _fields(template: str) -> set[str]:
    """The fields of a mask template; InputError if it cannot tell the masks of two images apart, or has others."""
    allowed = ", ".join(f"{{{name}}}" for name in _FIELDS)
    try:
        parts = [part for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"data.mask_template {template!r} is wrong ({error}): its fields are {allowed}") from error
    for _, name, spec, conversion in parts:
        if name not in _FIELDS or spec or conversion:
            raise InputError(f"data.mask_template {template!r} has the field {{{name}}}: its fields are {allowed}")
    fields = {str(part[1]) for part in parts}
    if not fields & {"stem", "name"}:
        raise InputError(f"data.mask_template {template!r} names one mask for all images: add {{stem}} or {{name}}")
    return fields


def _candidates(root: Path, split: str, template: str) -> list[Path]:
    """Files that a mask template could name, given an image of the right name."""
    parts = [part.replace("{split}", split) for part in Path(template).parts]
    fixed = next(i for i, part in enumerate(parts) if "{" in part)
    base = root.joinpath(*parts[:fixed])
    if not base.is_dir():
        return []
    pattern, path_below = "", "/".join(parts[fixed:])
    for text, name, _, _ in string.Formatter().parse(path_below):
        pattern += re.escape(text)
        pattern += {None: "", "folder": ".*", "split": ".*"}.get(name, "[^/]+")
    pattern = pattern.replace(".*/", "(?:.*/)?")
    return [path for path in walk(base) if re.fullmatch(pattern, path.relative_to(base).as_posix())]
