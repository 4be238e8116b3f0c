"""Look at every pair of a data set before training, and report all problems at once, with their remedies.

`check_data` opens a data set and finds what lacks a partner; `check_splits` looks at splits that are open already;
`pixalign.checking.page` makes a page of the findings. An error is what training would stop at, or learn something
wrong from; a warning is worth a look. The limits for both (below) are our choice.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixalign.checking.notes import Note, on_image, on_sizes, on_turns, refused
from pixalign.data import open_data
from pixalign.data.catalog import CATALOG
from pixalign.data.folder import describe, find, folder, known_labels, labels_in
from pixalign.data.folder import splits as splits_in
from pixalign.data.formats.labelme import read_labelme
from pixalign.data.formats.lacking import unread
from pixalign.data.formats.layout import SPLITS, Found
from pixalign.data.images import noted_kinds, other_images
from pixalign.data.masks import Labels, gray_of, read_values, unpack
from pixalign.data.pairs import Pairs
from pixalign.data.remedies import KEPT_VALUES, MANY, is_stretched, percent, remedy_for, triple
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

RARE, DOMINANT = 0.001, 0.95  # shares of the labeled training pixels
SAMPLES = 24  # pairs on the contact sheet

_BATCH = 64

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Example:
    """A file that shows a problem.

    Attributes:
        file: its path, below the data's folder where it lies there.
        note: what is the matter with it.
        split, index: the pair; index -1 where there is none.
    """

    file: str
    note: str = ""
    split: str = ""
    index: int = -1


@dataclass
class Problem:
    """One kind of problem, with every file that has it.

    Attributes:
        kind: a short key, such as ``label-values``.
        severity: ``error`` (training would stop, or learn something wrong) or ``warning``.
        title: what is wrong.
        remedy: what to do about it.
        examples: all files concerned.
        details: further lines, such as the label values with their counts.
        snippet: lines to paste into classes.yaml.
    """

    kind: str
    severity: Literal["error", "warning"]
    title: str
    remedy: str
    examples: list[Example] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    snippet: str = ""

    @property
    def heading(self) -> str:
        """The title and the number of files."""
        count = len(self.examples)
        return f"{self.title} ({count:,} file{'s' * (count != 1)})" if count else self.title


@dataclass
class SplitStats:
    """What a split holds.

    Attributes:
        name: of the split.
        pairs: images with a mask.
        sizes: (height, width) of the images that could be read -> their number.
        pixels: (K,) int64, labeled pixels by class.
        images: (K,) int64, pairs in which the class occurs.
        unlabeled: pixels without a label, or with a value that means no class.
    """

    name: str
    pairs: int
    sizes: Counter[tuple[int, int]]
    pixels: np.ndarray
    images: np.ndarray
    unlabeled: int

    def shares(self) -> list[float]:
        """Share of the labeled pixels by class, 0 to 1."""
        return (self.pixels / max(1, int(self.pixels.sum()))).tolist()

    def labeled(self) -> float:
        """Share of the pixels that have a label, 0 to 1."""
        labeled = int(self.pixels.sum())
        return labeled / max(1, labeled + self.unlabeled)


@dataclass
class Report:
    """What a check found.

    Attributes:
        source: the data's folder, or what else to call it.
        labels: the classes; where they cannot be told, the values that the masks hold.
        splits, problems: errors come first.
        looked: the pairs, for pictures.
        layout: what a folder was recognized as, in a line; otherwise empty.
    """

    source: str
    labels: Labels
    splits: list[SplitStats]
    problems: list[Problem]
    looked: list["Looked"] = field(default_factory=list, repr=False)
    layout: str = ""

    def of(self, severity: str) -> list[Problem]:
        """The problems of a severity."""
        return [problem for problem in self.problems if problem.severity == severity]

    @property
    def ready(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def verdict(self) -> str:
        """The result in plain words."""
        errors, warnings = (number_of(len(self.of(kind)), kind) for kind in ("error", "warning"))
        if self.ready:
            return f"Ready to train, with {warnings}" if self.problems else "Ready to train"
        return f"{errors}: training would stop or go wrong" + (f" (and {warnings})" if self.of("warning") else "")

    def summary(self) -> str:
        """One line that names the errors."""
        errors = self.of("error")
        listed = "; ".join(problem.heading for problem in errors[:3]) + (" ..." if len(errors) > 3 else "")
        return f"{self.source}: {number_of(len(errors), 'error')} in the data" + (f": {listed}" if errors else "")

    def to_json(self) -> dict[str, Any]:
        """Everything that was found, as plain data."""
        return {
            "format": 1,
            "source": self.source,
            "layout": self.layout,
            "verdict": self.verdict(),
            "errors": len(self.of("error")),
            "warnings": len(self.of("warning")),
            "classes": [{"name": n, "color": c} for n, c in zip(self.labels.classes, self.labels.colors)],
            "splits": {
                split.name: {
                    "pairs": split.pairs,
                    "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in split.sizes.most_common()],
                    "labeled_share": split.labeled(),
                    "labeled_pixels": int(split.pixels.sum()),
                    "unlabeled_pixels": split.unlabeled,
                    "classes": [
                        {"name": name, "pixels": int(pixels), "share": share, "images": int(images)}
                        for name, pixels, share, images in zip(
                            self.labels.classes, split.pixels, split.shares(), split.images
                        )
                    ],
                }
                for split in self.splits
            },
            "problems": [
                {
                    "kind": problem.kind,
                    "severity": problem.severity,
                    "title": problem.title,
                    "count": len(problem.examples),
                    "remedy": problem.remedy,
                    "details": problem.details,
                    "classes_yaml": problem.snippet,
                    "files": [{"file": e.file, "note": e.note, "split": e.split} for e in problem.examples],
                }
                for problem in self.problems
            ],
        }


def check_data(
    name: str,
    root: str | Path,
    mask_template: str = "",
    channels: int = 3,
    progress: Progress = lambda split, done, total: None,
) -> Report:
    """Check those of the splits train, val and test that a data set has.

    Args:
        name, root, mask_template, channels: as `pixalign.data.open_data` takes them.
        progress: called with split, pairs done and pairs in all.

    Raises:
        InputError: there is nothing to look at: no such folder, or no image in it.
    """
    if name == "folder":
        return check_folder(root, mask_template, channels, progress)
    opened_splits, problems, errors = {}, [], []
    for split in [split for split in SPLITS if name not in CATALOG or split in CATALOG[name].splits]:
        try:
            data = open_data(name, root, split, mask_template, channels)
        except InputError as error:
            errors.append(error)
            problems.append(_closed(split, str(error), "warning" if split == "test" else "error"))
            continue
        if not isinstance(data, Pairs):
            raise InputError(f"data.name {name!r} has no files that could be checked: name the data of a folder")
        opened_splits[split] = data
    if not opened_splits:
        raise errors[0]
    return _report(root, opened_splits, problems, progress)


def check_folder(
    root: str | Path,
    mask_template: str = "",
    channels: int = 3,
    progress: Progress = lambda split, done, total: None,
) -> Report:
    """Check all splits of a folder of images and masks; arguments and errors as for `check_data`."""
    root = Path(root)
    problems: list[Problem] = []
    errors: list[InputError] = []
    found: dict[str, Found] = {}
    divided = splits_in(root) if root.is_dir() else []
    for split in divided or ("train", "val"):
        try:
            found[split] = find(root, split, mask_template)
        except InputError as error:
            errors.append(error)
            problems.append(_closed(split, str(error), "error"))
    if not found:
        raise errors[0]
    for split in ("train", "val"):
        if divided and split not in divided:
            words = "training needs it" if split == "train" else "training measures itself on it"
            problems.append(
                Problem("no-split", "error", f"There is no {split} split", f"add images and masks of it: {words}")
            )
    problems += _lone(root, found, mask_template) + _unread(root)
    labels, wrong = _labels_before(root, [mask for part in found.values() for mask in part.masks], mask_template)
    problems += wrong
    known = labels or Labels([], [])
    opened_splits = {
        split: Pairs(f"{root.resolve().name}/{split}", part.images, part.masks, known, channels, part.drawings)
        for split, part in found.items()
    }
    report = _report(root, opened_splits, problems, progress, raw=labels is None, tell=not wrong)
    return replace(report, layout=describe(root, mask_template) + unread(root, found.values()))


def check_splits(
    splits: Mapping[str, Pairs],
    source: str | Path = "data",
    progress: Progress = lambda split, done, total: None,
) -> Report:
    """Check splits that are open already, every pair of them.

    Args:
        splits: by name; the first one is trained on.
        source: what to call the data: its folder, if it has one.
        progress: called with split, pairs done and pairs in all.
    """
    return _report(source, splits, [], progress)


def shown(text: str, limit: int = 0) -> str:
    """Return text that is safe to print: control characters as escapes, the middle left out beyond ``limit``."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in text)
    if limit and len(text) > limit:
        tail = limit // 2
        text = f"{text[: limit - tail - 1]}…{text[-tail:]}"
    return text


