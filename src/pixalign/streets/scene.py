"""What a picture of a drawn street is made from: surfaces in meters, a camera and a light.

World: meters, x to the right, y up, z ahead of the camera, which stands at x = z = 0.
"""

from dataclasses import dataclass, field

import numpy as np

HIDDEN = -1  # a surface that has no label of its own: seen, but the label is of what lies behind it
NEAR = 0.6  # meters; nothing nearer is drawn

Color = tuple[float, float, float]
Point = tuple[float, float, float]


@dataclass
class Light:
    """Colors are display values (0 to 255) or factors of them, directions point to the light.

    Attributes:
        above, around, sun: light from above, from all sides, and from the sun, per channel, as factors.
        sun_from: unit vector to the sun.
        shadow: what remains of the light on shadowed ground; contact: the same under vehicles and along walls.
        sky, cloud, horizon: colors of the gaps, of the clouds, and of both low in the sky.
        cloudiness: how much cloud, about -1.5 to 2; texture: how much lighter or darker its parts are, as a factor.
        haze: share of the horizon's color far away; haze_depth: the distance in meters where half of it is reached.
        noise: deviation of the sensor's noise, in display values.
        lamps: brightness of lamps that are lit, 0 (none is) to 1.
    """

    above: Color
    around: Color
    sun: Color
    sun_from: Point
    shadow: float
    contact: float
    sky: Color
    cloud: Color
    horizon: Color
    cloudiness: float
    texture: float
    haze: float
    haze_depth: float
    noise: float
    lamps: float


@dataclass
class Camera:
    """Focal length in heights, the vanishing point (u, v) of the straight street, meters above ground."""

    focal: float
    center: tuple[float, float]
    height: float
    bend: float  # meters sideways per square meter ahead
    vignette: float
    blur: float
    contrast: float
    saturation: float
    clouds: tuple[int, float, float, float]  # which, where, how large


@dataclass
class Shapes:
    """What stands in a street: quads and other convex polygons in world coordinates, in any order.

    A surface has a color, a kind of texture (index in the bank) and a label; ``far`` orders the painting: the largest
    is painted first, equal ones in the order they were added.
    """

    quads: list[tuple] = field(default_factory=list)
    batches: list[tuple] = field(default_factory=list)
    stencils: list[tuple] = field(default_factory=list)
    shadows: list[tuple] = field(default_factory=list)
    glows: list[tuple[Point, float, Color]] = field(default_factory=list)
    shelter: tuple[float, float] | None = None  # x and height of the row of houses that keeps the sun off the street

    def quad(
        self, a: Point, b: Point, c: Point, d: Point, color: Color, label: int, far: float, texture: int = 0,
        tiles: tuple[float, float] = (0, 0), lit: float = 0, ground: float = 0, shown: float = 1,
    ) -> None:  # fmt: skip
        """Add a quad a, b, c, d around its border.

        Args:
            color: display values 0 to 255 in full light.
            label: class id, 255, or `HIDDEN`.
            tiles: how often the texture repeats from a to b and from a to d; (0, 0) lays it at two meters a tile,
                upright and facing the camera.
            lit: 1 shines by itself; ground: 1 receives shadows; shown: 0 is in the label only.
        """
        self.quads.append((*a, *b, *c, *d, *color, label, far, texture, *tiles, lit, ground, shown))

    def polygons(
        self, points: np.ndarray, colors: np.ndarray, labels: np.ndarray | int, far: np.ndarray | float,
        textures: np.ndarray | int = 0, lit: np.ndarray | float = 0, cull: bool = False,
    ) -> None:  # fmt: skip
        """Add convex polygons (N, K, 3), K at most 8; with ``cull`` those that turn their back are dropped."""
        self.batches.append((points, colors, labels, far, textures, lit, cull))

    def stencil(
        self, kind: str, which: int, foot: Point, wide: float, high: float, color: Color, label: int, texture: int
    ) -> None:
        """Add a plant that faces the camera; a negative width mirrors it."""
        self.stencils.append((kind, which, foot, wide, high, color, label, texture))

    def shadow(self, corners: tuple[Point, Point, Point, Point], contact: bool = False) -> None:
        """Add a shadow on the ground."""
        self.shadows.append((*corners[0], *corners[1], *corners[2], *corners[3], contact))
