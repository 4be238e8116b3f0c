"""Which images of undivided data are held out for validation: about a fifth, and what belongs together stays together.

Both eyes of a patient, frames of a video, tiles of a raster or crops of a photo that lie on both sides of a division
make every figure too good. Names tell them, by these rules (our choice), the first that fits:

1. Sequences are numbered names with two to four beginnings that hold a digit or a word such as frame or video, or with
   one that holds such a word, of four images or more each. The last fifth of each is held out, one stretch.
2. Groups are the names without their last three, two or one fields, whichever comes first to give 5 groups or more,
   most of them of several images and none of more than half of all. A field is a number behind a separator, letters
   before it or not (``_3``, ``-slice12``, ``/0041``), a letter and a number behind a digit (``c1`` of ``r0c1``), or a
   side (L, R, left, right, OD, OS, behind a digit or a separator). What is left must hold a digit: ``slide7_3`` is of
   slide 7, but ``cat_001`` is not of one cat. Whole groups are held out, in the order of a hash of their names.
3. Else each image is a group of its own.

What all names end with (``_leftImg8bit``) and Roboflow's ``.rf.`` and hash are left out first.

``data.groups`` comes before all rules: a regular expression whose first part in parentheses, found in the path of an
image below ``images/`` without its suffix, names the group. Where it is not found, the image is one of its own; if all
images are one group, it is a sequence. ``none`` has rule 3 alone.
"""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from pixalign.errors import InputError

_VAL_SHARE = 0.2
_FEWEST = 5  # groups
_SHORTEST = 4  # images of a sequence
_NUMBER = re.compile(r"(?:[_\-. /]+[a-z]*\(?\d+\)?|(?<=\d)[a-z]\d+)$", re.IGNORECASE)
_SIDE = re.compile(r"(?:(?<=\d)|[_\-. /]+)(?:left|right|l|r|od|os)$", re.IGNORECASE)
_FRAMES = re.compile(r"(?<![a-z])(?:frame|seq|video|clip|movie)", re.IGNORECASE)
_ROBOFLOW = re.compile(r"[._](?:jpe?g|png|bmp|webp)\.rf\.\w+$", re.IGNORECASE)


def held_out(names: Sequence[str], rule: str = "") -> tuple[set[int], str]:
    """Choose the images for validation, as this module's text says.

    Args:
        names: of two images or more: their paths below the images' folder, without suffix.
        rule: data.groups; "" goes by the names.

    Returns:
        The positions of the images in ``names``, never none and never all, and what was done with groups, such as
        "val: 4 of 20 images, 2 of 10 groups of names such as Image_01*"; "" where each image is a group of its own.

    Raises:
        InputError: a rule that is no regular expression, has no parentheses or is found in no name.
    """
    count = len(names)
    if rule not in ("", "none"):
        keys = _by_rule(names, rule)
        groups = _gathered(keys)
        if len(groups) == 1:
            held = _last_stretch(names, range(count))
            return held, f"val: {len(held)} of {count} images, the last in the order of their names"
        held, chosen = _whole_groups([*groups.items()], count)
        return held, f"val: {len(held)} of {count} images, {chosen} of {len(groups)} groups by data.groups {rule}"
    ends = _without_common_end([_ROBOFLOW.sub("", name) for name in names])
    if not rule and (sequences := _sequences(ends)):
        held = {i for members in sequences.values() for i in _last_stretch(ends, members)}
        each = ", ".join(f"{beginning}*" for beginning in sorted(sequences))
        return held, f"val: {len(held)} of {count} images, the last fifth of {each}"
    if not rule and (keys := _grouped(ends)):
        groups = _gathered(keys)
        held, chosen = _whole_groups([*groups.items()], count)
        example = min(key for key, members in groups.items() if len(members) > 1)
        return held, f"val: {len(held)} of {count} images, {chosen} of {len(groups)} groups of names such as {example}*"
    return _whole_groups([(name, [i]) for i, name in enumerate(names)], count)[0], ""


