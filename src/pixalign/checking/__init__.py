"""What `pixalign data check` finds in a data set, with remedies: every pair is looked at before training.

`check_data` opens a data set and finds what lacks a partner; `check_splits` looks at splits that are open already;
`write_report` makes a page of the findings. An error is what training would stop at, or learn something wrong from; a
warning is worth a look. The limits for both are our choice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pixalign.checking import classes, problems
from pixalign.checking.page import write_report
from pixalign.checking.report import Problem, Report
from pixalign.checking.scan import Looked, Progress, Tally, scan_split
from pixalign.data import open_data
from pixalign.data.catalog import CATALOG
from pixalign.data.folder import describe, find
from pixalign.data.folder import splits as splits_in
from pixalign.data.formats.lacking import unread
from pixalign.data.formats.layout import SPLITS
from pixalign.data.masks import Labels
from pixalign.data.pairs import Pairs
from pixalign.errors import InputError

__all__ = ["Report", "check_data", "check_splits", "write_report"]

_T = TypeVar("_T")


def check_data(
    name: str,
    root: str | Path,
    mask_template: str = "",
    channels: int = 3,
    progress: Progress = lambda split, done, total: None,
    groups: str = "",
) -> Report:
    """Check those of the splits train, val and test that a data set has.

    Args:
        name, root, mask_template, channels, groups: as `pixalign.data.open_data` takes them.
        progress: called with split, pairs done and pairs in all.

    Raises:
        InputError: there is nothing to look at: no such folder, or no image in it.
    """
    if name == "folder":
        return _check_folder(Path(root), mask_template, channels, progress, groups)
    early: list[Problem] = []
    wanted = [split for split in SPLITS if name not in CATALOG or split in CATALOG[name].splits]
    opened = _opened(wanted, lambda split: open_data(name, root, split, mask_template, channels, groups), early, "test")
    if not all(isinstance(data, Pairs) for data in opened.values()):
        raise InputError(f"data.name {name!r} has no files that could be checked: name the data of a folder")
    return check_splits(opened, root, progress, early)


def _opened(splits: Iterable[str], read: Callable[[str], _T], early: list[Problem], spare: str = "") -> dict[str, _T]:
    """What ``read`` gives for the splits that can be opened, and ``early`` problems with others; one may be spared."""
    opened: dict[str, _T] = {}
    errors = []
    for split in splits:
        try:
            opened[split] = read(split)
        except InputError as error:
            errors.append(error)
            title = f"The split {split} cannot be opened"
            early.append(Problem("closed", "warning" if split == spare else "error", title, str(error)))
    if not opened:
        raise errors[0]
    return opened


def _check_folder(root: Path, mask_template: str, channels: int, progress: Progress, groups: str) -> Report:
    """As `check_data`, of a folder of images and masks: also what has no partner, and which classes the masks tell."""
    early: list[Problem] = []
    divided = splits_in(root) if root.is_dir() else []
    found = _opened(divided or ("train", "val"), lambda split: find(root, split, mask_template, groups), early)
    for split, why in (("train", "training needs it"), ("val", "training measures itself on it")):
        if divided and split not in divided:
            remedy = f"add images and masks of it: {why}"
            early.append(Problem("no-split", "error", f"There is no {split} split", remedy))
    early += problems.lone(root, found, mask_template) + problems.unread_kinds(root)
    masks = [mask for part in found.values() for mask in part.masks]
    labels, wrong = classes.labels_before(root, masks, mask_template)
    known, name = labels or Labels([], []), root.resolve().name
    opened = {
        split: Pairs(f"{name}/{split}", part.images, part.masks, known, channels, part.drawings)
        for split, part in found.items()
    }
    report = check_splits(opened, root, progress, early + wrong, raw=labels is None, tell=not wrong)
    return replace(report, layout=describe(root, mask_template, groups) + unread(root, found.values()))


def check_splits(
    splits: Mapping[str, Pairs],
    source: str | Path = "data",
    progress: Progress = lambda split, done, total: None,
    early: Sequence[Problem] = (),
    raw: bool = False,
    tell: bool = True,
) -> Report:
    """Check splits that are open already, every pair of them.

    Args:
        splits: by name; the first one is trained on.
        source: what to call the data: its folder, if it has one.
        progress: called with split, pairs done and pairs in all.
        early: problems that were found before.
        raw: the classes are not known.
        tell: then the masks shall tell them.
    """
    looked = [scan_split(name, pairs, raw, progress) for name, pairs in splits.items()]
    root = Path(source)
    labels = looked[0].pairs.labels
    found: list[Problem] = []
    told = None
    if raw:
        told = classes.labels_after(root, looked) if tell and not classes.smoothed(looked) else None
        if told is None and (values := classes.values_of(looked, None)):
            labels = classes.provisional(looked, values)
            found += [classes.untold(root, looked, values)] if tell else []
        else:
            labels = told or labels
        for split in looked:
            split.pairs = replace(split.pairs, labels=labels)
            split.counts = classes.renumbered(split.counts, labels)
            if told:
                split.unknown, split.strange = {}, []
    else:
        found += classes.wrong_values(root, looked, labels) + classes.binary(looked, labels)
    wrong = bool(found)
    for split in looked:
        _sum_up(split, labels, raw and told is None)
    found += [] if raw else classes.stretched(looked, labels)
    found += problems.noted(root, looked) + problems.duplicates(root, looked) + problems.of_splits(looked, wrong)
    if not wrong and (told or not raw):
        found += problems.of_classes(looked, labels)
    if any(problem.kind == "no-mask" for problem in early):
        found = [problem for problem in found if problem.kind != "no-pairs"]
    ordered = sorted([*early, *found], key=lambda problem: problem.severity == "warning")
    return Report(str(source), labels, looked, ordered)


def _sum_up(split: Looked, labels: Labels, provisional: bool) -> None:
    """Note what a split holds of each class."""
    count = len(labels.classes)
    split.pixels, split.images = split.counts.sum(0)[:count], (split.counts > 0).sum(0)[:count]
    split.unlabeled = int(split.counts[:, count:].sum())
    if provisional and labels.ids == {}:  # colors of which no class list is known
        tallies = [split.unknown.get(name.removeprefix("value "), Tally()) for name in labels.classes]
        split.pixels, split.images = np.array([[t.pixels, t.files] for t in tallies], np.int64).T
        split.unlabeled = 0