# Looking at pairs ----------------------------------------------------------------------------------------------------


@dataclass
class _Seen:
    """What one pair turned out to be; counts are of 256 ids, of which 255 is no label."""

    notes: list[Note] = field(default_factory=list)
    size: tuple[int, int] | None = None
    digest: bytes = b""
    mask_digest: bytes = b""
    counts: np.ndarray | None = None
    unknown: dict[str, int] = field(default_factory=dict)


@dataclass
class _Tally:
    """How often a value occurs: in files, in pixels, and the first pair that has it."""

    files: int = 0
    pixels: int = 0
    first: tuple[str, int] = ("", -1)


@dataclass
class Looked:
    """A split, and what its pairs turned out to be."""

    name: str
    pairs: Pairs
    counts: np.ndarray  # (N, 256) int32: pixels by id, of which 255 is no label
    sound: np.ndarray  # (N,) bool: readable, of one size, nothing unknown
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    digests: list[tuple[bytes, bytes]] = field(default_factory=list)
    notes: list[tuple[int, Note]] = field(default_factory=list)
    unknown: dict[str, _Tally] = field(default_factory=dict)
    strange: list[tuple[int, list[str], int]] = field(default_factory=list)  # pair, values that mean no class, pixels
    unlisted: int = 0  # pixels of further such values


