"""Models of the vehicles in drawn streets: a side view with a width, made into outward polygons.

Measures in meters are our choice, after common cars, vans, trucks and buses.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from pixalign.streets.builder import CAR, Builder
from pixalign.streets.colors import PAINTS, scaled, varied
from pixalign.streets.scene import Color, Point

_Place = tuple[float, float]  # in the side view: along from the rear, up
_Face = tuple[str, float, float, float, float]  # role, x0, x1, y0, y1

# Side views: (along from the rear, up) of the body below the windows, then of the cabin; widths and other measures.
KINDS: dict[str, dict[str, Any]] = {
    "hatch": {
        "body": ((0, 0.3), (3.9, 0.28), (3.95, 0.55), (3.85, 0.74), (2.95, 0.95), (0.12, 0.98), (0, 0.7)),
        "cabin": ((0.1, 0.96), (3.0, 0.94), (2.25, 1.43), (0.95, 1.47), (0.45, 1.4)),
        "wide": 1.68, "wheels": (0.7, 3.15),
    },
    "sedan": {
        "body": ((0, 0.3), (4.4, 0.28), (4.45, 0.55), (4.35, 0.74), (3.3, 0.93), (0.15, 0.98), (0, 0.7)),
        "cabin": ((0.7, 0.96), (3.4, 0.93), (2.6, 1.4), (1.5, 1.42)), "wide": 1.74, "wheels": (0.85, 3.55),
    },
    "wagon": {
        "body": ((0, 0.3), (4.4, 0.28), (4.45, 0.55), (4.35, 0.76), (3.3, 0.95), (0.08, 0.98), (0, 0.7)),
        "cabin": ((0.08, 0.96), (3.4, 0.94), (2.65, 1.43), (0.7, 1.47), (0.4, 1.44)),
        "wide": 1.74, "wheels": (0.85, 3.55),
    },
    "tall": {
        "body": ((0, 0.4), (4.2, 0.38), (4.25, 0.65), (4.15, 0.95), (3.2, 1.1), (0.05, 1.12), (0, 0.8)),
        "cabin": ((0.05, 1.1), (3.3, 1.09), (2.6, 1.7), (0.5, 1.76), (0.2, 1.72)), "wide": 1.8, "wheels": (0.8, 3.4),
    },
    "van": {
        "body": ((0, 0.4), (4.9, 0.38), (5.0, 0.7), (4.9, 1.0), (4.2, 1.2), (0.0, 1.2)),
        "cabin": ((0.0, 1.18), (4.25, 1.18), (3.5, 2.1), (3.1, 2.2), (0.05, 2.2)), "wide": 1.95, "wheels": (0.9, 4.0),
    },
    "truck": {
        "body": ((0, 0.5), (7.0, 0.48), (7.1, 0.8), (7.05, 1.4), (0.0, 1.2)),
        "cabin": ((0.0, 1.18), (7.05, 1.38), (6.9, 2.5), (5.6, 3.2), (0.0, 3.3)), "wide": 2.3, "wheels": (1.6, 5.9),
    },
    "bus": {
        "body": ((0, 0.4), (9.9, 0.38), (10.0, 0.7), (10.0, 1.3), (0.0, 1.3)),
        "cabin": ((0.0, 1.28), (10.0, 1.28), (9.9, 2.9), (9.6, 3.05), (0.1, 3.05)), "wide": 2.45, "wheels": (2.2, 7.6),
    },
}  # fmt: skip


class _Model:
    """The polygons of a vehicle as they are added; z runs from the rear, which is 0, to the front.

    Attributes:
        body, cabin: side views; wheels: z of their axles.
        wide: half of the width; length: of the body; base, top: of the cabin, in height.
        boxy: whether it is a van, truck or bus.
        polygons, roles: what was added: (8, 3) corners around the middle, and what each is.
    """

    def __init__(self, kind: str) -> None:
        spec = KINDS[kind]
        self.kind, self.boxy = kind, kind in ("van", "truck", "bus")
        self.body, self.cabin, self.wide, self.wheels = spec["body"], spec["cabin"], spec["wide"] / 2, spec["wheels"]
        self.length = max(a for a, _ in self.body)
        self.top, self.base = max(up for _, up in self.cabin), min(up for _, up in self.cabin)
        self.polygons: list[list[Point]] = []
        self.roles: list[str] = []

    def add(self, role: str, corners: list[Point]) -> None:
        centered = [(x, y, z - self.length / 2) for x, y, z in corners]
        self.polygons.append(centered + [centered[-1]] * (8 - len(corners)))
        self.roles.append(role)

    def both_sides(self, role: str, corners: Sequence[_Place], x: float | None, out: float = 0) -> None:
        """Add a side view on the right and mirrored on the left: at x, or where the cabin ends, and further out."""
        at = [((self.half_width(up) if x is None else x) + out, up, along) for along, up in corners]
        self.add(role, at)
        self.add(role, [(-h, up, along) for h, up, along in at][::-1])

    def strip(self, role: str, a: _Place, b: _Place, xa: float, xb: float) -> None:
        """Add what joins the two sides between two points of the side view."""
        self.add(role, [(-xa, a[1], a[0]), (xa, a[1], a[0]), (xb, b[1], b[0]), (-xb, b[1], b[0])][::-1])

    def face(self, role: str, x0: float, x1: float, y0: float, y1: float, z: float, back: bool) -> None:
        """Add a rectangle across, seen from the ``back`` or from the front."""
        corners: list[Point] = [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]
        self.add(role, corners if back else corners[::-1])

    def half_width(self, up: float) -> float:
        """Half of the cabin's width: it narrows toward the roof."""
        return self.wide - 0.02 - (0.03 if self.boxy else 0.17) * (up - self.base) / (self.top - self.base)


