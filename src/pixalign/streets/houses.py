"""Houses of a drawn street, with their shop fronts."""

from pixalign.streets.builder import BUILDING, SIGN, Builder
from pixalign.streets.colors import SIGNS, WALLS, pick, scaled
from pixalign.streets.scene import Color


def add_house(build: Builder, x: float, side: int, z0: float, z1: float, style: str) -> float:
    """A house whose front runs along the street at x from z0 to z1; returns its height.

    Args:
        side: -1 left of the street, 1 right of it.
        style: row house, shop, office or hall.
    """
    dice = build.dice
    wall = build.paint(WALLS, 0.25, 4)
    if style == "office":
        stories, story = int(dice.uniform(2, 6)), dice.uniform(3.0, 3.8)
    elif style == "hall":
        stories, story = int(dice.uniform(1, 3)), dice.uniform(3.5, 5)
    else:
        stories = int(dice.uniform(2, 4.4) if style == "shop" else dice.uniform(2, 3.6))
        story = dice.uniform(2.7, 3.3)
    ground = story * dice.uniform(1.0, 1.25)
    top = ground + (stories - 1) * story + dice.uniform(0.2, 0.6)
    if style in ("row house", "shop") and dice.random() < 0.75:
        _add_roof(build, x, side, z0, z1, top, wall)
    else:
        _add_side_wall(build, x, side, z0, z1, top, wall)
    _add_front(build, x, side, z0, z1, (stories, ground, top), style, wall)
    if build.night and z0 < 70:
        _add_lit_windows(build, x, z0, z1, (ground, story, top))
    build.cast(x, x, z0, z1, top)
    build.cast(x, x + side * 8, z0, z0, top)
    build.contact(x - side * 0.4, x, z0, z1)
    return top


def _add_roof(build: Builder, x: float, side: int, z0: float, z1: float, top: float, wall: Color) -> None:
    """Gable, chimneys, a pitched roof and perhaps a dormer."""
    dice = build.dice
    rise, deep = dice.uniform(1.8, 3.6), dice.uniform(3.5, 5)
    roof = build.paint(((92, 88, 90), (120, 84, 68), (84, 80, 78), (104, 92, 84)))
    gable, brick = scaled(wall, dice.uniform(0.75, 1)), build.texture("brick")
    ridge, back, peak = x + side * deep, x + 2 * side * deep, top + rise
    corners, tip = ((x, 0, z0), (back, 0, z0), (back, top, z0), (x, top, z0)), (ridge, peak, z0)
    build.quad(*corners, gable, BUILDING, z1 + 0.3, brick, (deep, top / 2))
    build.quad((x, top, z0), (back, top, z0), tip, tip, gable, BUILDING, z1 + 0.3, brick)
    for _ in range(int(dice.uniform(0, 3.4))):
        at, wide = dice.uniform(z0, z1), dice.uniform(0.5, 1.1)
        foot, high = top + 0.5 * rise, peak + dice.uniform(0.6, 1.6)
        build.along(ridge, at, at + 2 * wide, foot, high, wall, BUILDING, z1 + 0.2, brick, (wide, 1))
        build.upright(ridge, ridge + side, foot, high, at, scaled(wall, 0.8), BUILDING, z1 + 0.2)
        for pot in (ridge + side * 0.2, ridge + side * 0.6):
            build.upright(pot - 0.12, pot + 0.12, high, high + 0.45, at, (150, 92, 70), BUILDING, z1 + 0.2)
    slope, slate = ((x, top, z0), (x, top, z1), (ridge, peak, z1), tip), build.texture("slate")
    build.quad(*slope, roof, BUILDING, z1 + 0.1, slate, ((z1 - z0) / 5, 1))
    if dice.random() < 0.2:  # a dormer
        near, far = 0.5 * (z0 + z1) - 0.8, 0.5 * (z0 + z1) + 0.8
        build.upright(x, x + side * 2, top, top + 1.6, near, scaled(roof, 0.7), BUILDING, z1)
        pane, glass = (x + 0.3 * side, near, far, top + 0.1, top + 1.6), build.texture("glass")
        build.along(*pane, (196, 194, 190), BUILDING, z1, glass)


def _add_side_wall(build: Builder, x: float, side: int, z0: float, z1: float, top: float, wall: Color) -> None:
    """The wall toward the camera of a house with a flat roof."""
    dice = build.dice
    far_x = x + side * dice.uniform(8, 16)
    color = scaled(wall, dice.uniform(0.7, 1))
    texture = build.texture("brick" if dice.random() < 0.6 else "facade")
    corners = (x, 0, z0), (far_x, 0, z0), (far_x, top, z0), (x, top, z0)
    build.quad(*corners, color, BUILDING, z1 + 0.3, texture, (3, top / 6))


