"""What to write into classes.yaml where the values of masks do not tell the classes, or are not those listed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pixalign.data.mask_values import is_stretched, proposed_ids
from pixalign.data.masks import Labels
from pixalign.palette import IGNORE
from pixalign.text import percent

MANY = 40  # more values than so come from smoothing or lossy compression, not from a person's list of classes
KEPT_VALUES = 4096  # of which a check keeps count


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


def triple(value: str) -> tuple[int, int, int]:
    """The numbers of a color that is written as "(1, 2, 3)"."""
    red, green, blue = (int(part) for part in value.strip("()").split(","))
    return red, green, blue


def _names(labels: Labels | None, count: int, otherwise: Sequence[Any]) -> list[str]:
    """The names of the classes if there are ``count``, else names made of ``otherwise``, as YAML."""
    if labels and len(labels.classes) == count:
        return [json.dumps(name, ensure_ascii=False) for name in labels.classes]
    return [value if isinstance(value, str) else f"class_{value}" for value in otherwise]


def _ids(names: Sequence[str], values: Sequence[int]) -> str:
    return "classes:" + _items(f"{{name: {name}, id: {value}}}" for name, value in zip(names, values))


def _items(items: Iterable[str]) -> str:
    return "".join(f"\n- {item}" for item in items)
