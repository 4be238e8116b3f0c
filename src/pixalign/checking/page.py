"""What a check found, as files: ``index.html`` (one page, all pictures inside), ``sheet.jpg`` and ``report.json``."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from pixalign.checking.report import Example, Problem, Report
from pixalign.checking.scan import Looked, mask_of
from pixalign.data.images import read_image, rgb, write_image
from pixalign.data.masks import Labels, pack, read_values
from pixalign.data.pairs import Pairs
from pixalign.errors import InputError
from pixalign.files import write_text
from pixalign.pages import jpeg, render
from pixalign.pages.sheet import Panel, draw_sheet, fitted, grid
from pixalign.palette import IGNORE, color_table
from pixalign.text import number_of, percent, shown

SAMPLES = 24  # pairs on the contact sheet


def write_report(report: Report, out: str | Path) -> Path:
    """Write report.json, index.html and sheet.jpg into ``out``, each whole or not at all; return the page's path.

    InputError if the file system refuses the write.
    """
    out = Path(out)
    chosen = [(split, index, _sample(split.pairs, index)) for split, index in _choose(report)]
    samples = [(split, index, overlay) for split, index, overlay in chosen if overlay]
    sheet = out / "sheet.jpg"
    if samples:
        write_image(_sheet(report, samples), sheet, quality=88)
    else:
        sheet.unlink(missing_ok=True)
    write_text(out / "report.json", json.dumps(report.to_json(), indent=1) + "\n")
    write_text(out / "index.html", _page(report, samples))
    return out / "index.html"


# Pictures ------------------------------------------------------------------------------------------------------------

_SIDE, _THUMBNAIL = 640, 320
_COLUMNS = 6  # of the contact sheet
_MAGENTA = (255, 0, 150)
_LISTED = 200  # files of a problem on the page


def _choose(report: Report) -> list[tuple[Looked, int]]:
    """Pairs for the contact sheet: one of every class, rare classes first, then evenly spread over the splits."""
    sound = [(split, int(index)) for split in report.splits for index in np.flatnonzero(split.sound)]
    if not sound:
        return []
    count = len(report.labels.classes)
    counts = np.array([split.counts[index, :count] for split, index in sound], np.int64)
    if counts.any():
        labeled = np.flatnonzero(counts.any(1))
        sound, counts = [sound[i] for i in labeled], counts[labeled]
    images = (counts > 0).sum(0)
    chosen: list[int] = []
    for label in sorted(np.flatnonzero(images).tolist(), key=lambda label: int(images[label])):
        if len(chosen) < SAMPLES and not any(counts[i, label] for i in chosen):
            chosen.append(int(counts[:, label].argmax()))
    left = [[i for i, (owner, _) in enumerate(sound) if owner is split] for split in report.splits]
    queues = [_spread([i for i in queue if i not in chosen], SAMPLES) for queue in left]
    in_turn = [i for turn in zip_longest(*queues) for i in turn if i is not None]
    chosen += in_turn[: SAMPLES - len(chosen)]
    return [sound[i] for i in sorted(chosen)]


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the items, evenly spread, in an order whose beginnings are spread as well."""
    kept = [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))]
    return sorted(kept, key=lambda item: f"{kept.index(item):b}"[::-1].ljust(8, "0"))


def _sample(pairs: Pairs, index: int) -> Image.Image | None:
    with suppress(InputError):  # changed since it was looked at
        image, (ids, _) = pairs.read_image(index), pairs.read_mask(index)
        return _overlay(image, ids, pairs.colors) if ids.shape == image.shape[:2] else None
    return None


def _overlay(image: np.ndarray, ids: np.ndarray, colors: Sequence[Sequence[int]]) -> Image.Image:
    """The image (H, W, C) under the class colors, with thin outlines, at most `_SIDE` pixels wide and high."""
    picture = _small(Image.fromarray(rgb(image)), _SIDE)
    small = np.asarray(Image.fromarray(ids).resize(picture.size, Image.Resampling.NEAREST))
    pixels = np.asarray(picture).astype(np.float32)
    labeled = (small < len(colors))[..., None]
    mixed = np.where(labeled, 0.5 * pixels + 0.5 * color_table(colors)[small], pixels)
    border = np.zeros(small.shape, bool)
    border[1:] |= small[1:] != small[:-1]
    border[:, 1:] |= small[:, 1:] != small[:, :-1]
    ink = np.where(mixed.mean(-1, keepdims=True) > 110, 20, 245)
    mixed = np.where(border[..., None], 0.35 * mixed + 0.65 * ink, mixed)
    return Image.fromarray((mixed + 0.5).astype(np.uint8))


