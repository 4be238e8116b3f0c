"""Where things stand in a drawn street, and where the camera is: `compose`.

Left-hand traffic: the camera drives at x = 0 with the curb to its left; rows of houses or gardens on both sides, side
streets, what closes the view, traffic, people and street furniture. All of it is our choice.
"""

import math
from random import Random

import numpy as np

from pixalign.palette import IGNORE
from pixalign.streets.builder import CURB, SIDEWALK, SIGN, Builder
from pixalign.streets.colors import pick
from pixalign.streets.furniture import (
    add_advertisement,
    add_bollard,
    add_lamp_post,
    add_sign_post,
    add_traffic_light,
    add_wires,
)
from pixalign.streets.gardens import add_fence
from pixalign.streets.ground import add_ground
from pixalign.streets.people import add_cyclist, add_person
from pixalign.streets.rows import add_end, add_row
from pixalign.streets.scene import Camera, Light, Point
from pixalign.streets.textures import bank
from pixalign.streets.vehicles import add_vehicle


def compose(dice: Random, light: Light) -> tuple[Builder, Camera]:
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
    build = Builder(dice, bank(), light)
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
    add_ground(build, left, right, widths, gaps, open_)
    for side, wall, curb, gap in ((-1, walls[0], left, gaps[0]), (1, walls[1], right, gaps[1])):
        built, high = add_row(build, side, wall, curb, gap, town, open_)
        if built > 0.6 and side * light.sun_from[0] > 0:
            build.shelter = wall, high
    add_end(build, town)
    _add_traffic(build, left, right, open_)
    _add_sidewalks(build, left, right, walls)
    if dice.random() < (0.55 if light.lamps else 0.2):
        _add_hood(build, camera, dice)
    return build, camera


def _add_traffic(build: Builder, left: float, right: float, open_: bool) -> None:
    """Vehicles that are parked, drive ahead, come toward the camera or cross; cyclists."""
    dice = build.dice
    for _ in range(int(dice.uniform(0.5, 3.6))):
        near = dice.random() < 0.5
        add_cyclist(
            build, left + dice.uniform(0.4, 1.1) if near else dice.uniform(left + 0.5, right - 0.4), dice.uniform(6, 26)
        )
    types = ("hatch", "hatch", "hatch", "sedan", "sedan", "wagon", "tall", "van")
    for side, curb in ((-1, left), (1, right)):
        z, end = dice.uniform(3, 22), dice.uniform(20, 100)
        if dice.random() < 0.6 and right - left > 6 and abs(curb) > 2.6:
            while z < end:
                if dice.random() < 0.75:
                    heading = 0.0 if (dice.random() < 0.7) == (side < 0) else math.pi
                    kind, x = pick(dice, types), curb - side * dice.uniform(1.0, 1.25)
                    add_vehicle(build, kind, x, z, heading + dice.gauss(0, 0.02), False)
                z += dice.uniform(5, 6.5)
    ahead = dice.uniform(5, 30)
    for _ in range(int(dice.uniform(0.2, 4.5))):
        kind = pick(dice, (*types, "van", "truck", "bus"))
        z = ahead + (5 if kind in ("bus", "truck") else 2.2)
        add_vehicle(build, kind, dice.uniform(-0.5, 0.5), z, dice.gauss(0, 0.03))
        ahead = z + dice.uniform(5, 25)
    coming = dice.uniform(6, 34)
    lane = max(0.5 * right, 2.6)
    if right > 2.4:
        for _ in range(int(dice.uniform(0, 4))):
            kind = pick(dice, (*types, "van", "bus"))
            x, z = lane + dice.uniform(-0.4, 0.4), coming + (5 if kind == "bus" else 2)
            add_vehicle(build, kind, x, z, math.pi + dice.gauss(0, 0.05))
            coming += dice.uniform(6, 22)
    if dice.random() < 0.15:
        kind, x, z = pick(dice, types), dice.uniform(left, right), dice.uniform(14, 30)
        add_vehicle(build, kind, x, z, pick(dice, (1.57, -1.57)) + dice.gauss(0, 0.3))
    if open_ and dice.random() < 0.75:
        for row in range(int(dice.uniform(1, 3))):
            z, side = dice.uniform(9, 32) + 14 * row, pick(dice, (-1, 1))
            x = (left - 2.5) if side < 0 else max(right - 16, 3.5)
            for _ in range(int(dice.uniform(3, 9))):
                if dice.random() < 0.8:
                    add_vehicle(build, pick(dice, types), x, z, pick(dice, (0, math.pi)) + dice.gauss(0, 0.04), False)
                x += side * dice.uniform(2.4, 2.8)


