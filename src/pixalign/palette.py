"""The label that is ignored, and class names and colors: of two data sets, and where a data set gives none."""

import colorsys
from collections.abc import Sequence

import numpy as np

IGNORE = 255  # pixels without a label

# Classes of two data sets and the colors, RGB, that they are drawn in, in the order of the ids. CamVid's are those of
# synthetic scenes too.
CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "sidewalk": (0, 0, 192),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}


def default_classes(count: int) -> list[str]:
    """Names class_0, class_1, ... for ``count`` classes."""
    return [f"class_{i}" for i in range(count)]


def default_colors(count: int) -> list[list[int]]:
    """``count`` distinct RGB colors (0 to 255): hues by the golden ratio, so that neighbors in id differ most."""
    colors = []
    for i in range(count):
        value, saturation = ((0.95, 0.65), (0.75, 0.85), (0.6, 0.5))[i // 3 % 3]
        red, green, blue = colorsys.hsv_to_rgb(i * 0.618034 % 1, saturation, value)
        colors.append([round(255 * red), round(255 * green), round(255 * blue)])
    return colors


def color_table(colors: Sequence[Sequence[int]], beyond: int = 0) -> np.ndarray:
    """(256, 3) uint8: the RGB colors by id, and a gray (0 to 255) for ids beyond."""
    table = np.full((256, 3), beyond, np.uint8)
    if len(colors):
        table[: len(colors)] = colors
    return table
