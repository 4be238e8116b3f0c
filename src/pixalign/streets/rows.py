"""What lines a drawn street on both sides, and what closes the view."""

import numpy as np

from pixalign.streets.builder import BUILDING, CURB, FAR, SIDEWALK, TREE, Builder
from pixalign.streets.colors import pick, scaled, varied
from pixalign.streets.gardens import add_fence, add_hedge, add_plant, add_wall
from pixalign.streets.houses import add_house


def add_row(
    build: Builder, side: int, wall: float, curb: float, gap: tuple[float, float], town: bool, open_: bool
) -> tuple[float, float]:
    """What lines the street on one side, from near to far; returns the share that is built, and its mean height."""
    dice, tops = build.dice, [0.0]
    built = 0.0
    z = -dice.uniform(2, 8)
    style = pick(dice, ("shop", "shop", "row house", "office") if town else ("shop", "row house", "row house"))
    green = 0.06 if town else 0.42
    trees = pick(dice, ("bare", "bare", "bare", "bare", "bare", "leafy"))
    while z < FAR:
        if gap[1] and gap[0] - 3 < z < gap[1]:
            _add_side_street(build, side, wall, gap)
            z = gap[1]
        length = dice.uniform(5, 13) * (1 if z < 60 else 2)
        if gap[1] and z < gap[0]:
            length = min(length, max(gap[0] - z, 1.0))
        end, what = z + length, dice.random()
        if end <= 1:
            z = end
            continue
        if what > green:
            shift = (
                side * (0 if town or dice.random() < 0.6 else dice.uniform(1, 6))
                + side * (6 if open_ else 0) * dice.random()
            )
            if dice.random() < 0.12:
                style = pick(dice, ("shop", "row house", "office", "hall"))
            tops.append(add_house(build, wall + shift, side, z, end, style))
            built += end - z
            if abs(shift) > 0.8:
                _add_front_garden(build, side, wall, z, end)
        else:
            _add_greenery(build, side, wall, z, end, trees)
        z = end
    if dice.random() < (0.2 if town else 0.5):  # trees along the curb
        step = dice.uniform(7, 16)
        at = dice.uniform(5, 20)
        while at < 90:
            add_plant(build, trees, curb + side * dice.uniform(0.4, 0.9), at, dice.uniform(5, 11))
            at += step * dice.uniform(0.8, 1.3)
    for _ in range(int(dice.uniform(0, 2 if town else 3))):  # behind the houses
        kind, x = pick(dice, (trees, trees, "leafy", "fir")), wall + side * dice.uniform(9, 22)
        add_plant(build, kind, x, dice.uniform(25, 110), dice.uniform(10, 17))
    return built / FAR, sum(tops) / max(len(tops) - 1, 1)


def _add_side_street(build: Builder, side: int, wall: float, gap: tuple[float, float]) -> None:
    """What closes a side street: houses that face the camera at its far side, something at its end."""
    dice = build.dice
    x, z = wall, gap[1] + 0.4
    if dice.random() < 0.7:
        top = dice.uniform(5, 10)
        color = varied(dice, (160, 136, 112), 0.2)
        build.upright(x, x + side * 30, 0, top, z, color, BUILDING, z + 6, build.texture("facade"), (5, top / 6))
    else:
        add_plant(build, "bush", x + side * dice.uniform(3, 8), z, dice.uniform(2, 5))


def _add_front_garden(build: Builder, side: int, wall: float, z0: float, z1: float) -> None:
    dice, what = build.dice, build.dice.random()
    if what < 0.35:
        add_wall(build, wall, max(z0, 0.8), z1, dice.uniform(0.6, 1.3), side)
    elif what < 0.65:
        add_hedge(build, wall, max(z0, 0.8), z1, dice.uniform(0.8, 2), 0.8, side)
    elif what < 0.9:
        add_fence(build, wall, z0, z1, dice.uniform(0.9, 1.4))
    if dice.random() < 0.5:
        x, z = wall + side * dice.uniform(0.8, 1.6), dice.uniform(max(z0, 2), max(z1, 3))
        add_plant(build, "bush", x, z, dice.uniform(0.8, 2.6))


