"""Whether the values of masks are classes: which classes they tell, and which values mean none."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pixalign.checking.remedies import KEPT_VALUES, MANY, remedy_for, triple
from pixalign.checking.report import Example, Problem
from pixalign.checking.scan import Looked, Tally
from pixalign.data.folder import known_labels, labels_in
from pixalign.data.formats.files import below
from pixalign.data.formats.labelme import read_labelme
from pixalign.data.mask_values import is_stretched
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors
from pixalign.text import number_of


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
            try:
                read_labelme(path)
            except InputError:  # which the look at the pair reports
                continue
            readable.append(path)
        return labels_in(root, readable), []
    except InputError as error:
        return None, [Problem("classes", "error", "The list of classes cannot be used", str(error))]


def labels_after(root: Path, splits: Sequence[Looked]) -> tuple[Labels | None, str]:
    """The classes from the masks' own values, or None and why not; read from as few masks as hold all values."""
    chosen: set[Path] = set()
    missing = np.ones(256, bool)
    for split in splits:
        readable = np.flatnonzero(split.counts.sum(1))
        chosen |= {split.pairs.masks[i] for i in readable[:1]}
        chosen |= {split.pairs.masks[i] for name, i in (t.first for t in split.unknown.values())}
        for value in np.flatnonzero(missing & (split.counts[:, :256].sum(0) > 0)):
            chosen.add(split.pairs.masks[int(np.flatnonzero(split.counts[:, value])[0])])
            missing[value] = False
    if not chosen:
        return None, ""
    try:
        return labels_in(root, sorted(chosen)), ""
    except InputError as error:
        return None, str(error)


def smoothed(splits: Sequence[Looked]) -> bool:
    """Whether a usual mask holds more values than a picture has classes: interpolation leaves them along borders."""
    different = np.concatenate([(split.counts > 0).sum(1) for split in splits])
    return bool(different.any() and np.median(different[different > 0]) > MANY)


def values_of(splits: Sequence[Looked], labels: Labels | None) -> dict[str, Tally]:
    """All values in the masks, as text, most frequent first; with ``labels``, those that mean no class."""
    values: dict[str, Tally] = {}
    for split in splits:
        own = dict(split.unknown)
        if labels is None:
            beyond = split.unlisted + sum(tally.pixels for tally in own.values())
            for number in np.flatnonzero(split.counts.sum(0)).tolist():
                column = split.counts[:, number]
                pixels = int(column.sum()) - (beyond if number == IGNORE else 0)
                if pixels > 0:
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
    colors = [triple(value) for value in values if value.startswith("(")][:MANY]
    if colors and not numbers:
        return Labels(
            [f"value {c}" for c in colors], [list(c) for c in colors], {}, {c: i for i, c in enumerate(colors)}
        )
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
        remedy, snippet = remedy_for(_pixels(values), sorted(numbers), labels)
    return [
        Problem(
            "label-values",
            "error",
            f"Label values outside the {len(labels.classes)} classes",
            remedy,
            _strange_files(root, splits),
            _listing(root, splits, values),
            snippet,
        )
    ]


def binary(splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """Masks of 0 and 255 alone, where 255 is no label: everything that is labeled is the first class."""
    total = np.sum([split.counts.sum(0) for split in splits], 0)
    if labels.ids is not None or len(labels.classes) < 2 or set(np.flatnonzero(total)) != {0, IGNORE}:
        return []
    if any(split.unknown or split.pairs.drawings for split in splits):
        return []
    remedy, snippet = remedy_for({}, [0, IGNORE], labels)
    return [
        Problem("binary", "error", "The masks hold 0 and 255 alone, and 255 means no label", remedy, [], [], snippet)
    ]


def untold(root: Path, splits: Sequence[Looked], values: Mapping[str, Tally], why: str) -> Problem:
    """The problem that the masks do not tell the classes."""
    numbers = sorted(int(value) for value in values if value.isdecimal())
    remedy, snippet = remedy_for(_pixels(values), numbers, None)
    if not snippet and not remedy:
        remedy = why.removeprefix(f"{root}: ")
    return Problem(
        "classes",
        "error",
        "The masks alone do not tell the classes, and there is no classes.yaml",
        remedy,
        details=_listing(root, splits, values),
        snippet=snippet,
    )


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


def _pixels(values: Mapping[str, Tally]) -> dict[str, int]:
    return {value: tally.pixels for value, tally in values.items()}