@functools.cache
def vehicle_model(kind: str) -> tuple[np.ndarray, list[str], float]:
    """Outward polygons (N, 8, 3) of a vehicle around its middle, driving toward +z, what each is, and its length."""
    model = _Model(kind)
    wide, length = model.wide, model.length
    for along, side in product(model.wheels, (-1, 1)):
        x0, x1 = sorted((side * wide * 0.97, side * (wide - 0.22)))
        for end in (-0.3, 0.3):
            model.face("tire", x0, x1, 0.0, 0.5, along + end, end < 0)
    for z, back in ((0.1, True), (length - 0.1, False)):
        model.face("dark", -wide * 0.9, wide * 0.9, 0.18, 0.5, z, back)
    model.both_sides("body", model.body, wide)
    for a, b in pairwise((*model.body[1:], model.body[0])):
        model.strip("roof" if abs(b[0] - a[0]) > 2 * abs(b[1] - a[1]) else "body", a, b, wide, wide)
    _add_cabin(model)
    for window in _side_windows(model):
        model.both_sides("glass", window, None, 0.005)
    if kind == "truck":
        model.both_sides("trim", ((0.3, 1.4), (5.2, 1.4), (5.2, 3.0), (0.3, 3.0)), wide)
    size = 0.31 if not model.boxy else 0.38
    for along in model.wheels:
        for role, radius, start in (("tire", size, 0.0), ("tire", size, np.pi / 8), ("hub", 0.58 * size, 0.0)):
            turns = (np.arange(8) * (np.pi / 4) + start).tolist()
            ring = [(along + radius * math.cos(t), size + radius * math.sin(t)) for t in turns]
            model.both_sides(role, ring, wide + 0.01)
    if not model.boxy:  # a line along the doors, and mirrors
        line = (0.1, 0.62), (length - 0.2, 0.62), (length - 0.2, 0.66), (0.1, 0.66)
        model.both_sides("dark", line, wide + 0.005)
        at, base = model.cabin[1][0], model.base
        mirror = (at - 0.75, base), (at - 0.5, base), (at - 0.52, base + 0.16), (at - 0.75, base + 0.16)
        model.both_sides("body", mirror, wide + 0.14)
    _add_ends(model)
    return np.array(model.polygons, np.float64), model.roles, length


def _add_cabin(model: _Model) -> None:
    """Sides, roof, front and rear windows."""
    cabin, half = model.cabin, model.half_width
    model.both_sides("body", cabin, None)
    for a, b in pairwise((*cabin[1:], cabin[0])):
        model.strip("roof" if abs(b[0] - a[0]) > 2 * abs(b[1] - a[1]) else "body", a, b, half(a[1]), half(b[1]))
        if abs(b[1] - a[1]) > 0.25 and not (model.kind == "truck" and b == cabin[0]):
            cut = 0.1
            p = (a[0] + cut * (b[0] - a[0]), a[1] + cut * (b[1] - a[1]))
            q = (b[0] + cut * (a[0] - b[0]), b[1] + cut * (a[1] - b[1]))
            if b == cabin[0] and model.boxy:
                q = (q[0], q[1] + 0.3 * (model.top - model.base))
            model.strip("glass", p, q, half(p[1]) - 0.1, half(q[1]) - 0.1)


def _side_windows(model: _Model) -> list[tuple[_Place, ...]]:
    """The outlines of the windows at the side."""
    cabin = model.cabin
    low, high = model.base + 0.07, model.top - 0.1
    slope = (cabin[2][0] - cabin[1][0]) / (cabin[2][1] - cabin[1][1])

    def front_at(up: float) -> float:
        return cabin[1][0] + slope * (up - cabin[1][1]) - 0.12

    if model.kind == "bus":
        low, high = low + 0.1, high - 0.3
        edges = pairwise(np.linspace(0.3, model.length - 0.4, 8))
        return [((a + 0.06, low), (b - 0.06, low), (b - 0.06, high), (a + 0.06, high)) for a, b in edges]
    if model.boxy:
        back, high = front_at(low) - 1.0, min(high, model.base + 0.75)
        return [((back, low), (front_at(low), low), (front_at(high), high), (back, high))]
    middle = 0.5 * (cabin[2][0] + cabin[-2][0]) + 0.15
    rear_low, rear_high = cabin[0][0] + 0.3, cabin[-1][0] + 0.22
    return [
        ((middle + 0.05, low), (front_at(low), low), (front_at(high), high), (middle + 0.05, high)),
        ((rear_low, low), (middle - 0.05, low), (middle - 0.05, high), (rear_high, high)),
    ]


