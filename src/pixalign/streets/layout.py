"""Where things stand in a drawn street, under which light, and where the camera is: `compose` and `light_of`.

Left-hand traffic: the camera drives at x = 0 with the curb to its left; rows of houses or gardens on both sides, side
streets, what closes the view, traffic, people and street furniture. All of it is our choice.
"""

import math
from itertools import pairwise
from random import Random

import numpy as np

from pixalign.palette import IGNORE
from pixalign.streets.render import Camera, Color, Light, Point, Shapes
from pixalign.streets.textures import bank
from pixalign.streets.things import BUILDING, CURB, ROAD, SIDEWALK, SIGN, TREE, Builder, pick, scaled, varied

_FAR = 170.0


def light_of(name: str, dice: Random) -> Light:
    """A light of the given kind, varied."""
    angle, up = dice.uniform(0, 2 * math.pi), dice.uniform(0.5, 1.0)
    if name == "low sun":
        up = dice.uniform(0.15, 0.4)
    flat = math.sqrt(1 / (1 + up * up))
    sun_from = (flat * math.cos(angle), flat * up, flat * math.sin(angle))
    if name == "dusk":
        dark, blue = dice.uniform(0.14, 0.32), dice.uniform(1.05, 1.3)
        cloud = dice.gauss(146, 12)
        return Light(
            above=(0.95 * dark, 1.1 * dark, 1.1 * dark * blue),
            around=(1.05 * dark, 1.28 * dark, 1.28 * dark * blue),
            sun=(0, 0, 0),
            sun_from=sun_from,
            shadow=1,
            contact=0.55,
            sky=(0.8 * cloud, 0.95 * cloud, 1.02 * cloud),
            cloud=(0.9 * cloud, 1.02 * cloud, 1.06 * cloud),
            horizon=(1.12 * cloud, 1.24 * cloud, 1.22 * cloud),
            cloudiness=dice.uniform(0.2, 1.2),
            texture=dice.uniform(0.2, 0.45),
            haze=dice.uniform(0.05, 0.25),
            haze_depth=dice.uniform(200, 600),
            noise=dice.uniform(1.5, 5),
            lamps=dice.uniform(0.6, 1),
        )
    haze_depth, noise = dice.uniform(150, 500), dice.uniform(1.5, 5)
    if name == "overcast":
        level, white = dice.uniform(0.6, 1.05), dice.uniform(225, 275)
        tint = dice.uniform(0.95, 1.05)
        return Light(
            above=(level, level, level * tint),
            around=(0.78 * level, 0.78 * level, 0.79 * level * tint),
            sun=(0.1, 0.1, 0.1),
            sun_from=sun_from,
            shadow=1,
            contact=0.62,
            sky=(0.92 * white, 0.96 * white, white),
            cloud=(white, white, white),
            horizon=(1.03 * white, 1.03 * white, 1.03 * white),
            cloudiness=dice.uniform(0.5, 2),
            texture=dice.uniform(0.02, 0.1),
            haze=dice.uniform(0.1, 0.5),
            haze_depth=haze_depth,
            noise=noise,
            lamps=0,
        )
    washed = dice.random()
    if name == "day":
        ambient, sun = dice.uniform(0.5, 0.85), dice.uniform(0.4, 0.9)
    else:
        ambient, sun = dice.uniform(0.38, 0.62), dice.uniform(0.8, 1.5)
    return Light(
        above=(0.96 * ambient, ambient, 1.07 * ambient),
        around=(0.8 * ambient, 0.81 * ambient, 0.84 * ambient),
        sun=(sun, 0.96 * sun, 0.86 * sun),
        sun_from=sun_from,
        shadow=dice.uniform(0.4, 0.65),
        contact=0.55,
        sky=(175 + 90 * washed, 225 + 45 * washed, 262 + 10 * washed),
        cloud=(258, 260, 262),
        horizon=(256, 262, 264),
        cloudiness=dice.uniform(-1.5, 0.8),
        texture=0.03,
        haze=dice.uniform(0.1, 0.45),
        haze_depth=haze_depth,
        noise=noise,
        lamps=0,
    )


