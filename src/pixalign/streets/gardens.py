"""Plants of a drawn street, and what a garden ends with: hedges, walls, fences."""

import numpy as np

from pixalign.streets.builder import BUILDING, CURB, FENCE, HIDDEN, TREE, Builder
from pixalign.streets.colors import WALLS, pick, scaled, varied


def add_plant(build: Builder, kind: str, x: float, z: float, high: float) -> None:
    """A tree (bare, leafy, fir) or a bush."""
    dice = build.dice
    if kind == "bare":
        tone = dice.uniform(56, 128)
        color, texture, ratio = (tone, tone * 0.92, tone * 0.82), "bark", dice.uniform(0.75, 1.1)
    else:
        color = build.paint(((62, 72, 40), (74, 78, 48), (48, 60, 40), (84, 84, 52), (90, 66, 50)), 0.2)
        texture = "leaves"
        ratio = {"leafy": dice.uniform(0.7, 1.1), "fir": dice.uniform(0.4, 0.7), "bush": dice.uniform(0.9, 2)}[kind]
    wide = high * ratio * (1 if dice.random() < 0.5 else -1)
    if kind in ("leafy", "fir"):
        trunk, bark = 0.022 * high, build.bank.kinds["bark"][0]
        build.upright(x - trunk, x + trunk, CURB, CURB + 0.5 * high, z, (84, 76, 66), TREE, None, bark)
    build.plant(kind, (x, CURB, z), wide, high, color, TREE, texture)
    thick = 0.15 if kind == "bare" else 0.25 * abs(wide)
    build.cast(x - thick, x + thick, z, z, high * 0.9)
    if kind == "bare":
        for _ in range(5):
            at = x + dice.uniform(-0.4, 0.4) * abs(wide)
            build.cast(at, at + 0.1, z, z, high)


def add_hedge(build: Builder, x: float, z0: float, z1: float, high: float, deep: float, side: int) -> None:
    """A hedge along the street, clipped, with a rough top."""
    color = build.paint(((58, 66, 38), (44, 54, 34), (70, 68, 42), (84, 62, 46)), 0.2)
    texture = build.texture("leaves")
    a, b = sorted((x, x + side * deep))
    build.upright(a, b, 0, high, z0, scaled(color, 0.8), TREE, z1 + 0.1, texture, (deep / 2, high / 2))
    corners = (a, high, z0), (b, high, z0), (b, high, z1), (a, high, z1)
    build.quad(*corners, scaled(color, 1.1), TREE, z1 + 0.1, texture, (deep / 2, (z1 - z0) / 2))
    build.along(x, z0, z1, 0, high, color, TREE, z1, texture, ((z1 - z0) / 2, high / 2))
    build.cast(x, x, z0, z1, high)
    build.contact(x - side * 0.3, x, z0, z1)


def add_wall(build: Builder, x: float, z0: float, z1: float, high: float, side: int) -> None:
    """A low wall; CamVid counts walls as building."""
    color = build.paint(WALLS, 0.2)
    a, b = sorted((x, x + side * 0.3))
    build.upright(a, b, 0, high, z0, scaled(color, 0.8), BUILDING, z1 + 0.1)
    build.along(x, z0, z1, 0, high, color, BUILDING, z1, build.texture("brick"), ((z1 - z0) / 2, high / 2))
    build.along(x, z0, z1, high - 0.08, high, scaled(color, 1.2), BUILDING, z1)
    build.cast(x, x, z0, z1, high)


def add_fence(build: Builder, x: float, z0: float, z1: float, high: float) -> None:
    """Railings along the street, or boards: labeled whole, seen bar by bar."""
    dice = build.dice
    tone = pick(dice, ((34, 36, 38), (40, 60, 48), (120, 122, 124), (200, 200, 196), (104, 78, 56)))
    z0 = max(z0, 1.2)
    if z1 <= z0:
        return
    if dice.random() < 0.25:
        color = varied(dice, (122, 94, 68), 0.2)
        build.along(x, z0, z1, 0, high + 0.4, color, FENCE, z1, build.texture("bark"), ((z1 - z0) / 2, 0.2))
        return
    build.along(x, z0, z1, CURB, high, tone, FENCE, z1, shown=0)
    near_end = min(z1, 26)
    if near_end < z1:
        build.along(x, near_end, z1, CURB, high, scaled(tone, 1.3), HIDDEN, z1)
    step = pick(dice, (0.14, 0.2, 0.3))
    bars = np.arange(z0, near_end, step)[::-1]
    if len(bars):
        half, n = 0.014 + 0.03 * step, len(bars)
        points = np.empty((n, 4, 3))
        points[..., 0], points[:, (0, 3), 2], points[:, 1:3, 2] = x, bars[:, None] - half, bars[:, None] + half
        points[:, :2, 1], points[:, 2:, 1] = CURB, high
        build.polygons(points, np.tile(tone, (n, 1)), HIDDEN, z1)
    for y in (CURB + 0.12, high - 0.1, *((0.5 * high,) if dice.random() < 0.5 else ())):
        build.along(x, z0, z1, y, y + 0.05, tone, HIDDEN, z1)
    build.cast(x, x, z0, z1, high * 0.3)
