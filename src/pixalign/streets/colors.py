"""Colors of the things in a drawn street: display values in full light, our choice after an English town."""

import math
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from pixalign.streets.scene import Color

_Item = TypeVar("_Item")

WALLS: Sequence[Color] = (
    (168, 142, 108), (140, 96, 78), (186, 172, 148), (200, 196, 188), (128, 104, 88), (158, 118, 88), (216, 212, 200),
    (112, 84, 72), (176, 158, 122), (150, 150, 150), (190, 180, 140), (122, 116, 108),
)  # fmt: skip
PAINTS: Sequence[Color] = (
    (150, 154, 160), (190, 192, 196), (44, 46, 52), (30, 32, 36), (40, 54, 104), (120, 26, 32), (28, 70, 62),
    (220, 222, 224), (96, 104, 116), (64, 84, 128), (170, 30, 36), (110, 112, 116), (196, 186, 150), (90, 130, 150),
)  # fmt: skip
CLOTHES: Sequence[Color] = (
    (40, 42, 50), (28, 28, 32), (60, 62, 72), (90, 84, 78), (110, 40, 44), (50, 66, 104), (150, 140, 124),
    (70, 80, 64), (120, 118, 122), (140, 62, 58), (60, 48, 40), (200, 196, 190), (46, 60, 80), (24, 26, 30),
    (44, 44, 46), (76, 74, 72), (34, 38, 52),
)  # fmt: skip
SIGNS: Sequence[Color] = (
    (178, 30, 38), (30, 60, 140), (24, 96, 66), (226, 226, 222), (226, 196, 60), (40, 40, 46), (196, 194, 186),
    (60, 120, 160), (24, 30, 50), (110, 30, 36), (214, 120, 40), (70, 70, 74),
)  # fmt: skip


def pick(dice: Random, items: Sequence[_Item]) -> _Item:
    return items[int(dice.random() * len(items))]


def varied(dice: Random, color: Color, light: float = 0.12, tint: float = 8) -> Color:
    """The color, lighter or darker, and a little off."""
    factor = math.exp(dice.gauss(0, light))
    r, g, b = (max(c * factor + dice.uniform(-tint, tint), 4) for c in color)
    return r, g, b


def scaled(color: Color, factor: float) -> Color:
    return color[0] * factor, color[1] * factor, color[2] * factor


def mixed(color: Color, other: Color, share: float) -> Color:
    r, g, b = (share * c + (1 - share) * o for c, o in zip(color, other))
    return r, g, b
