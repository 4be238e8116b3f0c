"""What the values of masks look like where no list of classes says what they mean."""

import itertools
import math
from collections.abc import Sequence

from pixalign.palette import IGNORE


def proposed_ids(numbers: Sequence[int], count: int | None = None) -> tuple[list[int], str, str]:
    """Return which values of masks to list as classes, what they look like, and what to know of 255 (or "").

    ``numbers`` are the values that occur, ascending, with 255 if that does; other than 0, 1, 2 and so on. ``count`` is
    the number of classes, if known.
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
