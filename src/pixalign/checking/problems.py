"""Problems of a data set: what lacks a partner, what pairs have in common, which splits and classes are too small."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from pixalign.checking.report import Example, Problem
from pixalign.checking.scan import Looked
from pixalign.data.folder import folder
from pixalign.data.formats.files import below
from pixalign.data.formats.layout import Found
from pixalign.data.images import noted_kinds, other_images
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.text import number_of, percent

RARE, DOMINANT = 0.001, 0.95  # shares of the labeled training pixels


def lone(root: Path, found: Mapping[str, Found], template: str) -> list[Problem]:
    """Images without mask and masks without image, with the nearest name as a hint."""
    images = Problem("no-mask", "error", "Images without a mask", "add the masks, or remove the images")
    masks = Problem("no-image", "warning", "Masks without an image", "add the images, or remove the masks")
    for split, part in found.items():
        if part.drawings:
            masks.severity, masks.title = "error", "Images that the annotations list, and that are not there"
            masks.remedy = "add the images, or remove them from the annotations"
        both = (images, part.lone_images, part.lone_masks), (masks, part.lone_masks, part.lone_images)
        for problem, lone, others in both:
            names = {other.stem: other for other in others[:500]}
            for i, path in enumerate(lone):
                near = _nearest(path.stem, names) if i < 20 else None
                note = f"{below(root, names[near])} looks like its partner" if near else ""
                problem.examples.append(Example(below(root, path), note, split))
        if part.lone_images:
            try:
                folder(root, split, template)
            except InputError as error:
                if "--data.mask_template" in str(error):
                    images.remedy = str(error)[str(error).index("masks are named") :]
                if "upper and lower case" in str(error):
                    images.remedy = str(error).rpartition("; ")[2]
    return [problem for problem in (images, masks) if problem.examples]


def _nearest(stem: str, others: Mapping[str, Path]) -> str | None:
    """The name among ``others`` that a suffix, another case or a typo tells apart from ``stem``."""
    for other in others:
        if len(stem) > 2 and len(other) > 2 and (stem.lower() in other.lower() or other.lower() in stem.lower()):
            return other
    return next(iter(get_close_matches(stem, others, 1, 0.8)), None)


def unread_kinds(root: Path) -> list[Problem]:
    """Pictures of kinds that are not read, which nobody would miss."""
    others = other_images([root])
    title, remedy = "Pictures of kinds that are not read: left out", "convert them to JPEG or PNG (masks to PNG)"
    examples = [Example(below(root, path)) for path in others]
    return [Problem("other-kinds", "warning", title, remedy, examples, [noted_kinds(others)])] if others else []


def noted(root: Path, splits: Sequence[Looked]) -> list[Problem]:
    """The notes on pairs, grouped by kind."""
    problems: dict[str, Problem] = {}
    for split in splits:
        for index, note in split.notes:
            problem = problems.setdefault(note.kind, Problem(note.kind, note.severity, note.title, note.remedy))
            path = split.pairs.masks[index] if note.of_mask and not split.pairs.drawings else split.pairs.images[index]
            problem.examples.append(Example(below(root, path), note.note, split.name, index))
    return [*problems.values()]


def duplicates(root: Path, splits: Sequence[Looked]) -> list[Problem]:
    """Images of the same pixels, across splits and within one."""
    remedy = "remove it from one of them: a score on pictures that were trained on says nothing about others"
    across = Problem("leak", "error", "The same picture in two splits", remedy)
    shared = Problem("shared", "warning", "The same file in two splits", remedy)
    within = Problem("duplicate", "warning", "The same picture twice in a split", "remove the copies")
    groups: dict[bytes, list[tuple[Looked, int]]] = {}
    for split in splits:
        for index, (digest, _) in enumerate(split.digests):
            if digest:
                groups.setdefault(digest, []).append((split, index))
    for (first, original), *copies in groups.values():
        source = first.pairs.images[original]
        for split, index in copies:
            path = split.pairs.images[index]
            problem = within if split is first else shared if path == source else across
            note = f"the same as {below(root, source)}" + (f" ({first.name})" if split is not first else "")
            masks = first.digests[original][1], split.digests[index][1]
            if all(masks) and masks[0] != masks[1]:
                note += ", with another mask"
            problem.examples.append(Example(below(root, path), note, split.name, index))
    return [problem for problem in (across, shared, within) if problem.examples]


def of_splits(splits: Sequence[Looked], wrong: bool) -> list[Problem]:
    """Splits that are too small; ``wrong`` values, which are reported, leave pixels without label, too."""
    problems = []
    for split in splits:
        read = int(split.pixels.sum()) + split.unlabeled
        if not len(split.pairs):
            title = f"No image of the split {split.name} has a mask"
            problems.append(Problem("no-pairs", "error", title, "add the masks"))
        elif read and not split.pixels.any() and not wrong:
            title = f"Not one labeled pixel in the split {split.name}"
            problems.append(Problem("no-label", "error", title, "label some of its masks"))
        elif len(split.pairs) == 1:
            title = f"One image alone in the split {split.name}"
            problems.append(Problem("one-image", "warning", title, "add more: one picture says little about others"))
    return problems


def of_classes(splits: Sequence[Looked], labels: Labels) -> list[Problem]:
    """Classes that do not occur where they should, or too little or too much."""
    train, others = splits[0], splits[1:]
    names = labels.classes
    total = np.sum([split.pixels for split in splits], 0)
    if not total.any():
        return []
    by_plain: dict[str, list[str]] = {}
    for name in names:
        by_plain.setdefault(re.sub(r"[\s_-]+", " ", name).strip().casefold(), []).append(name)
    problems = []
    if len(present := np.flatnonzero(train.pixels).tolist()) == 1:
        title = f"One class alone is labeled in {train.name}: {names[present[0]]}"
        remedy = "label a second class: with one, there is nothing to learn, and every score is 100"
        problems.append(Problem("one-class", "error", title, remedy))
    shares = [*zip(names, train.shares(), train.images.tolist())]
    details = {  # by kind, title and remedy
        (
            "alike-classes",
            "Classes whose names differ by case, spaces or hyphens alone",
            "if they are one class, give it one name in the annotations",
        ): [", ".join(map(repr, alike)) for alike in by_plain.values() if len(alike) > 1],
        ("absent-class", "Classes that never occur", "remove them from the list of classes, or label them"): [
            f"{name} (id {i})" for i, name in enumerate(names) if not total[i]
        ],
        (
            "untrained-class",
            f"Classes that {train.name} does not have",
            f"move pictures of them into {train.name}: they cannot be learned",
        ): [
            f"{name}: in {number_of(int(split.images[i]), 'image')} of {split.name}"
            for i, name in enumerate(names)
            for split in others
            if split.pixels[i] and not train.pixels[i]
        ],
        **{
            (
                "unmeasured-class",
                f"Classes that {split.name} does not have",
                f"move pictures of them into {split.name}: their IoU cannot be measured, and the mean leaves them out",
            ): [name for i, name in enumerate(names) if train.pixels[i] and not split.pixels[i]]
            for split in others
            if split.pixels.any()
        },
        (
            "rare-class",
            f"Classes of less than {RARE:.1%} of the labeled pixels of {train.name}",
            "show them more often: --data.class_uniform 0.5, or --loss.class_weights median",
        ): [f"{name}: {percent(s)}, in {number_of(images, 'image')}" for name, s, images in shares if 0 < s < RARE],
        (
            "dominant-class",
            f"One class covers more than {DOMINANT:.0%} of the labeled pixels of {train.name}",
            "look at the IoU of the others, not at the accuracy; --loss.class_weights median helps them",
        ): [f"{name}: {percent(share)}" for name, share, _ in shares if share > DOMINANT],
    }
    return problems + [
        Problem(kind, "warning", title, remedy, [], lines) for (kind, title, remedy), lines in details.items() if lines
    ]