def _by_rule(names: Sequence[str], rule: str) -> list[str]:
    """The groups that a regular expression names."""
    example = r"such as '(patient\d+)'"
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise InputError(f"data.groups is {rule!r}: no regular expression ({error}): write one {example}") from error
    if not pattern.groups:
        raise InputError(f"data.groups is {rule!r}: no part of it in parentheses names the group: write one {example}")
    found = [pattern.search(name) for name in names]
    if not any(found):
        raise InputError(
            f"data.groups is {rule!r}: found in none of the {len(names)} names, such as {names[0]!r}: write a regular "
            "expression that is, or none"
        )
    # The group and the image have other names, so that an image of its own joins no group.
    return [f"{match[1]}*" if match and match[1] is not None else name for match, name in zip(found, names)]


def _grouped(names: Sequence[str]) -> list[str]:
    """The groups of rule 2, or []."""
    for fields in (3, 2, 1, 0):
        keys = [_without_fields(name, fields) for name in names]
        sizes = Counter(keys).values()
        several = sum(size > 1 for size in sizes)
        if len(sizes) >= _FEWEST and several > len(sizes) / 2 and max(sizes) <= len(names) / 2:
            return keys
    return []


def _without_fields(name: str, count: int) -> str:
    """A name without up to ``count`` fields at its end; as it is if no digit would be left."""
    for _ in range(count):
        match = _SIDE.search(name) or _NUMBER.search(name)
        if not match or not re.search(r"\d", name[: match.start()]):
            break
        name = name[: match.start()]
    return name


def _sequences(names: Sequence[str]) -> dict[str, list[int]]:
    """The images of each beginning by rule 1, or {}."""
    numbered = [re.fullmatch(r"(.*?)\d+", name, re.DOTALL) for name in names]
    groups = _gathered([match[1] for match in numbered if match])
    named = all(_FRAMES.search(each) or (len(groups) > 1 and re.search(r"\d", each)) for each in groups)
    long = all(len(members) >= _SHORTEST for members in groups.values())
    return groups if all(numbered) and len(groups) < _FEWEST and named and long else {}


def _without_common_end(names: Sequence[str]) -> list[str]:
    """Names without what all end with, from a separator on."""
    end = os.path.commonprefix([name[::-1] for name in names])[::-1]  # noqa: RUF071  (characters are meant)
    match = re.search(r"[_\-. ].*", end, re.DOTALL)
    return [name.removesuffix(match[0]) for name in names] if match else [*names]


def _gathered(keys: Sequence[str]) -> dict[str, list[int]]:
    """The positions of each key."""
    groups = defaultdict(list)
    for i, key in enumerate(keys):
        groups[key].append(i)
    return groups


def _target(count: int) -> int:
    return max(1, round(_VAL_SHARE * count))


def _whole_groups(groups: Sequence[tuple[str, list[int]]], count: int) -> tuple[set[int], int]:
    """Groups in the order of a hash, each that brings the images nearer to a fifth, at least one; and their number."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(os.fsencode(group[0])).digest())
    target, held, chosen = _target(count), set[int](), 0
    for _, members in ordered:
        if abs(len(held) + len(members) - target) < abs(len(held) - target):
            held.update(members)
            chosen += 1
    if held:
        return held, chosen
    return set(min(ordered, key=lambda group: len(group[1]))[1]), 1


def _last_stretch(names: Sequence[str], members: Sequence[int]) -> set[int]:
    """The last fifth of the members in the order of their names, numbers by value; equal names are not parted."""

    def natural(i: int) -> tuple[list[Any], str]:
        parts = re.split(r"(\d+)", names[i])
        return [int(part) if k % 2 else part for k, part in enumerate(parts)], names[i]

    ordered = sorted(members, key=natural)
    start = first = len(ordered) - _target(len(ordered))
    while first and names[ordered[first - 1]] == names[ordered[first]]:
        first -= 1
    return set(ordered[first or start :])  # where one name is nearly all, it is parted
