"""What `pixalign data check` finds in a data set, with remedies: every pair is looked at before training.

`check_data` opens a data set and finds what lacks a partner; `check_splits` looks at splits that are open already;
`write_report` makes a page of the findings. An error is what training would stop at, or learn something wrong from; a
warning is worth a look. The limits for both are our choice.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pixalign.checking.classes import (
    binary,
    labels_after,
    labels_before,
    provisional,
    renumbered,
    smoothed,
    stretched,
    untold,
    values_of,
    wrong_values,
)
from pixalign.checking.page import write_report
from pixalign.checking.problems import closed, duplicates, lone, noted, of_classes, of_splits, unread_kinds
from pixalign.checking.report import Problem, Report, SplitStats
from pixalign.checking.scan import Looked, Progress, Tally, scan_split
from pixalign.data import open_data
from pixalign.data.catalog import CATALOG
from pixalign.data.folder import describe, find
from pixalign.data.folder import splits as splits_in
from pixalign.data.formats.lacking import unread
from pixalign.data.formats.layout import SPLITS, Found
from pixalign.data.masks import Labels
from pixalign.data.pairs import Pairs
from pixalign.errors import InputError

__all__ = ["Report", "check_data", "check_folder", "check_splits", "write_report"]


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
            problems.append(closed(split, str(error), "warning" if split == "test" else "error"))
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
            problems.append(closed(split, str(error), "error"))
    if not found:
        raise errors[0]
    for split in ("train", "val"):
        if divided and split not in divided:
            words = "training needs it" if split == "train" else "training measures itself on it"
            problems.append(
                Problem("no-split", "error", f"There is no {split} split", f"add images and masks of it: {words}")
            )
    problems += lone(root, found, mask_template) + unread_kinds(root)
    labels, wrong = labels_before(root, [mask for part in found.values() for mask in part.masks], mask_template)
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


def _report(
    source: str | Path,
    opened_splits: Mapping[str, Pairs],
    problems: list[Problem],
    progress: Progress,
    raw: bool = False,
    tell: bool = True,
) -> Report:
    """Look at all pairs and judge them; ``raw``: the classes are not known, and ``tell``: the masks shall tell them."""
    splits = [scan_split(name, pairs, raw, progress) for name, pairs in opened_splits.items()]
    root = Path(source)
    labels = splits[0].pairs.labels
    found: list[Problem] = []
    told = None
    if raw:
        told, why = labels_after(root, splits) if tell and not smoothed(splits) else (None, "")
        if told is None and (values := values_of(splits, None)):
            labels = provisional(splits, values)
            found += [untold(root, splits, values, why)] if tell else []
        else:
            labels = told or labels
        for split in splits:
            split.pairs = replace(split.pairs, labels=labels)
            split.counts = renumbered(split.counts, labels)
            if told:
                split.unknown, split.strange = {}, []
    else:
        found += wrong_values(root, splits, labels)
        found += binary(splits, labels)
    wrong = bool(found)
    stats = [_stats(split, labels, raw and told is None) for split in splits]
    found += [] if raw else stretched(splits, labels)
    found += noted(root, splits) + duplicates(root, splits) + of_splits(stats, wrong)
    if not wrong and (told or not raw):
        found += of_classes(stats, labels)
    if any(problem.kind == "no-mask" for problem in problems):
        found = [problem for problem in found if problem.kind != "no-pairs"]
    ordered = sorted([*problems, *found], key=lambda problem: problem.severity == "warning")
    return Report(str(source), labels, stats, ordered, splits)


def _stats(split: Looked, labels: Labels, provisional: bool) -> SplitStats:
    count = len(labels.classes)
    pixels, images = split.counts.sum(0), (split.counts > 0).sum(0)
    unlabeled = int(pixels[count:].sum())
    if provisional and labels.ids == {}:  # colors of which no class list is known
        tallies = [split.unknown.get(name.removeprefix("value "), Tally()) for name in labels.classes]
        sums = np.array([[t.pixels, t.files] for t in tallies], np.int64)
        return SplitStats(split.name, len(split.pairs), split.sizes, sums[:, 0], sums[:, 1], 0)
    return SplitStats(split.name, len(split.pairs), split.sizes, pixels[:count], images[:count], unlabeled)
