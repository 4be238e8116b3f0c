"""The pictures of a sheet: whole views and windows of the image, with arrows, points and cells drawn on them.

A picture is painted `SIDE` pixels wide, more than it is shown at, so that what is drawn is smooth once reduced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pixalign.data.images import rgb
from pixalign.explaining.colors import hue
from pixalign.pages.sheet import font
from pixalign.palette import color_table

SIDE = 1080
_MAGENTA, _YELLOW, _ORANGE = (255, 0, 150), (255, 196, 0), (230, 110, 0)
_DARK, _LIGHT, _OUTSIDE = (16, 16, 18), (255, 255, 255), (236, 236, 236)


@dataclass(frozen=True)
class View:
    """A part of the image, edges in pixels of it."""

    left: float
    top: float
    width: float
    height: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a painted picture."""
        factor = SIDE / max(self.width, self.height * 3 / 4)
        return max(1, round(self.width * factor)), max(1, round(self.height * factor))

    @property
    def scale(self) -> float:
        """Painted pixels per pixel of the image."""
        return self.size[0] / self.width

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the image lies in the painted picture."""
        return (x - self.left) * self.scale, (y - self.top) * self.scale


@dataclass(frozen=True)
class Scene:
    """What networks are shown on: the image (H, W, C), the marked pixel (x, y), the label (H, W) or None.

    ``filled`` is (H, W) that the cells of a network's maps cover, from the upper left corner on; None: the image.
    """

    image: np.ndarray
    pixel: tuple[int, int]
    label: np.ndarray | None = None
    filled: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def covered(self) -> tuple[int, int]:
        """(H, W) that the cells of maps cover."""
        return self.filled or self.size

    @property
    def whole(self) -> "View":
        """The view of all of the image."""
        return View(0, 0, self.size[1], self.size[0])

    @property
    def window(self) -> "View":
        """The view around the marked pixel that is looked at closely."""
        return window(self.image, self.pixel)

    def paint(self, values: np.ndarray, view: View, smooth: bool = False) -> Image.Image:
        """Show a picture (H, W, 3) uint8 of the image's size, or a map (h, w, 3) of cells, in a view, see `paint`."""
        return paint(values, view, self.size if values.shape[:2] == self.size else self.covered, smooth)

    def photo(self, view: View, smooth: bool = True) -> Image.Image:
        """Show the image in a view."""
        return self.paint(rgb(self.image), view, smooth)

    def pale(self, view: View) -> Image.Image:
        """The same closer to white, so that what is drawn on it stands out."""
        picture = self.photo(view)
        return Image.blend(picture, Image.new("RGB", picture.size, (225, 225, 225)), 0.3)

    def cell(self, grid: Sequence[int]) -> tuple[int, int]:
        """Row and column of the marked pixel's cell in a grid (H, W)."""
        (x, y), (height, width) = self.pixel, self.covered
        return int((y + 0.5) * grid[0] / height), int((x + 0.5) * grid[1] / width)

    def center(self, grid: Sequence[int]) -> np.ndarray:
        """x, y of the center of that cell, in pixels of the image."""
        row, column = self.cell(grid)
        return np.array([(column + 0.5) * self.covered[1] / grid[1], (row + 0.5) * self.covered[0] / grid[0]])

    def stride(self, grid: Sequence[int]) -> str:
        """Resolution of a map (H, W): 1/4, 1/8, ..., and of one coarser than any encoder's its number of cells."""
        stride = 2 ** round(float(np.log2(self.covered[1] / grid[1])))
        return f"1/{stride}" if stride <= 32 else f"{grid[0]}\u00a0×\u00a0{grid[1]} cells"