def compose(dice: Random, light: Light) -> tuple[Shapes, Camera]:
    """Lay out a street and place the camera."""
    camera = Camera(
        focal=dice.uniform(0.95, 1.4),
        center=(dice.uniform(-0.22, 0.22), dice.uniform(0.42, 0.58)),
        height=dice.uniform(1.15, 1.75),
        bend=dice.gauss(0, 0.0006) if dice.random() < 0.6 else 0.0,
        vignette=dice.uniform(0.0, 0.3),
        blur=dice.uniform(0.25, 0.6),
        contrast=dice.uniform(0.05, 0.4),
        saturation=dice.uniform(0.5, 0.95),
        clouds=(int(dice.random() * 6), dice.random(), dice.random(), dice.uniform(0.12, 0.35)),
    )
    shapes = Shapes()
    build = Builder(shapes, dice, bank(), light.lamps, light.sun_from, light.sun[0] > 0.2)
    kind = dice.random()
    town, open_ = kind < 0.5, kind > 0.8
    left = -dice.uniform(1.7, 4.0) if not open_ else -dice.uniform(2, 9)
    right = left + (dice.uniform(5, 10) if not open_ else dice.uniform(8, 22))
    right = max(right, 1.9)
    widths = (dice.uniform(1.5, 6.0), dice.uniform(1.5, 6.0))
    walls = left - widths[0], right + widths[1]
    gaps = []
    for _ in (0, 1):
        start = dice.uniform(7, 40)
        gaps.append(
            (start, start + dice.uniform(5, 12)) if dice.random() < (0.45 if not open_ else 0.3) else (0.0, 0.0)
        )
    _ground(build, left, right, widths, gaps, open_)
    for side, wall, curb, gap in ((-1, walls[0], left, gaps[0]), (1, walls[1], right, gaps[1])):
        built, high = _row(build, side, wall, curb, gap, town, open_)
        if built > 0.6 and side * light.sun_from[0] > 0:
            shapes.shelter = wall, high
    _end(build, town)
    _traffic(build, left, right, open_)
    _pavements(build, left, right, walls)
    if dice.random() < (0.55 if light.lamps else 0.2):
        _bonnet(build, camera, dice)
    return shapes, camera