def _scan(name: str, pairs: Pairs, raw: bool, progress: Progress) -> Looked:
    """Read all pairs of a split; ``raw`` takes the masks' values for ids, whatever the classes."""
    total = len(pairs)
    split = Looked(name, pairs, np.zeros((total, 256), np.int32), np.zeros(total, bool))
    progress(name, 0, total)
    for index, seen in enumerate(_in_threads(lambda i: _look(pairs, i, raw), total)):
        split.notes += [(index, note) for note in seen.notes]
        split.digests.append((seen.digest, seen.mask_digest))
        if seen.size:
            split.sizes[seen.size] += 1
        if seen.counts is not None:
            split.counts[index] = seen.counts
        if seen.unknown:
            split.strange.append((index, [*seen.unknown][:4], sum(seen.unknown.values())))
        for value, count in seen.unknown.items():
            if value not in split.unknown and len(split.unknown) >= KEPT_VALUES:
                split.unlisted += count
                continue
            tally = split.unknown.setdefault(value, _Tally(first=(name, index)))
            tally.files += 1
            tally.pixels += count
        failed = any(note.severity == "error" for note in seen.notes)
        split.sound[index] = not failed and (raw or not seen.unknown)
        progress(name, index + 1, total)
    return split


def _in_threads(look: Callable[[int], _Seen], total: int) -> Iterator[_Seen]:
    """Results in order, of which only a batch waits at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, total, _BATCH):
            yield from threads.map(look, range(start, min(start + _BATCH, total)))


def _look(pairs: Pairs, index: int, raw: bool) -> _Seen:
    seen = _Seen()
    path = pairs.images[index]
    mask_size = None
    try:
        image = pairs.read_image(index)
    except InputError as error:
        seen.notes.append(refused(str(error), path, "image"))
    else:
        seen.size = image.shape[:2]
        seen.digest = _digest(image)
        seen.notes += on_image(path, image, pairs.channels)
    try:
        ids, seen.unknown = _raw_mask(pairs, index) if raw else mask_of(pairs, index)
    except InputError as error:
        seen.notes.append(refused(str(error), pairs.masks[index], "mask"))
    else:
        mask_size = ids.shape
        seen.counts = np.bincount(ids.ravel(), minlength=256)
        seen.mask_digest = _digest(ids)
        if seen.counts[IGNORE] == ids.size and not seen.unknown:
            seen.notes.append(
                Note(
                    "unlabeled",
                    "Masks without any label",
                    "label them, or remove image and mask",
                    severity="warning",
                    of_mask=True,
                )
            )
    if seen.size and mask_size and seen.size != mask_size:
        seen.notes.append(on_sizes(seen.size, mask_size, path))
    if seen.size and mask_size:
        drawn = pairs.drawings or pairs.masks[index].suffix.lower() in (".json", ".mat")
        seen.notes += on_turns(path, None if drawn else pairs.masks[index])
    return seen


def _digest(pixels: np.ndarray) -> bytes:
    """16 bytes that pixels of the same values and shape have in common."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16, salt=b"%d" % pixels.shape[1]).digest()