def _add_ends(model: _Model) -> None:
    """Bumpers, seams, grill, lamps and plates at the back and at the front."""
    wide = model.wide
    low, shoulder = min(up for _, up in model.body), min(up for _, up in model.body if up > 0.6)  # where lamps sit

    def lamps(role: str, inner: float, foot: float, top: float) -> Iterator[_Face]:
        for side in (-1, 1):
            x0, x1 = sorted((side * (wide - 0.02), side * (wide - inner)))
            yield "lens", x0, x1, foot, top
            yield role, x0 + 0.02, x1 - 0.02, foot + 0.3 * (top - foot), top - 0.02

    rear: list[_Face] = [
        ("bumper", -wide, wide, low + 0.02, low + 0.24),
        ("dark", -wide, wide, low + 0.02, low + 0.09),
        ("seam", -wide + 0.16, wide - 0.16, low + 0.25, low + 0.27),
        *(("seam", x, x + 0.02, low + 0.25, shoulder + 0.2) for x in (-wide + 0.15, wide - 0.17)),
        *lamps("rear", 0.15, low + 0.27, shoulder + 0.16),
        ("plate_rear", -0.25, 0.25, low + 0.3, low + 0.41),
    ]
    front: list[_Face] = [
        ("bumper", -wide, wide, low + 0.02, low + 0.24),
        ("dark", -0.45, 0.45, low + 0.27, low + 0.38),
        ("dark", -0.4, 0.4, shoulder - 0.1, shoulder + 0.02),
        ("dark", -wide, wide, low + 0.02, low + 0.07),
        *lamps("front", 0.36, shoulder - 0.12, shoulder + 0.03),
        ("plate_front", -0.25, 0.25, low + 0.06, low + 0.16),
    ]
    for faces, z, back in ((rear, -0.01, True), (front, model.length + 0.01, False)):
        for face in faces:
            model.face(*face, z, back)


def add_vehicle(build: Builder, kind: str, x: float, z: float, heading: float, lights: bool = True) -> None:
    """A vehicle whose middle stands at (x, z), if there is room.

    Args:
        kind: a key of `pixalign.streets.vehicles.KINDS`.
        heading: in radians to the right; 0 drives away from the camera.
        lights: whether its lamps may be lit.
    """
    dice = build.dice
    points, roles, length = vehicle_model(kind)
    wide, long, tall = dice.uniform(0.95, 1.05), dice.uniform(0.93, 1.07), dice.uniform(0.95, 1.06)
    points = points * (wide, tall, long)
    cos, sin = math.cos(heading), math.sin(heading)
    half_wide, half_long = 0.5 * np.ptp(points[..., 0]), 0.5 * length * long
    reach_x, reach_z = abs(half_wide * cos) + abs(half_long * sin), abs(half_wide * sin) + abs(half_long * cos)
    if not build.free(x, z, reach_x, reach_z):
        return
    turned = np.empty_like(points)
    turned[..., 0] = x + points[..., 0] * cos + points[..., 2] * sin
    turned[..., 1] = points[..., 1]
    turned[..., 2] = z - points[..., 0] * sin + points[..., 2] * cos
    body = build.paint(PAINTS, 0.15)
    if kind == "bus":
        body = build.paint(((40, 80, 150), (170, 36, 40), (210, 206, 196), (60, 110, 80)), 0.2)
    elif kind in ("van", "truck") and dice.random() < 0.6:
        body = varied(dice, (210, 212, 212), 0.1)
    tail_on = build.night > 0 and dice.random() < 0.8
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
        "front": (front, "flat", 0.8 if build.night and lights and dice.random() < 0.6 else 0),
        "plate_rear": ((226, 196, 60), "flat", 0),
        "plate_front": ((226, 226, 220), "flat", 0),
        "bumper": (scaled(body, 0.85) if dice.random() < 0.6 else (56, 57, 60), "flat", 0),
        "trim": ((210, 206, 196), "letters", 0),
    }
    textures = {name: build.texture(kind) for name, (_, kind, _) in palette.items()}
    # far orders whole vehicles by their middle; within one the order of the parts stands
    colors, lit = [palette[r][0] for r in roles], [palette[r][2] for r in roles]
    build.polygons(turned, colors, CAR, z, [textures[r] for r in roles], lit, cull=True)
    build.contact(x - reach_x * 1.04, x + reach_x * 1.04, z - reach_z * 1.06, z + reach_z)
    left, right, near, far = x - reach_x, x + reach_x, z - reach_z, z + reach_z
    for wall in ((left, right, near, near), (left, left, near, far), (right, right, near, far)):
        build.cast(*wall, float(points[..., 1].max()) * 0.8)
    seen, color = ("rear", (200, 30, 20)) if cos > 0 else ("front", (200, 195, 175))
    if lights and palette[seen][2]:
        for polygon in turned[[role == seen for role in roles]]:
            px, py, pz = polygon.mean(0).tolist()
            build.glow((px, py, pz - 0.05), 0.22, color)
