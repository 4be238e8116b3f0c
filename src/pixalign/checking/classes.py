"""Whether the values of masks are classes: which they tell, which mean none, and what to write into classes.yaml."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from pixalign.checking.report import Example, Problem
from pixalign.checking.scan import KEPT_VALUES, Looked, Tally
from pixalign.data.folder import known_labels, labels_in
from pixalign.data.formats.files import below
from pixalign.data.formats.labelme import read_labelme
from pixalign.data.mask_values import is_stretched, proposed_ids
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors
from pixalign.text import number_of, percent

_MANY = 40  # more values than so come from smoothing or lossy compression, not from a person's list of classes


def labels_before(root: Path, masks: Sequence[Path], template: str) -> tuple[Labels | None, list[Problem]]:
    """The classes as far as they can be told before masks are read: from classes.yaml or annotations; else None."""
    drawn = [mask for mask in masks if mask.suffix.lower() == ".json"]
    try:
        if labels := known_labels(root, template):
            return labels, []
        if not masks or len(drawn) != len(masks):
            return None, []
        readable = []
        for path in drawn:
            with suppress(InputError):  # which the look at the pair reports
                read_labelme(path)
                readable.append(path)
        return labels_in(root, readable), []
    except InputError as error:
        return None, [Problem("classes", "error", "The list of classes cannot be used", str(error))]


def labels_after(root: Path, splits: Sequence[Looked]) -> Labels | None:
    """The classes from the masks' own values, if these tell them; read from as few masks as hold all values."""
    chosen: set[Path] = set()
    missing = np.ones(256, bool)
    for split in splits:
        firsts = [*np.flatnonzero(split.counts.sum(1))[:1], *(tally.first[1] for tally in split.unknown.values())]
        for value in np.flatnonzero(missing & (split.counts[:, :256].sum(0) > 0)):
            firsts.append(np.flatnonzero(split.counts[:, value])[0])
            missing[value] = False
        chosen |= {split.pairs.masks[i] for i in firsts}
    with suppress(InputError):
        return labels_in(root, sorted(chosen)) if chosen else None
    return None


def smoothed(splits: Sequence[Looked]) -> bool:
    """Whether a usual mask holds more values than a picture has classes: interpolation leaves them along borders."""
    different = np.concatenate([(split.counts > 0).sum(1) for split in splits])
    return bool(different.any() and np.median(different[different > 0]) > _MANY)


def values_of(splits: Sequence[Looked], labels: Labels | None) -> dict[str, Tally]:
    """All values in the masks, as text, most frequent first; with ``labels``, those that mean no class."""
    values: dict[str, Tally] = {}
    for split in splits:
        own = dict(split.unknown)
        if labels is None:
            beyond = split.unlisted + sum(tally.pixels for tally in own.values())
            for number in np.flatnonzero(split.counts.sum(0)).tolist():
                column = split.counts[:, number]
                if (pixels := int(column.sum()) - (beyond if number == IGNORE else 0)) > 0:
                    holders = np.flatnonzero(column)
                    own[str(number)] = Tally(len(holders), pixels, (split.name, int(holders[0])))
        for value, tally in own.items():
            whole = values.setdefault(value, Tally(first=tally.first))
            whole.files += tally.files
            whole.pixels += tally.pixels
    return dict(sorted(values.items(), key=lambda item: -item[1].pixels))


def provisional(splits: Sequence[Looked], values: Mapping[str, Tally]) -> Labels:
    """The values themselves as classes, so that shares and pictures can be shown where classes cannot be told."""
    numbers = sorted(int(value) for value in values if value.isdecimal() and int(value) < IGNORE)
    texts = [value[1:-1] for value in values if value.startswith("(")][:_MANY]
    colors = [(int(red), int(green), int(blue)) for red, green, blue in (text.split(",") for text in texts)]
    if colors and not numbers:
        index = {color: i for i, color in enumerate(colors)}
        return Labels([f"value {color}" for color in colors], [[*color] for color in colors], {}, index)
    ids = {value: i for i, value in enumerate(numbers)}
    return Labels([f"value {v}" for v in numbers], default_colors(len(numbers)), {**ids, IGNORE: IGNORE})


def renumbered(counts: np.ndarray, labels: Labels) -> np.ndarray:
    """Counts of the masks' values as counts of class ids."""
    table = labels.id_table()
    result = np.zeros_like(counts)
    for value in np.flatnonzero(counts.sum(0)).tolist():
        result[:, table.get(value, IGNORE)] += counts[:, value]
    return result


