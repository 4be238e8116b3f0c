"""The ground of a drawn street: road, markings, curbs, sidewalks and what lies behind them."""

from itertools import pairwise

import numpy as np

from pixalign.streets.builder import CURB, FAR, ROAD, SIDEWALK, TREE, Builder
from pixalign.streets.colors import mixed, pick, scaled, varied
from pixalign.streets.scene import Color

_BANDS = [0.1, 4, 8, 13, 20, 30, 45, 70, 110, FAR]  # long strips are cut there, for the textures' sake
_ON_ROAD = 6e6  # paint is on top of the road, which is painted first


def add_ground(
    build: Builder, left: float, right: float, widths: tuple[float, float], gaps: list[tuple[float, float]], open_: bool
) -> None:
    """Add all of the ground.

    Args:
        left, right: x of the curbs.
        widths: of the sidewalks at both sides; gaps: from where to where a side street opens, (0, 0) if none does.
        open_: whether the sides are squares or parking lots rather than rows of houses.
    """
    dice = build.dice
    tone = dice.uniform(78, 150)
    road = (tone * dice.uniform(0.96, 1.03), tone, tone * dice.uniform(0.98, 1.07))
    wide = 300.0
    build.flat(-wide, wide, 0.1, 900, road, ROAD, 1e7, 0, build.texture("asphalt"), (2 * wide / 4, 900 / 4))
    white = varied(dice, (226, 226, 222), 0.1, 2)
    worn = dice.uniform(0.6, 1)
    white, yellow = mixed(white, road, worn), mixed((214, 180, 70), road, worn)
    for side, curb, width, gap in ((-1, left, widths[0], gaps[0]), (1, right, widths[1], gaps[1])):
        _add_side(build, side, curb, width, gap, open_)
        _add_curb_lines(build, side, curb, gap, yellow, white)
    _add_markings(build, left, right, white)
    for _ in range(int(dice.uniform(0, 5))):  # patches, covers
        x, z = dice.uniform(left, right), dice.uniform(3, 30)
        x1, z1 = x + dice.uniform(0.4, 2), z + dice.uniform(0.4, 5)
        patch = scaled(road, dice.uniform(0.75, 1.12))
        build.flat(x, x1, z, z1, patch, ROAD, 6.5e6, 0, build.texture("asphalt"), (0.4, 0.8))
    if open_:
        for x in np.arange(right - 16, right, 2.4).tolist():
            if x > left + 6 and dice.random() < 0.8:
                build.flat(x, x + 0.1, 14, 19, white, ROAD, _ON_ROAD)


def _add_side(build: Builder, side: int, curb: float, width: float, gap: tuple[float, float], open_: bool) -> None:
    """Curb, sidewalk and what lies behind it."""
    dice, (g0, g1) = build.dice, gap
    grassy = dice.random() < 0.25 and not open_
    paving, slabs = build.texture("paving" if dice.random() < 0.7 else "asphalt"), dice.uniform(2, 4)
    grass = build.bank.kinds["leaves"][0]
    tone = dice.uniform(105, 165)
    stone = (tone * 1.02, tone, tone * dice.uniform(0.92, 1.0))
    behind = varied(dice, (84, 92, 50), 0.15) if grassy else scaled(stone, dice.uniform(0.8, 1.05))
    label, texture = TREE if grassy else ROAD if open_ else SIDEWALK, grass if grassy else paving
    level = 0 if open_ else CURB
    verge = dice.random() < 0.15 and width > 2.4
    edging = varied(dice, (150, 148, 142), 0.15)
    outer, beyond = curb + side * width, curb + side * 90
    for z0, z1 in pairwise(sorted({*_BANDS, *(gap if g1 else ())})):
        if g1 and g0 <= z0 < g1:
            continue
        along = (z1 - z0) / slabs
        build.flat(curb, outer, z0, z1, stone, SIDEWALK, 9e6, CURB, paving, (width / slabs, along))
        if verge:
            inner = curb + side * 0.3, curb + side * 1.2
            build.flat(*inner, z0, z1, (88, 96, 54), TREE, 8e6, CURB, grass, (0.5, (z1 - z0) / 2))
        build.flat(outer, beyond, z0, z1, behind, label, 9e6, level, texture, ((90 - width) / slabs, along))
        build.flat(curb, curb + side * 0.16, z0, z1, edging, SIDEWALK, 7e6, CURB)
        build.along(curb, z0, z1, 0, CURB, scaled(edging, 0.72), SIDEWALK, 7e6)
        build.contact(curb - side * 0.14, curb, z0, z1)
    if g1:
        for z in gap:
            build.upright(curb, curb + side * 60, 0, CURB, z, edging, SIDEWALK, 7e6)


