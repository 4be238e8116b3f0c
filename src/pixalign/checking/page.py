"""What a check found, as files: ``index.html`` (one page, all pictures inside), ``sheet.jpg`` and ``report.json``."""

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pixalign.checking.report import Example, Problem, Report, SplitStats
from pixalign.checking.scan import Looked, mask_of
from pixalign.data.images import read_image, write_image
from pixalign.data.masks import Labels, gray_of, read_values
from pixalign.data.pairs import Pairs
from pixalign.errors import InputError
from pixalign.files import write_text
from pixalign.pages import css_color, data_uri, document, swatch
from pixalign.palette import IGNORE
from pixalign.text import number_of, percent, shown

SAMPLES = 24  # pairs on the contact sheet


def write_report(report: Report, out: str | Path) -> Path:
    """Write report.json, index.html and sheet.jpg into ``out``, each whole or not at all; return the page's path.

    Raises:
        InputError: the file system refuses the write.
    """
    out = Path(out)
    samples = [
        (split, index, overlay)
        for split, index in _choose(report)
        if (overlay := _sample(split.pairs, index)) is not None
    ]
    sheet = out / "sheet.jpg"
    if samples:
        write_image(_sheet(report, samples), sheet, quality=88)
    else:
        sheet.unlink(missing_ok=True)
    for name, text in (
        ("report.json", json.dumps(report.to_json(), indent=1) + "\n"),
        ("index.html", _page(report, samples)),
    ):
        write_text(out / name, text)
    return out / "index.html"


# Pictures ------------------------------------------------------------------------------------------------------------

_PAPER, _INK, _GRAY, _LINE = "#fcfcfa", "#1c1c1e", "#5f5f66", "#d9d9d6"
_SIDE, _THUMBNAIL = 640, 320
_CELL, _GAP, _MARGIN, _COLUMNS = (300, 225), 20, 48, 6
_MAGENTA = (255, 0, 150)
_LISTED = 200  # files of a problem on the page


def _choose(report: Report) -> list[tuple[Looked, int]]:
    """Pairs for the contact sheet: one of every class, rare classes first, then evenly spread over the splits."""
    sound = [(split, int(index)) for split in report.looked for index in np.flatnonzero(split.sound)]
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
    left = {id(split): [i for i, (owner, _) in enumerate(sound) if owner is split] for split in report.looked}
    queues = [_spread([i for i in queue if i not in chosen], SAMPLES) for queue in left.values()]
    while len(chosen) < SAMPLES and any(queues):
        for queue in queues:
            if queue and len(chosen) < SAMPLES:
                chosen.append(queue.pop(0))
    return [sound[i] for i in sorted(chosen)]


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the items, evenly spread, in an order whose beginnings are spread as well."""
    kept = [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))]
    return sorted(kept, key=lambda item: f"{kept.index(item):b}"[::-1].ljust(8, "0"))


def _sample(pairs: Pairs, index: int) -> Image.Image | None:
    try:
        image = pairs.read_image(index)
        ids, _ = pairs.read_mask(index)
    except InputError:  # changed since it was looked at
        return None
    return _overlay(image, ids, pairs.colors) if ids.shape == image.shape[:2] else None


def _overlay(image: np.ndarray, ids: np.ndarray, colors: Sequence[Sequence[int]]) -> Image.Image:
    """The image (H, W, C) under the class colors, with thin outlines, at most `_SIDE` pixels wide and high."""
    picture = _fit(Image.fromarray(_rgb(image)), _SIDE)
    small = np.asarray(Image.fromarray(ids).resize(picture.size, Image.Resampling.NEAREST))
    pixels = np.asarray(picture).astype(np.float32)
    labeled = (small < len(colors))[..., None]
    mixed = np.where(labeled, 0.5 * pixels + 0.5 * _table(colors)[small], pixels)
    border = np.zeros(small.shape, bool)
    border[1:] |= small[1:] != small[:-1]
    border[:, 1:] |= small[:, 1:] != small[:, :-1]
    ink = np.where(mixed.mean(-1, keepdims=True) > 110, 20, 245)
    mixed = np.where(border[..., None], 0.35 * mixed + 0.65 * ink, mixed)
    return Image.fromarray((mixed + 0.5).astype(np.uint8))


def _highlight(image: np.ndarray, wrong: np.ndarray) -> Image.Image:
    """The image in gray, under magenta where ``wrong`` (H, W) bool is true, thick enough to be seen."""
    picture = _fit(Image.fromarray(_rgb(image)), _THUMBNAIL)
    gray = picture.convert("L").convert("RGB")
    gray = Image.blend(gray, Image.new("RGB", gray.size, "white"), 0.35)
    area = Image.fromarray(wrong.astype(np.float32)).resize(gray.size, Image.Resampling.BOX)
    spots = Image.fromarray(np.where(np.asarray(area) > 0, 190, 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    gray.paste(_MAGENTA, mask=spots)
    return gray


def _fit(picture: Image.Image, side: int) -> Image.Image:
    factor = min(1, side / max(picture.size))
    width, height = (max(1, round(length * factor)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) of any number of bands: the first three, or the first."""
    return np.ascontiguousarray(image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, -1))