def _ground(
    build: Builder, left: float, right: float, widths: tuple[float, float], gaps: list[tuple[float, float]], open_: bool
) -> None:
    """Road, markings, curbs, pavements and what lies behind them."""
    dice, shapes = build.dice, build.shapes
    tone = dice.uniform(78, 150)
    road = (tone * dice.uniform(0.96, 1.03), tone, tone * dice.uniform(0.98, 1.07))
    wide = 300.0
    shapes.quad(
        (-wide, 0, 0.1),
        (wide, 0, 0.1),
        (wide, 0, 900),
        (-wide, 0, 900),
        road,
        ROAD,
        1e7,
        build.texture("asphalt"),
        (2 * wide / 4, 900 / 4),
        ground=1,
    )
    line = varied(dice, (226, 226, 222), 0.1, 2)
    worn = dice.uniform(0.6, 1)
    line, yellow = _mixed(line, road, worn), _mixed((214, 180, 70), road, worn)

    def strip(
        x0: float,
        x1: float,
        z0: float,
        z1: float,
        color: Color,
        label: int,
        far: float,
        y: float = 0,
        texture: int = 0,
        tiles: tuple[float, float] = (0, 0),
    ) -> None:
        shapes.quad((x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1), color, label, far, texture, tiles, ground=1)

    bands = [0.1, 4, 8, 13, 20, 30, 45, 70, 110, _FAR]
    for side, curb, width, (g0, g1) in ((-1, left, widths[0], gaps[0]), (1, right, widths[1], gaps[1])):
        grassy = dice.random() < 0.25 and not open_
        paving, slabs = build.texture("paving" if dice.random() < 0.7 else "asphalt"), dice.uniform(2, 4)
        tone = dice.uniform(105, 165)
        stone = (tone * 1.02, tone, tone * dice.uniform(0.92, 1.0))
        behind = varied(dice, (84, 92, 50), 0.15) if grassy else scaled(stone, dice.uniform(0.8, 1.05))
        verge = dice.random() < 0.15 and width > 2.4
        edges = sorted({*bands, *((g0, g1) if g1 else ())})
        edging = varied(dice, (150, 148, 142), 0.15)
        for z0, z1 in pairwise(edges):
            if g1 and g0 <= z0 < g1:
                continue
            outer, beyond = curb + side * width, curb + side * 90
            tiles = (width / slabs, (z1 - z0) / slabs)
            strip(curb, outer, z0, z1, stone, SIDEWALK, 9e6, CURB, paving, tiles)
            if verge:
                strip(
                    curb + side * 0.3,
                    curb + side * 1.2,
                    z0,
                    z1,
                    (88, 96, 54),
                    TREE,
                    8e6,
                    CURB,
                    build.bank.first["leaves"],
                    (0.5, (z1 - z0) / 2),
                )
            strip(
                outer,
                beyond,
                z0,
                z1,
                behind,
                TREE if grassy else ROAD if open_ else SIDEWALK,
                9e6,
                0 if open_ else CURB,
                build.bank.first["leaves"] if grassy else paving,
                ((90 - width) / slabs, tiles[1]),
            )
            strip(curb, curb + side * 0.16, z0, z1, edging, SIDEWALK, 7e6, CURB)
            build.along(curb, z0, z1, 0, CURB, scaled(edging, 0.72), SIDEWALK, 7e6)
            build.contact(curb - side * 0.14, curb, z0, z1)
        if g1:
            for z in (g0, g1):
                build.upright(curb, curb + side * 60, 0, CURB, z, edging, SIDEWALK, 7e6)
        if dice.random() < 0.6:
            for offset in (0.25, 0.45) if dice.random() < 0.7 else (0.3,):
                for z0, z1 in pairwise(bands[:7]):
                    if not (g1 and z0 < g1 and z1 > g0):
                        strip(curb - side * offset, curb - side * (offset + 0.09), z0, z1, yellow, ROAD, 6e6)
        if dice.random() < 0.25:  # zig-zag lines before a crossing
            z, at = dice.uniform(5, 20), 1
            for _ in range(int(dice.uniform(3, 9))):
                a, b = curb - side * (0.9 + 0.35 * at), curb - side * (0.9 - 0.35 * at)
                shapes.quad((a, 0, z), (a + 0.12, 0, z), (b + 0.12, 0, z + 2), (b, 0, z + 2), line, ROAD, 6e6, ground=1)
                z, at = z + 2, -at
    middle = left + (right - left) * dice.uniform(0.42, 0.58)
    dash, gap = pick(dice, ((2, 4), (4, 2), (3, 6), (1, 1), (200, 1)))
    if dice.random() < 0.8 and right - left > 5:
        z = dice.uniform(0, 3)
        while z < 90:
            for z0, z1 in pairwise(bands):
                a, b = max(z, z0), min(z + dash, z1)
                if a < b:
                    strip(middle - 0.06, middle + 0.06, a, b, line, ROAD, 6e6)
            z += dash + gap
    for _ in range(int(dice.uniform(0, 2.9))):  # stop lines, arrows, hatching, crossings
        z, kind = dice.uniform(4, 26), dice.random()
        if kind < 0.35:
            strip(left + 0.4, middle, z, z + 0.3, line, ROAD, 6e6)
        elif kind < 0.6:
            x = 0.5 * (left + middle)
            strip(x - 0.07, x + 0.07, z, z + 2.2, line, ROAD, 6e6)
            shapes.quad(
                (x - 0.45, 0, z + 2.2),
                (x + 0.45, 0, z + 2.2),
                (x, 0, z + 3.6),
                (x, 0, z + 3.6),
                line,
                ROAD,
                6e6,
                ground=1,
            )
        elif kind < 0.8:
            for x in np.arange(left + 0.3, right - 0.6, 1.2).tolist():
                strip(x, x + 0.6, z, z + 2.6, line, ROAD, 6e6)
        else:
            for k in range(int(dice.uniform(3, 8))):
                a = z + k * 1.2
                shapes.quad(
                    (middle, 0, a),
                    (middle + 1.4, 0, a + 1.2),
                    (middle + 1.4, 0, a + 1.45),
                    (middle, 0, a + 0.25),
                    line,
                    ROAD,
                    6e6,
                    ground=1,
                )
    for _ in range(int(dice.uniform(0, 5))):  # patches, covers
        x, z = dice.uniform(left, right), dice.uniform(3, 30)
        strip(
            x,
            x + dice.uniform(0.4, 2),
            z,
            z + dice.uniform(0.4, 5),
            scaled(road, dice.uniform(0.75, 1.12)),
            ROAD,
            6.5e6,
            0,
            build.texture("asphalt"),
            (0.4, 0.8),
        )
    if open_:
        for x in np.arange(right - 16, right, 2.4).tolist():
            if x > left + 6 and dice.random() < 0.8:
                strip(x, x + 0.1, 14, 19, line, ROAD, 6e6)