def window(image: np.ndarray, pixel: tuple[int, int], share: float = 0.2, largest: int = 128) -> View:
    """A view around a pixel (x, y): a share of the image's sides, at most ``largest`` and at least 24 pixels."""
    height, width = image.shape[:2]
    factor = min(share, largest / max(height, width))
    sides = [min(side, max(24, round(side * factor))) for side in (width, height)]
    left, top = (
        min(max(at - side // 2, 0), full - side) for at, side, full in zip(pixel, sides, (width, height), strict=True)
    )
    return View(left, top, sides[0], sides[1])


def around(view: View, places: np.ndarray, image: tuple[int, int]) -> View:
    """The view itself if all places (P, 2) lie in it, or one of the image's (H, W) proportions with room for them."""
    corners = np.array([(view.left, view.top), (view.left + view.width, view.top + view.height)])
    every = np.concatenate((corners, places))
    low, high = every.min(0), every.max(0)
    if (low >= corners[0]).all() and (high <= corners[1]).all():
        return view
    full = np.array([image[1], image[0]], float)
    sides = full * float(((high - low) / full).max()) * 1.2
    left, top = (low + high - sides) / 2
    return View(float(left), float(top), float(sides[0]), float(sides[1]))


def paint(values: np.ndarray, view: View, image: tuple[int, int], smooth: bool = False) -> Image.Image:
    """Show a map (h, w, 3) uint8 that covers the whole image (H, W) in a view; gray outside the image.

    Args:
        smooth: interpolate, in place of showing each cell as it is.
    """
    across, down = values.shape[1] / image[1], values.shape[0] / image[0]
    to_map = (across / view.scale, 0, view.left * across, 0, down / view.scale, view.top * down)
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return Image.fromarray(np.ascontiguousarray(values)).transform(
        view.size, Image.Transform.AFFINE, to_map, how, fillcolor=_OUTSIDE
    )


def painted_ids(ids: np.ndarray, colors: Sequence[Sequence[int]]) -> np.ndarray:
    """Class ids (H, W) in their colors (H, W, 3) uint8; white where there is no class."""
    return color_table(colors, 255)[ids]


def painted_errors(image: np.ndarray, ids: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The image in pale gray, magenta where ``ids`` is not the label, hatched where there is none (255)."""
    picture = gray_with(image, (ids != label) & (label != 255), _MAGENTA)
    rows, columns = np.indices(ids.shape)
    picture[(label == 255) & ((rows + columns) % 6 < 2)] = (120, 120, 128)
    return picture


def gray_with(image: np.ndarray, marked: np.ndarray, color: tuple[int, int, int] = _ORANGE) -> np.ndarray:
    """The image (H, W, C) in pale gray, a color where ``marked`` (H, W) holds: (H, W, 3) uint8."""
    picture = (150 + 105 * (rgb(image).mean(-1, keepdims=True) / 255)).repeat(3, -1)
    picture[marked] = color
    return picture.astype(np.uint8)


def borders(ids: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool whose right or lower neighbor has another id."""
    border = np.zeros(ids.shape, bool)
    border[:-1] |= ids[1:] != ids[:-1]
    border[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    return border


def with_borders(picture: Image.Image, ids: np.ndarray, view: View, strength: float = 0.55) -> Image.Image:
    """Draw the borders between the classes of ``ids`` (H, W) into a picture of the view."""
    seen = np.asarray(paint(ids[..., None].repeat(3, -1), view, (ids.shape[0], ids.shape[1])))[..., 0]
    thick = 2 if view.scale < 4 else 3
    edge = np.zeros(seen.shape, bool)
    for step in range(1, thick + 1):
        edge[step:] |= seen[step:] != seen[:-step]
        edge[:, step:] |= seen[:, step:] != seen[:, :-step]
    pixels = np.array(picture)
    pixels[edge] = pixels[edge] * (1 - strength) + np.array(_DARK) * strength
    return Image.fromarray(pixels)


def draw_frame(picture: Image.Image, view: View, inner: View) -> Image.Image:
    """Frame the window ``inner`` in a picture of ``view``."""
    draw = ImageDraw.Draw(picture)
    corners = (*view.place(inner.left, inner.top), *view.place(inner.left + inner.width, inner.top + inner.height))
    draw.rectangle(corners, outline=_DARK, width=11)
    draw.rectangle(tuple(c + d for c, d in zip(corners, (3, 3, -3, -3))), outline=_LIGHT, width=5)
    return picture


def mark(picture: Image.Image, view: View, pixel: tuple[int, int]) -> Image.Image:
    """Mark a pixel (x, y) by a ring."""
    x, y = view.place(pixel[0] + 0.5, pixel[1] + 0.5)
    radius = max(13.0, view.scale * 0.75)
    draw = ImageDraw.Draw(picture)
    _circle(draw, (x, y), radius + 3, outline=_DARK, width=11)
    _circle(draw, (x, y), radius, outline=_LIGHT, width=5)
    return picture


def draw_field(
    picture: Image.Image, view: View, field: np.ndarray, image: tuple[int, int], largest: float
) -> Image.Image:
    """Draw sparse arrows of a displacement field (2, H, W) in pixels of the image (H, W) on a view of it.

    An arrow starts where the feature is wanted and points to where it is fetched; the longest one spans the space
    between two arrows, all others in proportion.
    """
    draw = ImageDraw.Draw(picture)
    spacing = SIDE / 16
    for y in np.arange(spacing / 2, picture.height, spacing):
        for x in np.arange(spacing / 2, picture.width, spacing):
            dx, dy = _at(field, view, image, x, y)
            length = float(np.hypot(dx, dy)) / max(largest, 1e-9)
            if length < 0.08:
                continue
            reach = spacing * 0.95 * min(1.0, length) / float(np.hypot(dx, dy))
            _arrow(draw, (x, y), (x + dx * reach, y + dy * reach), _DARK, 4, 15)
    return picture


def cells_in(window: View, field: np.ndarray, image: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A sparse choice of the field's cells in a window.

    Args:
        window: where the cells' centers lie.
        field: (2, H, W) displacements in pixels of the image.
        image: (H, W) of the image.

    Returns:
        The cells' centers and the places that they fetch from, each (P, 2), x and y in pixels of the image.
    """
    rows, columns = field.shape[1:]
    cell = np.array([image[1] / columns, image[0] / rows])
    step = max(1, round(window.width / 6 / cell[0]))
    grid = np.meshgrid(np.arange(step // 2, columns, step), np.arange(step // 2, rows, step))
    column, row = (index.ravel() for index in grid)
    starts = (np.stack((column, row), axis=-1) + 0.5) * cell
    offset = starts - (window.left, window.top)
    inside = ((offset >= 0) & (offset <= (window.width, window.height))).all(1)
    return starts[inside], (starts + field[:, row, column].T)[inside]


def draw_arrows(picture: Image.Image, view: View, starts: np.ndarray, ends: np.ndarray) -> Image.Image:
    """Draw arrows of true length (P, 2), in the wheel's colors, a dot where each starts."""
    draw = ImageDraw.Draw(picture)
    pairs = [(view.place(*start), view.place(*end)) for start, end in zip(starts, ends)]
    for start, end in pairs:
        color = tuple(int(c) for c in 255 * hue(*np.subtract(end, start)))
        if np.hypot(end[0] - start[0], end[1] - start[1]) > 12:
            _arrow(draw, start, end, _DARK, 13, 38)
            _arrow(draw, start, end, color, 6, 28)
    for (x, y), _ in pairs:
        _circle(draw, (x, y), 9, fill=_DARK)
        _circle(draw, (x, y), 5, fill=_LIGHT)
    return picture


def draw_points(
    picture: Image.Image, view: View, start: np.ndarray, places: np.ndarray, shares: np.ndarray
) -> Image.Image:
    """Draw the points (P, 2) that a cell centered at ``start`` samples, areas and numbers by their shares (P,).

    Points that would cover each other are drawn as one, with the sum of their shares.
    """
    draw = ImageDraw.Draw(picture)
    begin = view.place(*start)
    spots: list[tuple[tuple[float, float], float]] = []
    for index in np.argsort(-shares, kind="stable"):
        spot = view.place(*places[index])
        near = [i for i, (other, _) in enumerate(spots) if np.hypot(other[0] - spot[0], other[1] - spot[1]) < 40]
        if near:
            spots[near[0]] = (spots[near[0]][0], spots[near[0]][1] + float(shares[index]))
        else:
            spots.append((spot, float(shares[index])))
    for spot, _ in spots:
        draw.line((*begin, *spot), _LIGHT, 5)
    for spot, share in sorted(spots, key=lambda item: -item[1]):
        _circle(draw, spot, 12 + 62 * share**0.5, fill=_YELLOW, outline=_DARK, width=5)
        number, face = f"{100 * share:.0f}", font(38, True)
        draw.text(spot, number, _DARK, face, anchor="mm", stroke_width=4, stroke_fill=_YELLOW)
    return picture


_CELL_COLORS = (_YELLOW, (0, 200, 255), (255, 70, 160), (255, 255, 255))


def draw_cells(
    picture: Image.Image,
    view: View,
    pixel: tuple[float, float],
    cells: Sequence[tuple[str, tuple[float, float, float, float]]],
) -> Image.Image:
    """Draw the cells (left, top, right, bottom, in pixels of the image) that a pixel reads, their names in a corner."""
    draw = ImageDraw.Draw(picture)
    begin = view.place(*pixel)
    for index, ((name, box), color) in enumerate(zip(cells, _CELL_COLORS)):
        corners = (*view.place(box[0], box[1]), *view.place(box[2], box[3]))
        draw.rectangle(tuple(c + d for c, d in zip(corners, (-3, -3, 3, 3))), outline=_DARK, width=15)
        draw.rectangle(corners, outline=color, width=9)
        draw.text((20, 16 + 76 * index), name, color, font(56, True), stroke_width=7, stroke_fill=_DARK)
    for (_, box), color in reversed(list(zip(cells, _CELL_COLORS))):
        center = view.place((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        draw.line((*center, *begin), _DARK, 11)
        draw.line((*center, *begin), color, 5)
        _circle(draw, center, 13, fill=color, outline=_DARK, width=4)
    _circle(draw, begin, 13, fill=_DARK, outline=_LIGHT, width=5)
    return picture


def _at(field: np.ndarray, view: View, image: tuple[int, int], x: float, y: float) -> np.ndarray:
    """The displacement of the cell that is painted at x, y."""
    rows, columns = field.shape[1:]
    column = int((view.left + x / view.scale) * columns / image[1])
    row = int((view.top + y / view.scale) * rows / image[0])
    return field[:, min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)]


def _arrow(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    color: tuple[int, ...],
    width: int,
    head: float,
) -> None:
    """An arrow of some length, its tip ``head`` long at most."""
    along = np.subtract(end, start)
    length = float(np.hypot(*along))
    along, head = along / length, min(head, length)
    across = np.array([-along[1], along[0]])
    base = np.array(end) - along * head
    draw.line((*start, *base), color, width)
    draw.polygon([tuple(end), tuple(base + across * head * 0.45), tuple(base - across * head * 0.45)], fill=color)


def _circle(draw: ImageDraw.ImageDraw, center: tuple[float, float], radius: float, **style: Any) -> None:
    draw.ellipse((center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius), **style)
