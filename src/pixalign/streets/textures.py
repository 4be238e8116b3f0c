"""Surfaces and foliage of the drawn streets, made once per process from a fixed seed.

A texture is a square that repeats. Each texel holds four bytes: how much of the surface's own color shows (128 = all
of it) and an RGB color that is added, so that one texture of windows serves walls of any color. Levels of half the
size each follow one another in memory. A stencil is the silhouette of a tree or bush on a grid of its own: what its
label covers, and what is seen of it (a bare crown is labeled whole, as CamVid does, and seen twig by twig).

All of it is our choice; the noise is white noise filtered to a power-law spectrum, which makes it repeat seamlessly.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

TILE = 256  # texels along a side of a texture
LEVELS = 9
STENCIL = 640  # cells along a side of a stencil
_OFFSETS = np.cumsum([0] + [(TILE >> level) ** 2 for level in range(LEVELS)])
LEVEL_OFFSET = _OFFSETS[:-1].astype(np.int32)
TEXELS = int(_OFFSETS[-1])  # of one texture with its levels

RGB = tuple[float, float, float]
_DARK_GLASS: RGB = (24, 28, 33)
_FRAME: RGB = (226, 225, 220)


@dataclass
class Bank:
    """Every texture and stencil.

    Attributes:
        texels: (textures * TEXELS,) uint32, the four bytes of each texel.
        kinds: name of a kind of texture -> the indices of its textures.
        stencils: kind of plant -> list of (label, shown), each (STENCIL, STENCIL) uint8 of 0 and 1, top row first.
        clouds: (N, TILE, TILE) float32, of zero mean and unit deviation.
        noise: (M,) float32 of unit deviation, as sensor noise.
    """

    texels: np.ndarray
    kinds: dict[str, range]
    stencils: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    clouds: np.ndarray
    noise: np.ndarray


@functools.cache
def bank() -> Bank:
    """Return the textures and stencils, the same in every process."""
    rng, dice = np.random.default_rng(11), Random(11)
    makers: dict[str, tuple[int, Callable[[np.random.Generator], np.ndarray]]] = {
        "flat": (1, lambda rng: _wall(1 + 0.05 * _noise(rng, 1.0))),
        "asphalt": (4, _asphalt),
        "paving": (3, _paving),
        "brick": (3, lambda rng: _wall(_bricks(rng, 26, 9))),
        "stucco": (2, lambda rng: _wall(_stucco(rng))),
        "facade": (24, _facade),
        "story": (8, _story),
        "shop": (14, _shop),
        "office": (6, _office),
        "slate": (3, _slate),
        "leaves": (4, _leaves),
        "bark": (2, lambda rng: _wall(1 + 0.25 * _noise(rng, 0.7))),
        "cloth": (3, lambda rng: _wall(1 + 0.2 * _noise(rng, 1.8) + 0.06 * _noise(rng, 0))),
        "paint": (4, _paint),
        "glass": (4, _glass),
        "letters": (6, _letters),
        "skyline": (2, lambda rng: _wall(1 + 0.3 * _noise(rng, 1.2))),
    }
    kinds: dict[str, range] = {}
    tiles: list[np.ndarray] = []
    for name, (count, make) in makers.items():
        kinds[name] = range(len(tiles), len(tiles) + count)
        tiles.extend(make(rng) for _ in range(count))
    stencils = {
        "bare": [_bare(dice, rng) for _ in range(10)],
        "leafy": [_leafy(rng, dice, 0.5) for _ in range(6)],
        "fir": [_leafy(rng, dice, 0.0) for _ in range(3)],
        "bush": [_leafy(rng, dice, 1.0) for _ in range(5)],
    }
    return Bank(
        np.concatenate([_levels(tile) for tile in tiles]),
        kinds,
        stencils,
        np.stack([_noise(rng, beta) for beta in (1.5, 1.7, 1.9, 1.6, 1.8, 2.1)]).astype(np.float32),
        rng.normal(0, 1, 1 << 21).astype(np.float32),
    )


def _levels(tile: np.ndarray) -> np.ndarray:
    """All levels of a float texture (TILE, TILE, 4), encoded."""
    encoded = []
    while True:
        texels = tile * (128, 1, 1, 1) + 0.5
        encoded.append(np.ascontiguousarray(texels.clip(0, 255).astype(np.uint8)).view(np.uint32).ravel())
        if len(tile) == 1:
            return np.concatenate(encoded)
        tile = (tile[::2, ::2] + tile[1::2, ::2] + tile[::2, 1::2] + tile[1::2, 1::2]) / 4


def _noise(rng: np.random.Generator, beta: float, stretch: float = 1.0) -> np.ndarray:
    """Seamless noise (TILE, TILE) of zero mean and unit deviation, its amplitude falling as frequency^-beta."""
    fy, fx = np.fft.fftfreq(TILE)[:, None] * TILE, np.fft.rfftfreq(TILE) * TILE * stretch
    amplitude = np.maximum(np.hypot(fy, fx), 1.0) ** -beta
    amplitude[0, 0] = 0
    spectrum = np.fft.rfft2(rng.normal(0, 1, (TILE, TILE))) * amplitude
    values = np.fft.irfft2(spectrum, s=(TILE, TILE))
    return values / values.std()


def _wall(own: np.ndarray) -> np.ndarray:
    tile = np.zeros((TILE, TILE, 4))
    tile[..., 0] = own
    return tile


def _box(tile: np.ndarray, x: tuple[float, float], y: tuple[float, float], own: float, added: RGB = (0, 0, 0)) -> None:
    """Fill a rectangle given in shares of the texture, y upwards from its foot."""
    left, right = (round(a * TILE) for a in x)
    low, high = (round(a * TILE) for a in y)
    tile[max(low, 0) : high, max(left, 0) : right] = (own, *added)


def _bricks(rng: np.random.Generator, courses: int, along: int) -> np.ndarray:
    y, x = np.mgrid[0:TILE, 0:TILE] / TILE
    course = np.floor(y * courses).astype(int)
    brick = np.floor(x * along + 0.5 * (course % 2)).astype(int) % along
    own = 1 + 0.11 * rng.normal(0, 1, (courses, along))[course, brick] + 0.08 * _noise(rng, 1.0)
    joint = ((y * courses) % 1 < 0.16) | ((x * along + 0.5 * (course % 2)) % 1 < 0.05)
    return np.where(joint, 0.86 + 0.05 * rng.normal(0, 1, own.shape), own)


def _stucco(rng: np.random.Generator) -> np.ndarray:
    return 1 + 0.06 * _noise(rng, 1.4) + 0.03 * _noise(rng, 0)


def _stone(rng: np.random.Generator) -> np.ndarray:
    return 0.5 + 0.5 * _bricks(rng, 12, 5) + 0.07 * _noise(rng, 0.8)


def _asphalt(rng: np.random.Generator) -> np.ndarray:
    own = 1 + 0.08 * _noise(rng, 0) + 0.04 * _noise(rng, 0.9) + 0.06 * _noise(rng, 1.6)
    veins = _noise(rng, 1.7)
    own[(np.abs(veins - rng.uniform(-1, 1)) < 0.012) & (_noise(rng, 2.0) > 0.3)] *= 0.7
    for _ in range(rng.integers(0, 3)):  # patches laid later
        y, x, h, w = rng.integers(20, 200, 2).tolist() + rng.integers(20, 90, 2).tolist()
        own[y : y + h, x : x + w] *= rng.uniform(0.84, 1.1)
    return _wall(own)


def _paving(rng: np.random.Generator) -> np.ndarray:
    rows, along = int(rng.integers(3, 8)), int(rng.integers(3, 7))
    y, x = np.mgrid[0:TILE, 0:TILE] / TILE
    row = np.floor(y * rows).astype(int)
    shift = 0.5 * (row % 2)
    slab = np.floor(x * along + shift).astype(int) % along
    own = 1 + 0.07 * rng.normal(0, 1, (rows, along))[row, slab] + 0.05 * _noise(rng, 0) + 0.07 * _noise(rng, 1.5)
    own[((y * rows) % 1 < 0.05) | ((x * along + shift) % 1 < 0.04)] *= 0.74
    return _wall(own)


def _surface(rng: np.random.Generator) -> np.ndarray:
    kind = rng.random()
    if kind < 0.5:
        return _wall(_bricks(rng, 72, 22))
    return _wall(_stucco(rng) if kind < 0.8 else _stone(rng))


def _window(
    tile: np.ndarray, rng: np.random.Generator, x: tuple[float, float], y: tuple[float, float], bars: tuple[int, int]
) -> None:
    """A window with its frame: glass that mirrors some sky above, curtains or darkness behind."""
    (x0, x1), (y0, y1) = x, y
    frame = _FRAME if rng.random() < 0.75 else (60, 54, 50)
    wide = 0.012
    _box(tile, (x0 - wide, x1 + wide), (y0 - wide, y1 + wide), 0, frame)
    shine = rng.uniform(0.5, 2.0) if rng.random() < 0.75 else rng.uniform(3, 6)  # the sky in it
    r, g, b = (shine * c for c in _DARK_GLASS)
    _box(tile, x, y, 0, (r, g, b))
    if rng.random() < 0.5:  # a blind or curtain
        tone = rng.uniform(90, 190)
        _box(tile, x, (y0 + (y1 - y0) * rng.uniform(0.2, 0.8), y1), 0, (tone, tone * 0.98, tone * 0.92))
    if rng.random() < 0.5:
        _box(tile, x, (y0 + 0.6 * (y1 - y0), y1), 0, (1.5 * r, 1.5 * g, 1.55 * b))
    for k in range(1, bars[0]):
        at = x0 + (x1 - x0) * k / bars[0]
        _box(tile, (at - 0.006, at + 0.006), y, 0, frame)
    for k in range(1, bars[1]):
        at = y0 + (y1 - y0) * k / bars[1]
        _box(tile, x, (at - 0.006, at + 0.006), 0, frame)


def _facade(rng: np.random.Generator) -> np.ndarray:
    """Two windows across and two stories, about 5 m by 6 m."""
    tile = _surface(rng)
    half = rng.uniform(0.08, 0.17)
    foot, high = rng.uniform(0.1, 0.16), rng.uniform(0.22, 0.32)
    bars = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    surround, sill = rng.random(), rng.random()
    for story in (0, 0.5):
        for middle in (0.25, 0.75):
            x, y = (middle - half, middle + half), (story + foot, story + foot + high)
            if surround < 0.5:
                _box(tile, (x[0] - 0.03, x[1] + 0.03), (y[0] - 0.03, y[1] + 0.035), 1.22)
            if sill < 0.6:
                _box(tile, (x[0] - 0.03, x[1] + 0.03), (y[0] - 0.035, y[0]), 0.5, (92, 90, 86))
                _box(tile, (x[0] - 0.03, x[1] + 0.03), (y[0] - 0.045, y[0] - 0.035), 0.6)
            if sill > 0.3:
                _box(tile, (x[0] - 0.02, x[1] + 0.02), (y[1], y[1] + 0.03), 1.12)
            _window(tile, rng, x, y, bars)
            _box(tile, (x[0], x[1]), (y[1] - 0.012, y[1]), 0, (22, 23, 26))
    if rng.random() < 0.4:
        _box(tile, (0, 1), (0.475, 0.5), 1.25)
    if rng.random() < 0.4:
        at = rng.uniform(0, 0.03)
        _box(tile, (at, at + 0.018), (0, 1), 0.25, (12, 12, 13))
    return tile


def _story(rng: np.random.Generator) -> np.ndarray:
    """A ground floor: a door and one or two windows, about 5 m by 3 m."""
    tile = _surface(rng)
    tile[:10, :, 0] *= 0.75
    door = rng.uniform(0.02, 0.1)
    r, g, b = rng.choice([(30, 34, 60), (70, 20, 22), (26, 50, 36), (34, 32, 32), (150, 148, 140), (86, 60, 40)])
    _box(tile, (door - 0.015, door + 0.215), (0, 0.8), 0, _FRAME)
    _box(tile, (door, door + 0.2), (0, 0.7), 0, (r, g, b))
    _box(tile, (door + 0.01, door + 0.19), (0.71, 0.79), 0, _DARK_GLASS)
    wide = rng.uniform(0.2, 0.42)
    _box(tile, (0.68 - wide / 2 - 0.03, 0.68 + wide / 2 + 0.03), (0.26, 0.88), 1.2)
    _window(tile, rng, (0.68 - wide / 2, 0.68 + wide / 2), (0.3, 0.82), (int(rng.integers(1, 4)), 2))
    return tile


def _shop(rng: np.random.Generator) -> np.ndarray:
    """A shop window: dark inside with goods in it, reflections, a door."""
    tile = _wall(0.9 + 0.05 * _noise(rng, 0.5))
    riser, top, deep = rng.uniform(0.1, 0.28), rng.uniform(0.86, 0.96), rng.uniform(14, 40)
    _box(tile, (0.02, 0.98), (riser, top), 0, (deep, deep, deep + 3))
    inside = tile[round(riser * TILE) : round(top * TILE), 5:250, 1:]
    inside += (np.abs(_noise(rng, 1.3)) * rng.uniform(8, 26))[: inside.shape[0], :245, None]
    for _ in range(int(rng.integers(6, 26))):  # goods, posters
        x, y = rng.uniform(0.03, 0.93), rng.uniform(riser, top - 0.1)
        r, g, b = rng.uniform(30, 230) * rng.uniform(0.6, 1, 3)
        _box(tile, (x, x + rng.uniform(0.015, 0.07)), (y, min(y + rng.uniform(0.03, 0.2), top)), 0, (r, g, b))
    slant = (np.mgrid[0:TILE, 0:TILE] / TILE).sum(0) % 1
    tile[..., 1:] += ((slant > rng.uniform(0.2, 0.8)) & (tile[..., 0] == 0))[..., None] * rng.uniform(0, 30)
    if rng.random() < 0.5:
        _box(tile, (0.02, 0.98), (top - 0.14, top), 0, tuple(rng.uniform(70, 200) * rng.uniform(0.7, 1, 3)))
    for at in np.linspace(0.02, 0.98, int(rng.integers(2, 6))):
        _box(tile, (at - 0.014, at + 0.014), (0, top), 0.9)
    door = rng.uniform(0.1, 0.7)
    _box(tile, (door, door + 0.17), (0, top - 0.08), 0.8)
    _box(tile, (door + 0.02, door + 0.15), (0.08, top - 0.11), 0, (deep + 8, deep + 9, deep + 12))
    return tile


def _office(rng: np.random.Generator) -> np.ndarray:
    """Bands of glass between bands or ribs of concrete."""
    tile = _wall(_stucco(rng))
    ribs, rows = int(rng.integers(3, 9)), 2
    foot, high = rng.uniform(0.1, 0.18), rng.uniform(0.22, 0.34)
    for row in range(rows):
        y = (row / rows + foot, row / rows + foot + high)
        for k in range(ribs):
            shade = rng.uniform(0.6, 2.6)
            r, g, b = (shade * c for c in _DARK_GLASS)
            x = k / ribs
            _box(tile, (x + 0.008, x + 1 / ribs - 0.008), y, 0, (r, g, b))
            if rng.random() < 0.4:
                tone = rng.uniform(70, 170)
                _box(tile, (x + 0.01, x + 1 / ribs - 0.01), (y[1] - 0.12, y[1]), 0, (tone, tone, tone))
    if rng.random() < 0.5:
        for k in range(ribs):
            _box(tile, (k / ribs - 0.02, k / ribs + 0.02), (0, 1), 1.1)
    return tile


def _slate(rng: np.random.Generator) -> np.ndarray:
    own = _bricks(rng, 24, 18)
    y = (np.arange(TILE)[:, None] / TILE * 24) % 1
    return _wall(own * (0.85 + 0.25 * y) + 0.06 * _noise(rng, 1.6))


def _leaves(rng: np.random.Generator) -> np.ndarray:
    clumps, leaves = _noise(rng, 1.3), _noise(rng, 0.5)
    own = np.exp(0.42 * clumps + 0.34 * leaves)
    tile = _wall(own / own.mean())
    tile[..., 1:] = np.clip(leaves - 1.4, 0, None)[..., None] * np.array([26, 30, 14])
    return tile


def _paint(rng: np.random.Generator) -> np.ndarray:
    """Car paint: it mirrors the sky above its widest line and the road below."""
    y = np.arange(TILE)[:, None] / TILE
    line = rng.uniform(0.42, 0.55)
    own = np.where(y > line, 0.85 + 0.6 * (y - line), 0.9 - 0.9 * (line - y)) + 0.03 * _noise(rng, 1.8, 0.3)
    tile = _wall(own + 0 * y)
    tile[..., 1:] = (70 * np.exp(-(((y - line - 0.07) / 0.05) ** 2)) + 22 * (y > 0.75))[..., None]
    return tile


def _glass(rng: np.random.Generator) -> np.ndarray:
    y = np.arange(TILE)[:, None] / TILE
    shapes = _noise(rng, 1.6, 0.6)
    own = 0.45 + 0.9 * y + 0.9 * (shapes > rng.uniform(0, 1.6)) + 0.15 * shapes
    return _wall(own)


def _letters(rng: np.random.Generator) -> np.ndarray:
    """A board with a line or two of something like writing."""
    tile = _wall(1 + 0.03 * _noise(rng, 1.0))
    ink = rng.choice([(220, 218, 210), (216, 190, 70), (16, 16, 20), (200, 200, 205)])
    lines = int(rng.integers(1, 3))
    for line in range(lines):
        low, high = (line + 0.24) / lines, (line + 0.76) / lines
        x = rng.uniform(0.06, 0.3)
        while x < rng.uniform(0.6, 1.2) and x < 0.92:
            wide = rng.uniform(0.014, 0.035)
            if rng.random() < 0.86:
                for _ in range(3):
                    a, b = sorted(rng.uniform(low, high, 2))
                    at = x + rng.uniform(0, wide)
                    _box(tile, (at, at + 0.012), (low, high) if rng.random() < 0.5 else (a, b), 0, tuple(ink))
                _box(tile, (x, x + wide), (high - 0.07, high), 0, tuple(ink))
            x += wide + 0.016
    return tile


def _bare(dice: Random, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A tree without leaves, grown by forking; its label is the twigs and the gaps between them."""
    size = STENCIL
    wood = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(wood)
    spread = dice.uniform(0.3, 0.55)
    todo = [(0.5, 0.0, math.pi / 2, dice.uniform(0.17, 0.24), dice.uniform(0.012, 0.02), 0)]
    while todo:
        x, y, angle, length, thick, depth = todo.pop()
        bend = angle + dice.uniform(-0.12, 0.12)
        points = [(x, y)]
        for part in (angle, bend):
            x, y = x + 0.5 * length * math.cos(part), y + 0.5 * length * math.sin(part)
            points.append((x, y))
        line = [(a * size, (1 - b) * size) for a, b in points]
        draw.line(line, fill=255, width=max(round(2 * thick * size), 1))
        if depth >= 9 or not 0.02 < x < 0.98 or y > 0.98:
            continue
        forks = 3 if dice.random() < (0.8 if depth == 0 else 0.3) else 2
        for fork in range(forks):
            turn = spread * (fork - (forks - 1) / 2) * dice.uniform(0.7, 1.5) + dice.uniform(-0.15, 0.15)
            upward = 0.1 * math.sin(math.pi / 2 - bend)
            todo.append((x, y, bend + turn + upward, length * dice.uniform(0.66, 0.86), thick * 0.62, depth + 1))
    shown = np.asarray(wood) > 0
    near = gaussian_filter(shown.astype(np.float32), 7)
    ragged = np.kron(rng.random((STENCIL // 5, STENCIL // 5)), np.ones((5, 5)))
    label = near > 0.06 + 0.1 * ragged
    label[int(0.8 * STENCIL) :] = shown[int(0.8 * STENCIL) :]
    label |= shown
    return label.astype(np.uint8), shown.astype(np.uint8)


def _leafy(rng: np.random.Generator, dice: Random, roundness: float) -> tuple[np.ndarray, np.ndarray]:
    """A crown in leaf: a ragged outline, gaps near it, no trunk; roundness 0 is a fir, 1 a bush."""
    y, x = np.mgrid[0:STENCIL, 0:STENCIL] / STENCIL
    up = 1 - y
    noise = np.asarray(
        Image.fromarray((_noise(rng, 1.15) + 0.5 * _noise(rng, 0.4)).astype(np.float32)).resize((STENCIL, STENCIL))
    )
    if roundness == 0:
        radius = np.where(up > 0.08, 0.46 * (1 - up) ** 0.8, 0)
        inside = np.abs(x - 0.5) + 0.03 * noise < radius
    else:
        middle, tall = (0.62, 0.34) if roundness < 1 else (0.3, 0.6)
        field = ((x - 0.5) / 0.44) ** 2 + ((up - middle) / tall) ** 2
        for _ in range(7):
            cx, cy, r = dice.uniform(0.25, 0.75), middle + tall * dice.uniform(-0.6, 0.6), dice.uniform(0.12, 0.24)
            field = np.minimum(field, ((x - cx) ** 2 + (up - cy) ** 2) / r**2 * 0.8)
        inside = field + 0.24 * noise < 0.82
    mask = inside.astype(np.uint8)
    return mask, mask