def _mixed(color: Color, other: Color, share: float) -> Color:
    r, g, b = (share * c + (1 - share) * o for c, o in zip(color, other))
    return r, g, b


def _row(
    build: Builder, side: int, wall: float, curb: float, gap: tuple[float, float], town: bool, open_: bool
) -> tuple[float, float]:
    """What lines the street on one side, from near to far; returns the share that is built, and its mean height."""
    dice, tops = build.dice, [0.0]
    built = 0.0
    z = -dice.uniform(2, 8)
    style = (
        pick(dice, ("shop", "terrace", "terrace")) if not town else pick(dice, ("shop", "shop", "terrace", "office"))
    )
    green = 0.06 if town else 0.42
    trees = pick(dice, ("bare", "bare", "bare", "bare", "bare", "leafy"))
    while z < _FAR:
        if gap[1] and gap[0] - 3 < z < gap[1]:
            _side_street(build, side, wall, gap)
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
                style = pick(dice, ("shop", "terrace", "office", "hall"))
            tops.append(build.house(wall + shift, side, z, end, style))
            built += end - z
            if abs(shift) > 0.8:
                _front_garden(build, side, wall, z, end)
        else:
            _greenery(build, side, wall, z, end, trees)
        z = end
    if dice.random() < (0.2 if town else 0.5):  # trees along the curb
        step = dice.uniform(7, 16)
        at = dice.uniform(5, 20)
        while at < 90:
            build.plant(trees, curb + side * dice.uniform(0.4, 0.9), at, dice.uniform(5, 11))
            at += step * dice.uniform(0.8, 1.3)
    for _ in range(int(dice.uniform(0, 2 if town else 3))):  # behind the houses
        build.plant(
            pick(dice, (trees, trees, "leafy", "fir")),
            wall + side * dice.uniform(9, 22),
            dice.uniform(25, 110),
            dice.uniform(10, 17),
        )
    return built / _FAR, sum(tops) / max(len(tops) - 1, 1)


def _side_street(build: Builder, side: int, wall: float, gap: tuple[float, float]) -> None:
    """What closes a side street: houses that face the camera at its far side, something at its end."""
    dice = build.dice
    x, z = wall, gap[1] + 0.4
    if dice.random() < 0.7:
        top = dice.uniform(5, 10)
        color = varied(dice, (160, 136, 112), 0.2)
        build.upright(x, x + side * 30, 0, top, z, color, BUILDING, z + 6, build.texture("facade"), (5, top / 6))
    else:
        build.plant("bush", x + side * dice.uniform(3, 8), z, dice.uniform(2, 5))


