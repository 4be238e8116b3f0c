"""Street furniture: lamps, bollards, signs, signals, boards, wires."""

import math

import numpy as np

from pixalign.streets.builder import POLE, SIGN, Builder
from pixalign.streets.colors import SIGNS, pick, scaled, varied
from pixalign.streets.scene import Color


def add_lamp_post(build: Builder, x: float, z: float, side: int) -> None:
    """A street lamp, its arm over the road."""
    dice = build.dice
    color = varied(dice, pick(dice, ((120, 124, 126), (60, 64, 64), (150, 152, 150), (40, 50, 46))), 0.2)
    high, reach = dice.uniform(5, 9.5), -side * dice.uniform(0.6, 2.2)
    build.post(x, z, high, dice.uniform(0.12, 0.2), color)
    build.post(x, z, 1.3, 0.24, color)
    rise = dice.uniform(0, 0.5)
    tip = (x + reach, high + rise)
    end = (tip[0] + 0.5 * math.copysign(1, reach), tip[1] + 0.04)
    arm, lamp = (x, high - 0.1, *tip, 0.05, 0.035, color), (*tip, *end, 0.07, 0.05, scaled(color, 0.8))
    build.capsules((0, 0, z), [arm, lamp], POLE, "flat")
    if build.night and dice.random() < 0.15:
        build.glow((*tip, z), 0.35, (255, 200, 120))


def add_bollard(build: Builder, x: float, z: float) -> None:
    color = pick(build.dice, ((34, 34, 36), (60, 58, 56), (150, 150, 148)))
    build.post(x, z, 1.0, 0.16, color)
    build.upright(x - 0.09, x + 0.09, 0.8, 0.88, z, (190, 190, 186), POLE)


def add_sign_post(build: Builder, x: float, z: float) -> None:
    """A traffic sign on its pole: round, triangular, or a board."""
    dice = build.dice
    high = dice.uniform(2.2, 3.2)
    build.post(x, z, high, 0.08, varied(dice, (130, 132, 132), 0.2))
    kind, texture = dice.random(), build.texture("flat")
    if kind < 0.4:
        _add_disc(build, x, high, z, dice.uniform(0.28, 0.42), pick(dice, ((180, 28, 36), (30, 60, 150))))
        _add_disc(build, x, high, z, 0.23, pick(dice, ((228, 228, 224), (30, 60, 150))))
    elif kind < 0.6:
        for wide, color in ((0.45, (180, 28, 36)), (0.29, (228, 228, 222))):
            points = np.array(
                [[(x - wide, high - 0.55 * wide, z), (x + wide, high - 0.55 * wide, z), (x, high + wide, z)]]
            )
            build.shapes.polygons(points, np.array([color]), SIGN, z, texture)
    else:
        wide, tall = dice.uniform(0.2, 0.6), dice.uniform(0.15, 0.45)
        paint = varied(dice, pick(dice, SIGNS), 0.15)
        build.upright(
            x - wide, x + wide, high - tall, high + tall, z, paint, SIGN, None, build.texture("letters"), (1, 1)
        )
    if dice.random() < 0.4:
        paint, letters = pick(dice, SIGNS), build.texture("letters")
        build.upright(x - 0.3, x + 0.3, high - 0.95, high - 0.62, z, paint, SIGN, None, letters, (1, 1))


def _add_disc(
    build: Builder, x: float, y: float, z: float, radius: float, color: Color, label: int = SIGN, lit: float = 0
) -> None:
    turns = np.arange(8) * (np.pi / 4) + 0.39
    points = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns), np.full(8, z)], 1)[None]
    build.shapes.polygons(points, np.array([color]), label, z, 0, lit)


def add_traffic_light(build: Builder, x: float, z: float) -> None:
    """A signal head (a sign, as CamVid has it) on its pole, one lamp lit."""
    dice = build.dice
    build.post(x, z, 3.4, 0.12, pick(dice, ((60, 62, 64), (130, 132, 130), (36, 36, 38))))
    build.upright(x - 0.26, x + 0.26, 2.3, 3.5, z, (24, 25, 26), SIGN)
    on = int(dice.random() * 3) if dice.random() < 0.85 else -1
    for k, (y, color) in enumerate(((3.2, (240, 50, 40)), (2.9, (240, 160, 40)), (2.6, (70, 250, 170)))):
        _add_disc(build, x, y, z, 0.115, color if k == on else scaled(color, 0.18), lit=1 if k == on else 0)
        if k == on:
            build.glow((x, y, z), 0.22, scaled(color, 0.8))


def add_advertisement(build: Builder, x: float, z: float) -> None:
    """A free-standing board, or a telephone or parking box."""
    dice = build.dice
    wide, high = dice.uniform(0.4, 1.1), dice.uniform(1.6, 3.4)
    foot = 0 if dice.random() < 0.6 else high * 0.4
    if foot:
        build.post(x - wide * 0.8, z, high, 0.1, (140, 142, 144))
        build.post(x + wide * 0.8, z, high, 0.1, (140, 142, 144))
    paint = varied(dice, pick(dice, SIGNS), 0.2)
    build.upright(x - wide, x + wide, foot, high, z, paint, SIGN, None, build.texture("letters"), (1, 1))
    build.cast(x - wide, x + wide, z, z, high)


def add_wires(build: Builder, x0: float, z0: float, x1: float, z1: float, high: float) -> None:
    """A wire between two points, labeled pole like the posts that carry it."""
    share = np.linspace(0, 1, 9)
    x, z = x0 + (x1 - x0) * share, z0 + (z1 - z0) * share
    y = high - 2.4 * share * (1 - share)
    points = np.empty((8, 4, 3))
    for k, (end, up) in enumerate(((0, 0.0), (1, 0.0), (1, 0.035), (0, 0.035))):
        points[:, k] = np.stack([x, y + up, z], 1)[end : end + 8]
    build.shapes.polygons(points, np.tile((30, 30, 32), (8, 1)), POLE, max(z0, z1))
