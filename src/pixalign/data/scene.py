"""A drawn street in CamVid's 11 classes: simple geometry under a perspective camera, for demonstration and tests.

Metres, x to the right, y up, z ahead; the camera stands 1.35 m above the left lane. Things are painted from far to
near, colours and ids alike, at three times the size; the id of a pixel is the class at its centre.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pixalign.data.camvid import CLASSES

_SKY, _BUILDING, _POLE, _ROAD, _SIDEWALK, _TREE, _SIGN, _FENCE, _CAR, _PEDESTRIAN, _BICYCLIST = range(len(CLASSES))
_SCALE = 3  # odd, so that a pixel's centre is one drawn pixel
_NEAR, _FAR = 1.0, 140.0
_KERB, _LEFT, _RIGHT, _WALL_LEFT, _WALL_RIGHT = 0.13, -2.6, 5.4, -5.2, 8.6
_BRICKS = ((150, 122, 92), (128, 88, 72), (172, 160, 140), (186, 182, 174), (118, 96, 82))
_PAINTS = ((40, 48, 92), (118, 26, 32), (150, 154, 160), (44, 46, 50), (62, 84, 78), (190, 192, 194))

Colour = tuple[float, float, float]
Point = tuple[float, float, float]
Paint = Callable[["_Canvas"], None]
Thing = tuple[float, Paint]  # its distance for the order of painting, and how it is painted
Part = tuple[list[tuple[float, float]] | tuple[float, float, float, float], Colour]  # polygon, or disc x, y and radii


def draw_scene(seed: int = 0, size: tuple[int, int] = (360, 480)) -> tuple[np.ndarray, np.ndarray]:
    """Draw a street.

    Args:
        seed: each gives another street, the same on every machine up to the rounding of Pillow's version.
        size: height and width of the picture.

    Returns:
        Image (H, W, 3) uint8 and ids (H, W) uint8, positions in `pixalign.data.camvid.CLASSES`.
    """
    rng = np.random.default_rng(seed)
    canvas = _Canvas(size)
    _ground(canvas, rng)
    things = [*_left_houses(rng), *_right_side(rng), *_traffic(rng), *_people_and_posts(rng)]
    for _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint(canvas)
    return canvas.finish(rng)


class _Canvas:
    """Colours and ids under one camera."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.height, self.width = size[0] * _SCALE, size[1] * _SCALE
        self.focal, self.horizon = 0.82 * self.width, 0.44 * self.height
        self.colours = Image.new("RGB", (self.width, self.height), (214, 226, 238))
        self.ids = Image.new("L", (self.width, self.height), _SKY)
        self._draw, self._draw_ids = ImageDraw.Draw(self.colours), ImageDraw.Draw(self.ids)

    def at(self, point: Point) -> tuple[float, float]:
        """Project a point to drawn pixels."""
        x, y, z = point[0], point[1], max(point[2], _NEAR)
        return self.width * 0.47 + self.focal * x / z, self.horizon + self.focal * (1.35 - y) / z

    def polygon(self, points: Sequence[Point], colour: Colour, id_: int | None = None) -> None:
        """Fill a polygon; without ``id_`` it is a detail of what lies under it. Distance pales the colour."""
        flat = [self.at(p) for p in points]
        self._draw.polygon(flat, self._paled(colour, min(p[2] for p in points)))
        if id_ is not None:
            self._draw_ids.polygon(flat, id_)

    def disc(self, centre: Point, radii: tuple[float, float], colour: Colour, id_: int | None = None) -> None:
        """Fill an upright ellipse with radii in metres across and up."""
        (u, v), scale = self.at(centre), self.focal / max(centre[2], _NEAR)
        box = (u - radii[0] * scale, v - radii[1] * scale, u + radii[0] * scale, v + radii[1] * scale)
        self._draw.ellipse(box, self._paled(colour, centre[2]))
        if id_ is not None:
            self._draw_ids.ellipse(box, id_)

    def finish(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Add texture and light, and reduce to the size asked for."""
        half = _SCALE // 2
        ids = np.asarray(self.ids)[half::_SCALE, half::_SCALE].copy()
        image = np.asarray(self.colours.reduce(_SCALE), np.float32)
        height, width = ids.shape
        y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(0, 1, width, dtype=np.float32)
        cloud = _noise(rng, ids.shape, 4) + 0.3 * _noise(rng, ids.shape, 11)
        sky = np.stack([c + 60 * y + 7 * cloud for c in (196, 214, 236)], -1) + 0 * x[:, None]
        image = np.where((ids == _SKY)[..., None] & (image[..., 2:] > 230), sky, image)
        grain = np.array([0, 4, 3, 5, 5, 13, 2, 6, 1, 4, 4], np.float32)[ids]
        texture = rng.normal(0, 1, ids.shape) + 0.6 * _noise(rng, ids.shape, 60) + 0.4 * _noise(rng, ids.shape, 14)
        image += (grain * texture)[..., None]
        image *= (1.03 - 0.22 * (x - 0.55) ** 2 - 0.16 * (y - 0.4) ** 2)[..., None]
        image += rng.normal(0, 2.2, image.shape)
        picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
        return np.array(picture.filter(ImageFilter.GaussianBlur(0.45 * height / 360))), ids

    def _paled(self, colour: Colour, distance: float) -> tuple[int, int, int]:
        haze = 0.55 * (1 - np.exp(-max(distance, 0) / 110))
        red, green, blue = (
            round(float(np.clip((1 - haze) * c + haze * h, 0, 255))) for c, h in zip(colour, (196, 206, 216))
        )
        return red, green, blue


def _ground(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Road with lines and cracks, kerbs, pavements of slabs."""
    asphalt = rng.uniform(68, 84)
    for near, far in _bands():
        shade = asphalt + 0.25 * min(near, 60)
        _strip(canvas, _LEFT, _RIGHT, near, far, 0, (shade, shade + 1, shade + 5), _ROAD)
        for inner, outer in ((_LEFT, _WALL_LEFT - 12), (_RIGHT, _WALL_RIGHT + 30)):
            tint = rng.uniform(-5, 5)
            _strip(canvas, inner, outer, near, far, _KERB, (122 + tint, 114 + tint, 110 + tint), _SIDEWALK)
            edge = inner + (0.16 if outer > inner else -0.16)
            _strip(canvas, inner, edge, near, far, _KERB, (150, 148, 144))
            canvas.polygon(
                [(inner, h, z) for h, z in ((0, near), (_KERB, near), (_KERB, far), (0, far))], (96, 94, 92), _SIDEWALK
            )
    for z in np.arange(2.5, 40, 0.9):  # joints of the slabs
        for inner, outer in ((_LEFT - 0.16, _WALL_LEFT), (_RIGHT + 0.16, _WALL_RIGHT)):
            _strip(canvas, inner, outer, z, z + 0.035, _KERB, (98, 92, 90))
    houses = [(_LEFT, 0, _NEAR), (_LEFT + 1.1, 0, _NEAR), (_LEFT + 0.9, 0, 11), (_LEFT + 1.5, 0, 30), (_LEFT, 0, 60)]
    canvas.polygon(houses, (54, 55, 62))
    for x in (_LEFT + 0.25, _LEFT + 0.45, _RIGHT - 0.3):
        for near, far in _bands():
            _strip(canvas, x, x + 0.09, near, far, 0, (176, 158, 92))
    for z in np.arange(rng.uniform(2, 4), _FAR, 6.0):
        _strip(canvas, 1.35, 1.5, z, z + 3.2, 0, (206, 206, 204))


def _left_houses(rng: np.random.Generator) -> Iterator[Thing]:
    """A closed row of houses, shops in some of them."""
    z = -4.0
    while z < _FAR:
        far = z + rng.uniform(6, 12)
        yield far, _house(_WALL_LEFT, -1, z, far, rng.uniform(7.5, 11.5), rng)
        z = far


def _right_side(rng: np.random.Generator) -> Iterator[Thing]:
    """A house, a park with railings along the pavement and trees behind, houses again."""
    start, end = rng.uniform(10, 13), rng.uniform(50, 60)
    z = 3.0
    while z < _FAR:
        far = start if z < start else z + rng.uniform(7, 12)
        yield far, _house(_WALL_RIGHT + 0.4, 1, z, far, rng.uniform(7, 10), rng)
        z = end if far == start else far
    for z in np.arange(start + 2, end, 3.6):
        for across in (3, 8, 14):
            x, ahead = _WALL_RIGHT + across + rng.normal(0, 0.8), z + rng.normal(0, 0.8)
            yield ahead + 0.2 * x, _tree(x, ahead, rng.uniform(6, 10), rng)
    yield 62.0, _tree(_WALL_LEFT + 0.6, 62, 9, rng)
    yield end + 1, _hedge(_WALL_RIGHT + 18, 2.6, start, end)
    for z in np.arange(start, end, 2.0):
        yield z + 2, _railings(_WALL_RIGHT, z, z + 2)


def _traffic(rng: np.random.Generator) -> Iterator[Thing]:
    """Cars: parked on the right, one ahead, one oncoming; a cyclist."""
    z = rng.uniform(21, 25)
    for _ in range(rng.integers(1, 4)):
        yield z, _car(_RIGHT - 2.0, z, rng, oncoming=True)
        z += rng.uniform(5.2, 7)
    for x, z in ((-0.9, rng.uniform(15, 22)), (1.9, rng.uniform(10, 15))):
        yield z, _car(x, z, rng, oncoming=x > 0)
    yield _standing(-1.75, 0, rng.uniform(9.5, 11), _BICYCLIST, _cyclist(rng))


def _people_and_posts(rng: np.random.Generator) -> Iterator[Thing]:
    """Pedestrians on both pavements, lamp posts, bollards, a traffic light, signs."""
    for x, z in ((-3.7, 9.0), (-4.3, 9.6), (-3.9, 18.0), (7.1, 14.5), (7.4, 23.0), (-4.2, 30.0)):
        yield _standing(x + rng.uniform(-0.3, 0.3), _KERB, z + rng.uniform(-1, 1), _PEDESTRIAN, _person(rng))
    for z in rng.uniform(13, 19) + np.array([0, 20, 40]):
        yield _standing(_LEFT - 0.5, _KERB, z, _POLE, _lamp(1))
        yield _standing(_RIGHT + 0.5, _KERB, z + 6, _POLE, _lamp(-1))
    for z in rng.uniform(6.2, 7.4) + np.arange(3) * 1.7:
        yield _standing(_LEFT - 0.4, _KERB, z, _POLE, _post(0.09, 0.9, (44, 42, 44)))
    for x, z in ((_RIGHT + 0.7, rng.uniform(11.2, 13)), (_LEFT - 0.5, rng.uniform(20, 28))):
        yield _standing(x, _KERB, z, _POLE, _post(0.045, 2.5, (120, 122, 124)))
        yield _standing(x, _KERB, z - 0.01, _SIGN, _ROUND_SIGN)
    z = rng.uniform(11, 16)
    yield _standing(_LEFT - 0.45, _KERB, z, _POLE, _post(0.07, 3.2, (88, 90, 92)))
    yield _standing(_LEFT - 0.45, _KERB, z - 0.01, _SIGN, _TRAFFIC_LIGHT)


def _house(x: float, side: int, near: float, far: float, height: float, rng: np.random.Generator) -> Paint:
    lit = 0.82 if side < 0 else 1.06
    wall, shop = _scaled(_BRICKS[rng.integers(len(_BRICKS))], lit * rng.uniform(0.85, 1.05)), rng.random() < 0.45
    roof, glass = _scaled((92, 84, 84), rng.uniform(0.85, 1.15)), _scaled((70, 78, 88), lit)
    front = _scaled((rng.uniform(40, 120), rng.uniform(40, 80), rng.uniform(45, 90)), lit)
    floors = [(0.2 + 3.3 * (k > 0) + 2.9 * max(k - 1, 0)) for k in range(int((height - 0.8) // 2.9))]
    columns = np.linspace(near, far, max(2, round((far - near) / 2.2)) + 1)
    slats = rng.random((len(floors) + 1, len(columns)))

    def facade(
        canvas: _Canvas, z0: float, z1: float, y0: float, y1: float, colour: Colour, id_: int | None = None
    ) -> None:
        if z1 > _NEAR:
            canvas.polygon([(x, y, max(z, _NEAR)) for z, y in ((z0, y0), (z1, y0), (z1, y1), (z0, y1))], colour, id_)

    def paint(canvas: _Canvas) -> None:
        if near > _NEAR:
            gable = [(0, 0), (8, 0), (8, height), (4, height + 2.6), (0, height)]
            canvas.polygon([(x + side * across, up, near) for across, up in gable], _scaled(wall, 0.8), _BUILDING)
        ridge = [
            (x, height, near),
            (x + side * 4, height + 2.6, near),
            (x + side * 4, height + 2.6, far),
            (x, height, far),
        ]
        canvas.polygon([(a, b, max(c, _NEAR)) for a, b, c in ridge], roof, _BUILDING)
        facade(canvas, near, far, 0, height, wall, _BUILDING)
        facade(canvas, near, far, height - 0.25, height, _scaled(wall, 1.25))
        for z0, z1 in pairwise(columns):
            gap = (z1 - z0) * 0.24
            for level, floor in enumerate(floors):
                if level == 0 and shop:
                    facade(canvas, z0 + 0.1, z1 - 0.1, 0.6, 2.7, _scaled((44, 46, 52), 0.8 + 0.6 * slats[0, level]))
                    continue
                facade(canvas, z0 + gap - 0.12, z1 - gap + 0.12, floor + 0.75, floor + 2.45, _scaled(wall, 1.3))
                bright = 0.7 + 0.7 * slats[level, int(z0) % len(columns)]
                facade(canvas, z0 + gap, z1 - gap, floor + 0.85, floor + 2.35, _scaled(glass, bright))
                facade(canvas, (z0 + z1) / 2 - 0.05, (z0 + z1) / 2 + 0.05, floor + 0.85, floor + 2.35, (190, 188, 182))
                facade(canvas, z0 + gap, z1 - gap, floor + 1.55, floor + 1.65, (190, 188, 182))
        if shop:
            facade(canvas, near + 0.15, far - 0.15, 2.75, 3.35, front)
        facade(canvas, far - 0.12, far, 0, height, _scaled(wall, 0.7))

    return paint


def _tree(x: float, z: float, height: float, rng: np.random.Generator) -> Paint:
    """Trunk, and a crown of some hundred leaves' clumps, dark below and light above."""
    count = 700
    lobes, angles = rng.uniform(-1, 1, (8, 2)) * (0.2, 0.17), rng.uniform(0, 2 * np.pi, count)
    around = np.stack([np.cos(angles), np.sin(angles)], 1) * np.sqrt(rng.random(count))[:, None] * (0.16, 0.15)
    clumps = height * (lobes[rng.integers(0, 8, count)] + around)
    clumps = clumps[np.argsort(rng.random(count) + 0.15 * clumps[:, 1])]
    tint = rng.uniform(0.85, 1.1)

    def paint(canvas: _Canvas) -> None:
        trunk = 0.022 * height
        canvas.polygon([(x - trunk, 0, z), (x + trunk, 0, z), (x, 0.7 * height, z)], (70, 60, 50), _TREE)
        for dx, dy in clumps:
            light = tint * (0.8 + 0.35 * dy / (0.2 * height)) * (1 + 0.35 * np.sin(997 * dx))
            radius = 0.021 * height * (1 + 0.5 * np.sin(577 * dy))
            canvas.disc((x + dx, 0.6 * height + dy, z), (radius, radius), _scaled((88, 84, 56), max(light, 0.3)), _TREE)

    return paint


def _hedge(x: float, height: float, near: float, far: float) -> Paint:
    def paint(canvas: _Canvas) -> None:
        canvas.polygon([(x, 0, near), (x, 0, far), (x, height, far), (x, height, near)], (46, 50, 36), _TREE)
        canvas.polygon(
            [(x, 0, far), (_WALL_RIGHT, 0, far), (_WALL_RIGHT, height, far), (x, height, far)], (46, 50, 36), _TREE
        )

    return paint


def _railings(x: float, near: float, far: float) -> Paint:
    def paint(canvas: _Canvas) -> None:
        def wall(z0: float, z1: float, y0: float, y1: float, colour: Colour, id_: int | None = None) -> None:
            canvas.polygon([(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)], colour, id_)

        wall(near, far, _KERB, 1.35, (104, 100, 84), _FENCE)
        for z in np.arange(near, far, 0.28):
            wall(z, z + 0.1, _KERB, 1.35, (50, 54, 52))
        for low, high in ((0.25, 0.34), (1.26, 1.38)):
            wall(near, far, low, high, (44, 48, 46))

    return paint


def _car(x: float, z: float, rng: np.random.Generator, oncoming: bool) -> Paint:
    """A hatchback 1.75 m wide, extruded from its side; the end that faces the camera is at ``z``."""
    outline = [
        (0, 0.3),
        (0, 0.82),
        (0.1, 0.95),
        (0.5, 1.44),
        (2.3, 1.48),
        (3.0, 1.0),
        (3.9, 0.86),
        (4.0, 0.7),
        (4.0, 0.3),
    ]
    if oncoming:
        outline = [(4.0 - along, up) for along, up in reversed(outline)]
    left, right, body = x, x + 1.75, _PAINTS[rng.integers(len(_PAINTS))]
    flank = left if left + right > 0 else right

    def paint(canvas: _Canvas) -> None:
        def across(
            start: tuple[float, float],
            end: tuple[float, float],
            colour: Colour,
            inset: float = 0.0,
            id_: int | None = None,
        ) -> None:
            (z0, y0), (z1, y1) = start, end
            a, b = left + inset, right - inset
            canvas.polygon([(a, y0, z + z0), (b, y0, z + z0), (b, y1, z + z1), (a, y1, z + z1)], colour, id_)

        canvas.polygon(
            [(left - 0.1, 0, z - 0.15), (right + 0.1, 0, z - 0.15), (right, 0, z + 4), (left, 0, z + 4)], (38, 38, 42)
        )
        for tyre in (left + 0.04, right - 0.26):
            canvas.polygon(
                [(tyre + a, b, z + 0.3) for a, b in ((0, 0), (0.22, 0), (0.22, 0.4), (0, 0.4))], (24, 24, 26), _CAR
            )
        canvas.polygon([(flank, up, z + along) for along, up in outline], _scaled(body, 0.72), _CAR)
        cabin = [(along, up) for along, up in outline if up > 0.92]
        canvas.polygon([(flank, 1 + 0.86 * (up - 1), z + along) for along, up in cabin], (40, 46, 54))
        for wheel in (0.75, 3.2):
            canvas.polygon(
                [(flank, 0.31 + 0.31 * np.sin(t), z + wheel + 0.31 * np.cos(t)) for t in np.arange(0, 6.3, 0.4)],
                (26, 26, 28),
                _CAR,
            )
        for start, end in reversed(list(pairwise(outline))):
            light = 1.12 if abs(end[1] - start[1]) < 0.2 else 0.95
            across(start, end, _scaled(body, light), id_=_CAR)
        slope = [(a, b) for a, b in pairwise(outline) if 0.9 < a[1] < b[1] > 1.3]
        for a, b in slope:
            cut = 0.12 * (b[0] - a[0]), 0.12 * (b[1] - a[1])
            across((a[0] + cut[0], a[1] + cut[1]), (b[0] - cut[0], b[1] - cut[1]), (58, 68, 80), 0.16)
        across((0, 0.3), (0, 0.45), (36, 36, 40), 0.02)
        across((0, 0.47), (0, 0.58), (226, 222, 200) if oncoming else (222, 200, 70), 0.6)
        for lamp in (left + 0.2, right - 0.2):
            canvas.disc((lamp, 0.7, z), (0.15, 0.09), (240, 240, 230) if oncoming else (190, 30, 34))

    return paint


def _standing(x: float, y: float, z: float, id_: int, parts: Sequence[Part]) -> Thing:
    """Something flat that faces the camera, its parts relative to the foot (x, y, z)."""

    def paint(canvas: _Canvas) -> None:
        for shape, colour in parts:
            if isinstance(shape, list):
                canvas.polygon([(x + across, y + up, z) for across, up in shape], colour, id_)
            else:
                across, up, *radii = shape
                canvas.disc((x + across, y + up, z), (radii[0], radii[1]), colour, id_)

    return z, paint


def _person(rng: np.random.Generator) -> list[Part]:
    coat = _scaled((70, 62, 66), rng.uniform(0.5, 1.5)) if rng.random() < 0.7 else (128, 44, 46)
    trousers, stride = _scaled((52, 54, 66), rng.uniform(0.6, 1.3)), rng.uniform(0.05, 0.24)
    legs = [[(0.3 * s - 0.13, 0.9), (0.3 * s + 0.13, 0.9), (s + 0.09, 0), (s - 0.09, 0)] for s in (-stride, stride)]
    half = [(0.15, 1.45), (0.22, 1.38), (0.3, 0.85), (0.2, 0.75)]
    return [
        *((leg, trousers) for leg in legs),
        (half + _mirrored(half), coat),
        ([(0.16, 1.36), (0.2, 0.8), (0.13, 0.8)], _scaled(coat, 0.75)),
        ((0, 1.6, 0.115, 0.15), (164, 124, 104)),
        ((0, 1.67, 0.12, 0.09), (58, 44, 36)),
    ]


def _cyclist(rng: np.random.Generator) -> list[Part]:
    """Seen from behind: wheel, handlebars, legs, back, head, helmet, lamp."""
    half = [(0.18, 1.5), (0.29, 1.3), (0.27, 1.0), (0.2, 0.9)]
    return [
        ((0, 0.34, 0.05, 0.34), (30, 30, 32)),
        (_box(-0.3, 0.3, 0.97, 1.02), (40, 40, 42)),
        ([(-0.2, 1.0), (-0.03, 1.0), (-0.05, 0.25), (-0.16, 0.25)], (44, 44, 52)),
        ([(0.2, 1.0), (0.03, 1.0), (0.06, 0.45), (0.17, 0.45)], (52, 52, 60)),
        (half + _mirrored(half), _scaled((70, 74, 92), rng.uniform(0.7, 1.3))),
        ((0, 1.63, 0.11, 0.15), (150, 112, 94)),
        ((0, 1.7, 0.13, 0.1), (40, 42, 48)),
        ((0, 0.75, 0.035, 0.035), (220, 40, 40)),
    ]


def _post(radius: float, height: float, colour: Colour) -> list[Part]:
    shaded = _box(0.2 * radius, radius, 0, height)
    return [(_box(-radius, radius, 0, height), colour), (shaded, _scaled(colour, 0.75))]


def _lamp(side: int) -> list[Part]:
    arm = [(0, 7.1), (0, 6.95), (side * 1.3, 7.35), (side * 1.3, 7.5)]
    return [*_post(0.09, 7.1, (112, 116, 118)), (arm, (104, 108, 110)), ((side * 1.5, 7.4, 0.35, 0.1), (84, 86, 88))]


def _box(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]


def _mirrored(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-across, up) for across, up in reversed(points)]


_ROUND_SIGN: list[Part] = [
    ((0, 2.5, 0.38, 0.38), (176, 34, 40)),
    ((0, 2.5, 0.28, 0.28), (232, 232, 228)),
    (_box(-0.32, 0.32, 1.62, 2.02), (36, 70, 140)),
    (_box(-0.22, 0.22, 1.77, 1.87), (226, 226, 226)),
]
_TRAFFIC_LIGHT: list[Part] = [
    (_box(-0.24, 0.24, 2.2, 3.3), (26, 27, 28)),
    *(((0, up, 0.12, 0.12), c) for up, c in ((3.05, (70, 26, 26)), (2.75, (72, 56, 26)), (2.45, (60, 226, 150)))),
]


def _bands() -> Iterable[tuple[float, float]]:
    """Stretches of ground, each half as long again as the one before it, from far to near."""
    edges = [_NEAR * 1.28**i for i in range(21)]
    return reversed(list(pairwise(edges)))


def _strip(
    canvas: _Canvas, x0: float, x1: float, near: float, far: float, y: float, colour: Colour, id_: int | None = None
) -> None:
    canvas.polygon([(x0, y, near), (x1, y, near), (x1, y, far), (x0, y, far)], colour, id_)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> np.ndarray:
    """Smooth noise of unit deviation with about ``cells`` bumps across."""
    small = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
    smooth = np.asarray(small.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    return smooth / smooth.std()


def _scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