def mask_of(pairs: Pairs, index: int) -> tuple[np.ndarray, dict[str, int]]:
    """As `Pairs.read_mask`, but colors that the classes know nothing of are unknown values, too."""
    try:
        return pairs.read_mask(index)
    except InputError:
        if pairs.drawings or pairs.labels.mask_colors or pairs.masks[index].suffix.lower() == ".json":
            raise
        ids, unknown = _raw_mask(pairs, index)
        if not unknown or (ids != IGNORE).any():
            raise
        return ids, unknown


def _raw_mask(pairs: Pairs, index: int) -> tuple[np.ndarray, dict[str, int]]:
    """A mask's own values (H, W) uint8, and those that do not fit into it: colors, ids above 255, labels as text."""
    if pairs.drawings:
        return pairs.drawing(index).draw([])
    path = pairs.masks[index]
    if path.suffix.lower() == ".json":
        return read_labelme(path).draw([])
    values = read_values(path)
    if values.dtype == np.uint32:
        gray = gray_of(values)
        if gray is None:
            found, counts = np.unique(values, return_counts=True)
            colors = {str(unpack(value)): count for value, count in zip(found.tolist(), counts.tolist())}
            return np.full(values.shape, IGNORE, np.uint8), colors
        values = gray
    large = values > IGNORE
    found, counts = np.unique(values[large], return_counts=True)
    unknown = {str(value): count for value, count in zip(found.tolist(), counts.tolist())}
    return np.where(large, IGNORE, values).astype(np.uint8), unknown


# What lacks a partner, and the classes -------------------------------------------------------------------------------


def _closed(split: str, text: str, severity: Literal["error", "warning"]) -> Problem:
    return Problem("closed", severity, f"The split {split} cannot be opened", text)


def _lone(root: Path, found: Mapping[str, Found], template: str) -> list[Problem]:
    """Images without mask and masks without image, with the nearest name as a hint."""
    images = Problem("no-mask", "error", "Images without a mask", "add the masks, or remove the images")
    masks = Problem("no-image", "warning", "Masks without an image", "add the images, or remove the masks")
    for split, part in found.items():
        if part.drawings:
            masks.severity, masks.title = "error", "Images that the annotations list, and that are not there"
            masks.remedy = "add the images, or remove them from the annotations"
        for problem, lone, others in (
            (images, part.lone_images, part.lone_masks),
            (masks, part.lone_masks, part.lone_images),
        ):
            names = {other.stem: other for other in others[:500]}
            for i, path in enumerate(lone):
                near = _nearest(path.stem, names) if i < 20 else None
                note = f"{_below(root, names[near])} looks like its partner" if near else ""
                problem.examples.append(Example(_below(root, path), note, split))
        if part.lone_images:
            try:
                folder(root, split, template)
            except InputError as error:
                if "--data.mask_template" in str(error):
                    images.remedy = str(error)[str(error).index("masks are named") :]
                if "upper and lower case" in str(error):
                    images.remedy = str(error).rpartition("; ")[2]
    return [problem for problem in (images, masks) if problem.examples]


def _unread(root: Path) -> list[Problem]:
    """Pictures of kinds that are not read, which nobody would miss."""
    others = other_images([root])
    title, remedy = "Pictures of kinds that are not read: left out", "convert them to JPEG or PNG (masks to PNG)"
    examples = [Example(_below(root, path)) for path in others]
    return [Problem("other-kinds", "warning", title, remedy, examples, [noted_kinds(others)])] if others else []


def _nearest(stem: str, others: Mapping[str, Path]) -> str | None:
    """The name among ``others`` that a suffix, another case or a typo tells apart from ``stem``."""
    for other in others:
        if len(stem) > 2 and len(other) > 2 and (stem.lower() in other.lower() or other.lower() in stem.lower()):
            return other
    return next(iter(get_close_matches(stem, others, 1, 0.8)), None)


