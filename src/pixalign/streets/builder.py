"""The surfaces of a drawn street, and what its things are made of: rectangles and limbs with labels and shadows.

A surface is a convex polygon with a color (display values 0 to 255 in full light), a label and a texture.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from pixalign.palette import CAMVID
from pixalign.streets.colors import pick, scaled, varied
from pixalign.streets.scene import Color, Light, Point
from pixalign.streets.textures import Bank

SKY, BUILDING, POLE, ROAD, SIDEWALK, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CAMVID))
HIDDEN = -1  # a surface that has no label of its own: seen, but the label is of what lies behind it
CURB = 0.12
FAR = 170.0  # meters; where the street ends

Capsule = tuple[float, float, float, float, float, float, Color]  # from x, y to x, y, radii, color

# What is known of a surface: up to 8 corners (the last one is repeated), color, label, in which order it is painted,
# texture, how often that repeats, whether it shines, receives shadows, is seen, is dropped if it turns its back.
SURFACE = np.dtype(
    [("points", float, (8, 3)), ("color", float, 3), ("label", float), ("far", float), ("texture", float),
     ("tiles", float, 2), ("lit", float), ("ground", float), ("shown", float), ("cull", float)]
)  # fmt: skip


class Builder:
    """Adds things to a street.

    Attributes:
        dice: where chance comes from.
        night: how brightly lamps are lit, 0 to 1.
        plants: kind, number and whether it is mirrored, of the stencils, which are the last of the surfaces.
        shadows: (25,) each, 8 corners and whether it is the dark under something.
        glows: of lamps: place, radius, color.
        shelter: x and height of the row of houses that keeps the sun off the street, if one does.
    """

    def __init__(self, dice: Random, bank: Bank, light: Light) -> None:
        self.dice, self.night, self.bank = dice, light.lamps, bank
        self._sun, self._sunny = light.sun_from, light.sun[0] > 0.2
        self._quads: list[tuple[float, ...]] = []
        self._batches: list[np.ndarray] = []
        self._stencils: list[tuple[float, ...]] = []
        self.plants: list[tuple[str, int, bool]] = []
        self.shadows: list[tuple[float, ...]] = []
        self.glows: list[tuple[Point, float, Color]] = []
        self.shelter: tuple[float, float] | None = None
        self._taken: list[tuple[float, float, float, float]] = [(-1.2, 1.2, -5.0, 2.5)]  # the camera's own car

    def surfaces(self) -> np.ndarray:
        """All of them, (N,) of `SURFACE`."""
        quads, stencils = (np.array(rows, float).reshape(-1, 36) for rows in (self._quads, self._stencils))
        return np.concatenate([quads.view(SURFACE)[:, 0], *self._batches, stencils.view(SURFACE)[:, 0]])

    def texture(self, kind: str) -> int:
        """One of the textures of a kind."""
        return pick(self.dice, self.bank.kinds[kind])

    def cast(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """The shadow on the ground of a wall from (x0, z0) to (x1, z1), if the sun shines."""
        if self._sunny:
            reach = -min(height / max(self._sun[1], 0.08), 60)
            dx, dz = reach * self._sun[0], reach * self._sun[2]
            self.shadows.append((x0, 0, z0, x1, 0, z1, x1 + dx, 0, z1 + dz, *(5 * (x0 + dx, 0, z0 + dz)), 0))

    def contact(self, x0: float, x1: float, z0: float, z1: float) -> None:
        """The dark under something."""
        self.shadows.append((x0, 0, z0, x1, 0, z0, x1, 0, z1, *(5 * (x0, 0, z1)), 1))

    def glow(self, at: Point, radius: float, color: Color) -> None:
        if self.night:
            self.glows.append((at, radius, scaled(color, self.night)))

    def free(self, x: float, z: float, half_wide: float, half_long: float) -> bool:
        """Whether nothing else stands on the ground there; if so, it is taken from now on."""
        x0, x1, z0, z1 = x - half_wide, x + half_wide, z - half_long, z + half_long
        if any(x0 < b and x1 > a and z0 < d and z1 > c for a, b, c, d in self._taken):
            return False
        self._taken.append((x0, x1, z0, z1))
        return True

    def quad(
        self, a: Point, b: Point, c: Point, d: Point, color: Color, label: int, far: float, texture: int = 0,
        tiles: tuple[float, float] = (0, 0), lit: float = 0, ground: float = 0, shown: float = 1,
    ) -> None:  # fmt: skip
        """Add a quad a, b, c, d around its border.

        Args:
            label: class id, 255, or `HIDDEN`.
            far: orders the painting: the largest is painted first, equal ones in the order they were added.
            texture: index in the bank.
            tiles: how often the texture repeats from a to b and from a to d; (0, 0) lays it at two meters a tile,
                upright and facing the camera.
            lit: 1 shines by itself; ground: 1 receives shadows; shown: 0 is in the label only.
        """
        self._quads.append((*a, *b, *c, *(5 * d), *color, label, far, texture, *tiles, lit, ground, shown, 0))

    def polygons(
        self, points: np.ndarray, color: Any, label: int, far: float, texture: Any = 0, lit: Any = 0, cull: bool = False
    ) -> None:
        """Add convex polygons (N, K, 3), K at most 8; with ``cull`` those that turn their back are dropped.

        One color, texture and light for all, or (N, 3), (N,) and (N,).
        """
        made = np.zeros(len(points), SURFACE)
        made["points"] = np.concatenate([points, np.repeat(points[:, -1:], 8 - points.shape[1], 1)], 1)
        made["color"], made["label"], made["far"], made["texture"], made["lit"] = color, label, far, texture, lit
        made["shown"], made["cull"] = 1, cull
        self._batches.append(made)

    def plant(self, kind: str, foot: Point, wide: float, high: float, color: Color, label: int, texture: str) -> None:
        """Add one of the stencils of a kind, which faces the camera; a negative width mirrors it."""
        (x, y, z), half = foot, abs(wide) / 2
        self.plants.append((kind, int(self.dice.random() * len(self.bank.stencils[kind])), wide < 0))
        corners = (x - half, y, z, x + half, y, z, x + half, y + high, z, *(5 * (x - half, y + high, z)))
        self._stencils.append((*corners, *color, label, z, self.texture(texture), 0, 0, 0, 0, 1, 0))

    def flat(
        self, x0: float, x1: float, z0: float, z1: float, color: Color, label: int, far: float, y: float = 0,
        texture: int = 0, tiles: tuple[float, float] = (0, 0),
    ) -> None:  # fmt: skip
        """A rectangle that lies on the ground, or as high as a curb."""
        corners = (x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)
        self.quad(*corners, color, label, far, texture, tiles, ground=1)

    def upright(
        self, x0: float, x1: float, y0: float, y1: float, z: float, color: Color, label: int, far: float | None = None,
        *surface: Any, **more: Any,
    ) -> None:  # fmt: skip
        """A rectangle that faces the camera; ``far`` is z unless given, what follows as of `quad`."""
        x0, x1, far = min(x0, x1), max(x0, x1), z if far is None else far
        self.quad((x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z), color, label, far, *surface, **more)

    def board(self, x0: float, x1: float, y0: float, y1: float, z: float, color: Color) -> None:
        """A rectangle that faces the camera, with letters on it."""
        self.upright(x0, x1, y0, y1, z, color, SIGN, None, self.texture("letters"), (1, 1))

    def along(self, x: float, z0: float, z1: float, y0: float, y1: float, *surface: Any, **more: Any) -> None:
        """A rectangle along the street; what follows is as of `quad`."""
        self.quad((x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0), *surface, **more)

    def capsules(self, foot: Point, parts: Sequence[Capsule], label: int, texture: str, size: float = 1) -> None:
        """Limbs with round ends in a plane that faces the camera, relative to the foot, ``size`` times as large."""
        data = np.array([(*p[:6], *p[6]) for p in parts])
        data[:, :6] *= size
        p, q, r1, r2 = data[:, 0:2], data[:, 2:4], data[:, 4:5], data[:, 5:6]
        way = q - p
        way = way / (np.sqrt((way**2).sum(1, keepdims=True)) + 1e-9)
        across = np.stack([-way[:, 1], way[:, 0]], 1)
        steps = across, 0.5 * across - 0.8 * way, -(0.5 * across + 0.8 * way), -across  # around p, and around q back
        outline = np.stack([*(p + step * r1 for step in steps), *(q - step * r2 for step in steps)], 1)
        points = np.concatenate([outline, np.zeros((len(data), 8, 1))], 2) + np.array(foot)
        self.polygons(points, data[:, 6:9], label, foot[2], self.texture(texture))

    def post(self, x: float, z: float, high: float, thick: float, color: Color) -> None:
        """An upright pole."""
        self.upright(x - thick / 2, x + thick / 2, 0, high, z, color, POLE)
        self.upright(x, x + thick / 2, 0, high, z, scaled(color, 0.7), POLE)
        self.cast(x - thick / 2, x + thick / 2, z, z, high)

    def paint(self, colors: Sequence[Color], light: float = 0.12, tint: float = 8) -> Color:
        """One of the colors, varied."""
        return varied(self.dice, pick(self.dice, colors), light, tint)
