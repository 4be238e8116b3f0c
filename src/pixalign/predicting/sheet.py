"""A sheet that shows pictures side by side, with titles and a legend of classes."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK, _GRAY, _LINE = "#fcfcfa", "#1c1c1e", "#6b6b70", "#d9d9d6"
_MARGIN, _GAP, _HEIGHT = 48, 24, 432
_SWATCH, _ROW, _COLUMN = 20, 34, 216


def draw_sheet(
    title: str,
    subtitle: str,
    panels: Sequence[tuple[str, Image.Image]],
    legend: Sequence[tuple[str, Sequence[int], str]],
) -> Image.Image:
    """Draw a title, pictures of one height side by side under their own titles, and a legend.

    Args:
        title, subtitle: one line each.
        panels: title and picture.
        legend: class name, RGB color (0 to 255) and a note such as its share.

    Returns:
        An RGB image.
    """
    pictures = [_fit(picture) for _, picture in panels]
    inner = max(sum(p.width for p in pictures) + _GAP * (len(pictures) - 1), 2 * _COLUMN)
    columns = max(1, (inner + _GAP) // (_COLUMN + _GAP))
    rows = -(-len(legend) // columns)
    top = _MARGIN + 104
    height = top + _HEIGHT + 36 + rows * _ROW + _MARGIN
    sheet = Image.new("RGB", (inner + 2 * _MARGIN, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, _INK, _font(30), anchor="lm")
    draw.text((_MARGIN, _MARGIN + 34), subtitle, _GRAY, _font(17), anchor="lm")
    x = _MARGIN
    for (name, _), picture in zip(panels, pictures):
        draw.text((x, top - 16), name, _INK, _font(18), anchor="lm")
        sheet.paste(picture, (x, top))
        x += picture.width + _GAP
    spacing = (inner + _GAP) / columns
    for i, (name, color, note) in enumerate(legend):
        left = round(_MARGIN + i % columns * spacing)
        middle = top + _HEIGHT + 36 + i // columns * _ROW + _ROW // 2
        box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2)
        draw.rounded_rectangle(box, 4, tuple(color), _LINE)
        draw.text((left + _SWATCH + 10, middle), name, _INK, _font(17), anchor="lm")
        draw.text((left + spacing - _GAP - 8, middle), note, _GRAY, _font(17), anchor="rm")
    return sheet


def _fit(picture: Image.Image) -> Image.Image:
    width = max(1, round(picture.width * _HEIGHT / picture.height))
    return picture.convert("RGB").resize((width, _HEIGHT), Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