def _add_front(
    build: Builder, x: float, side: int, z0: float, z1: float, levels: tuple[int, float, float], style: str, wall: Color
) -> None:
    """The front along the street; ``levels``: the number of stories, the heights of the first and of all."""
    dice, (stories, ground, top) = build.dice, levels
    bays = max(round((z1 - z0) / dice.uniform(2.2, 3.2)), 1)
    front = build.texture("office" if style == "office" or (style == "hall" and dice.random() < 0.5) else "facade")
    if stories > 1:
        build.along(x, z0, z1, ground, top, wall, BUILDING, z1, front, (bays / 2, (stories - 1) / 2 + 0.04))
    if style == "shop" or (style in ("hall", "office") and dice.random() < 0.5):
        _add_shop_front(build, x, side, z0, z1, ground, top, wall)
    elif stories > 1 and style != "office":
        below = scaled(wall, dice.uniform(0.9, 1.05))
        build.along(x, z0, z1, 0, ground, below, BUILDING, z1, build.texture("story"), (bays / 2, 1))
    else:
        build.along(x, z0, z1, 0, ground, wall, BUILDING, z1, front, (bays / 2, 0.5))
    trim = build.paint(((200, 196, 188), scaled(wall, 0.7), (60, 58, 56)))
    build.along(x, z0, z1, top - dice.uniform(0.12, 0.5), top, trim, BUILDING, z1)
    if dice.random() < 0.6:
        build.along(x, z1 - 0.12, z1, 0, top, (34, 34, 36), BUILDING, z1)


def _add_lit_windows(build: Builder, x: float, z0: float, z1: float, levels: tuple[float, float, float]) -> None:
    """Windows with light in them; ``levels``: the heights of the first story, of each further one and of all."""
    dice, (ground, story, top) = build.dice, levels
    for _ in range(int(dice.uniform(0, 2.2))):
        at, y = dice.uniform(z0, z1 - 1), pick(dice, (1.2, ground + 0.9, ground + 0.9 + story))
        if y < top - 1.4:
            tone = dice.uniform(60, 210)
            light = (tone, 0.85 * tone, 0.55 * tone)
            until = at + dice.uniform(0.6, 1.2)
            build.along(x, at, until, y, y + 1.2, light, BUILDING, z1, lit=0.9 * build.night)


def _add_shop_front(
    build: Builder, x: float, side: int, z0: float, z1: float, ground: float, top: float, wall: Color
) -> None:
    dice, length = build.dice, z1 - z0
    paint = build.paint((*SIGNS, wall, (60, 58, 56), (30, 34, 40)), 0.25)
    glass = ground * 0.78
    build.along(x, z0, z1, 0, glass, paint, BUILDING, z1, build.texture("shop"), (max(round(length / 5), 1), 1))
    if build.night and dice.random() < 0.35:
        tone = dice.uniform(30, 100)
        build.along(x, z0 + 0.4, z1 - 0.6, 0.7, glass - 0.3, (tone, 0.92 * tone, 0.7 * tone), BUILDING, z1,
                   build.texture("cloth"), (length / 5, 1), lit=build.night)  # fmt: skip
    board = build.paint(SIGNS, 0.2)
    build.along(x, z0, z1, glass, ground, scaled(wall, 1.05), BUILDING, z1)
    near, far = z0 + 0.3, z1 - 0.3
    start, end = (near, far) if side < 0 else (far, near)
    build.along(x, start, end, glass + 0.08, ground - 0.05, board, BUILDING, z1, build.texture("letters"), (1, 1))
    if dice.random() < 0.18:
        out = side * dice.uniform(0.8, 1.5)
        low, high = glass - 0.4, glass + 0.2
        corners = (x, high, near), (x - out, low, near), (x - out, low, far), (x, high, far)
        build.quad(*corners, build.paint(SIGNS), BUILDING, z1 - 0.1)
    for _ in range(int(dice.uniform(0, 2.5))):  # boards that stick out over the sidewalk
        at, y = dice.uniform(z0, z1), ground + dice.uniform(0, 0.9)
        wide, high = dice.uniform(0.5, 1.0), dice.uniform(0.5, 1.3)
        a, b = sorted((x - side * 0.15, x - side * (0.15 + wide)))
        build.board(a, b, y, y + high, at, build.paint(SIGNS, 0.2))
    if dice.random() < 0.2:
        at, high = dice.uniform(z0, z1 - 1), dice.uniform(0.5, 1.2)
        if ground + 1 + high < top:
            start, end = (at, at + 1.4) if side < 0 else (at + 1.4, at)
            board, y, letters = build.paint(SIGNS), ground + 0.3, build.texture("letters")
            build.along(x - side * 0.05, start, end, y, y + high, board, SIGN, z1 - 0.01, letters, (1, 1))