def wrong_values(root: Path, splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """The problem of values that mean no class, over all splits."""
    values = values_of(splits, labels)
    if not values:
        return []
    numbers = {int(value) for value in values if value.isdecimal()}
    if labels.ids is None:
        present = np.sum([split.counts.sum(0) for split in splits], 0)
        numbers |= set(np.flatnonzero(present[: len(labels.classes)]).tolist())
        numbers |= {IGNORE} if present[IGNORE] > sum(tally.pixels for tally in values.values()) else set()
    remedy, snippet = labels.remedy, ""
    if not remedy:
        remedy, snippet = _remedy_for(values, sorted(numbers), labels)
    title, examples = f"Label values outside the {len(labels.classes)} classes", _strange_files(root, splits)
    return [Problem("label-values", "error", title, remedy, examples, _listing(root, splits, values), snippet)]


def binary(splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """Masks of 0 and 255 alone, where 255 is no label: everything that is labeled is the first class."""
    total = np.sum([split.counts.sum(0) for split in splits], 0)
    if labels.ids is not None or len(labels.classes) < 2 or set(np.flatnonzero(total)) != {0, IGNORE}:
        return []
    if any(split.unknown or split.pairs.drawings for split in splits):
        return []
    remedy, snippet = _remedy_for({}, [0, IGNORE], labels)
    title = "The masks hold 0 and 255 alone, and 255 means no label"
    return [Problem("binary", "error", title, remedy, snippet=snippet)]


def untold(root: Path, splits: Sequence[Looked], values: Mapping[str, Tally]) -> Problem:
    """The problem that the masks do not tell the classes."""
    numbers = sorted(int(value) for value in values if value.isdecimal())
    remedy, snippet = _remedy_for(values, numbers, None)
    title = "The masks alone do not tell the classes, and there is no classes.yaml"
    return Problem("classes", "error", title, remedy, [], _listing(root, splits, values), snippet)


def stretched(splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """The warning that 255 is no label, though it looks like the last of classes whose ids are stretched up to it."""
    if not labels.ids or [value for value, index in labels.ids.items() if index == IGNORE] != [IGNORE]:
        return []
    listed = sorted(value for value in labels.ids if value != IGNORE)
    occurs = any(split.counts[:, IGNORE].any() and not split.unknown for split in splits)
    if len(listed) < 2 or max(listed) < 100 or not is_stretched([*listed, IGNORE]) or not occurs:
        return []
    remedy = "if it is a class, add it to classes.yaml ({name: ..., id: 255}); until then its pixels have no label"
    return [Problem("unlisted-255", "warning", "The masks hold 255, which no class has: it means no label", remedy)]


def _listing(root: Path, splits: Sequence[Looked], values: Mapping[str, Tally]) -> list[str]:
    """Lines about values, the most frequent ones."""
    lines = [
        f"{'label' if not re.match(r'[(0-9]', value) else 'value'} {value} in {number_of(tally.files, 'file')}, "
        f"{number_of(tally.pixels, 'pixel')}, first {_where(root, splits, tally.first)}"
        for value, tally in [*values.items()][:12]
    ]
    left = len(values) - 12
    more = "more than " if len(values) >= KEPT_VALUES else ""
    return lines + ([f"and {more}{left:,} further values"] if left > 0 else [])


def _strange_files(root: Path, splits: Sequence[Looked]) -> list[Example]:
    examples = []
    for split in splits:
        for index, listed, pixels in split.strange:
            names = ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
            where = _where(root, splits, (split.name, index))
            examples.append(Example(where, f"{names}: {number_of(pixels, 'pixel')}", split.name, index))
    return examples


def _where(root: Path, splits: Sequence[Looked], first: tuple[str, int]) -> str:
    split = next(split for split in splits if split.name == first[0])
    return below(root, split.pairs.images[first[1]] if split.pairs.drawings else split.pairs.masks[first[1]])


def _remedy_for(values: Mapping[str, Tally], numbers: Sequence[int], labels: Labels | None) -> tuple[str, str]:
    """Return what to do about values that mean no class, and the lines for classes.yaml.

    Args:
        values: that mean no class (all, without ``labels``), most frequent first.
        numbers: these and the ids that occur, ascending.
        labels: the classes, if known.
    """
    colors = [value for value in values if value.startswith("(")]
    if len(values) > _MANY:
        return (
            f"so many values ({'more than ' if len(values) >= KEPT_VALUES else ''}{len(values):,}) come from resizing "
            "with smoothing, anti-aliased drawing or lossy compression: write the masks again with nearest neighbor, "
            "as PNG",
            "",
        )
    if colors:
        if labels and labels.mask_colors:
            return "give each to a class, or to `ignore`", "ignore:" + _items(f"[{value[1:-1]}]" for value in colors)
        total = sum(tally.pixels for tally in values.values())
        entries = _items(
            f"{{name: class_{i}, color: [{value[1:-1]}]}}  # {percent(values[value].pixels / total)}"
            for i, value in enumerate(colors)
        )
        return (
            "the masks are stored in colors: write this classes.yaml (here with their share of the pixels), with your "
            "own names; colors that mean nothing go to `ignore:`",
            "classes:" + entries,
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
            if labels and len(labels.classes) == len(listed):
                names = [json.dumps(name, ensure_ascii=False) for name in labels.classes]
            else:
                names = ["background", "object"] if binary else [f"class_{value}" for value in listed]
            entries = _items(f"{{name: {name}, id: {value}}}" for name, value in zip(names, listed))
            return f"{looks}: write this classes.yaml{', ' * bool(note)}{note}", "classes:" + entries
        if core == [*range(len(labels.classes) + 1)]:
            return (
                f"the masks hold one id more than the {count} classes: is the class of 0 or of {count} missing in "
                "the list? Else correct the masks, or make it no label in classes.yaml",
                f"ignore: [{count}]",
            )
    remedy = "correct these masks, add the values to a class (`ids`), or make them no label in classes.yaml"
    return remedy, f"ignore: [{', '.join(values)}]"


def _items(items: Iterable[str]) -> str:
    return "".join(f"\n- {item}" for item in items)
