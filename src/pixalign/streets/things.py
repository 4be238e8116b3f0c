"""What stands in a drawn street: houses, vehicles, people, posts, signs, fences, plants, each added to `Shapes`.

Sizes in meters, colors as display values in full light; proportions and frequencies are our choice, after the look of
an English town in spring: terraces of brick, bare trees, traffic on the left.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import TypeVar

import numpy as np

from pixalign.palette import CAMVID
from pixalign.streets.render import HIDDEN, Color, Point, Shapes
from pixalign.streets.textures import Bank
from pixalign.streets.vehicles import vehicle_model

SKY, BUILDING, POLE, ROAD, SIDEWALK, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CAMVID))
CURB = 0.12

_Item = TypeVar("_Item")
_Capsule = tuple[float, float, float, float, float, float, Color]  # from x, y to x, y, radii, color

_WALLS: Sequence[Color] = (
    (168, 142, 108), (140, 96, 78), (186, 172, 148), (200, 196, 188), (128, 104, 88), (158, 118, 88), (216, 212, 200),
    (112, 84, 72), (176, 158, 122), (150, 150, 150), (190, 180, 140), (122, 116, 108),
)  # fmt: skip
_PAINTS: Sequence[Color] = (
    (150, 154, 160), (190, 192, 196), (44, 46, 52), (30, 32, 36), (40, 54, 104), (120, 26, 32), (28, 70, 62),
    (220, 222, 224), (96, 104, 116), (64, 84, 128), (170, 30, 36), (110, 112, 116), (196, 186, 150), (90, 130, 150),
)  # fmt: skip
_CLOTHES: Sequence[Color] = (
    (40, 42, 50), (28, 28, 32), (60, 62, 72), (90, 84, 78), (110, 40, 44), (50, 66, 104), (150, 140, 124),
    (70, 80, 64), (120, 118, 122), (140, 62, 58), (60, 48, 40), (200, 196, 190), (46, 60, 80), (24, 26, 30),
    (44, 44, 46), (76, 74, 72), (34, 38, 52),
)  # fmt: skip
_SIGNS: Sequence[Color] = (
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


class Builder:
    """Adds things to a street.

    Attributes:
        shapes: what they are added to.
        dice: where chance comes from.
        night: how brightly lamps are lit, 0 to 1.
    """

    def __init__(self, shapes: Shapes, dice: Random, bank: Bank, night: float, sun: Point, sunny: bool) -> None:
        self.shapes, self.dice, self.night, self.bank = shapes, dice, night, bank
        self._sun, self._sunny = sun, sunny
        self._taken: list[tuple[float, float, float, float]] = [(-1.2, 1.2, -5.0, 2.5)]  # the camera's own car

    def texture(self, kind: str) -> int:
        """One of the textures of a kind."""
        return self.bank.first[kind] + int(self.dice.random() * self.bank.count[kind])

    def cast(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """The shadow on the ground of a wall from (x0, z0) to (x1, z1), if the sun shines."""
        if self._sunny:
            reach = -min(height / max(self._sun[1], 0.08), 60)
            dx, dz = reach * self._sun[0], reach * self._sun[2]
            self.shapes.shadow(((x0, 0, z0), (x1, 0, z1), (x1 + dx, 0, z1 + dz), (x0 + dx, 0, z0 + dz)))

    def contact(self, x0: float, x1: float, z0: float, z1: float) -> None:
        """The dark under something."""
        self.shapes.shadow(((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)), contact=True)

    def glow(self, at: Point, radius: float, color: Color) -> None:
        if self.night:
            self.shapes.glows.append((at, radius, scaled(color, self.night)))

    def free(self, x: float, z: float, half_wide: float, half_long: float) -> bool:
        """Whether nothing else stands on the ground there; if so, it is taken from now on."""
        x0, x1, z0, z1 = x - half_wide, x + half_wide, z - half_long, z + half_long
        if any(x0 < b and x1 > a and z0 < d and z1 > c for a, b, c, d in self._taken):
            return False
        self._taken.append((x0, x1, z0, z1))
        return True

    def upright(
        self,
        x0: float,
        x1: float,
        y0: float,
        y1: float,
        z: float,
        color: Color,
        label: int,
        far: float | None = None,
        texture: int = 0,
        tiles: tuple[float, float] = (0, 0),
        lit: float = 0,
        shown: float = 1,
    ) -> None:
        """A rectangle that faces the camera."""
        far = z if far is None else far
        x0, x1 = min(x0, x1), max(x0, x1)
        self.shapes.quad(
            (x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z), color, label, far, texture, tiles, lit, 0, shown
        )

    def along(
        self, x: float, z0: float, z1: float, y0: float, y1: float, color: Color, label: int, far: float,
        texture: int = 0, tiles: tuple[float, float] = (0, 0), lit: float = 0, shown: float = 1,
    ) -> None:  # fmt: skip
        """A rectangle along the street."""
        self.shapes.quad(
            (x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0), color, label, far, texture, tiles, lit, 0, shown
        )

    def house(self, x: float, side: int, z0: float, z1: float, style: str) -> float:
        """A house whose front runs along the street at x from z0 to z1; returns its height.

        Args:
            side: -1 left of the street, 1 right of it.
            style: terrace, shop, office or hall.
        """
        dice, length = self.dice, z1 - z0
        wall = varied(dice, pick(dice, _WALLS), 0.25, 4)
        if style == "office":
            stories, story = int(dice.uniform(2, 6)), dice.uniform(3.0, 3.8)
        elif style == "hall":
            stories, story = int(dice.uniform(1, 3)), dice.uniform(3.5, 5)
        else:
            stories, story = (
                int(dice.uniform(2, 4.4) if style == "shop" else dice.uniform(2, 3.6)),
                dice.uniform(2.7, 3.3),
            )
        ground = story * dice.uniform(1.0, 1.25)
        top = ground + (stories - 1) * story + dice.uniform(0.2, 0.6)
        pitched = style in ("terrace", "shop") and dice.random() < 0.75
        if pitched:
            rise, deep = dice.uniform(1.8, 3.6), dice.uniform(3.5, 5)
            roof = varied(dice, pick(dice, ((92, 88, 90), (120, 84, 68), (84, 80, 78), (104, 92, 84))))
            gable = scaled(wall, dice.uniform(0.75, 1))
            gable_texture = self.texture("brick")
            xs = x, x + side * deep, x + 2 * side * deep
            self.shapes.quad(
                (xs[0], 0, z0),
                (xs[2], 0, z0),
                (xs[2], top, z0),
                (xs[0], top, z0),
                gable,
                BUILDING,
                z1 + 0.3,
                gable_texture,
                (deep, top / 2),
            )
            self.shapes.quad(
                (xs[0], top, z0),
                (xs[2], top, z0),
                (xs[1], top + rise, z0),
                (xs[1], top + rise, z0),
                gable,
                BUILDING,
                z1 + 0.3,
                gable_texture,
            )
            for _ in range(int(dice.uniform(0, 3.4))):
                at, wide = dice.uniform(z0, z1), dice.uniform(0.5, 1.1)
                foot, tip = top + 0.5 * rise, top + rise + dice.uniform(0.6, 1.6)
                cx = xs[1]
                self.along(cx, at, at + 2 * wide, foot, tip, wall, BUILDING, z1 + 0.2, gable_texture, (wide, 1))
                self.upright(
                    min(cx, cx + side), max(cx, cx + side), foot, tip, at, scaled(wall, 0.8), BUILDING, z1 + 0.2
                )
                for pot in (0.2, 0.6):
                    self.upright(cx + side * pot - 0.12, cx + side * pot + 0.12, tip, tip + 0.45, at, (150, 92, 70),
                                 BUILDING, z1 + 0.2)  # fmt: skip
            self.shapes.quad((xs[0], top, z0), (xs[0], top, z1), (xs[1], top + rise, z1), (xs[1], top + rise, z0), roof,
                             BUILDING, z1 + 0.1, self.texture("slate"), (length / 5, 1))  # fmt: skip
            if dice.random() < 0.2:  # a dormer
                at = 0.5 * (z0 + z1)
                self.upright(
                    min(x, x + side * 2),
                    max(x, x + side * 2),
                    top,
                    top + 1.6,
                    at - 0.8,
                    scaled(roof, 0.7),
                    BUILDING,
                    z1,
                )
                self.along(x + 0.3 * side, at - 0.8, at + 0.8, top + 0.1, top + 1.6, (196, 194, 190), BUILDING, z1,
                           self.texture("glass"))  # fmt: skip
        else:
            far_x = x + side * dice.uniform(8, 16)
            self.shapes.quad(
                (x, 0, z0),
                (far_x, 0, z0),
                (far_x, top, z0),
                (x, top, z0),
                scaled(wall, dice.uniform(0.7, 1)),
                BUILDING,
                z1 + 0.3,
                self.texture("brick" if dice.random() < 0.6 else "facade"),
                (3, top / 6),
            )
        bays = max(round(length / dice.uniform(2.2, 3.2)), 1)
        front = self.texture("office" if style == "office" or (style == "hall" and dice.random() < 0.5) else "facade")
        if stories > 1:
            self.along(x, z0, z1, ground, top, wall, BUILDING, z1, front, (bays / 2, (stories - 1) / 2 + 0.04))
        if style == "shop" or (style in ("hall", "office") and dice.random() < 0.5):
            self._shop_front(x, side, z0, z1, ground, top, wall)
        elif stories > 1 and style != "office":
            self.along(
                x,
                z0,
                z1,
                0,
                ground,
                scaled(wall, dice.uniform(0.9, 1.05)),
                BUILDING,
                z1,
                self.texture("story"),
                (bays / 2, 1),
            )
        else:
            self.along(x, z0, z1, 0, ground, wall, BUILDING, z1, front, (bays / 2, 0.5))
        trim = varied(dice, pick(dice, ((200, 196, 188), scaled(wall, 0.7), (60, 58, 56))))
        self.along(x, z0, z1, top - dice.uniform(0.12, 0.5), top, trim, BUILDING, z1)
        if dice.random() < 0.6:
            self.along(x, z1 - 0.12, z1, 0, top, (34, 34, 36), BUILDING, z1)
        if self.night and z0 < 70:
            for _ in range(int(dice.uniform(0, 2.2))):
                at, y = dice.uniform(z0, z1 - 1), pick(dice, (1.2, ground + 0.9, ground + 0.9 + story))
                if y < top - 1.4:
                    tone = dice.uniform(60, 210)
                    self.along(
                        x,
                        at,
                        at + dice.uniform(0.6, 1.2),
                        y,
                        y + 1.2,
                        (tone, 0.85 * tone, 0.55 * tone),
                        BUILDING,
                        z1,
                        lit=0.9 * self.night,
                    )
        self.cast(x, x, z0, z1, top)
        self.cast(x, x + side * 8, z0, z0, top)
        self.contact(x - side * 0.4, x, z0, z1)
        return top

    def _shop_front(self, x: float, side: int, z0: float, z1: float, ground: float, top: float, wall: Color) -> None:
        dice, length = self.dice, z1 - z0
        paint = varied(dice, pick(dice, (*_SIGNS, wall, (60, 58, 56), (30, 34, 40))), 0.25)
        glass = ground * 0.78
        self.along(x, z0, z1, 0, glass, paint, BUILDING, z1, self.texture("shop"), (max(round(length / 5), 1), 1))
        if self.night and dice.random() < 0.35:
            tone = dice.uniform(30, 100)
            self.along(x, z0 + 0.4, z1 - 0.6, 0.7, glass - 0.3, (tone, 0.92 * tone, 0.7 * tone), BUILDING, z1,
                       self.texture("cloth"), (length / 5, 1), lit=self.night)  # fmt: skip
        board = varied(dice, pick(dice, _SIGNS), 0.2)
        self.along(x, z0, z1, glass, ground, scaled(wall, 1.05), BUILDING, z1)
        inner = (z0 + 0.3, z1 - 0.3)
        start, end = inner if side < 0 else inner[::-1]
        self.along(x, start, end, glass + 0.08, ground - 0.05, board, BUILDING, z1, self.texture("letters"), (1, 1))
        if dice.random() < 0.18:
            out = side * dice.uniform(0.8, 1.5)
            self.shapes.quad(
                (x, glass + 0.2, z0 + 0.3),
                (x - out, glass - 0.4, z0 + 0.3),
                (x - out, glass - 0.4, z1 - 0.3),
                (x, glass + 0.2, z1 - 0.3),
                varied(dice, pick(dice, _SIGNS)),
                BUILDING,
                z1 - 0.1,
            )
        for _ in range(int(dice.uniform(0, 2.5))):  # boards that stick out over the pavement
            at, y, wide, high = (
                dice.uniform(z0, z1),
                ground + dice.uniform(0, 0.9),
                dice.uniform(0.5, 1.0),
                dice.uniform(0.5, 1.3),
            )
            a, b = sorted((x - side * 0.15, x - side * (0.15 + wide)))
            self.upright(
                a,
                b,
                y,
                y + high,
                at,
                varied(dice, pick(dice, _SIGNS), 0.2),
                SIGN,
                None,
                self.texture("letters"),
                (1, 1),
            )
        if dice.random() < 0.2:
            at, high = dice.uniform(z0, z1 - 1), dice.uniform(0.5, 1.2)
            if ground + 1 + high < top:
                start, end = (at, at + 1.4) if side < 0 else (at + 1.4, at)
                self.along(
                    x - side * 0.05,
                    start,
                    end,
                    ground + 0.3,
                    ground + 0.3 + high,
                    varied(dice, pick(dice, _SIGNS)),
                    SIGN,
                    z1 - 0.01,
                    self.texture("letters"),
                    (1, 1),
                )

    def plant(self, kind: str, x: float, z: float, high: float, y: float = CURB) -> None:
        """A tree (bare, leafy, fir) or a bush."""
        dice = self.dice
        if kind == "bare":
            tone = dice.uniform(56, 128)
            color, texture, ratio = (tone, tone * 0.92, tone * 0.82), "bark", dice.uniform(0.75, 1.1)
        else:
            color = varied(
                dice, pick(dice, ((62, 72, 40), (74, 78, 48), (48, 60, 40), (84, 84, 52), (90, 66, 50))), 0.2
            )
            texture = "leaves"
            ratio = {"leafy": dice.uniform(0.7, 1.1), "fir": dice.uniform(0.4, 0.7), "bush": dice.uniform(0.9, 2)}[kind]
        wide = high * ratio * (1 if dice.random() < 0.5 else -1)
        if kind in ("leafy", "fir"):
            trunk = 0.022 * high
            self.upright(x - trunk, x + trunk, y, y + 0.5 * high, z, (84, 76, 66), TREE, None, self.bank.first["bark"])
        which = int(dice.random() * len(self.bank.stencils[kind]))
        self.shapes.stencil(kind, which, (x, y, z), wide, high, color, TREE, self.texture(texture))
        thick = 0.15 if kind == "bare" else 0.25 * abs(wide)
        self.cast(x - thick, x + thick, z, z, high * 0.9)
        if kind == "bare":
            for _ in range(5):
                at = x + dice.uniform(-0.4, 0.4) * abs(wide)
                self.cast(at, at + 0.1, z, z, high)

    def hedge(self, x: float, z0: float, z1: float, high: float, deep: float, side: int) -> None:
        """A hedge along the street, clipped, with a rough top."""
        color = varied(self.dice, pick(self.dice, ((58, 66, 38), (44, 54, 34), (70, 68, 42), (84, 62, 46))), 0.2)
        texture = self.texture("leaves")
        a, b = sorted((x, x + side * deep))
        self.upright(a, b, 0, high, z0, scaled(color, 0.8), TREE, z1 + 0.1, texture, (deep / 2, high / 2))
        self.shapes.quad(
            (a, high, z0),
            (b, high, z0),
            (b, high, z1),
            (a, high, z1),
            scaled(color, 1.1),
            TREE,
            z1 + 0.1,
            texture,
            (deep / 2, (z1 - z0) / 2),
        )
        self.along(x, z0, z1, 0, high, color, TREE, z1, texture, ((z1 - z0) / 2, high / 2))
        self.cast(x, x, z0, z1, high)
        self.contact(x - side * 0.3, x, z0, z1)

    def wall(self, x: float, z0: float, z1: float, high: float, side: int) -> None:
        """A low wall; CamVid counts walls as building."""
        color = varied(self.dice, pick(self.dice, _WALLS), 0.2)
        a, b = sorted((x, x + side * 0.3))
        self.upright(a, b, 0, high, z0, scaled(color, 0.8), BUILDING, z1 + 0.1)
        self.along(x, z0, z1, 0, high, color, BUILDING, z1, self.texture("brick"), ((z1 - z0) / 2, high / 2))
        self.along(x, z0, z1, high - 0.08, high, scaled(color, 1.2), BUILDING, z1)
        self.cast(x, x, z0, z1, high)

    def fence(self, x: float, z0: float, z1: float, high: float) -> None:
        """Railings along the street, or boards: labeled whole, seen bar by bar."""
        dice = self.dice
        tone = pick(dice, ((34, 36, 38), (40, 60, 48), (120, 122, 124), (200, 200, 196), (104, 78, 56)))
        z0 = max(z0, 1.2)
        if z1 <= z0:
            return
        if dice.random() < 0.25:
            color = varied(dice, (122, 94, 68), 0.2)
            self.along(x, z0, z1, 0, high + 0.4, color, FENCE, z1, self.texture("bark"), ((z1 - z0) / 2, 0.2))
            return
        self.along(x, z0, z1, CURB, high, tone, FENCE, z1, shown=0)
        near_end = min(z1, 26)
        if near_end < z1:
            self.along(x, near_end, z1, CURB, high, scaled(tone, 1.3), HIDDEN, z1)
        step = pick(dice, (0.14, 0.2, 0.3))
        bars = np.arange(z0, near_end, step)[::-1]
        if len(bars):
            half, n = 0.014 + 0.03 * step, len(bars)
            points = np.empty((n, 4, 3))
            points[..., 0], points[:, (0, 3), 2], points[:, 1:3, 2] = x, bars[:, None] - half, bars[:, None] + half
            points[:, :2, 1], points[:, 2:, 1] = CURB, high
            self.shapes.polygons(points, np.tile(tone, (n, 1)), HIDDEN, z1)
        for y in (CURB + 0.12, high - 0.1, *((0.5 * high,) if dice.random() < 0.5 else ())):
            self.along(x, z0, z1, y, y + 0.05, tone, HIDDEN, z1)
        self.cast(x, x, z0, z1, high * 0.3)

    def capsules(self, foot: Point, parts: Sequence[_Capsule], label: int, texture: str, lit: float = 0) -> None:
        """Limbs with round ends in a plane that faces the camera, relative to the foot."""
        data = np.array([(*p[:6], *p[6]) for p in parts])
        p, q, r1, r2 = data[:, 0:2], data[:, 2:4], data[:, 4:5], data[:, 5:6]
        way = q - p
        way = way / (np.sqrt((way**2).sum(1, keepdims=True)) + 1e-9)
        across = np.stack([-way[:, 1], way[:, 0]], 1)
        outline = np.stack(
            [
                p + across * r1,
                p + (0.5 * across - 0.8 * way) * r1,
                p - (0.5 * across + 0.8 * way) * r1,
                p - across * r1,
                q - across * r2,
                q + (0.8 * way - 0.5 * across) * r2,
                q + (0.8 * way + 0.5 * across) * r2,
                q + across * r2,
            ],
            1,
        )
        points = np.concatenate([outline, np.zeros((len(data), 8, 1))], 2) + np.array(foot)
        self.shapes.polygons(points, data[:, 6:9], label, foot[2], self.texture(texture), lit)

    def person(self, x: float, z: float, y: float = CURB) -> None:
        """A pedestrian, walking along or across, or standing."""
        dice = self.dice
        size, turn = dice.uniform(0.88, 1.06) * (0.65 if dice.random() < 0.06 else 1), dice.uniform(0, 1)
        way, stride = (1 if dice.random() < 0.5 else -1), dice.uniform(0, 0.5)
        skin = varied(dice, pick(dice, ((178, 138, 116), (196, 156, 134), (110, 78, 60))), 0.1, 4)
        hair = varied(dice, pick(dice, ((50, 38, 30), (30, 26, 24), (120, 96, 66), (130, 128, 124), (30, 28, 30))), 0.2)
        top, legs = varied(dice, pick(dice, _CLOTHES), 0.25), varied(dice, pick(dice, _CLOTHES[:7]), 0.25)
        broad, skirt = 0.2 - 0.07 * turn, dice.random() < 0.35
        parts: list[_Capsule] = []

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
        parts.append(
            (
                0,
                1.32,
                0,
                0.98 if not skirt else dice.uniform(0.6, 0.85),
                broad,
                broad * (0.85 if not skirt else 1.05),
                top,
            )
        )
        if dice.random() < 0.3:
            parts.append(
                (-way * turn * 0.16, 1.3, -way * turn * 0.16, 1.0, 0.12, 0.13, varied(dice, pick(dice, _CLOTHES)))
            )
        arm(-stride, broad if turn < 0.5 else 0, scaled(top, 0.92))
        if dice.random() < 0.25:
            parts.append((broad + 0.05, 0.7, broad + 0.05, 0.5, 0.1, 0.14, varied(dice, (200, 200, 196), 0.3)))
        parts.append((0, 1.5, 0, 1.42, 0.055, 0.06, skin))
        parts.append((0.01 * way, 1.68, 0.015 * way * turn, 1.58, 0.095, 0.075, skin))
        behind = dice.random() < 0.5
        parts.append(
            (
                -0.02 * way * turn,
                1.71,
                -0.035 * way * turn,
                1.6 if behind else 1.7,
                0.098 if behind else 0.085,
                0.09,
                hair,
            )
        )
        parts = [(a * size, b * size, c * size, d * size, e * size, f * size, own) for a, b, c, d, e, f, own in parts]
        self.capsules((x, y, z), parts, PEDESTRIAN, "cloth")
        self.contact(x - 0.3, x + 0.3, z - 0.15, z + 0.2)
        self.cast(x - 0.18, x + 0.18, z, z, 1.7 * size)

    def cyclist(self, x: float, z: float) -> None:
        """A cyclist, from behind or in front, or crossing; none where something stands already."""
        dice = self.dice
        if not self.free(x, z, 0.5, 0.9):
            return
        top = varied(dice, pick(dice, (*_CLOTHES, (200, 210, 60), (196, 90, 40))), 0.25)
        legs, skin = varied(dice, pick(dice, _CLOTHES[:7]), 0.2), varied(dice, (180, 140, 118), 0.15)
        head = varied(dice, pick(dice, ((40, 40, 44), (190, 190, 190), (60, 46, 36), (150, 40, 40))), 0.2)
        metal = varied(dice, pick(dice, _PAINTS), 0.3)
        parts: list[_Capsule] = []
        crank = dice.uniform(0, 2 * math.pi)
        if dice.random() < 0.65:
            tire = (26, 26, 28)
            parts.append((0, 0.62, 0, 0.06, 0.035, 0.035, tire))
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
            self.glow((x, 0.75, z), 0.1, (255, 40, 30))
        else:
            way = 1 if dice.random() < 0.5 else -1
            for hub in (-0.52, 0.52):
                turns = np.linspace(0, 2 * np.pi, 15)
                rim = [(hub + 0.33 * math.cos(t), 0.34 + 0.33 * math.sin(t)) for t in turns.tolist()]
                parts.extend((*a, *b, 0.025, 0.025, (28, 28, 30)) for a, b in pairwise(rim))
                parts.extend((hub, 0.34, *rim[k], 0.004, 0.004, (110, 110, 112)) for k in (0, 3, 5, 8, 10, 12))
            seat, bars, pedal = (-0.22, 0.95), (0.36, 1.02), (-0.05, 0.3)
            for a, b in (
                (seat, pedal),
                (pedal, (0.34, 0.85)),
                (seat, (0.34, 0.85)),
                (bars, (0.52, 0.34)),
                (pedal, (-0.52, 0.34)),
                (seat, (-0.52, 0.34)),
            ):
                parts.append((*a, *b, 0.022, 0.022, metal))
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
        self.capsules((x, 0, z), parts, BICYCLIST, "cloth")
        self.contact(x - 0.25, x + 0.25, z - 0.4, z + 0.4)
        self.cast(x - 0.2, x + 0.2, z, z, 1.6)

    def post(self, x: float, z: float, high: float, thick: float, color: Color, y: float = 0.0) -> None:
        """An upright pole."""
        self.upright(x - thick / 2, x + thick / 2, y, high, z, color, POLE)
        self.upright(x, x + thick / 2, y, high, z, scaled(color, 0.7), POLE)
        self.cast(x - thick / 2, x + thick / 2, z, z, high)

    def lamp_post(self, x: float, z: float, side: int) -> None:
        """A street lamp, its arm over the road."""
        dice = self.dice
        color = varied(dice, pick(dice, ((120, 124, 126), (60, 64, 64), (150, 152, 150), (40, 50, 46))), 0.2)
        high, reach = dice.uniform(5, 9.5), -side * dice.uniform(0.6, 2.2)
        self.post(x, z, high, dice.uniform(0.12, 0.2), color)
        self.post(x, z, 1.3, 0.24, color)
        rise = dice.uniform(0, 0.5)
        tip = (x + reach, high + rise)
        self.capsules(
            (0, 0, z),
            [
                (x, high - 0.1, *tip, 0.05, 0.035, color),
                (*tip, tip[0] + 0.5 * math.copysign(1, reach), tip[1] + 0.04, 0.07, 0.05, scaled(color, 0.8)),
            ],
            POLE,
            "flat",
        )
        if self.night and dice.random() < 0.15:
            self.glow((*tip, z), 0.35, (255, 200, 120))

    def bollard(self, x: float, z: float) -> None:
        color = pick(self.dice, ((34, 34, 36), (60, 58, 56), (150, 150, 148)))
        self.post(x, z, 1.0, 0.16, color)
        self.upright(x - 0.09, x + 0.09, 0.8, 0.88, z, (190, 190, 186), POLE)

    def sign_post(self, x: float, z: float) -> None:
        """A traffic sign on its pole: round, triangular, or a board."""
        dice = self.dice
        high = dice.uniform(2.2, 3.2)
        self.post(x, z, high, 0.08, varied(dice, (130, 132, 132), 0.2))
        kind, texture = dice.random(), self.texture("flat")
        if kind < 0.4:
            self._disc(x, high, z, dice.uniform(0.28, 0.42), pick(dice, ((180, 28, 36), (30, 60, 150))))
            self._disc(x, high, z, 0.23, pick(dice, ((228, 228, 224), (30, 60, 150))))
        elif kind < 0.6:
            for wide, color in ((0.45, (180, 28, 36)), (0.29, (228, 228, 222))):
                points = np.array(
                    [[(x - wide, high - 0.55 * wide, z), (x + wide, high - 0.55 * wide, z), (x, high + wide, z)]]
                )
                self.shapes.polygons(points, np.array([color]), SIGN, z, texture)
        else:
            wide, tall = dice.uniform(0.2, 0.6), dice.uniform(0.15, 0.45)
            paint = varied(dice, pick(dice, _SIGNS), 0.15)
            self.upright(
                x - wide, x + wide, high - tall, high + tall, z, paint, SIGN, None, self.texture("letters"), (1, 1)
            )
        if dice.random() < 0.4:
            self.upright(
                x - 0.3,
                x + 0.3,
                high - 0.95,
                high - 0.62,
                z,
                pick(dice, _SIGNS),
                SIGN,
                None,
                self.texture("letters"),
                (1, 1),
            )

    def _disc(
        self, x: float, y: float, z: float, radius: float, color: Color, label: int = SIGN, lit: float = 0
    ) -> None:
        turns = np.arange(8) * (np.pi / 4) + 0.39
        points = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns), np.full(8, z)], 1)[None]
        self.shapes.polygons(points, np.array([color]), label, z, 0, lit)

    def traffic_light(self, x: float, z: float) -> None:
        """A signal head (a sign, as CamVid has it) on its pole, one lamp lit."""
        dice = self.dice
        self.post(x, z, 3.4, 0.12, pick(dice, ((60, 62, 64), (130, 132, 130), (36, 36, 38))))
        self.upright(x - 0.26, x + 0.26, 2.3, 3.5, z, (24, 25, 26), SIGN)
        on = int(dice.random() * 3) if dice.random() < 0.85 else -1
        for k, (y, color) in enumerate(((3.2, (240, 50, 40)), (2.9, (240, 160, 40)), (2.6, (70, 250, 170)))):
            self._disc(x, y, z, 0.115, color if k == on else scaled(color, 0.18), lit=1 if k == on else 0)
            if k == on:
                self.glow((x, y, z), 0.22, scaled(color, 0.8))

    def advertisement(self, x: float, z: float) -> None:
        """A free-standing board, or a telephone or parking box."""
        dice = self.dice
        wide, high = dice.uniform(0.4, 1.1), dice.uniform(1.6, 3.4)
        foot = 0 if dice.random() < 0.6 else high * 0.4
        if foot:
            self.post(x - wide * 0.8, z, high, 0.1, (140, 142, 144))
            self.post(x + wide * 0.8, z, high, 0.1, (140, 142, 144))
        self.upright(
            x - wide,
            x + wide,
            foot,
            high,
            z,
            varied(dice, pick(dice, _SIGNS), 0.2),
            SIGN,
            None,
            self.texture("letters"),
            (1, 1),
        )
        self.cast(x - wide, x + wide, z, z, high)

    def wires(self, x0: float, z0: float, x1: float, z1: float, high: float) -> None:
        """A wire between two points, labeled pole like the posts that carry it."""
        share = np.linspace(0, 1, 9)
        x, z = x0 + (x1 - x0) * share, z0 + (z1 - z0) * share
        y = high - 2.4 * share * (1 - share)
        points = np.empty((8, 4, 3))
        for k, (end, up) in enumerate(((0, 0.0), (1, 0.0), (1, 0.035), (0, 0.035))):
            points[:, k] = np.stack([x, y + up, z], 1)[end : end + 8]
        self.shapes.polygons(points, np.tile((30, 30, 32), (8, 1)), POLE, max(z0, z1))

    def vehicle(self, kind: str, x: float, z: float, heading: float, lights: bool = True) -> None:
        """A vehicle whose middle stands at (x, z), if there is room.

        Args:
            kind: a key of `pixalign.streets.vehicles.KINDS`.
            heading: in radians to the right; 0 drives away from the camera.
            lights: whether its lamps may be lit.
        """
        dice = self.dice
        points, roles, length = vehicle_model(kind)
        wide, long, tall = dice.uniform(0.95, 1.05), dice.uniform(0.93, 1.07), dice.uniform(0.95, 1.06)
        points = points * (wide, tall, long)
        cos, sin = math.cos(heading), math.sin(heading)
        half_wide, half_long = 0.5 * np.ptp(points[..., 0]), 0.5 * length * long
        reach_x, reach_z = abs(half_wide * cos) + abs(half_long * sin), abs(half_wide * sin) + abs(half_long * cos)
        if not self.free(x, z, reach_x, reach_z):
            return
        turned = np.empty_like(points)
        turned[..., 0] = x + points[..., 0] * cos + points[..., 2] * sin
        turned[..., 1] = points[..., 1]
        turned[..., 2] = z - points[..., 0] * sin + points[..., 2] * cos
        body = varied(dice, pick(dice, _PAINTS), 0.15)
        if kind == "bus":
            body = varied(dice, pick(dice, ((40, 80, 150), (170, 36, 40), (210, 206, 196), (60, 110, 80))), 0.2)
        elif kind in ("van", "lorry") and dice.random() < 0.6:
            body = varied(dice, (210, 212, 212), 0.1)
        tail_on = self.night > 0 and dice.random() < 0.8
        braking = dice.random() < 0.4
        rear, front = (225, 30, 24) if braking or tail_on else (140, 26, 30), (190, 194, 192)
        glass = dice.uniform(0.6, 1.6)
        palette: dict[str, tuple[Color, str, float]] = {
            "body": (body, "paint", 0),
            "roof": (scaled(body, 1.15), "glass" if dice.random() < 0.3 else "flat", 0),
            "dark": ((26, 26, 28), "flat", 0),
            "glass": ((40 * glass, 46 * glass, 52 * glass), "glass", 0),
            "tire": ((27, 27, 28), "flat", 0),
            "hub": ((104, 106, 108), "flat", 0),
            "rear": (rear, "flat", (1.0 if braking else 0.7) * lights if tail_on or braking else 0),
            "lens": ((96, 60, 58), "glass", 0),
            "seam": (scaled(body, 0.45), "flat", 0),
            "front": (front, "flat", 0.8 if self.night and lights and dice.random() < 0.6 else 0),
            "plate_rear": ((226, 196, 60), "flat", 0),
            "plate_front": ((226, 226, 220), "flat", 0),
            "bumper": (scaled(body, 0.85) if dice.random() < 0.6 else (56, 57, 60), "flat", 0),
            "trim": ((210, 206, 196), "letters", 0),
        }
        first = {name: self.texture(entry[1]) for name, entry in palette.items()}
        # far orders whole vehicles by their middle; within one the order of the parts stands
        self.shapes.polygons(
            turned,
            np.array([palette[r][0] for r in roles]),
            CAR,
            z,
            np.array([first[r] for r in roles]),
            np.array([palette[r][2] for r in roles]),
            cull=True,
        )
        self.contact(x - reach_x * 1.04, x + reach_x * 1.04, z - reach_z * 1.06, z + reach_z)
        high = float(points[..., 1].max())
        self.cast(x - reach_x, x + reach_x, z - reach_z, z - reach_z, high * 0.8)
        self.cast(x - reach_x, x - reach_x, z - reach_z, z + reach_z, high * 0.8)
        self.cast(x + reach_x, x + reach_x, z - reach_z, z + reach_z, high * 0.8)
        if lights and self.night:
            facing_away = cos > 0
            for part in ("rear", "front"):
                if palette[part][2] and (part == "rear") == facing_away:
                    for i in [i for i, role in enumerate(roles) if role == part]:
                        px, py, pz = turned[i].mean(0).tolist()
                        self.glow((px, py, pz - 0.05), 0.22, (200, 30, 20) if part == "rear" else (200, 195, 175))