def _labels_before(root: Path, masks: Sequence[Path], template: str) -> tuple[Labels | None, list[Problem]]:
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


def _labels_after(root: Path, splits: Sequence[Looked]) -> tuple[Labels | None, str]:
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


def _below(root: str | Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


# Judging what was seen -----------------------------------------------------------------------------------------------


def _report(
    source: str | Path,
    opened_splits: Mapping[str, Pairs],
    problems: list[Problem],
    progress: Progress,
    raw: bool = False,
    tell: bool = True,
) -> Report:
    """Look at all pairs and judge them; ``raw``: the classes are not known, and ``tell``: the masks shall tell them."""
    splits = [_scan(name, pairs, raw, progress) for name, pairs in opened_splits.items()]
    root = Path(source)
    labels = splits[0].pairs.labels
    found: list[Problem] = []
    told = None
    if raw:
        told, why = _labels_after(root, splits) if tell and not _smoothed(splits) else (None, "")
        if told is None and (values := _values_of(splits, None)):
            labels = _provisional(splits, values)
            found += [_untold(root, splits, values, why)] if tell else []
        else:
            labels = told or labels
        for split in splits:
            split.pairs = replace(split.pairs, labels=labels)
            split.counts = _renumbered(split.counts, labels)
            if told:
                split.unknown, split.strange = {}, []
    else:
        found += _wrong_values(root, splits, labels)
        found += _binary(splits, labels)
    wrong = bool(found)
    stats = [_stats(split, labels, raw and told is None) for split in splits]
    found += [] if raw else _stretched(splits, labels)
    found += _noted(root, splits) + _duplicates(root, splits) + _of_splits(stats, wrong)
    if not wrong and (told or not raw):
        found += _of_classes(stats, labels)
    if any(problem.kind == "no-mask" for problem in problems):
        found = [problem for problem in found if problem.kind != "no-pairs"]
    ordered = sorted([*problems, *found], key=lambda problem: problem.severity == "warning")
    return Report(str(source), labels, stats, ordered, splits)


def _smoothed(splits: Sequence[Looked]) -> bool:
    """Whether a usual mask holds more values than a picture has classes: interpolation leaves them along borders."""
    different = np.concatenate([(split.counts > 0).sum(1) for split in splits])
    return bool(different.any() and np.median(different[different > 0]) > MANY)


def _stats(split: Looked, labels: Labels, provisional: bool) -> SplitStats:
    count = len(labels.classes)
    pixels, images = split.counts.sum(0), (split.counts > 0).sum(0)
    unlabeled = int(pixels[count:].sum())
    if provisional and labels.ids == {}:  # colors of which no class list is known
        tallies = [split.unknown.get(name.removeprefix("value "), _Tally()) for name in labels.classes]
        sums = np.array([[t.pixels, t.files] for t in tallies], np.int64)
        return SplitStats(split.name, len(split.pairs), split.sizes, sums[:, 0], sums[:, 1], 0)
    return SplitStats(split.name, len(split.pairs), split.sizes, pixels[:count], images[:count], unlabeled)


def _values_of(splits: Sequence[Looked], labels: Labels | None) -> dict[str, _Tally]:
    """All values in the masks, as text, most frequent first; with ``labels``, those that mean no class."""
    values: dict[str, _Tally] = {}
    for split in splits:
        own = dict(split.unknown)
        if labels is None:
            beyond = split.unlisted + sum(tally.pixels for tally in own.values())
            for number in np.flatnonzero(split.counts.sum(0)).tolist():
                column = split.counts[:, number]
                pixels = int(column.sum()) - (beyond if number == IGNORE else 0)
                if pixels > 0:
                    holders = np.flatnonzero(column)
                    own[str(number)] = _Tally(len(holders), pixels, (split.name, int(holders[0])))
        for value, tally in own.items():
            whole = values.setdefault(value, _Tally(first=tally.first))
            whole.files += tally.files
            whole.pixels += tally.pixels
    return dict(sorted(values.items(), key=lambda item: -item[1].pixels))


def _provisional(splits: Sequence[Looked], values: Mapping[str, _Tally]) -> Labels:
    """The values themselves as classes, so that shares and pictures can be shown where classes cannot be told."""
    numbers = sorted(int(value) for value in values if value.isdecimal() and int(value) < IGNORE)
    colors = [triple(value) for value in values if value.startswith("(")][:MANY]
    if colors and not numbers:
        return Labels(
            [f"value {c}" for c in colors], [list(c) for c in colors], {}, {c: i for i, c in enumerate(colors)}
        )
    ids = {value: i for i, value in enumerate(numbers)}
    return Labels([f"value {v}" for v in numbers], default_colors(len(numbers)), {**ids, IGNORE: IGNORE})


def _renumbered(counts: np.ndarray, labels: Labels) -> np.ndarray:
    """Counts of the masks' values as counts of class ids."""
    table = labels.id_table()
    result = np.zeros_like(counts)
    for value in np.flatnonzero(counts.sum(0)).tolist():
        result[:, table.get(value, IGNORE)] += counts[:, value]
    return result


def _pixels(values: Mapping[str, _Tally]) -> dict[str, int]:
    return {value: tally.pixels for value, tally in values.items()}


def _where(root: Path, splits: Sequence[Looked], first: tuple[str, int]) -> str:
    split = next(split for split in splits if split.name == first[0])
    return _below(root, split.pairs.images[first[1]] if split.pairs.drawings else split.pairs.masks[first[1]])


def _listing(root: Path, splits: Sequence[Looked], values: Mapping[str, _Tally]) -> list[str]:
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


def _wrong_values(root: Path, splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """The problem of values that mean no class, over all splits."""
    values = _values_of(splits, labels)
    if not values:
        return []
    numbers = {int(value) for value in values if value.isdecimal()}
    if labels.ids is None:
        present = np.sum([split.counts.sum(0) for split in splits], 0)
        numbers |= set(np.flatnonzero(present[: len(labels.classes)]).tolist())
        numbers |= {IGNORE} if present[IGNORE] > sum(tally.pixels for tally in values.values()) else set()
    remedy, snippet = (labels.remedy, "") if labels.remedy else remedy_for(_pixels(values), sorted(numbers), labels)
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


def _binary(splits: Sequence[Looked], labels: Labels) -> list[Problem]:
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


def _untold(root: Path, splits: Sequence[Looked], values: Mapping[str, _Tally], why: str) -> Problem:
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


def _noted(root: Path, splits: Sequence[Looked]) -> list[Problem]:
    """The notes on pairs, grouped by kind."""
    problems: dict[str, Problem] = {}
    for split in splits:
        for index, note in split.notes:
            problem = problems.setdefault(note.kind, Problem(note.kind, note.severity, note.title, note.remedy))
            path = split.pairs.masks[index] if note.of_mask and not split.pairs.drawings else split.pairs.images[index]
            problem.examples.append(Example(_below(root, path), note.note, split.name, index))
    return [*problems.values()]


def _duplicates(root: Path, splits: Sequence[Looked]) -> list[Problem]:
    """Images of the same pixels, across splits and within one."""
    across = Problem(
        "leak",
        "error",
        "The same picture in two splits",
        "remove it from one of them: a score on pictures that were trained on says nothing about others",
    )
    shared = Problem("shared", "warning", "The same file in two splits", across.remedy)
    within = Problem("duplicate", "warning", "The same picture twice in a split", "remove the copies")
    groups: dict[bytes, list[tuple[Looked, int]]] = {}
    for split in splits:
        for index, (digest, _) in enumerate(split.digests):
            if digest:
                groups.setdefault(digest, []).append((split, index))
    for group in groups.values():
        (first, original), *copies = group
        source = first.pairs.images[original]
        for split, index in copies:
            path = split.pairs.images[index]
            problem = within if split is first else shared if path == source else across
            note = f"the same as {_below(root, source)}" + (f" ({first.name})" if split is not first else "")
            masks = first.digests[original][1], split.digests[index][1]
            if all(masks) and masks[0] != masks[1]:
                note += ", with another mask"
            problem.examples.append(Example(_below(root, path), note, split.name, index))
    return [problem for problem in (across, shared, within) if problem.examples]


def _of_splits(stats: Sequence[SplitStats], wrong: bool) -> list[Problem]:
    """Splits that are too small; ``wrong`` values, which are reported, leave pixels without label, too."""
    problems = []
    for split in stats:
        read = int(split.pixels.sum()) + split.unlabeled
        if not split.pairs:
            problems.append(
                Problem("no-pairs", "error", f"No image of the split {split.name} has a mask", "add the masks")
            )
        elif read and not split.pixels.any() and not wrong:
            title = f"Not one labeled pixel in the split {split.name}"
            problems.append(Problem("no-label", "error", title, "label some of its masks"))
        elif split.pairs == 1:
            title = f"One image alone in the split {split.name}"
            problems.append(Problem("one-image", "warning", title, "add more: one picture says little about others"))
    return problems


def _of_one_class(train: SplitStats, labels: Labels) -> list[Problem]:
    """The error that all that is labeled in ``train`` is one class, which every network says without learning."""
    present = np.flatnonzero(train.pixels).tolist()
    if len(present) != 1:
        return []
    title = f"One class alone is labeled in {train.name}: {labels.classes[present[0]]}"
    remedy = "label a second class: with one, there is nothing to learn, and every score is 100"
    return [Problem("one-class", "error", title, remedy)]


def _stretched(splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """The warning that 255 is no label, though it looks like the last of classes whose ids are stretched up to it."""
    if not labels.ids or [value for value, index in labels.ids.items() if index == IGNORE] != [IGNORE]:
        return []
    listed = sorted(value for value in labels.ids if value != IGNORE)
    occurs = any(split.counts[:, IGNORE].any() and not split.unknown for split in splits)
    if len(listed) < 2 or max(listed) < 100 or not is_stretched([*listed, IGNORE]) or not occurs:
        return []
    remedy = "if it is a class, add it to classes.yaml ({name: ..., id: 255}); until then its pixels have no label"
    return [Problem("unlisted-255", "warning", "The masks hold 255, which no class has: it means no label", remedy)]


def _of_classes(stats: Sequence[SplitStats], labels: Labels) -> list[Problem]:
    """Classes that do not occur where they should, or too little or too much."""
    train, others = stats[0], stats[1:]
    names = labels.classes
    total = np.sum([split.pixels for split in stats], 0)
    if not total.any():
        return []
    problems = _of_one_class(train, labels)

    def add(kind: str, title: str, remedy: str, details: list[str]) -> None:
        if details:
            problems.append(Problem(kind, "warning", title, remedy, [], details))

    by_plain: dict[str, list[str]] = {}
    for name in names:
        by_plain.setdefault(re.sub(r"[\s_-]+", " ", name).strip().casefold(), []).append(name)
    add(
        "alike-classes",
        "Classes whose names differ by case, spaces or hyphens alone",
        "if they are one class, give it one name in the annotations",
        [", ".join(map(repr, alike)) for alike in by_plain.values() if len(alike) > 1],
    )
    add(
        "absent-class",
        "Classes that never occur",
        "remove them from the list of classes, or label them",
        [f"{name} (id {i})" for i, name in enumerate(names) if not total[i]],
    )
    add(
        "untrained-class",
        f"Classes that {train.name} does not have",
        f"move pictures of them into {train.name}: they cannot be learned",
        [
            f"{name}: in {number_of(int(split.images[i]), 'image')} of {split.name}"
            for i, name in enumerate(names)
            for split in others
            if split.pixels[i] and not train.pixels[i]
        ],
    )
    for split in others:
        missing = [name for i, name in enumerate(names) if train.pixels[i] and not split.pixels[i]]
        if split.pixels.any():
            add(
                "unmeasured-class",
                f"Classes that {split.name} does not have",
                f"move pictures of them into {split.name}: their IoU cannot be measured, and the mean leaves them out",
                missing,
            )
    add(
        "rare-class",
        f"Classes of less than {RARE:.1%} of the labeled pixels of {train.name}",
        "show them more often: --data.class_uniform 0.5, or --loss.class_weights median",
        [
            f"{name}: {percent(share)}, in {number_of(int(images), 'image')}"
            for name, share, images in zip(names, train.shares(), train.images)
            if 0 < share < RARE
        ],
    )
    add(
        "dominant-class",
        f"One class covers more than {DOMINANT:.0%} of the labeled pixels of {train.name}",
        "look at the IoU of the others, not at the accuracy; --loss.class_weights median helps them",
        [f"{name}: {percent(share)}" for name, share in zip(names, train.shares()) if share > DOMINANT],
    )
    return problems


def number_of(count: int, noun: str, plural: str = "s") -> str:
    return f"{count:,} {noun}{plural if count != 1 else ''}"
