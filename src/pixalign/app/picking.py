"""What a network says about one pixel, and where its aligners took the pixel's features from, drawn and in words."""

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from pixalign.aligners.geometry import Points
from pixalign.explaining import pictures as draw
from pixalign.explaining.evidence import Alignment, Evidence, cells, look, moves
from pixalign.explaining.pictures import Scene, View
from pixalign.explaining.sections import draw_cells, draw_points, words
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
    pictures: list[tuple[str, Image.Image, str]] = []
    if predictor.network is not None and predictor.network.has_aligners:
        evidence = look(predictor, image, "")
        result, (about, pictures) = evidence.result, _geometry(evidence, Scene(image, pixel, filled=evidence.covered))
    else:
        result = predictor(image, probabilities=True)
        about = (
            "An exported file does not tell where features are fetched from: choose the network itself for that."
            if predictor.network is None
            else "This network has no aligner: it does not fetch features from elsewhere."
        )
    assert result.probabilities is not None
    shares = result.probabilities[:, pixel[1], pixel[0]]
    ranked = [(result.classes[i], float(shares[i])) for i in np.argsort(-shares, kind="stable")]
    return Picked(pixel, ranked, about, pictures)


def _geometry(evidence: Evidence, scene: Scene) -> tuple[str, list[tuple[str, Image.Image, str]]]:
    """What pictures show, in a sentence, and the pictures, as of `Picked`."""
    if grids := cells(evidence):
        picture, names = draw_cells(grids, scene)
        about = "Nothing is moved: the pixel reads the nearest cell of each map and where in that cell it lies."
        return about, [("The cells it reads", picture, ", ".join(f"one of the map at {name}" for name in names))]
    if sampled := [(a, part) for a in evidence.alignments for part in a.parts(Points)]:
        about = (
            "Lines go from the pixel's cell to the places where it reads the coarse map; number: the share in percent."
        )
        return about, [_points(alignment, points, scene) for alignment, points in sampled]
    starts, ends, levels, told = [], [], [], []
    for alignment in evidence.alignments:
        for move in moves(alignment, scene.covered):
            grid = move.pixels.shape[1:]
            displacement = move.pixels[:, *scene.cell(grid)]
            starts.append(scene.center(grid))
            ends.append(starts[-1] + displacement)
            levels.append(_levels(alignment, scene))
            told.append(f"{levels[-1]}, {move.what} map: {words(displacement)}")
    if not told:
        return "This network resizes its coarse maps and adds them: no feature is fetched from elsewhere.", []
    view = draw.window(scene.image, scene.pixel, _LARGEST_SHARE, 64)
    view = draw.around(view, np.array([*starts, *ends]), scene.size)
    picture = draw.draw_arrows(scene.pale(view), view, np.array(starts), np.array(ends))
    picture = _label(draw.mark(picture, view, scene.pixel), view, ends, levels)
    about = (
        "Ring: the pixel. Each arrow goes from the pixel's cell at one level to the place that the feature is fetched "
        "from."
    )
    return about, [("Where its features came from", picture, "; ".join(told))]


def _points(alignment: Alignment, points: Points, scene: Scene) -> tuple[str, Image.Image, str]:
    picture, count, share, origin = draw_points(points, alignment, scene)
    told = f"most ({share:.0f} %) from {origin}"
    if points.affinity is None:
        told = f"{count} groups of channels, each from a place of its own"
    return _levels(alignment, scene), picture, told


def _levels(alignment: Alignment, scene: Scene) -> str:
    return f"{scene.stride(alignment.source)} to {scene.stride(alignment.grid)}"


def _label(picture: Image.Image, view: View, places: list[np.ndarray], texts: list[str]) -> Image.Image:
    """Write texts beside places (x, y) of the image, inside the picture."""
    pen = ImageDraw.Draw(picture)
    lowest = 0.0
    for (x, y), text in sorted(zip((view.place(*place) for place in places), texts), key=lambda item: item[0][1]):
        at, anchor = (x + 24, "lm") if x < picture.width * 0.6 else (x - 24, "rm")
        lowest = y = min(max(y, 30.0, lowest + 48), picture.height - 30.0)
        pen.text((at, y), text, (16, 16, 18), font(36, True), anchor=anchor, stroke_width=6, stroke_fill="white")
    return picture