def _add_greenery(build: Builder, side: int, wall: float, z0: float, z1: float, trees: str) -> None:
    """A park or garden: trees and bushes behind a fence, wall or hedge."""
    dice = build.dice
    far_color = varied(dice, (70, 74, 52), 0.25)
    build.along(
        wall + side * 24, z0, z1 + 12, 0, dice.uniform(2, 6), far_color, TREE, z1 + 40, build.texture("leaves"), (3, 1)
    )
    for _ in range(int(dice.uniform(1, 4))):
        kind = pick(dice, (trees, trees, trees, "bare", "bush", "leafy", "fir"))
        high = dice.uniform(1.5, 4) if kind == "bush" else dice.uniform(6, 14)
        add_plant(build, kind, wall + side * dice.uniform(1, 9), dice.uniform(max(z0, 4), max(z1, 6)), high)
    near, what = max(z0, 0.8), dice.random()
    if z1 > near:
        if what < 0.25:
            add_wall(build, wall, near, z1, dice.uniform(0.6, 2.2), side)
        elif what < 0.5:
            add_hedge(build, wall, near, z1, dice.uniform(0.8, 2.4), dice.uniform(0.8, 2), side)
        elif what < 0.9:
            add_fence(build, wall, z0, z1, dice.uniform(0.9, 1.7))


def add_end(build: Builder, town: bool) -> None:
    """What closes the view: houses and trees far away, or a building across a junction."""
    dice = build.dice
    x = -220.0
    while x < 220:
        wide, z = dice.uniform(8, 30), dice.uniform(FAR, 230)
        if dice.random() < 0.5:
            high, color = dice.uniform(5, 13), varied(dice, (150, 138, 124), 0.2)
            build.upright(x, x + wide, 0, high, z, color, BUILDING, None, build.texture("facade"), (wide / 5, 2))
        else:
            high, color = dice.uniform(2, 5), varied(dice, (80, 84, 60), 0.2)
            build.upright(x, x + wide, 0, high, z, color, TREE, None, build.texture("leaves"), (4, 1))
            add_plant(build, pick(dice, ("bare", "leafy", "bush")), x, z, dice.uniform(8, 16))
        x += wide * 0.9
    if dice.random() < 0.15:  # a church
        x, z, half, top = dice.uniform(-40, 40), dice.uniform(60, 160), dice.uniform(2.5, 5), dice.uniform(18, 34)
        stone = varied(dice, (150, 140, 122), 0.2)
        build.upright(x - half, x + half, 0, top, z, stone, BUILDING, None, build.texture("facade"), (1, top / 9))
        build.upright(
            x, x + half, 0, top, z, scaled(stone, 0.85), BUILDING, None, build.texture("facade"), (0.5, top / 9)
        )
        spire = [[(x - half, top, z), (x + half, top, z), (x, top + dice.uniform(2, 22), z)]]
        build.polygons(np.array(spire), np.array([scaled(stone, 0.8)]), BUILDING, z, build.texture("slate"))
    if dice.random() < (0.15 if town else 0.3):
        z, x = dice.uniform(30, 70), -60.0
        while x < 60:
            wide, top = dice.uniform(8, 20), dice.uniform(5, 12)
            if dice.random() < 0.75:
                wall = varied(dice, (160, 134, 110), 0.2)
                texture, tiles = build.texture(pick(dice, ("facade", "office"))), (wide / 5, top / 6)
                build.upright(x, x + wide, 0, top, z, wall, BUILDING, None, texture, tiles)
                build.upright(x, x + wide, top - 0.4, top, z, scaled(wall, 1.2), BUILDING)
                if dice.random() < 0.5:
                    ridge = (x + wide - 2, top + 2.4, z + 3), (x + 2, top + 2.4, z + 3)
                    corners, slate = ((x, top, z), (x + wide, top, z), *ridge), build.texture("slate")
                    build.quad(*corners, (96, 90, 90), BUILDING, z, slate, (wide / 5, 1))
            else:
                add_plant(build, pick(dice, ("bare", "leafy", "fir")), x + wide / 2, z, dice.uniform(8, 14))
            x += wide
        build.upright(-80, 80, 0, CURB, z - 3, (140, 138, 132), SIDEWALK, 5e6)
        build.flat(-80, 80, z - 3, z, (132, 128, 122), SIDEWALK, 5e6, CURB)
