"""Models of the vehicles in drawn streets: a side view with a width, made into outward polygons.

Measures in meters are our choice, after common cars, vans, lorries and buses.
"""

import functools
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pixalign.streets.render import Point

# Side views: (along from the rear, up) of the body below the windows, then of the cabin; widths and other measures.
KINDS: dict[str, dict[str, Any]] = {
    "hatch": {
        "body": ((0, 0.3), (3.9, 0.28), (3.95, 0.55), (3.85, 0.74), (2.95, 0.95), (0.12, 0.98), (0, 0.7)),
        "cabin": ((0.1, 0.96), (3.0, 0.94), (2.25, 1.43), (0.95, 1.47), (0.45, 1.4)),
        "wide": 1.68, "wheels": (0.7, 3.15),
    },
    "saloon": {
        "body": ((0, 0.3), (4.4, 0.28), (4.45, 0.55), (4.35, 0.74), (3.3, 0.93), (0.15, 0.98), (0, 0.7)),
        "cabin": ((0.7, 0.96), (3.4, 0.93), (2.6, 1.4), (1.5, 1.42)), "wide": 1.74, "wheels": (0.85, 3.55),
    },
    "estate": {
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
    "lorry": {
        "body": ((0, 0.5), (7.0, 0.48), (7.1, 0.8), (7.05, 1.4), (0.0, 1.2)),
        "cabin": ((0.0, 1.18), (7.05, 1.38), (6.9, 2.5), (5.6, 3.2), (0.0, 3.3)), "wide": 2.3, "wheels": (1.6, 5.9),
    },
    "bus": {
        "body": ((0, 0.4), (9.9, 0.38), (10.0, 0.7), (10.0, 1.3), (0.0, 1.3)),
        "cabin": ((0.0, 1.28), (10.0, 1.28), (9.9, 2.9), (9.6, 3.05), (0.1, 3.05)), "wide": 2.45, "wheels": (2.2, 7.6),
    },
}  # fmt: skip


@functools.cache
def vehicle_model(kind: str) -> tuple[np.ndarray, list[str], float]:
    """Outward polygons (N, 8, 3) of a vehicle around its middle, driving towards +z, what each is, and its length."""
    spec = KINDS[kind]
    body, cabin, wide, wheels = spec["body"], spec["cabin"], spec["wide"] / 2, spec["wheels"]
    length = max(a for a, _ in body)
    polygons: list[list[Point]] = []
    roles: list[str] = []
    boxy = kind in ("van", "lorry", "bus")
    inset = 0.03 if boxy else 0.17  # the cabin narrows towards the roof

    def add(role: str, corners: list[Point]) -> None:
        polygons.append(
            [(a, b, c - length / 2) for a, b, c in corners]
            + [(corners[-1][0], corners[-1][1], corners[-1][2] - length / 2)] * (8 - len(corners))
        )
        roles.append(role)

    def both_sides(role: str, corners: Sequence[tuple[float, float]], x: Sequence[float]) -> None:
        """The same side view on the right (x > 0) and mirrored on the left."""
        add(role, [(h, up, along) for h, (along, up) in zip(x, corners)])
        add(role, [(-h, up, along) for h, (along, up) in zip(x, corners)][::-1])

    def strip(role: str, a: tuple[float, float], b: tuple[float, float], xa: float, xb: float) -> None:
        add(role, [(-xa, a[1], a[0]), (xa, a[1], a[0]), (xb, b[1], b[0]), (-xb, b[1], b[0])][::-1])

    low = min(up for _, up in body)
    for along in wheels:
        for side in (-1, 1):
            x0, x1 = sorted((side * wide * 0.97, side * (wide - 0.22)))
            for end in (-0.3, 0.3):
                corners: list[Point] = [
                    (x0, 0.0, along + end),
                    (x1, 0.0, along + end),
                    (x1, 0.5, along + end),
                    (x0, 0.5, along + end),
                ]
                add("tire", corners if end < 0 else corners[::-1])
    add("dark", [(-wide * 0.9, 0.18, 0.1), (wide * 0.9, 0.18, 0.1), (wide * 0.9, 0.5, 0.1), (-wide * 0.9, 0.5, 0.1)])
    add("dark", [(-wide * 0.9, 0.18, length - 0.1), (wide * 0.9, 0.18, length - 0.1), (wide * 0.9, 0.5, length - 0.1),
                 (-wide * 0.9, 0.5, length - 0.1)][::-1])  # fmt: skip
    both_sides("body", body, [wide] * len(body))
    for a, b in pairwise((*body[1:], body[0])):
        strip("roof" if abs(b[0] - a[0]) > 2 * abs(b[1] - a[1]) else "body", a, b, wide, wide)
    top = max(up for _, up in cabin)
    base = min(up for _, up in cabin)

    def narrow(up: float) -> float:
        return wide - 0.02 - inset * (up - base) / (top - base)

    both_sides("body", cabin, [narrow(up) for _, up in cabin])
    for a, b in pairwise((*cabin[1:], cabin[0])):
        strip("roof" if abs(b[0] - a[0]) > 2 * abs(b[1] - a[1]) else "body", a, b, narrow(a[1]), narrow(b[1]))
        if abs(b[1] - a[1]) > 0.25 and not (kind == "lorry" and b == cabin[0]):  # front and rear windows
            cut = 0.1
            p = (a[0] + cut * (b[0] - a[0]), a[1] + cut * (b[1] - a[1]))
            q = (b[0] + cut * (a[0] - b[0]), b[1] + cut * (a[1] - b[1]))
            if b == cabin[0] and boxy:
                q = (q[0], q[1] + 0.3 * (top - base))
            strip("glass", p, q, narrow(p[1]) - 0.1, narrow(q[1]) - 0.1)
    front_pillar = cabin[1][0]
    windows = []
    low_edge, high_edge = base + 0.07, top - 0.1
    slope = (cabin[2][0] - cabin[1][0]) / (cabin[2][1] - cabin[1][1])

    def front_at(up: float) -> float:
        return front_pillar + slope * (up - cabin[1][1]) - 0.12

    if kind == "bus":
        edges = np.linspace(0.3, length - 0.4, 8)
        windows = [
            (
                (a + 0.06, low_edge + 0.1),
                (b - 0.06, low_edge + 0.1),
                (b - 0.06, high_edge - 0.3),
                (a + 0.06, high_edge - 0.3),
            )
            for a, b in pairwise(edges)
        ]
    elif boxy:
        back = front_at(low_edge) - 1.0
        high_edge = min(high_edge, base + 0.75)
        windows = [
            ((back, low_edge), (front_at(low_edge), low_edge), (front_at(high_edge), high_edge), (back, high_edge))
        ]
    else:
        middle = 0.5 * (cabin[2][0] + cabin[-2][0]) + 0.15
        rear_low, rear_high = cabin[0][0] + 0.3, cabin[-1][0] + 0.22
        windows = [
            (
                (middle + 0.05, low_edge),
                (front_at(low_edge), low_edge),
                (front_at(high_edge), high_edge),
                (middle + 0.05, high_edge),
            ),
            ((rear_low, low_edge), (middle - 0.05, low_edge), (middle - 0.05, high_edge), (rear_high, high_edge)),
        ]
    for window in windows:
        both_sides("glass", window, [narrow(up) + 0.005 for _, up in window])
    if kind == "lorry":
        both_sides("trim", ((0.3, 1.4), (5.2, 1.4), (5.2, 3.0), (0.3, 3.0)), [wide] * 4)
    size = 0.31 if not boxy else 0.38
    for along in wheels:
        for role, radius, start in (("tire", size, 0.0), ("tire", size, np.pi / 8), ("hub", 0.58 * size, 0.0)):
            turns = (np.arange(8) * (np.pi / 4) + start).tolist()
            ring = [(along + radius * math.cos(t), size + radius * math.sin(t)) for t in turns]
            both_sides(role, ring, [wide + 0.01] * 8)
    if not boxy:
        both_sides("dark", ((0.1, 0.62), (length - 0.2, 0.62), (length - 0.2, 0.66), (0.1, 0.66)), [wide + 0.005] * 4)
        both_sides("body", ((front_pillar - 0.75, base), (front_pillar - 0.5, base), (front_pillar - 0.52, base + 0.16),
                            (front_pillar - 0.75, base + 0.16)), [wide + 0.14] * 4)  # fmt: skip
    shoulder = min(up for along, up in body if up > 0.6)
    for end, lamp, plate in ((-0.01, "rear", "plate_rear"), (length + 0.01, "front", "plate_front")):

        def face(role: str, x0: float, x1: float, y0: float, y1: float, end: float = end) -> None:
            corners: list[Point] = [(x0, y0, end), (x1, y0, end), (x1, y1, end), (x0, y1, end)]
            add(role, corners if end < 0 else corners[::-1])

        face("bumper", -wide, wide, low + 0.02, low + 0.24)
        if end > 0:
            face("dark", -0.45, 0.45, low + 0.27, low + 0.38)
        if lamp == "rear":
            face("dark", -wide, wide, low + 0.02, low + 0.09)
            face("seam", -wide + 0.16, wide - 0.16, low + 0.25, low + 0.27)
            for x in (-wide + 0.15, wide - 0.17):
                face("seam", x, x + 0.02, low + 0.25, shoulder + 0.2)
        else:
            face("dark", -0.4, 0.4, shoulder - 0.1, shoulder + 0.02)
            face("dark", -wide, wide, low + 0.02, low + 0.07)
        for side in (-1, 1):
            x0, x1 = sorted((side * (wide - 0.02), side * (wide - (0.15 if lamp == "rear" else 0.36))))
            foot, top_edge = (low + 0.27, shoulder + 0.16) if lamp == "rear" else (shoulder - 0.12, shoulder + 0.03)
            face("lens", x0, x1, foot, top_edge)
            face(lamp, x0 + 0.02, x1 - 0.02, foot + 0.3 * (top_edge - foot), top_edge - 0.02)
        face(
            plate,
            -0.25,
            0.25,
            low + 0.3 if lamp == "rear" else low + 0.06,
            low + 0.41 if lamp == "rear" else low + 0.16,
        )
    return np.array(polygons, np.float64), roles, length
