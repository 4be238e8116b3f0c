"""What a network says about one pixel, and where its aligners took the pixel's features from, drawn and in words."""

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from pixalign.aligners.geometry import Points, Size
from pixalign.explaining import pictures as draw
from pixalign.explaining.evidence import Alignment, Evidence, cells, look, moves, places
from pixalign.explaining.pictures import View, paint
from pixalign.explaining.sections import words
from pixalign.pages.sheet import font
from pixalign.predicting import Predictor

_LARGEST_SHARE = 0.2  # of the image's sides that a picture shows, unless a network reaches further
_SEEN = 1024  # pixels of each side of an image, and up to 32 more, that are looked at: all maps are kept for them


@dataclass
class Picked:
    """A pixel's answer.

    Attributes:
        pixel: x, y.
        probabilities: (class, share from 0 to 1), the likeliest first, all classes.
        about: what the pictures show, or why there are none, in a sentence.
        pictures: (title, RGB picture, what it shows in words), one for all levels or one per level.
    """

    pixel: tuple[int, int]
    probabilities: list[tuple[str, float]]
    about: str
    pictures: list[tuple[str, Image.Image, str]] = field(default_factory=list)


def pick(predictor: Predictor, image: np.ndarray, pixel: tuple[int, int]) -> Picked:
    """Run the network on an image (H, W, C) uint8 and look at a pixel (x, y) inside it.

    Of an image with a side above 1056 pixels, the network gets that many around the pixel along that side.
    """
    left, top = (_start(at, side) for at, side in zip(pixel, image.shape[1::-1]))
    part = np.ascontiguousarray(image[top : top + _SEEN + 32, left : left + _SEEN + 32])
    picked = _pick(predictor, part, (pixel[0] - left, pixel[1] - top))
    if part.shape != image.shape:
        picked.about += f" Asked on the {part.shape[1]} × {part.shape[0]} pixels around it."
    return replace(picked, pixel=pixel)


