"""A page of pictures: sections of panels with titles, captions and keys, drawn with Pillow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, GRAY, RULE = "#fcfcfa", "#1c1c1e", "#5f5f66", "#d9d9d6"
_INNER, _MARGIN, _GAP, _TALLEST = 1488, 56, 28, 480
_KEY = 72
_TITLE, _HEADING, _TEXT, _PANEL, _CAPTION, _SMALL = 38, 29, 21, 20, 18, 16  # sizes of letters
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
    blocks = [_draw_head(title, subtitle), *(_draw_section(section) for section in sections)]
    page = Image.new("RGB", (_INNER + 2 * _MARGIN, sum(b.height for b in blocks) + _MARGIN), PAPER)
    top = 0
    for block in blocks:
        page.paste(block, (_MARGIN, top))
        top += block.height
    return page


def columns_of(panels: int) -> int:
    """Panels in a row: all of them up to four, rows of three for 5, 6 and 9; never wider than a third of the page."""
    return 3 if panels <= 3 or panels in (5, 6, 9) else 4


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has the letters of more scripts than Pillow's own font."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def _draw_head(title: str, subtitle: str) -> Image.Image:
    head, text = font(_TITLE, True), _Text(subtitle, _TEXT, _INNER)
    block = Image.new("RGB", (_INNER, 104 + text.height), PAPER)
    ImageDraw.Draw(block).text((0, 70), _shortened(title, head, _INNER), INK, head, anchor="lm")
    text.draw(block, 0, 102)
    return block


def _draw_section(section: Section) -> Image.Image:
    text = _Text(section.text, _TEXT, _INNER)
    columns = columns_of(len(section.panels))
    width = (_INNER - (columns - 1) * _GAP) // columns
    rows = [section.panels[i : i + columns] for i in range(0, len(section.panels), columns)]
    drawn = [[_draw_panel(panel, width) for panel in row] for row in rows]
    legend = _draw_legend(section.legend) if section.legend else None
    top = 96 + text.height
    height = top + sum(max(p.height for p in row) + 18 for row in drawn) + (legend.height if legend else 0)
    block = Image.new("RGB", (_INNER, height), PAPER)
    draw = ImageDraw.Draw(block)
    draw.line((0, 30, _INNER, 30), RULE, 2)
    draw.text((0, 68), section.heading, INK, font(_HEADING, True), anchor="lm")
    text.draw(block, 0, 94)
    for row in drawn:
        for i, picture in enumerate(row):
            block.paste(picture, (i * (width + _GAP), top))
        top += max(p.height for p in row) + 18
    if legend:
        block.paste(legend, (0, top - 4))
    return block


def _draw_panel(panel: Panel, width: int) -> Image.Image:
    """Title, the picture fitted into ``width``, and the caption with the key at its left."""
    factor = min(width / panel.picture.width, _TALLEST / panel.picture.height)
    size = (max(1, round(panel.picture.width * factor)), max(1, round(panel.picture.height * factor)))
    picture = panel.picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    left = panel.key.width + 16 if panel.key else 0
    text = _Text(panel.caption, _CAPTION, width - left)
    below = max(text.height, panel.key.height if panel.key else 0)
    block = Image.new("RGB", (width, 42 + size[1] + 12 + below), PAPER)
    draw = ImageDraw.Draw(block)
    face = font(_PANEL, True)
    draw.text((0, 22), _shortened(panel.title, face, width), INK, face, anchor="lm")
    block.paste(picture, (0, 42))
    draw.rectangle((0, 42, size[0] - 1, 41 + size[1]), outline=RULE)
    if panel.key:
        block.paste(panel.key, (0, 42 + size[1] + 12))
    text.draw(block, left, 42 + size[1] + 9)
    return block


def _draw_legend(entries: Sequence[tuple[str, Sequence[int]]]) -> Image.Image:
    """Swatches and names, one after the other, in as many rows as it takes."""
    places, x, row, face = [], 0, 0, font(_CAPTION)
    for name, _ in entries:
        width = 32 + round(face.getlength(name))
        if x and x + width > _INNER:
            x, row = 0, row + 1
        places.append((x, row))
        x += width + 28
    block = Image.new("RGB", (_INNER, 34 * (row + 1)), PAPER)
    draw = ImageDraw.Draw(block)
    for (name, color), (x, row) in zip(entries, places):
        middle = 34 * row + 17
        draw.rounded_rectangle((x, middle - 11, x + 22, middle + 11), 4, tuple(color), RULE)
        draw.text((x + 32, middle), name, GRAY, face, anchor="lm")
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
                self.lines.append(word)
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
