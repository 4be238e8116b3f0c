"""What the things in a drawn street are made of: rectangles and limbs with labels and shadows."""

from collections.abc import Sequence
from random import Random

import numpy as np

from pixalign.palette import CAMVID
from pixalign.streets.colors import scaled
from pixalign.streets.scene import Color, Point, Shapes
from pixalign.streets.textures import Bank

SKY, BUILDING, POLE, ROAD, SIDEWALK, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CAMVID))
CURB = 0.12
FAR = 170.0  # meters; where the street ends

Capsule = tuple[float, float, float, float, float, float, Color]  # from x, y to x, y, radii, color


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

    def flat(
        self, x0: float, x1: float, z0: float, z1: float, color: Color, label: int, far: float, y: float = 0,
        texture: int = 0, tiles: tuple[float, float] = (0, 0),
    ) -> None:  # fmt: skip
        """A rectangle that lies on the ground, or as high as a curb."""
        self.shapes.quad(
            (x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1), color, label, far, texture, tiles, ground=1
        )

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

    def capsules(self, foot: Point, parts: Sequence[Capsule], label: int, texture: str, lit: float = 0) -> None:
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

    def post(self, x: float, z: float, high: float, thick: float, color: Color, y: float = 0.0) -> None:
        """An upright pole."""
        self.upright(x - thick / 2, x + thick / 2, y, high, z, color, POLE)
        self.upright(x, x + thick / 2, y, high, z, scaled(color, 0.7), POLE)
        self.cast(x - thick / 2, x + thick / 2, z, z, high)