def _front_garden(build: Builder, side: int, wall: float, z0: float, z1: float) -> None:
    dice, what = build.dice, build.dice.random()
    if what < 0.35:
        build.wall(wall, max(z0, 0.8), z1, dice.uniform(0.6, 1.3), side)
    elif what < 0.65:
        build.hedge(wall, max(z0, 0.8), z1, dice.uniform(0.8, 2), 0.8, side)
    elif what < 0.9:
        build.fence(wall, z0, z1, dice.uniform(0.9, 1.4))
    if dice.random() < 0.5:
        build.plant(
            "bush", wall + side * dice.uniform(0.8, 1.6), dice.uniform(max(z0, 2), max(z1, 3)), dice.uniform(0.8, 2.6)
        )


def _greenery(build: Builder, side: int, wall: float, z0: float, z1: float, trees: str) -> None:
    """A park or garden: trees and bushes behind a fence, wall or hedge."""
    dice = build.dice
    far_color = varied(dice, (70, 74, 52), 0.25)
    build.along(
        wall + side * 24, z0, z1 + 12, 0, dice.uniform(2, 6), far_color, TREE, z1 + 40, build.texture("leaves"), (3, 1)
    )
    for _ in range(int(dice.uniform(1, 4))):
        kind = pick(dice, (trees, trees, trees, "bare", "bush", "leafy", "fir"))
        high = dice.uniform(1.5, 4) if kind == "bush" else dice.uniform(6, 14)
        build.plant(kind, wall + side * dice.uniform(1, 9), dice.uniform(max(z0, 4), max(z1, 6)), high)
    near, what = max(z0, 0.8), dice.random()
    if z1 > near:
        if what < 0.25:
            build.wall(wall, near, z1, dice.uniform(0.6, 2.2), side)
        elif what < 0.5:
            build.hedge(wall, near, z1, dice.uniform(0.8, 2.4), dice.uniform(0.8, 2), side)
        elif what < 0.9:
            build.fence(wall, z0, z1, dice.uniform(0.9, 1.7))


def _end(build: Builder, town: bool) -> None:
    """What closes the view: houses and trees far away, or a building across a junction."""
    dice = build.dice
    x = -220.0
    while x < 220:
        wide, z = dice.uniform(8, 30), dice.uniform(_FAR, 230)
        if dice.random() < 0.5:
            build.upright(x, x + wide, 0, dice.uniform(5, 13), z, varied(dice, (150, 138, 124), 0.2), BUILDING, None,
                          build.texture("facade"), (wide / 5, 2))  # fmt: skip
        else:
            build.upright(
                x,
                x + wide,
                0,
                dice.uniform(2, 5),
                z,
                varied(dice, (80, 84, 60), 0.2),
                TREE,
                None,
                build.texture("leaves"),
                (4, 1),
            )
            build.plant(pick(dice, ("bare", "leafy", "bush")), x, z, dice.uniform(8, 16))
        x += wide * 0.9
    if dice.random() < 0.15:  # a church
        x, z, half, top = dice.uniform(-40, 40), dice.uniform(60, 160), dice.uniform(2.5, 5), dice.uniform(18, 34)
        stone = varied(dice, (150, 140, 122), 0.2)
        build.upright(x - half, x + half, 0, top, z, stone, BUILDING, None, build.texture("facade"), (1, top / 9))
        build.upright(
            x, x + half, 0, top, z, scaled(stone, 0.85), BUILDING, None, build.texture("facade"), (0.5, top / 9)
        )
        spire = [[(x - half, top, z), (x + half, top, z), (x, top + dice.uniform(2, 22), z)]]
        build.shapes.polygons(np.array(spire), np.array([scaled(stone, 0.8)]), BUILDING, z, build.texture("slate"))
    if dice.random() < (0.15 if town else 0.3):
        z, x = dice.uniform(30, 70), -60.0
        while x < 60:
            wide, top = dice.uniform(8, 20), dice.uniform(5, 12)
            if dice.random() < 0.75:
                wall = varied(dice, (160, 134, 110), 0.2)
                build.upright(
                    x,
                    x + wide,
                    0,
                    top,
                    z,
                    wall,
                    BUILDING,
                    None,
                    build.texture(pick(dice, ("facade", "office"))),
                    (wide / 5, top / 6),
                )
                build.upright(x, x + wide, top - 0.4, top, z, scaled(wall, 1.2), BUILDING)
                if dice.random() < 0.5:
                    build.shapes.quad(
                        (x, top, z),
                        (x + wide, top, z),
                        (x + wide - 2, top + 2.4, z + 3),
                        (x + 2, top + 2.4, z + 3),
                        (96, 90, 90),
                        BUILDING,
                        z,
                        build.texture("slate"),
                        (wide / 5, 1),
                    )
            else:
                build.plant(pick(dice, ("bare", "leafy", "fir")), x + wide / 2, z, dice.uniform(8, 14))
            x += wide
        build.upright(-80, 80, 0, CURB, z - 3, (140, 138, 132), SIDEWALK, 5e6)
        build.shapes.quad(
            (-80, CURB, z - 3),
            (80, CURB, z - 3),
            (80, CURB, z),
            (-80, CURB, z),
            (132, 128, 122),
            SIDEWALK,
            5e6,
            ground=1,
        )