def _add_sidewalks(build: Builder, left: float, right: float, walls: tuple[float, float]) -> None:
    """People, lamps, signs, signals, bollards, boards."""
    dice = build.dice
    for side, curb, wall in ((-1, left, walls[0]), (1, right, walls[1])):
        edge = curb + side * 0.45
        for _ in range(int(dice.uniform(0.5, 7))):
            low, high = sorted((edge, wall - side * 0.4))
            z = dice.uniform(5, 36)
            x = dice.uniform(low, max(high, low + 0.2))
            add_person(build, x, z)
            if dice.random() < 0.4:
                add_person(build, x + dice.uniform(0.45, 0.7), z + dice.uniform(-0.3, 0.3))
        at, step = dice.uniform(7, 24), dice.uniform(18, 34)
        if dice.random() < 0.75:
            while at < 110:
                add_lamp_post(build, curb + side * dice.uniform(0.3, 0.6), at, side)
                at += step
        for _ in range(int(dice.uniform(0.3, 3.3))):
            add_sign_post(build, curb + side * dice.uniform(0.3, 0.8), dice.uniform(6, 34))
        for _ in range(int(dice.uniform(0, 2.2))):
            add_traffic_light(build, curb + side * dice.uniform(0.3, 0.6), dice.uniform(7, 34))
        if dice.random() < 0.35:
            z, step = dice.uniform(4, 12), dice.uniform(1.2, 2.2)
            for k in range(int(dice.uniform(2, 9))):
                add_bollard(build, curb + side * 0.4, z + k * step)
        if dice.random() < 0.3:
            z0 = dice.uniform(4, 18)
            add_fence(build, curb + side * 0.3, z0, z0 + dice.uniform(4, 18), 1.1)
        if dice.random() < 0.3:
            add_advertisement(build, curb + side * dice.uniform(0.8, 1.6), dice.uniform(6, 26))
    for _ in range(int(dice.uniform(0, 1.5))):
        add_person(build, dice.uniform(left, right), dice.uniform(9, 40), 0.0)
    if dice.random() < 0.1:
        high = dice.uniform(5.5, 7)
        for k in range(4):
            z = 12 + 28 * k
            build.post(right + 0.6, z, high + 0.3, 0.2, (96, 84, 70))
            if k:
                add_wires(build, right + 0.6, z - 28, z, high)
    if dice.random() < 0.2 and right - left > 8:  # an island in the middle
        x, z = 0.5 * (max(left, 0) + right), dice.uniform(10, 28)
        build.upright(x - 0.6, x + 0.6, 0, CURB, z, (150, 148, 142), SIDEWALK, 5e6)
        build.flat(x - 0.6, x + 0.6, z, z + 4, (136, 132, 126), SIDEWALK, 5e6, CURB)
        build.upright(x - 0.2, x + 0.2, CURB, 1.1, z + 0.5, (214, 210, 190), SIGN, lit=0.8 * build.night)
        if dice.random() < 0.5:
            add_traffic_light(build, x, z + 1)


def _add_hood(build: Builder, camera: Camera, dice: Random) -> None:
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
        build.polygons(np.array([outline]), np.array([color]), IGNORE, -1.0, build.bank.kinds["paint"][0], lit)
