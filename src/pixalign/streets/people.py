"""People in a drawn street, on foot and on bicycles."""

import math
from itertools import pairwise

import numpy as np

from pixalign.streets.builder import BICYCLIST, CURB, PEDESTRIAN, Builder, Capsule
from pixalign.streets.colors import CLOTHES, PAINTS, scaled, varied
from pixalign.streets.scene import Color


def add_person(build: Builder, x: float, z: float, y: float = CURB) -> None:
    """A pedestrian, walking along or across, or standing."""
    dice = build.dice
    size, turn = dice.uniform(0.88, 1.06) * (0.65 if dice.random() < 0.06 else 1), dice.uniform(0, 1)
    way, stride = (1 if dice.random() < 0.5 else -1), dice.uniform(0, 0.5)
    skin = build.paint(((178, 138, 116), (196, 156, 134), (110, 78, 60)), 0.1, 4)
    hair = build.paint(((50, 38, 30), (30, 26, 24), (120, 96, 66), (130, 128, 124), (30, 28, 30)), 0.2)
    top, legs = build.paint(CLOTHES, 0.25), build.paint(CLOTHES[:7], 0.25)
    broad, skirt = 0.2 - 0.07 * turn, dice.random() < 0.35
    parts: list[Capsule] = []

    def leg(swing: float, offset: float, color: Color) -> None:
        knee = offset + turn * way * (0.42 * math.sin(swing) + 0.03)
        ankle = knee + turn * way * 0.42 * math.sin(swing - (0.35 if swing < 0 else 0.05))
        lift = 0.06 * (swing < 0) * stride
        parts.append((offset, 0.9, knee, 0.5, 0.095, 0.075, color))
        parts.append((knee, 0.5, ankle, 0.09 + lift, 0.07, 0.048, color))
        parts.append((ankle, 0.05 + lift, ankle + way * turn * 0.14, 0.04 + lift, 0.05, 0.04, (30, 28, 28)))

    def arm(swing: float, offset: float, color: Color) -> None:
        elbow = offset * 1.15 + turn * way * 0.28 * math.sin(swing)
        hand = elbow + turn * way * 0.26 * math.sin(swing + 0.4)
        parts.append((offset, 1.38, elbow, 1.12, 0.06, 0.05, color))
        parts.append((elbow, 1.12, hand, 0.88, 0.05, 0.038, color))
        parts.append((hand, 0.86, hand, 0.82, 0.035, 0.03, skin))

    apart = 0.09 * (1 - turn) + 0.02
    arm(stride, -broad, scaled(top, 0.8))
    leg(-stride, -apart, scaled(legs, 0.8))
    leg(stride, apart, legs)
    hem, wider = (dice.uniform(0.6, 0.85), 1.05) if skirt else (0.98, 0.85)
    parts.append((0, 1.32, 0, hem, broad, broad * wider, top))
    if dice.random() < 0.3:
        parts.append((-way * turn * 0.16, 1.3, -way * turn * 0.16, 1.0, 0.12, 0.13, build.paint(CLOTHES)))
    arm(-stride, broad if turn < 0.5 else 0, scaled(top, 0.92))
    if dice.random() < 0.25:
        parts.append((broad + 0.05, 0.7, broad + 0.05, 0.5, 0.1, 0.14, varied(dice, (200, 200, 196), 0.3)))
    parts.append((0, 1.5, 0, 1.42, 0.055, 0.06, skin))
    parts.append((0.01 * way, 1.68, 0.015 * way * turn, 1.58, 0.095, 0.075, skin))
    low, wide = (1.6, 0.098) if dice.random() < 0.5 else (1.7, 0.085)
    parts.append((-0.02 * way * turn, 1.71, -0.035 * way * turn, low, wide, 0.09, hair))
    build.capsules((x, y, z), parts, PEDESTRIAN, "cloth", size)
    build.contact(x - 0.3, x + 0.3, z - 0.15, z + 0.2)
    build.cast(x - 0.18, x + 0.18, z, z, 1.7 * size)