def _traffic(build: Builder, left: float, right: float, open_: bool) -> None:
    """Vehicles that are parked, drive ahead, come towards the camera or cross; cyclists."""
    dice = build.dice
    for _ in range(int(dice.uniform(0.5, 3.6))):
        near = dice.random() < 0.5
        build.cyclist(
            left + dice.uniform(0.4, 1.1) if near else dice.uniform(left + 0.5, right - 0.4), dice.uniform(6, 26)
        )
    types = ("hatch", "hatch", "hatch", "saloon", "saloon", "estate", "tall", "van")
    for side, curb in ((-1, left), (1, right)):
        z, end = dice.uniform(3, 22), dice.uniform(20, 100)
        if dice.random() < 0.6 and right - left > 6 and abs(curb) > 2.6:
            while z < end:
                if dice.random() < 0.75:
                    heading = 0.0 if (dice.random() < 0.7) == (side < 0) else math.pi
                    build.vehicle(
                        pick(dice, types),
                        curb - side * dice.uniform(1.0, 1.25),
                        z,
                        heading + dice.gauss(0, 0.02),
                        False,
                    )
                z += dice.uniform(5, 6.5)
    ahead = dice.uniform(5, 30)
    for _ in range(int(dice.uniform(0.2, 4.5))):
        kind = pick(dice, (*types, "van", "lorry", "bus"))
        z = ahead + (5 if kind in ("bus", "lorry") else 2.2)
        build.vehicle(kind, dice.uniform(-0.5, 0.5), z, dice.gauss(0, 0.03))
        ahead = z + dice.uniform(5, 25)
    coming = dice.uniform(6, 34)
    lane = max(0.5 * right, 2.6)
    if right > 2.4:
        for _ in range(int(dice.uniform(0, 4))):
            kind = pick(dice, (*types, "van", "bus"))
            build.vehicle(
                kind,
                lane + dice.uniform(-0.4, 0.4),
                coming + (5 if kind == "bus" else 2),
                math.pi + dice.gauss(0, 0.05),
            )
            coming += dice.uniform(6, 22)
    if dice.random() < 0.15:
        build.vehicle(
            pick(dice, types),
            dice.uniform(left, right),
            dice.uniform(14, 30),
            pick(dice, (1.57, -1.57)) + dice.gauss(0, 0.3),
        )
    if open_ and dice.random() < 0.75:
        for row in range(int(dice.uniform(1, 3))):
            z, side = dice.uniform(9, 32) + 14 * row, pick(dice, (-1, 1))
            x = (left - 2.5) if side < 0 else max(right - 16, 3.5)
            for _ in range(int(dice.uniform(3, 9))):
                if dice.random() < 0.8:
                    build.vehicle(pick(dice, types), x, z, pick(dice, (0, math.pi)) + dice.gauss(0, 0.04), False)
                x += side * dice.uniform(2.4, 2.8)


