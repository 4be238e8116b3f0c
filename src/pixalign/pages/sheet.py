"""Pictures on a sheet: panels with titles, captions, frames and keys, legends of colors; drawn with Pillow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, GRAY, RULE = "#fcfcfa", "#1c1c1e", "#5f5f66", "#d9d9d6"
_INNER, _GAP, _TALLEST = 1488, 28, 480
_KEY, _ROW = 72, 34
_HEADING, _TEXT, _PANEL, _CAPTION, _SMALL = 29, 21, 20, 18, 16  # sizes of letters
_LINE = 1.42  # line height


@dataclass
class Panel:
    """A picture with a title above it and a caption below it; ``key`` (RGB) explains its colors beside the caption."""

    title: str
    picture: Image.Image
    caption: str = ""
    key: Image.Image | None = None


@dataclass
class Section:
    """Panels under a heading and a sentence; ``legend`` names colors (RGB, 0 to 255) below them."""

    heading: str
    text: str
    panels: list[Panel]
    legend: list[tuple[str, Sequence[int]]] = field(default_factory=list)


def draw_page(title: str, subtitle: str, sections: Sequence[Section]) -> Image.Image:
    """Draw the sections one below the other, each with its panels in rows of three or four.

    Returns:
        An RGB image, 1600 wide, as high as it takes.
    """
    return _stack([_draw_head(title, subtitle, _INNER, 70, 38), *map(_draw_section, sections)], 56, 0)


def draw_sheet(
    title: str,
    subtitle: str,
    panels: Sequence[Panel],
    legend: Sequence[tuple[str, Sequence[int], str]],
    height: int = 432,
    width: int | None = None,
    columns: int | None = None,
) -> Image.Image:
    """Draw a title, panels in rows, and a legend in columns.

    Args:
        title, subtitle: one line each.
        panels: what to show.
        legend: class name, RGB color (0 to 255) and a note such as its share.
        height: of the pictures.
        width: that every picture is fitted into; None has each as wide as it is at that height.
        columns: panels in a row; None has all in one.

    Returns:
        An RGB image.
    """
    widths = [width or max(1, round(height * p.picture.width / p.picture.height)) for p in panels]
    drawn = [_draw_panel(panel, each, height) for panel, each in zip(panels, widths)]
    body = grid(drawn, columns or len(drawn), _GAP)
    inner = max(body.width, 432)
    column = (inner + _GAP) // max(1, (inner + _GAP) // (244 if width is None else width + _GAP))
    return _stack([_draw_head(title, subtitle, inner, 48, 30), body, _draw_legend(legend, inner, column)], 48, 20)


def grid(
    pictures: Sequence[Image.Image],
    columns: int,
    gap: int,
    rows_gap: int | None = None,
    paper: str = PAPER,
    edge: int = 0,
) -> Image.Image:
    """Pictures in rows of ``columns``, each column and row as large as its largest, on paper with an edge around."""
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    rows_gap = gap if rows_gap is None else rows_gap
    widths = [max(row[i].width for row in rows if i < len(row)) for i in range(min(columns, len(pictures)))]
    heights = [max(picture.height for picture in row) for row in rows]
    size = (sum(widths) + gap * (len(widths) - 1) + 2 * edge, sum(heights) + rows_gap * (len(rows) - 1) + 2 * edge)
    sheet = Image.new("RGB", size, paper)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (edge + sum(widths[:x]) + x * gap, edge + sum(heights[:y]) + y * rows_gap))
    return sheet


def fitted(picture: Image.Image, width: int, height: int, largest: float = 1e9) -> Image.Image:
    """A picture in RGB, as large as width and height allow, enlarged at most ``largest`` times."""
    factor = min(width / picture.width, height / picture.height, largest)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def columns_of(panels: int) -> int:
    """Panels in a row: all of them up to four, rows of three for 5, 6 and 9; never wider than a third of the page."""
    return 3 if panels <= 3 or panels in (5, 6, 9) else 4


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has the letters of more scripts than Pillow's own font."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def _stack(blocks: Sequence[Image.Image], margin: int, gap: int) -> Image.Image:
    """Blocks one below the other; the first has its own margin above."""
    body = grid(blocks, 1, gap)
    page = Image.new("RGB", (body.width + 2 * margin, body.height + margin), PAPER)
    page.paste(body, (margin, 0))
    return page


def _draw_head(title: str, subtitle: str, width: int, middle: int, size: int) -> Image.Image:
    """A title of a size around a height, and the subtitle."""
    head, text = font(size, True), _Text(subtitle, round(0.55 * size), width)
    top = middle + round(0.84 * size)
    block = Image.new("RGB", (width, top + 2 + text.height), PAPER)
    ImageDraw.Draw(block).text((0, middle), _shortened(title, head, width), INK, head, anchor="lm")
    text.draw(block, 0, top)
    return block


def _draw_section(section: Section) -> Image.Image:
    text = _Text(section.text, _TEXT, _INNER)
    columns = columns_of(len(section.panels))
    width = (_INNER - (columns - 1) * _GAP) // columns
    body = grid([_draw_panel(panel, width, _TALLEST) for panel in section.panels], columns, _GAP, 18)
    entries = [(name, color, "") for name, color in section.legend]
    legend = _draw_legend(entries, _INNER) if entries else None
    top = 96 + text.height
    block = Image.new("RGB", (_INNER, top + body.height + 18 + (legend.height if legend else 0)), PAPER)
    draw = ImageDraw.Draw(block)
    draw.line((0, 30, _INNER, 30), RULE, 2)
    draw.text((0, 68), section.heading, INK, font(_HEADING, True), anchor="lm")
    text.draw(block, 0, 94)
    block.paste(body, (0, top))
    if legend:
        block.paste(legend, (0, top + body.height + 14))
    return block


def _draw_panel(panel: Panel, width: int, height: int) -> Image.Image:
    """Title, if any, the picture fitted into ``width`` and ``height``, and the caption with the key at its left."""
    picture = fitted(panel.picture, width, height)
    left = panel.key.width + 16 if panel.key else 0
    text = _Text(panel.caption, _CAPTION, width - left)
    top = 42 if panel.title else 0
    below = top + picture.height + 12
    block = Image.new("RGB", (width, below + max(text.height, panel.key.height if panel.key else 0)), PAPER)
    draw, face = ImageDraw.Draw(block), font(_PANEL, True)
    draw.text((0, 22), _shortened(panel.title, face, width), INK, face, anchor="lm")
    block.paste(picture, (0, top))
    draw.rectangle((0, top, picture.width - 1, top + picture.height - 1), outline=RULE)
    if panel.key:
        block.paste(panel.key, (0, below))
    text.draw(block, left, below - 3)
    return block


def _draw_legend(
    entries: Sequence[tuple[str, Sequence[int], str]], width: int, column: int | None = None
) -> Image.Image:
    """Swatches and names, one after the other or in columns with notes at their right, in as many rows as it takes."""
    places, x, row, face = [], 0, 0, font(_CAPTION)
    for name, _, _ in entries:
        taken = column or 32 + round(face.getlength(name)) + _GAP
        if x and x + taken - _GAP > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += taken
    block = Image.new("RGB", (width, _ROW * (row + 1)), PAPER)
    draw = ImageDraw.Draw(block)
    for (name, color, note), (x, row) in zip(entries, places):
        middle, end = _ROW * row + _ROW // 2, x + (column or width) - _GAP
        draw.rounded_rectangle((x, middle - 11, x + 22, middle + 11), 4, tuple(color), RULE)
        if column:
            name = _shortened(name, face, end - x - 44 - round(face.getlength(note)))
        draw.text((x + 32, middle), name, INK if note else GRAY, face, anchor="lm")
        draw.text((end, middle), note, GRAY, face, anchor="rm")
    return block


def wheel_key(wheel: Image.Image, label: str) -> Image.Image:
    """The wheel of directions with the length at its rim below it."""
    face = font(_SMALL)
    width = max(_KEY, round(face.getlength(label)) + 2)
    key = Image.new("RGB", (width, _KEY + 24), PAPER)
    mask = Image.new("L", (4 * _KEY, 4 * _KEY), 0)
    ImageDraw.Draw(mask).ellipse((4, 4, 4 * _KEY - 5, 4 * _KEY - 5), fill=255)
    disc = wheel.resize((_KEY, _KEY), Image.Resampling.LANCZOS)
    key.paste(disc, ((width - _KEY) // 2, 0), mask.resize((_KEY, _KEY), Image.Resampling.LANCZOS))
    ImageDraw.Draw(key).text((width / 2, _KEY + 13), label, GRAY, face, anchor="mm")
    return key


def bar_key(bar: Image.Image, low: str, high: str) -> Image.Image:
    """A strip of colors, lowest at the bottom, with the values at both ends."""
    face = font(_SMALL)
    key = Image.new("RGB", (26 + max(round(face.getlength(text)) for text in (low, high)), 76), PAPER)
    key.paste(bar.resize((16, 76)), (0, 0))
    draw = ImageDraw.Draw(key)
    draw.text((23, 8), high, GRAY, face, anchor="lm")
    draw.text((23, 67), low, GRAY, face, anchor="lm")
    return key


class _Text:
    """A text broken into lines that fit a width."""

    def __init__(self, text: str, size: int, width: int) -> None:
        self.face, self.step = font(size), round(_LINE * size)
        self.lines: list[str] = []
        for word in text.split(" ") if text else []:
            if self.lines and self.face.getlength(f"{self.lines[-1]} {word}") <= width:
                self.lines[-1] += f" {word}"
            else:
                self.lines.append(_shortened(word, self.face, width))
        self.height = self.step * len(self.lines)

    def draw(self, block: Image.Image, left: int, top: int) -> None:
        for i, line in enumerate(self.lines):
            place = (left, top + (i + 0.5) * self.step)
            ImageDraw.Draw(block).text(place, line, GRAY, self.face, anchor="lm")


def _shortened(text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
