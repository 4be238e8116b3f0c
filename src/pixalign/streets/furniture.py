"""Street furniture: lamps, bollards, signs, signals, boards, wires."""

import math

import numpy as np

from pixalign.streets.builder import POLE, SIGN, Builder
from pixalign.streets.colors import SIGNS, pick, scaled, varied
from pixalign.streets.scene import Color


def add_lamp_post(build: Builder, x: float, z: float, side: int) -> None:
    """A street lamp, its arm over the road."""
    dice = build.dice
    color = build.paint(((120, 124, 126), (60, 64, 64), (150, 152, 150), (40, 50, 46)), 0.2)
    high, reach = dice.uniform(5, 9.5), -side * dice.uniform(0.6, 2.2)
    build.post(x, z, high, dice.uniform(0.12, 0.2), color)
    build.post(x, z, 1.3, 0.24, color)
    tip = x + reach, high + dice.uniform(0, 0.5)
    end = tip[0] + 0.5 * math.copysign(1, reach), tip[1] + 0.04
    arm, lamp = (x, high - 0.1, *tip, 0.05, 0.035, color), (*tip, *end, 0.07, 0.05, scaled(color, 0.8))
    build.capsules((0, 0, z), [arm, lamp], POLE, "flat")
    if build.night and dice.random() < 0.15:
        build.glow((*tip, z), 0.35, (255, 200, 120))


def add_bollard(build: Builder, x: float, z: float) -> None:
    build.post(x, z, 1.0, 0.16, pick(build.dice, ((34, 34, 36), (60, 58, 56), (150, 150, 148))))
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
            foot = high - 0.55 * wide
            build.polygons(
                np.array([[(x - wide, foot, z), (x + wide, foot, z), (x, high + wide, z)]]), color, SIGN, z, texture
            )
    else:
        wide, tall = dice.uniform(0.2, 0.6), dice.uniform(0.15, 0.45)
        build.board(x - wide, x + wide, high - tall, high + tall, z, build.paint(SIGNS, 0.15))
    if dice.random() < 0.4:
        build.board(x - 0.3, x + 0.3, high - 0.95, high - 0.62, z, pick(dice, SIGNS))


def _add_disc(build: Builder, x: float, y: float, z: float, radius: float, color: Color, lit: float = 0) -> None:
    turns = np.arange(8) * (np.pi / 4) + 0.39
    points = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns), np.full(8, z)], 1)
    build.polygons(points[None], color, SIGN, z, 0, lit)


def add_traffic_light(build: Builder, x: float, z: float) -> None:
    """A signal head (a sign, as CamVid has it) on its pole, one lamp lit."""
    dice = build.dice
    build.post(x, z, 3.4, 0.12, pick(dice, ((60, 62, 64), (130, 132, 130), (36, 36, 38))))
    build.upright(x - 0.26, x + 0.26, 2.3, 3.5, z, (24, 25, 26), SIGN)
    on = int(dice.random() * 3) if dice.random() < 0.85 else -1
    for k, (y, color) in enumerate(((3.2, (240, 50, 40)), (2.9, (240, 160, 40)), (2.6, (70, 250, 170)))):
        _add_disc(build, x, y, z, 0.115, color if k == on else scaled(color, 0.18), k == on)
        if k == on:
            build.glow((x, y, z), 0.22, scaled(color, 0.8))


def add_advertisement(build: Builder, x: float, z: float) -> None:
    """A free-standing board, or a telephone or parking box."""
    dice = build.dice
    wide, high = dice.uniform(0.4, 1.1), dice.uniform(1.6, 3.4)
    foot = 0 if dice.random() < 0.6 else high * 0.4
    for side in (-1, 1) if foot else ():
        build.post(x + side * wide * 0.8, z, high, 0.1, (140, 142, 144))
    build.board(x - wide, x + wide, foot, high, z, build.paint(SIGNS, 0.2))
    build.cast(x - wide, x + wide, z, z, high)


def add_wires(build: Builder, x: float, z0: float, z1: float, high: float) -> None:
    """A wire along the street between two posts, labeled pole as they are."""
    z = np.linspace(z0, z1, 9)
    y = high - 2.4 * np.linspace(0, 1, 9) * np.linspace(1, 0, 9)
    corners = [np.stack([np.full(9, x), y + up, z], 1) for up in (0.0, 0.035)]
    points = np.stack([corners[0][:-1], corners[0][1:], corners[1][1:], corners[1][:-1]], 1)
    build.polygons(points, (30, 30, 32), POLE, z1)