def _add_curb_lines(
    build: Builder, side: int, curb: float, gap: tuple[float, float], yellow: Color, white: Color
) -> None:
    """Yellow lines along the curb, and the zig-zag before a crossing."""
    dice, (g0, g1) = build.dice, gap
    if dice.random() < 0.6:
        for offset in (0.25, 0.45) if dice.random() < 0.7 else (0.3,):
            for z0, z1 in pairwise(_BANDS[:7]):
                if not (g1 and z0 < g1 and z1 > g0):
                    build.flat(curb - side * offset, curb - side * (offset + 0.09), z0, z1, yellow, ROAD, _ON_ROAD)
    if dice.random() < 0.25:
        z, at = dice.uniform(5, 20), 1
        for _ in range(int(dice.uniform(3, 9))):
            a, b = curb - side * (0.9 + 0.35 * at), curb - side * (0.9 - 0.35 * at)
            corners = (a, 0, z), (a + 0.12, 0, z), (b + 0.12, 0, z + 2), (b, 0, z + 2)
            build.quad(*corners, white, ROAD, _ON_ROAD, ground=1)
            z, at = z + 2, -at


def _add_markings(build: Builder, left: float, right: float, white: Color) -> None:
    """The line in the middle; stop lines, arrows, crossings and hatching."""
    dice = build.dice
    middle = left + (right - left) * dice.uniform(0.42, 0.58)
    dash, gap = pick(dice, ((2, 4), (4, 2), (3, 6), (1, 1), (200, 1)))
    if dice.random() < 0.8 and right - left > 5:
        z = dice.uniform(0, 3)
        while z < 90:
            for z0, z1 in pairwise(_BANDS):
                a, b = max(z, z0), min(z + dash, z1)
                if a < b:
                    build.flat(middle - 0.06, middle + 0.06, a, b, white, ROAD, _ON_ROAD)
            z += dash + gap
    for _ in range(int(dice.uniform(0, 2.9))):
        z, kind = dice.uniform(4, 26), dice.random()
        if kind < 0.35:
            build.flat(left + 0.4, middle, z, z + 0.3, white, ROAD, _ON_ROAD)
        elif kind < 0.6:
            x = 0.5 * (left + middle)
            build.flat(x - 0.07, x + 0.07, z, z + 2.2, white, ROAD, _ON_ROAD)
            tip = (x, 0, z + 3.6)
            build.quad((x - 0.45, 0, z + 2.2), (x + 0.45, 0, z + 2.2), tip, tip, white, ROAD, _ON_ROAD, ground=1)
        elif kind < 0.8:
            for x in np.arange(left + 0.3, right - 0.6, 1.2).tolist():
                build.flat(x, x + 0.6, z, z + 2.6, white, ROAD, _ON_ROAD)
        else:
            for k in range(int(dice.uniform(3, 8))):
                a, x = z + k * 1.2, middle + 1.4
                corners = (middle, 0, a), (x, 0, a + 1.2), (x, 0, a + 1.45), (middle, 0, a + 0.25)
                build.quad(*corners, white, ROAD, _ON_ROAD, ground=1)
