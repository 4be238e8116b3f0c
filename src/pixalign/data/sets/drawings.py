"""A drawn retina and a drawn field of cell nuclei with their labels: for the demo, not for training."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import maximum_filter, minimum_filter

Picture = tuple[NDArray[np.uint8], NDArray[np.uint8]]

RETINA = ["background", "vessel"]
NUCLEI = ["background", "nucleus", "border"]

_FINER = 2  # vessels are drawn so many times larger


def draw_retina(seed: int, side: int = 960) -> Picture:
    """Return a retina (side, side, 3), an orange disc on black, and its label (side, side): 1 for vessels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    disc, fovea = (0.04 * rng.uniform(-1, 1), -0.2), (0.0, 0.12)
    radius = np.hypot(y, x)
    light = (0.85 - 0.9 * radius**2) * (1 - 0.3 * _spot(y, x, fovea, 0.05)) + 0.1 * _smooth(rng, side, 60)
    color = light[..., None] * np.array([215, 105, 55]) + _spot(y, x, disc, 0.03)[..., None] * np.array([60, 90, 75])

    canvas = Image.new("L", (side * _FINER,) * 2)
    shades = Image.new("L", canvas.size)
    pens = ImageDraw.Draw(canvas), ImageDraw.Draw(shades)
    for up in (-1, 1):
        for turn, width, shade in ((0.35, 8.5, 255), (0.65, 7.0, 190), (-2.4, 5.5, 230), (-1.9, 4.5, 180)):
            heading = up * (math.pi / 2 - turn * rng.uniform(0.8, 1.2))
            _grow(pens, rng, disc, heading, width, -up * math.copysign(1.0, turn), shade, side)
    small = (side, side)
    label = np.asarray(canvas.resize(small, Image.Resampling.BOX)) > 127
    dark = np.asarray(shades.resize(small, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.8))) / 255
    color *= 1 - dark[..., None] * np.array([0.32, 0.5, 0.45])
    color = color + rng.normal(0, 3, color.shape)
    inside = np.clip((0.47 - radius) * side / 3, 0, 1)
    label &= inside > 0.5
    return (color * inside[..., None]).clip(0, 255).astype(np.uint8), label.astype(np.uint8)


def draw_nuclei(seed: int, height: int = 384, width: int = 512) -> Picture:
    """Return nuclei under a fluorescence microscope (height, width, 3) and their label: 1 nucleus, 2 border.

    A border is what has two different nuclei within 5 x 5 pixels.
    """
    rng = np.random.default_rng(seed)
    numbers = np.zeros((height, width), np.int32)
    light = 14 + 6 * _smooth(rng, max(height, width), 80)[:height, :width]
    y, x = np.mgrid[:height, :width]
    for number in range(1, 90):
        center = rng.uniform((0, 0), (height, width))
        long, short = np.sort(rng.uniform(11, 21, 2))[::-1]
        angle = rng.uniform(0, math.pi)
        along = ((x - center[1]) * math.cos(angle) + (y - center[0]) * math.sin(angle)) / long
        across = ((y - center[0]) * math.cos(angle) - (x - center[1]) * math.sin(angle)) / short
        near = np.hypot(along, across)
        if (numbers[near < 1] > 0).mean() > 0.12:
            continue
        free = (near < 1) & (numbers == 0)
        numbers[free] = number
        light[free] = rng.uniform(70, 190) * (1 - 0.35 * near[free] ** 4)
    texture = 1 + 0.12 * _smooth(rng, max(height, width), 4)[:height, :width]
    blurred = Image.fromarray((light * texture).clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))
    image = (np.asarray(blurred) + rng.normal(0, 2, light.shape)).clip(0, 255).astype(np.uint8)
    largest = maximum_filter(numbers, 5, mode="nearest")
    smallest = minimum_filter(np.where(numbers > 0, numbers, largest.max() + 1), 5, mode="nearest")
    border = (largest > 0) & (largest > smallest)
    return np.repeat(image[..., None], 3, axis=2), np.where(border, 2, numbers > 0).astype(np.uint8)


def _grow(
    pens: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw], rng: np.random.Generator, start: tuple[float, float],
    heading: float, width: float, bend: float, shade: int, side: int,
) -> None:  # fmt: skip
    """Draw a vessel and its branches; places (y, x) in parts of the side, ``heading`` in radians from +x."""
    y, x = start
    until_branch = rng.uniform(0.06, 0.12)
    while width > 1.8 and math.hypot(y, x) < 0.5:
        heading += bend * 0.03 + rng.normal(0, 0.09)
        ahead = y + 0.012 * math.sin(heading), x + 0.012 * math.cos(heading)
        ends = [tuple((side * _FINER * (v + 0.5)) for v in place[::-1]) for place in ((y, x), ahead)]
        for pen, value in zip(pens, (255, shade)):
            pen.line([ends[0], ends[1]], value, round(width * _FINER * side / 960), joint="curve")
        (y, x), width, until_branch = ahead, width * 0.988, until_branch - 0.012
        if until_branch <= 0:
            sign = rng.choice([-1, 1])
            _grow(pens, rng, (y, x), heading + sign * rng.uniform(0.5, 0.9), width * 0.68, -sign * 0.6, shade, side)
            width, until_branch = width * 0.92, rng.uniform(0.06, 0.14)


def _spot(
    y: NDArray[np.float64], x: NDArray[np.float64], center: tuple[float, float], size: float
) -> NDArray[np.float64]:
    return np.exp(-((((y - center[0]) ** 2 + (x - center[1]) ** 2) / size**2) ** 2))


def _smooth(rng: np.random.Generator, side: int, cell: int) -> NDArray[np.float64]:
    """Smooth noise (side, side) of about -1 to 1, whose hills are ``cell`` pixels wide."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (side // cell + 2,) * 2).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float64)