def add_cyclist(build: Builder, x: float, z: float) -> None:
    """A cyclist, from behind or in front, or crossing; none where something stands already."""
    dice = build.dice
    if not build.free(x, z, 0.5, 0.9):
        return
    top = build.paint((*CLOTHES, (200, 210, 60), (196, 90, 40)), 0.25)
    legs, skin = build.paint(CLOTHES[:7], 0.2), varied(dice, (180, 140, 118), 0.15)
    head = build.paint(((40, 40, 44), (190, 190, 190), (60, 46, 36), (150, 40, 40)), 0.2)
    metal = build.paint(PAINTS, 0.3)
    parts: list[Capsule] = []
    crank = dice.uniform(0, 2 * math.pi)
    if dice.random() < 0.65:
        parts.append((0, 0.62, 0, 0.06, 0.035, 0.035, (26, 26, 28)))
        parts.append((-0.29, 1.02, 0.29, 1.02, 0.022, 0.022, metal))
        for side, up in ((-1, 0.1 * math.sin(crank)), (1, -0.1 * math.sin(crank))):
            parts.append((side * 0.12, 0.95, side * 0.15, 0.58 + up, 0.1, 0.07, scaled(legs, 0.9)))
            parts.append((side * 0.15, 0.58 + up, side * 0.12, 0.26 + up, 0.065, 0.05, legs))
            parts.append((side * 0.12, 0.22 + up, side * 0.12, 0.2 + up, 0.05, 0.05, (30, 30, 30)))
            parts.append((side * 0.2, 1.42, side * 0.32, 1.2, 0.06, 0.05, scaled(top, 0.85)))
            parts.append((side * 0.32, 1.2, side * 0.27, 1.04, 0.048, 0.04, scaled(top, 0.85)))
        parts.append((0, 1.38, 0, 1.0, 0.2, 0.17, top))
        parts.append((0, 1.68, 0, 1.58, 0.09, 0.075, skin))
        parts.append((0, 1.72, 0, 1.66, 0.105, 0.095, head))
        build.glow((x, 0.75, z), 0.1, (255, 40, 30))
    else:
        way = 1 if dice.random() < 0.5 else -1
        turns = np.linspace(0, 2 * np.pi, 15).tolist()
        for hub in (-0.52, 0.52):
            rim = [(hub + 0.33 * math.cos(t), 0.34 + 0.33 * math.sin(t)) for t in turns]
            parts.extend((*a, *b, 0.025, 0.025, (28, 28, 30)) for a, b in pairwise(rim))
            parts.extend((hub, 0.34, *rim[k], 0.004, 0.004, (110, 110, 112)) for k in (0, 3, 5, 8, 10, 12))
        seat, bars, pedal, fork = (-0.22, 0.95), (0.36, 1.02), (-0.05, 0.3), (0.34, 0.85)
        front, rear = (0.52, 0.34), (-0.52, 0.34)
        frame = (seat, pedal), (pedal, fork), (seat, fork), (bars, front), (pedal, rear), (seat, rear)
        parts.extend((*a, *b, 0.022, 0.022, metal) for a, b in frame)
        for phase in (0.0, math.pi):
            foot = (pedal[0] + 0.17 * math.cos(crank + phase), pedal[1] + 0.17 * math.sin(crank + phase))
            knee = (0.16 + 0.1 * math.cos(crank + phase), 0.72 + 0.1 * math.sin(crank + phase))
            parts.append((-0.18, 1.0, *knee, 0.1, 0.07, scaled(legs, 0.9)))
            parts.append((*knee, *foot, 0.065, 0.045, legs))
            parts.append((*foot, foot[0] + 0.1, foot[1], 0.04, 0.035, (30, 30, 30)))
        parts.append((-0.16, 1.02, 0.1, 1.42, 0.15, 0.15, top))
        parts.append((0.12, 1.42, 0.22, 1.18, 0.06, 0.05, scaled(top, 0.85)))
        parts.append((0.22, 1.18, 0.38, 1.06, 0.045, 0.04, scaled(top, 0.85)))
        parts.append((0.2, 1.66, 0.2, 1.58, 0.09, 0.08, skin))
        parts.append((0.18, 1.7, 0.17, 1.64, 0.105, 0.09, head))
        parts = [(way * a, b, way * c, d, e, f, g) for a, b, c, d, e, f, g in parts]
    build.capsules((x, 0, z), parts, BICYCLIST, "cloth")
    build.contact(x - 0.25, x + 0.25, z - 0.4, z + 0.4)
    build.cast(x - 0.2, x + 0.2, z, z, 1.6)