def _start(at: int, side: int) -> int:
    """Where a part of the image begins along an axis: a multiple of 32, so that strided layers see the same cells."""
    return max(0, min(at - _SEEN // 2, side - _SEEN)) // 32 * 32


def _pick(predictor: Predictor, image: np.ndarray, pixel: tuple[int, int]) -> Picked:
    if predictor.network is None:
        result = predictor(image, probabilities=True)
        about = "An exported file does not tell where features are fetched from: choose the network itself for that."
        return Picked(pixel, _ranked(result.classes, result.probabilities, pixel), about)
    if not predictor.network.has_aligners:
        result = predictor(image, probabilities=True)
        about = "This network has no aligner: it does not fetch features from elsewhere."
        return Picked(pixel, _ranked(result.classes, result.probabilities, pixel), about)
    evidence = look(predictor, image, "")
    about, pictures = _geometry(evidence, image, pixel)
    return Picked(pixel, _ranked(evidence.result.classes, evidence.result.probabilities, pixel), about, pictures)


def _ranked(classes: list[str], probabilities: np.ndarray | None, pixel: tuple[int, int]) -> list[tuple[str, float]]:
    assert probabilities is not None
    shares = probabilities[:, pixel[1], pixel[0]]
    return [(classes[i], float(shares[i])) for i in np.argsort(-shares, kind="stable")]


def _geometry(
    evidence: Evidence, image: np.ndarray, pixel: tuple[int, int]
) -> tuple[str, list[tuple[str, Image.Image, str]]]:
    size = (image.shape[0], image.shape[1])
    if grids := cells(evidence):
        return _cells(image, pixel, grids)
    if sampled := [(a, part) for a in evidence.alignments for part in a.parts(Points)]:
        return _points(image, pixel, sampled)
    starts, ends, levels, told = [], [], [], []
    for alignment in evidence.alignments:
        for move in moves(alignment, size):
            cell, center = _cell(pixel, move.pixels.shape[1:], size)
            displacement = move.pixels[:, *cell]
            starts.append(center)
            ends.append(np.array(center) + displacement)
            levels.append(_levels(alignment, size))
            told.append(f"{levels[-1]}, {move.what} map: {words(displacement)}")
    if not told:
        return "This network resizes its coarse maps and adds them: no feature is fetched from elsewhere.", []
    view = draw.around(draw.window(image, pixel, _LARGEST_SHARE, 64), np.array([*starts, *ends]), size)
    picture = _pale(paint(draw.rgb(image), view, size, smooth=True))
    picture = draw.draw_arrows(picture, view, np.array(starts), np.array(ends))
    picture = _label(draw.mark(picture, view, pixel), view, ends, levels)
    about = (
        "Ring: the pixel. Each arrow goes from the pixel's cell at one level to the place that the feature is fetched "
        "from."
    )
    return about, [("Where its features came from", picture, "; ".join(told))]


def _points(
    image: np.ndarray, pixel: tuple[int, int], sampled: list[tuple[Alignment, Points]]
) -> tuple[str, list[tuple[str, Image.Image, str]]]:
    size = (image.shape[0], image.shape[1])
    pictures = []
    for alignment, points in sampled:
        offsets, shares = places(points, size)
        cell, center = _cell(pixel, alignment.grid, size)
        ends = np.array(center) + offsets[:, :, *cell]
        margin = 0.15 * np.ptp(ends, axis=0)
        roomy = np.concatenate((ends - margin, ends + margin))
        view = draw.around(draw.window(image, pixel, 0.08, 32), roomy, size)
        picture = _pale(paint(draw.rgb(image), view, size, smooth=True))
        picture = draw.draw_points(picture, view, center, ends, shares[:, *cell])
        best = int(shares[:, *cell].argmax())
        told = f"most ({100 * shares[best, *cell]:.0f} %) from {words(offsets[best, :, *cell])}"
        if points.affinity is None:
            told = f"{len(ends)} groups of channels, each from a place of its own"
        pictures.append((_levels(alignment, size), picture, told))
    about = "Lines go from the pixel's cell to the places where it reads the coarse map; number: the share in percent."
    return about, pictures


def _cells(
    image: np.ndarray, pixel: tuple[int, int], grids: list[Size]
) -> tuple[str, list[tuple[str, Image.Image, str]]]:
    size = (image.shape[0], image.shape[1])
    read = []
    for grid in grids:
        (row, column), _ = _cell(pixel, grid, size)
        height, width = size[0] / grid[0], size[1] / grid[1]
        box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
        read.append((_stride(grid[1], size), box))
    x, y = pixel[0] + 0.5, pixel[1] + 0.5
    corners = np.array([corner for _, box in read for corner in (box[:2], box[2:])])
    view = draw.around(View(x, y, 0, 0), corners, size)
    picture = _pale(paint(draw.rgb(image), view, size, smooth=True))
    picture = draw.draw_cells(picture, view, (x, y), read)
    about = "Nothing is moved: the pixel reads the nearest cell of each map and where in that cell it lies."
    return about, [("The cells it reads", picture, ", ".join(f"one of the map at {name}" for name, _ in read))]


def _cell(
    pixel: tuple[int, int], grid: tuple[int, ...], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Row and column of a pixel's cell in a grid (H, W), and its center x, y in pixels of the image."""
    row, column = int((pixel[1] + 0.5) * grid[0] / size[0]), int((pixel[0] + 0.5) * grid[1] / size[1])
    return (row, column), ((column + 0.5) * size[1] / grid[1], (row + 0.5) * size[0] / grid[0])


def _levels(alignment: Alignment, size: tuple[int, int]) -> str:
    return f"{_stride(alignment.coarse.shape[-1], size)} to {_stride(alignment.grid[1], size)}"


def _stride(columns: int, size: tuple[int, int]) -> str:
    return f"1/{2 ** round(float(np.log2(size[1] / columns)))}"


def _label(picture: Image.Image, view: View, places: list[np.ndarray], texts: list[str]) -> Image.Image:
    """Write texts beside places (x, y) of the image, inside the picture."""
    pen = ImageDraw.Draw(picture)
    lowest = 0.0
    for (x, y), text in sorted(zip((view.place(*place) for place in places), texts), key=lambda item: item[0][1]):
        at, anchor = (x + 24, "lm") if x < picture.width * 0.6 else (x - 24, "rm")
        lowest = y = min(max(y, 30.0, lowest + 48), picture.height - 30.0)
        pen.text((at, y), text, (16, 16, 18), font(36, True), anchor=anchor, stroke_width=6, stroke_fill="white")
    return picture


def _pale(picture: Image.Image) -> Image.Image:
    return Image.blend(picture, Image.new("RGB", picture.size, (225, 225, 225)), 0.3)
