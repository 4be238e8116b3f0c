"""What to write into classes.yaml where the values of masks do not tell the classes, or are not those listed."""

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pixalign.data.masks import Labels
from pixalign.data.samples import Data
from pixalign.errors import InputError
from pixalign.palette import IGNORE

MANY = 40  # more values than so come from smoothing or lossy compression, not from a person's list of classes
KEPT_VALUES = 4096  # of which a check keeps count


def proposed_ids(numbers: Sequence[int], count: int | None = None) -> tuple[list[int], str, str]:
    """Return which values of masks to list as classes, what they look like, and what to know of 255 (or "").

    Args:
        numbers: the values that occur, ascending, with 255 if that does; other than 0, 1, 2 and so on.
        count: the number of classes, if known.
    """
    core = [value for value in numbers if value != IGNORE]
    with_last = IGNORE in numbers
    if core == [0] and with_last:
        return [0, IGNORE], "these look like binary masks", "in which 255 is a class"
    if len(core) == 1 and with_last:
        return [*numbers], "the masks hold two values alone", "in which 255 is a class"
    if core == [*range(1, len(core) + 1)]:
        return core, "the ids count from 1", "and list 255 as well if it is a class" if with_last else ""
    if with_last and len(core) == count:
        return core, "name the classes", "in which 255 means no label"
    note = "or leave 255 out if it means no label" if with_last else ""
    if step := _step(core) or _step(numbers):
        return [*numbers], f"the ids look stretched, in steps of {step}, to make them visible", note
    return [*numbers], "name the classes", note


def is_stretched(numbers: Sequence[int]) -> bool:
    """Whether values (ascending) lie evenly apart by more than 1, with or without 255, to be told apart by eye."""
    return bool(_step(numbers) or _step([value for value in numbers if value != IGNORE]))


def remedy_for(values: Mapping[str, int], numbers: Sequence[int], labels: Labels | None) -> tuple[str, str]:
    """Return what to do about values that mean no class, and the lines for classes.yaml.

    Args:
        values: that mean no class (all, without ``labels``), most frequent first -> pixels.
        numbers: these and the ids that occur, ascending.
        labels: the classes, if known.
    """
    colors = [value for value in values if value.startswith("(")]
    if len(values) > MANY:
        return (
            f"so many values ({'more than ' if len(values) >= KEPT_VALUES else ''}{len(values):,}) come from resizing "
            "with smoothing, anti-aliased drawing or lossy compression: write the masks again with nearest neighbor, "
            "as PNG",
            "",
        )
    if colors:
        if labels and labels.mask_colors:
            return "give each to a class, or to `ignore`", "ignore:" + _items(f"[{value[1:-1]}]" for value in colors)
        total = sum(values.values())
        lines = [
            f"- {{name: class_{i}, color: [{value[1:-1]}]}}  # {percent(values[value] / total)}"
            for i, value in enumerate(colors)
        ]
        return (
            "the masks are stored in colors: write this classes.yaml (here with their share of the pixels), with your "
            "own names; colors that mean nothing go to `ignore:`",
            "classes:\n" + "\n".join(lines),
        )
    if any(not value.isdecimal() for value in values):
        return "add these labels to classes.yaml, or correct them in the annotations", ""
    core = [value for value in numbers if value != IGNORE]
    if not core:
        return "the masks hold no label but 255, which means none: label some pixels", ""
    if len(numbers) == 1:
        return "one class cannot be learned: label a second one", ""
    if labels is None or labels.ids is None:
        count = len(labels.classes) if labels else None
        binary = core == [0]
        from_one = core == [*range(1, len(core) + 1)]
        told = is_stretched(numbers) or {str(value) for value in core} <= {*values}
        if labels is None or binary or from_one or len(core) == count or told:
            listed, looks, note = proposed_ids(numbers, count)
            otherwise = ["background", "object"] if binary else listed
            text = f"{looks}: write this classes.yaml{', ' * bool(note)}{note}"
            return text, _ids(_names(labels, len(listed), otherwise), listed)
        if core == [*range(len(labels.classes) + 1)]:
            return (
                f"the masks hold one id more than the {count} classes: is the class of 0 or of {count} missing in "
                "the list? Else correct the masks, or make it no label in classes.yaml",
                f"ignore: [{count}]",
            )
    listing = ", ".join(value for value in values)
    return (
        "correct these masks, add the values to a class (`ids`), or make them no label in classes.yaml",
        f"ignore: [{listing}]",
    )


def require_two_labels(data: Data) -> None:
    """Refuse data that is labeled with one class throughout, or not at all; reads pairs until it sees a second one.

    Raises:
        InputError: there is nothing to learn.
    """
    seen: set[int] = set()
    for index in range(len(data)):
        seen.update(np.unique(data[index][1]).tolist())
        if len(seen - {IGNORE}) > 1:
            return
    found = f"the class {data.classes[min(seen)]!r} alone" if seen - {IGNORE} else "no class (255 is no label)"
    raise InputError(f"{data.name}: the masks hold {found}, and one class cannot be learned: label a second one")


def percent(share: float) -> str:
    """A share of 0 to 1 as text of two significant digits at least."""
    if not share:
        return "–"
    return "< 0.01 %" if share < 0.0001 else f"{100 * share:.{1 if share >= 0.1 else 2}f} %"


def triple(value: str) -> tuple[int, int, int]:
    """The numbers of a color that is written as "(1, 2, 3)"."""
    red, green, blue = (int(part) for part in value.strip("()").split(","))
    return red, green, blue


def _step(numbers: Sequence[int]) -> int:
    """How far values lie apart: their common divisor, or their even distance up to rounding; 0 if neither is above 1.

    Even distances alone are not enough: 3, 5, 7 are not stretched over the range of grays.
    """
    if len(numbers) < 2:
        return 0
    if (common := math.gcd(*numbers)) > 1:
        return common
    apart = [after - before for before, after in itertools.pairwise(numbers)]
    even = max(apart) - min(apart) <= 1 and numbers[0] <= max(apart) and len(numbers) > 2 and min(apart) > 7
    return round(sum(apart) / len(apart)) if even else 0


def _names(labels: Labels | None, count: int, otherwise: Sequence[Any]) -> list[str]:
    """The names of the classes if there are ``count``, else names made of ``otherwise``, as YAML."""
    if labels and len(labels.classes) == count:
        return [json.dumps(name, ensure_ascii=False) for name in labels.classes]
    return [value if isinstance(value, str) else f"class_{value}" for value in otherwise]


def _ids(names: Sequence[str], values: Sequence[int]) -> str:
    return "classes:" + _items(f"{{name: {name}, id: {value}}}" for name, value in zip(names, values))


def _items(items: Iterable[str]) -> str:
    return "".join(f"\n- {item}" for item in items)