def _pavements(build: Builder, left: float, right: float, walls: tuple[float, float]) -> None:
    """People, lamps, signs, signals, bollards, boards."""
    dice = build.dice
    for side, curb, wall in ((-1, left, walls[0]), (1, right, walls[1])):
        edge = curb + side * 0.45
        for _ in range(int(dice.uniform(0.5, 7))):
            low, high = sorted((edge, wall - side * 0.4))
            z = dice.uniform(5, 36)
            x = dice.uniform(low, max(high, low + 0.2))
            build.person(x, z)
            if dice.random() < 0.4:
                build.person(x + dice.uniform(0.45, 0.7), z + dice.uniform(-0.3, 0.3))
        at, step = dice.uniform(7, 24), dice.uniform(18, 34)
        if dice.random() < 0.75:
            while at < 110:
                build.lamp_post(curb + side * dice.uniform(0.3, 0.6), at, side)
                at += step
        for _ in range(int(dice.uniform(0.3, 3.3))):
            build.sign_post(curb + side * dice.uniform(0.3, 0.8), dice.uniform(6, 34))
        for _ in range(int(dice.uniform(0, 2.2))):
            build.traffic_light(curb + side * dice.uniform(0.3, 0.6), dice.uniform(7, 34))
        if dice.random() < 0.35:
            z, step = dice.uniform(4, 12), dice.uniform(1.2, 2.2)
            for k in range(int(dice.uniform(2, 9))):
                build.bollard(curb + side * 0.4, z + k * step)
        if dice.random() < 0.3:
            z0 = dice.uniform(4, 18)
            build.fence(curb + side * 0.3, z0, z0 + dice.uniform(4, 18), 1.1)
        if dice.random() < 0.3:
            build.advertisement(curb + side * dice.uniform(0.8, 1.6), dice.uniform(6, 26))
    for _ in range(int(dice.uniform(0, 1.5))):
        build.person(dice.uniform(left, right), dice.uniform(9, 40), 0.0)
    if dice.random() < 0.1:
        high = dice.uniform(5.5, 7)
        for k in range(4):
            z = 12 + 28 * k
            build.post(right + 0.6, z, high + 0.3, 0.2, (96, 84, 70))
            if k:
                build.wires(right + 0.6, z - 28, right + 0.6, z, high)
    if dice.random() < 0.2 and right - left > 8:  # an island in the middle
        x, z = 0.5 * (max(left, 0) + right), dice.uniform(10, 28)
        build.upright(x - 0.6, x + 0.6, 0, CURB, z, (150, 148, 142), SIDEWALK, 5e6)
        build.shapes.quad(
            (x - 0.6, CURB, z),
            (x + 0.6, CURB, z),
            (x + 0.6, CURB, z + 4),
            (x - 0.6, CURB, z + 4),
            (136, 132, 126),
            SIDEWALK,
            5e6,
            ground=1,
        )
        build.upright(x - 0.2, x + 0.2, CURB, 1.1, z + 0.5, (214, 210, 190), SIGN, lit=0.8 * build.night)
        if dice.random() < 0.5:
            build.traffic_light(x, z + 1)


def _bonnet(build: Builder, camera: Camera, dice: Random) -> None:
    """The camera's own car along the lower edge."""
    z = 0.65

    def at(u: float, v: float) -> Point:
        x = (u - camera.center[0]) * z / camera.focal
        return x - camera.bend * z * z, camera.height - (v - camera.center[1]) * z / camera.focal, z

    middle, rise, wide = dice.uniform(-0.1, 0.5), dice.uniform(0.02, 0.07), dice.uniform(0.5, 1.1)
    tone = dice.uniform(40, 200)
    for drop, color, lit in (
        (0.0, (20, 22, 26), 0.0),
        (dice.uniform(0.004, 0.02), (0.8 * tone, 0.92 * tone, tone), 0.9),
    ):
        turns = np.linspace(math.pi, 0, 8)
        outline = [at(middle + wide * math.cos(t), 1.02 + drop - (rise + 0.02) * math.sin(t)) for t in turns.tolist()]
        build.shapes.polygons(np.array([outline]), np.array([color]), IGNORE, -1.0, build.bank.first["paint"], lit)