def _painted(ids: np.ndarray, labels: Labels) -> Image.Image:
    """A mask (H, W) in the colors of its classes, white where there is none."""
    return Image.fromarray(_table(labels.colors)[ids])


def _table(colors: Sequence[Sequence[int]]) -> np.ndarray:
    """(256, 3) uint8: the colors by id, white beyond."""
    table = np.full((256, 3), 255, np.uint8)
    if len(colors):
        table[: len(colors)] = colors
    return table


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    pictures = [_fit(picture, _THUMBNAIL // 2 - 3) for picture in pictures]
    joined = Image.new("RGB", (sum(p.width for p in pictures) + 6, max(p.height for p in pictures)), "#8a8a90")
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width + 6
    return joined


def _evidence(report: Report, problem: Problem, example: Example) -> Image.Image | None:
    """A small picture that shows an example of a problem, or None where there is nothing to see."""
    split = next((split for split in report.looked if split.name == example.split), None)
    try:
        if split is None or example.index < 0:
            path = Path(report.source) / example.file
            if path.suffix.lower() == ".json" or not path.is_file():
                return None
            if problem.kind == "no-image":
                return _fit(_painted(report.labels.decode(path)[0], report.labels), _THUMBNAIL)
            return _fit(Image.fromarray(read_image(path)), _THUMBNAIL)
        image = split.pairs.read_image(example.index)
        if problem.kind in ("label-values", "classes"):
            return _highlight(image, _wrong_pixels(split, example.index))
        if problem.kind in ("sizes", "transposed", "unlabeled"):
            ids, _ = split.pairs.read_mask(example.index)
            return _side_by_side([Image.fromarray(_rgb(image)), _painted(ids, report.labels)])
        return _fit(Image.fromarray(_rgb(image)), _THUMBNAIL)
    except InputError:
        return None


def _wrong_pixels(split: Looked, index: int) -> np.ndarray:
    """Where a mask holds values that mean no class (H, W) bool; with annotations, what has no label."""
    ids, _ = mask_of(split.pairs, index)
    if split.pairs.drawings or split.pairs.masks[index].suffix.lower() == ".json":
        return ids == IGNORE
    labels = split.pairs.labels
    values = read_values(split.pairs.masks[index], as_colors=labels.ids == {})
    if values.dtype == np.uint32 and not labels.mask_colors and (gray := gray_of(values)) is not None:
        values = gray
    if values.dtype == np.uint32:
        meant = [red | green << 8 | blue << 16 for red, green, blue in labels.mask_colors]
    else:
        meant = [*labels.id_table()]
    return ~np.isin(values, meant)


def _sheet(report: Report, samples: Sequence[tuple[Looked, int, Image.Image]]) -> Image.Image:
    """The contact sheet: overlays with their names, and the classes with their colors and shares."""
    columns = min(_COLUMNS, max(3, len(samples)))
    width = columns * (_CELL[0] + _GAP) - _GAP + 2 * _MARGIN
    row = _CELL[1] + 46
    rows = -(-len(samples) // columns)
    listed = _shares_of_all(report)
    per_line = max(1, (width - 2 * _MARGIN) // 300)
    top = _MARGIN + 76
    height = top + rows * row + 24 + -(-len(listed) // per_line) * 34 + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    typeface = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # of more scripts than Pillow's own
    large, normal, small = (ImageFont.truetype(typeface, size) for size in (28, 16, 14))
    title = shown(Path(report.source).resolve().name, 60)
    draw.text((_MARGIN, _MARGIN), title, _INK, large, anchor="lm")
    pairs = sum(split.pairs for split in report.splits)
    subtitle = f"{len(samples)} of {number_of(pairs, 'pair')}"
    draw.text((_MARGIN, _MARGIN + 34), subtitle, _GRAY, normal, anchor="lm")
    for i, (split, index, overlay) in enumerate(samples):
        left, y = _MARGIN + i % columns * (_CELL[0] + _GAP), top + i // columns * row
        factor = min(_CELL[0] / overlay.width, _CELL[1] / overlay.height, 2)
        size = (max(1, round(overlay.width * factor)), max(1, round(overlay.height * factor)))
        sheet.paste(overlay.resize(size, Image.Resampling.LANCZOS), (left, y + _CELL[1] - size[1]))
        draw.text((left, y + _CELL[1] + 16), shown(split.pairs.images[index].name, 28), _INK, small, anchor="lm")
        draw.text((left + _CELL[0], y + _CELL[1] + 16), split.name, _GRAY, small, anchor="rm")
    y = top + rows * row + 24
    for i, (name, color, share) in enumerate(listed):
        left, middle = _MARGIN + i % per_line * 300, y + i // per_line * 34 + 17
        draw.rounded_rectangle((left, middle - 10, left + 20, middle + 10), 4, tuple(color), _LINE)
        draw.text((left + 30, middle), shown(name, 20), _INK, normal, anchor="lm")
        draw.text((left + 270, middle), percent(share), _GRAY, normal, anchor="rm")
    return sheet


def _shares_of_all(report: Report) -> list[tuple[str, list[int], float]]:
    """Name, color and share of the labeled pixels of all splits, of the classes that occur."""
    total = np.sum([split.pixels for split in report.splits], 0)
    shares = (total / max(1, total.sum())).tolist()
    return [item for item in zip(report.labels.classes, report.labels.colors, shares) if item[2]]


# The page ------------------------------------------------------------------------------------------------------------

_OWN_STYLE = """
.problem { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.25rem;
  margin: 0 0 1rem; break-inside: avoid; display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.problem > div { flex: 1 1 24rem; min-width: 0; }
.pill { display: inline-block; font-size: .8rem; font-weight: 600; border-radius: 99px; padding: .05rem .65rem;
  margin-right: .6rem; vertical-align: .08rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(9rem, 100%), 15rem)); gap: 1rem; }
.samples { grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 1.25rem; }
.pictures:not(.samples) img { width: auto; max-width: 100%; max-height: 12rem; }
@media (max-width: 560px) { .problem > div { flex-basis: 100%; }
  .samples { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .75rem; }
  .shares thead { display: none; } .shares tr { display: grid; grid-template-columns: 1fr auto; padding: .5rem 0;
  border-bottom: 1px solid var(--line); } .shares td { border: 0; padding: .1rem 0; }
  .shares .name { grid-column: 1 / -1; font-weight: 500; } .shares .bar { width: auto; align-self: center; }
  .shares .number { padding-left: .75rem; } .shares .number::before { content: attr(data-split) " ";
  color: var(--gray); } .shares .images { display: none; } }
@media print { .samples { grid-template-columns: repeat(4, 1fr); } }
"""


def _page(report: Report, samples: Sequence[tuple[Looked, int, Image.Image]]) -> str:
    """The whole report as one HTML page, pictures inside."""
    name = _text(Path(report.source).resolve().name)
    pairs = sum(split.pairs for split in report.splits)
    layout = f"<br>{_text(report.layout)}" if report.layout else ""
    state = ("error", "✕") if not report.ready else ("warning", "!") if report.problems else ("good", "✓")
    parts = [
        f"<header><h1>{name}</h1><p class=gray>{number_of(pairs, 'pair')} of image and mask in "
        f"{number_of(len(report.splits), 'split')}, {number_of(len(report.labels.classes), 'class', 'es')}{layout}"
        f"</p><p class='verdict {state[0]}'><span aria-hidden=true>{state[1]}</span>&ensp;{_text(report.verdict())}</p>"
        "</header>",
        _splits_section(report),
        _problems_section(report),
        _shares_section(report),
        _sizes_section(report),
        _samples_section(report, samples),
    ]
    return document(f"{shown(Path(report.source).resolve().name)}: data check", "\n".join(parts), _OWN_STYLE)


def _text(text: str) -> str:
    return escape(shown(text))


def _splits_section(report: Report) -> str:
    rows = "".join(
        f"<tr><td class=name>{_text(split.name)}<td class=number>{split.pairs:,}"
        f"<td class=number>{percent(split.labeled())}<td>{_text(sizes_text(split))}</tr>"
        for split in report.splits
    )
    return (
        "<section><h2>Splits</h2><div class=scroll><table><thead><tr><th>split<th class=number>pairs"
        f"<th class=number>labeled<th>width x height</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def sizes_text(split: SplitStats) -> str:
    """The sizes of a split's images in a few words."""
    if not split.sizes:
        return "none could be read"
    (height, width), _ = split.sizes.most_common(1)[0]
    if len(split.sizes) == 1:
        return f"{width} x {height}"
    small, large = (choose(split.sizes, key=lambda size: size[0] * size[1]) for choose in (min, max))
    return f"{len(split.sizes)} sizes, {small[1]} x {small[0]} to {large[1]} x {large[0]}"


def _problems_section(report: Report) -> str:
    if not report.problems:
        return "<section><h2>Problems</h2><p>None was found.</p></section>"
    return "<section><h2>Problems</h2>" + "".join(_problem(report, p) for p in report.problems) + "</section>"


def _problem(report: Report, problem: Problem) -> str:
    remedy = re.sub("`(.*?)`", r"<code>\1</code>", _text(problem.remedy))
    words = [
        f"<span class='pill {problem.severity}'>{problem.severity}</span><h3>{_text(problem.heading)}</h3>",
        "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in problem.details) + "</ul>" if problem.details else "",
        f"<p><strong>Remedy:</strong> {remedy}</p>",
    ]
    if problem.snippet:
        words.append("<pre>" + "\n".join(_text(line) for line in problem.snippet.split("\n")) + "</pre>")
    pictures = [(example, _evidence(report, problem, example)) for example in problem.examples[:3]]
    figures = [_figure(picture, example.file, example.note) for example, picture in pictures if picture]
    if len(problem.examples) > len(figures):
        lines = "".join(
            f"<li><code>{_text(example.file)}</code>{' ' + _text(example.note) if example.note else ''}</li>"
            for example in problem.examples[:_LISTED]
        )
        left = len(problem.examples) - _LISTED
        more = f"<p class=gray>and {left:,} more, listed in report.json</p>" if left > 0 else ""
        listing = f"<ul>{lines}</ul>{more}"
        count = number_of(len(problem.examples), "file")
        words.append(
            listing if len(problem.examples) <= 5 else f"<details><summary>{count}</summary>{listing}</details>"
        )
    side = f"<div class=pictures>{''.join(figures)}</div>" if figures else ""
    return f"<article class=problem><div>{''.join(words)}</div>{side}</article>"


def _figure(picture: Image.Image, name: str, note: str, zoom: bool = False) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=82)
    source = data_uri(encoded.getvalue(), "jpeg")
    image = f"<img alt='{_text(name)}' width={picture.width} height={picture.height} src='{source}'>"
    if zoom:
        image = f"<label class=zoom><input type=checkbox aria-label='enlarge {_text(name)}'>{image}</label>"
    note = f"<br>{_text(shown(note, 160))}" if note else ""
    caption = _text(shown(name, 120)).replace("/", "/<wbr>")
    return f"<figure>{image}<figcaption>{caption}{note}</figcaption></figure>"


def _shares_section(report: Report) -> str:
    if not report.labels.classes or not any(split.pixels.any() for split in report.splits):
        return ""
    widest = max(max(split.shares()) for split in report.splits)
    heads = "".join(f"<th colspan=2>{_text(split.name)}<th class=number>images" for split in report.splits)
    rows = []
    for i, (name, color) in enumerate(zip(report.labels.classes, report.labels.colors)):
        cells = ""
        for split in report.splits:
            share = split.shares()[i]
            bar = f"<i style='width:{100 * share / widest:.2f}%;background:{css_color(color)}'></i>" if share else ""
            cells += (
                f"<td class=bar><span>{bar}</span><td class=number data-split='{_text(split.name)}'>{percent(share)}"
                f"<td class='number images gray'>{int(split.images[i]):,}"
            )
        rows.append(f"<tr><td class=name>{swatch(color)}{_text(name)}{cells}</tr>")
    return (
        "<section><h2>Classes, by share of the labeled pixels</h2><div class=scroll><table class=shares><thead><tr>"
        f"<th>class{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _sizes_section(report: Report) -> str:
    sizes = sum((split.sizes for split in report.splits), Counter[tuple[int, int]]())
    if len(sizes) < 2:
        return ""
    most = sizes.most_common(1)[0][1]
    rows = "".join(
        f"<tr><td class=name>{width} x {height}<td class=bar><span><i style='width:{100 * count / most:.2f}%;"
        f"background:var(--gray)'></i></span><td class=number>{count:,}</tr>"
        for (height, width), count in sizes.most_common(12)
    )
    left = len(sizes) - 12
    more = f"<p class=gray>and {number_of(left, 'further size')}, listed in report.json</p>" if left > 0 else ""
    return (
        "<section><h2>Image sizes</h2><div class=scroll><table><thead><tr><th>width x height<th>"
        f"<th class=number>images</tr></thead><tbody>{rows}</tbody></table></div>{more}</section>"
    )


def _samples_section(report: Report, samples: Sequence[tuple[Looked, int, Image.Image]]) -> str:
    if not samples:
        return "<section><h2>Samples</h2><p>No pair could be drawn.</p></section>"
    legend = "".join(f"<li>{swatch(color)}{_text(name)}</li>" for name, color, _ in _shares_of_all(report))
    figures = "".join(
        _figure(picture, split.pairs.images[index].name, split.name, zoom=True) for split, index, picture in samples
    )
    return (
        f"<section><h2>Samples</h2><ul class=legend>{legend}</ul>"
        f"<div class='pictures samples'>{figures}</div></section>"
    )