def _highlight(image: np.ndarray, wrong: np.ndarray) -> Image.Image:
    """The image in gray, under magenta where ``wrong`` (H, W) bool is true, thick enough to be seen."""
    picture = _small(Image.fromarray(rgb(image)))
    gray = picture.convert("L").convert("RGB")
    gray = Image.blend(gray, Image.new("RGB", gray.size, "white"), 0.35)
    area = Image.fromarray(wrong.astype(np.float32)).resize(gray.size, Image.Resampling.BOX)
    spots = Image.fromarray(np.where(np.asarray(area) > 0, 190, 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    gray.paste(_MAGENTA, mask=spots)
    return gray


def _small(picture: Image.Image, side: int = _THUMBNAIL) -> Image.Image:
    return fitted(picture, side, side, 1)


def _painted(ids: np.ndarray, labels: Labels) -> Image.Image:
    """A mask (H, W) in the colors of its classes, white where there is none."""
    return Image.fromarray(color_table(labels.colors, 255)[ids])


def _evidence(report: Report, problem: Problem, example: Example) -> Image.Image | None:
    """A small picture that shows an example of a problem, or None where there is nothing to see."""
    split = next((split for split in report.splits if split.name == example.split), None)
    with suppress(InputError):
        if split is None or example.index < 0:
            path = Path(report.source) / example.file
            if path.suffix.lower() == ".json" or not path.is_file():
                return None
            if problem.kind == "no-image":
                return _small(_painted(report.labels.decode(path)[0], report.labels))
            return _small(Image.fromarray(read_image(path)))
        image = split.pairs.read_image(example.index)
        if problem.kind in ("label-values", "classes"):
            return _highlight(image, _wrong_pixels(split, example.index))
        picture = Image.fromarray(rgb(image))
        if problem.kind in ("sizes", "transposed", "unlabeled"):
            mask = _painted(split.pairs.read_mask(example.index)[0], report.labels)
            return grid([_small(each, _THUMBNAIL // 2 - 3) for each in (picture, mask)], 2, 6, paper="#8a8a90")
        return _small(picture)
    return None


def _wrong_pixels(split: Looked, index: int) -> np.ndarray:
    """Where a mask holds values that mean no class (H, W) bool; with annotations, what has no label."""
    ids, _ = mask_of(split.pairs, index)
    if split.pairs.drawings or split.pairs.masks[index].suffix.lower() == ".json":
        return ids == IGNORE
    labels = split.pairs.labels
    values = read_values(split.pairs.masks[index], labels.ids == {}, gray_as_ids=not labels.mask_colors)
    meant = [*map(pack, labels.mask_colors)] if values.dtype == np.uint32 else [*labels.id_table()]
    return ~np.isin(values, meant)


def _sheet(report: Report, samples: Sequence[tuple[Looked, int, Image.Image]]) -> Image.Image:
    """The contact sheet: overlays with their names, and the classes with their colors and shares."""
    pairs = sum(len(split.pairs) for split in report.splits)
    names = [f"{split.name}: {shown(split.pairs.images[index].name, 26)}" for split, index, _ in samples]
    panels = [Panel("", overlay, name) for name, (_, _, overlay) in zip(names, samples)]
    return draw_sheet(
        shown(Path(report.source).resolve().name, 60),
        f"{len(samples)} of {number_of(pairs, 'pair')}",
        panels,
        [(shown(name), color, percent(share)) for name, color, share in _shares_of_all(report)],
        height=225,
        width=300,
        columns=min(_COLUMNS, max(3, len(samples))),
    )


def _shares_of_all(report: Report) -> list[tuple[str, list[int], float]]:
    """Name, color and share of the labeled pixels of all splits, of the classes that occur."""
    total = np.sum([split.pixels for split in report.splits], 0)
    shares = (total / max(1, total.sum())).tolist()
    return [item for item in zip(report.labels.classes, report.labels.colors, shares) if item[2]]


# The page ------------------------------------------------------------------------------------------------------------


def _page(report: Report, samples: Sequence[tuple[Looked, int, Image.Image]]) -> str:
    """The whole report as one HTML page, pictures inside."""
    name = Path(report.source).resolve().name
    sizes = sum((split.sizes for split in report.splits), Counter[tuple[int, int]]())
    problems = []
    for problem in report.problems:
        evidence = [(e.file, e.note, _evidence(report, problem, e)) for e in problem.examples[:3]]
        drawn = [_figure(picture, file, note) for file, note, picture in evidence if picture]
        problems.append((problem, re.split("`(.*?)`", shown(problem.remedy)), drawn))
    return render(
        "check",
        title=f"{shown(name)}: data check",
        name=name,
        report=report,
        pairs=sum(len(split.pairs) for split in report.splits),
        state="error" if not report.ready else "warning" if report.problems else "good",
        sizes_text=sizes_text,
        problems=problems,
        listed=_LISTED,
        classes=list(zip(report.labels.classes, report.labels.colors)),
        widest=max((max(split.shares(), default=0) for split in report.splits), default=0),
        sizes=sizes.most_common(),
        present=[(label, color) for label, color, _ in _shares_of_all(report)],
        samples=[_figure(picture, split.pairs.images[index].name, split.name) for split, index, picture in samples],
    )


def _figure(picture: Image.Image, file: str, note: str) -> dict[str, Any]:
    return {"picture": jpeg(picture, 82), "file": file, "note": note}


def sizes_text(split: Looked) -> str:
    """The sizes of a split's images in a few words."""
    if not split.sizes:
        return "none could be read"
    (height, width), _ = split.sizes.most_common(1)[0]
    if len(split.sizes) == 1:
        return f"{width} x {height}"
    small, large = (choose(split.sizes, key=lambda size: size[0] * size[1]) for choose in (min, max))
    return f"{len(split.sizes)} sizes, {small[1]} x {small[0]} to {large[1]} x {large[0]}"
