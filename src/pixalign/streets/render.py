"""From the surfaces of a drawn street to an image and its label: one camera, one rule for coverage, one shading.

World: meters, x to the right, y up, z ahead of the camera, which stands at x = z = 0. Picture: v runs from 0 at the top
edge to 1 at the bottom edge, u is 0 in the middle column and has the same unit; so the camera is fixed by the height,
and a wider picture shows more of the street at both sides.

Coverage (the one rule): polygons are convex and painted from far to near, and a pixel belongs to the last one that
contains its center; a center on the upper or left edge counts as inside. Plants are silhouettes on a grid of their own,
and the cell that holds the center decides. All of it is float64, and a center (2i + 1) / 2h is the same number at every
size that has a pixel there, so sizes h and 3h agree exactly.

The picture is drawn on a grid of twice the size; where its four samples show different surfaces each is shaded and they
are averaged, elsewhere the pixel's center is shaded once. Surfaces are looked up in the textures through the inverse
of their projection. Colors are display values, so light multiplies and haze mixes them directly (our choice).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from pixalign.streets.cover import fill, paint_plant
from pixalign.streets.scene import NEAR, Camera, Light, Shapes
from pixalign.streets.shading import Shading, grain
from pixalign.streets.textures import TILE, Bank


@dataclass
class _Surfaces:
    """All surfaces in painter's order; index 0 is the sky."""

    outline: np.ndarray  # (N, 8, 2) float64, in the picture
    labels: np.ndarray  # (N,) int16
    shown: np.ndarray  # (N,) bool
    table: np.ndarray  # (18, N) float32: what shading needs of each
    stencils: list[tuple[int, str, int, bool]]  # order, kind, which, mirrored


def render(
    shapes: Shapes, camera: Camera, light: Light, size: tuple[int, int], bank: Bank, noise_at: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return image (H, W, 3) uint8 and label (H, W) uint8 of class ids and 255."""
    surfaces = _surfaces(shapes, camera, light, size[0])
    rows, columns = _centers(*size)
    labeled = surfaces.labels >= 0
    order = _cover(surfaces, labeled, rows, columns, bank, label=True)
    label = surfaces.labels[order].astype(np.uint8)

    fine = _cover(surfaces, surfaces.shown, *_centers(2 * size[0], 2 * size[1]), bank, label=False)
    samples = [fine[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    mixed = np.flatnonzero((samples[0] != samples[1]) | (samples[0] != samples[2]) | (samples[0] != samples[3]))
    shade = _shadows(shapes, camera, light, rows, columns).ravel()
    u = np.tile(columns.astype(np.float32), size[0])
    v = np.repeat(rows.astype(np.float32), size[1])
    shading = Shading(surfaces.table, camera, light, bank)
    pixels = shading(samples[0].ravel(), u, v, shade, noise_at)
    u, v, shade = u[mixed], v[mixed], shade[mixed]
    step = np.float32(0.25 / size[0])
    four = np.zeros((3, len(mixed)), np.float32)
    for sample, (down, across) in zip(samples, ((-1, -1), (-1, 1), (1, -1), (1, 1))):
        four += shading(sample.ravel()[mixed], u + across * step, v + down * step, shade, noise_at)
    pixels[:, mixed] = four / 4
    pixels = pixels.reshape(3, *size)
    _glow(pixels, shapes, camera, surfaces.table, samples[0], rows, columns)
    return _finish(pixels, camera, light, bank, noise_at), label


def _centers(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel centers, v of each row and u of each column: quotients of integers, so that sizes agree."""
    return (2 * np.arange(height) + 1) / (2 * height), (2 * np.arange(width) + 1 - width) / (2 * height)


def _surfaces(shapes: Shapes, camera: Camera, light: Light, height: int) -> _Surfaces:
    """Join, order, clip, project and light all that was added."""
    quads = np.array(shapes.quads, np.float64).reshape(-1, 23)
    count = len(quads)
    stencils = shapes.stencils
    starts = np.cumsum([count, *(len(batch[0]) for batch in shapes.batches)]).tolist()
    first_stencil = starts[-1]
    total = first_stencil + len(stencils)
    points = np.empty((total, 8, 3))
    points[:count, :4] = quads[:, :12].reshape(-1, 4, 3)
    points[:count, 4:] = points[:count, 3:4]
    color, far, texture = np.empty((total, 3)), np.empty(total), np.empty(total)
    labels, lit, tiles = np.empty(total), np.zeros(total), np.zeros((total, 2))
    ground, shown, cull = np.zeros(total), np.ones(total, bool), np.zeros(total, bool)
    color[:count], labels[:count], far[:count], texture[:count] = quads[:, 12:15], *quads[:, 15:18].T
    tiles[:count], lit[:count], ground[:count], shown[:count] = quads[:, 18:20], *quads[:, 20:22].T, quads[:, 22] > 0
    for batch, at in zip(shapes.batches, starts):
        n, k = batch[0].shape[:2]
        part = slice(at, at + n)
        points[part, :k], points[part, k:] = batch[0], batch[0][:, k - 1 : k]
        color[part], labels[part], far[part], texture[part], lit[part], cull[part] = batch[1:]
    for i, (_, _, (x, y, z), wide, high, own, label, which) in enumerate(stencils, first_stencil):
        half = abs(wide) / 2
        corners = ((x - half, y, z), (x + half, y, z), (x + half, y + high, z), (x - half, y + high, z))
        points[i, :4], points[i, 4:] = corners, corners[3]
        color[i], labels[i], far[i], texture[i] = own, label, z, which

    points[..., 0] += camera.bend * points[..., 2] ** 2
    points[..., 1] -= camera.height
    kept = points[..., 2].max(1) > NEAR
    crossing = np.flatnonzero(kept & (points[..., 2].min(1) < NEAR)).tolist()
    origin = points.copy()  # textures stay where they are when the polygon is clipped
    for i in crossing:
        clipped = _clip(points[i])
        points[i, : len(clipped)], points[i, len(clipped) :] = clipped, clipped[-1]
    depth = np.maximum(points[..., 2], NEAR)
    outline = np.stack(
        [camera.center[0] + camera.focal * points[..., 0] / depth,
         camera.center[1] - camera.focal * points[..., 1] / depth], -1)  # fmt: skip
    edge = np.roll(outline, -1, 1)
    area = (outline[..., 0] * edge[..., 1] - edge[..., 0] * outline[..., 1]).sum(1)
    kept &= ~cull | (area < 0)
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.argsort(-far[chosen], kind="stable")]

    table = np.zeros((18, len(chosen) + 1), np.float32)
    table[:, 1:] = _table(
        origin[chosen],
        tiles[chosen],
        color[chosen],
        lit[chosen],
        texture[chosen],
        ground[chosen],
        camera,
        light,
        height,
        shapes.shelter,
    )
    table[8, 0] = 1
    place = np.zeros(total, np.int64)
    place[chosen] = np.arange(1, len(chosen) + 1)
    planted = [
        (int(place[i]), kind, which, wide < 0)
        for i, (kind, which, _, wide, *_) in enumerate(stencils, first_stencil)
        if kept[i]
    ]
    sky = np.zeros((1, 8, 2))
    return _Surfaces(
        np.concatenate([sky, outline[chosen]]),
        np.concatenate([[0], labels[chosen]]).astype(np.int16),
        np.concatenate([[True], shown[chosen]]),
        table,
        planted,
    )


def _clip(points: np.ndarray) -> np.ndarray:
    """The part of a convex polygon beyond `NEAR` (a quad, whose clipped corners fit into 8)."""
    corners = [tuple(p) for p in points.tolist()]
    result: list[tuple[float, ...]] = []
    for a, b in zip(corners, corners[1:] + corners[:1]):
        if a[2] >= NEAR:
            result.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            share = (NEAR - a[2]) / (b[2] - a[2])
            result.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), NEAR))
    distinct = [p for i, p in enumerate(result) if i == 0 or p != result[i - 1]]
    return np.array(distinct[:8])


def _table(
    points: np.ndarray, tiles: np.ndarray, color: np.ndarray, lit: np.ndarray, texture: np.ndarray, ground: np.ndarray,
    camera: Camera, light: Light, height: int, shelter: tuple[float, float] | None,
) -> np.ndarray:  # fmt: skip
    """What shading needs: a column for each surface.

    Rows 0 to 8: s, t and 1 / depth from (u, v, 1); 9: level; 10: texture; 11 to 13: color; 14: light; 15: ground; 16:
    the height below which it is in shadow; 17: how much darker it is there.
    """
    count = len(points)
    laid = tiles[:, 0] > 0
    a = points[:, 0]
    s_axis, t_axis = np.tile([2.0, 0, 0], (count, 1)), np.tile([0, 2.0, 0], (count, 1))
    s_axis[laid] = (points[laid, 1] - a[laid]) / tiles[laid, :1]
    t_axis[laid] = (points[laid, 3] - a[laid]) / tiles[laid, 1:]
    rows = np.stack([_cross(t_axis, a), _cross(a, s_axis), _cross(s_axis, t_axis)])  # (3, N, 3)
    determinant = (rows[2] * a).sum(-1)
    determinant = np.where(np.abs(determinant) < 1e-9, 1e-9, determinant)
    rows /= determinant[:, None]
    rows[..., :2] *= (1 / camera.focal, -1 / camera.focal)  # of u, v and 1 in place of the ray (x, y, 1)
    rows[..., 2] -= rows[..., 0] * camera.center[0] + rows[..., 1] * camera.center[1]

    normal = _cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    length = np.sqrt((normal**2).sum(1)) + 1e-9
    normal /= length[:, None]
    facing = (normal * points[:, 0]).sum(1)
    normal *= -np.where(facing == 0, 1, np.sign(facing))[:, None]
    sunny = np.maximum(normal @ np.array(light.sun_from), 0)
    above = 0.5 + 0.5 * normal[:, 1:2]
    dim = np.array(light.around) * (1 - above) + np.array(light.above) * above
    gain = dim + np.array(light.sun) * sunny[:, None]
    lost = np.where((lit > 0) | (ground > 0), 0, 1 - dim.mean(1) / gain.mean(1))
    gain = np.where(lit[:, None] > 0, lit[:, None], gain)

    meters = np.sqrt(np.sqrt((s_axis**2).sum(1)) * np.sqrt((t_axis**2).sum(1)))
    plane = np.abs((_cross(s_axis, t_axis) * a).sum(1)) / np.maximum((meters**2), 1e-9)
    level = np.log2(TILE / (meters * camera.focal * height)) - 0.5 * np.log2(np.maximum(plane, 0.05))
    level = np.where(laid, level, np.log2(TILE / (2 * camera.focal * height)))
    slant = np.where(laid, 1.5, 1.0)
    table = np.zeros((18, count))
    table[:9] = rows.transpose(0, 2, 1).reshape(9, count)
    table[9], table[10], table[11:14] = level - 0.3, texture, (color * gain).T
    table[14], table[15] = gain.mean(1), ground + 2 * (slant > 1)
    if shelter and light.sun[0] and shelter[0] * light.sun_from[0] > 0:
        across = np.abs(points[..., 0].mean(1) - camera.bend * points[..., 2].mean(1) ** 2 - shelter[0])
        slope = light.sun_from[1] / abs(light.sun_from[0])
        table[16], table[17] = shelter[1] - camera.height - slope * across, lost
    return table


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack(
        [a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1], a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
         a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]], -1)  # fmt: skip


def _cover(
    surfaces: _Surfaces, wanted: np.ndarray, rows: np.ndarray, columns: np.ndarray, bank: Bank, label: bool
) -> np.ndarray:
    """The last surface at every center, (H, W) uint16."""
    plants = {order for order, *_ in surfaces.stencils}
    solid = wanted.copy()
    solid[[0, *plants]] = False
    orders = np.flatnonzero(solid)
    cover = fill(surfaces.outline[orders], orders.astype(np.uint16), rows, columns)
    for order, kind, which, mirrored in surfaces.stencils:
        if wanted[order]:
            mask = bank.stencils[kind][which][0 if label else 1]
            paint_plant(cover, surfaces.outline[order], order, mask, mirrored, rows, columns)
    return cover


def _shadows(shapes: Shapes, camera: Camera, light: Light, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What remains of the light on the ground, (H, W) float32."""
    if not shapes.shadows:
        return np.ones((len(rows), len(columns)), np.float32)
    data = np.array(shapes.shadows, np.float64)
    points = data[:, :12].reshape(-1, 4, 3)
    points[..., 0] += camera.bend * points[..., 2] ** 2
    points[..., 1] -= camera.height
    contact = data[:, 12] > 0
    padded = np.concatenate([points, np.repeat(points[:, 3:], 4, 1)], 1)
    kept = padded[..., 2].max(1) > NEAR
    padded, contact = padded[kept], contact[kept]
    for i in np.flatnonzero(padded[..., 2].min(1) < NEAR):
        clipped = _clip(padded[i])
        padded[i, : len(clipped)], padded[i, len(clipped) :] = clipped, clipped[-1]
    outline = np.stack(
        [camera.center[0] + camera.focal * padded[..., 0] / padded[..., 2],
         camera.center[1] - camera.focal * padded[..., 1] / padded[..., 2]], -1)  # fmt: skip
    kinds = []
    for chosen, factor in ((~contact, light.shadow), (contact, light.contact)):
        cover = fill(outline[chosen], np.ones(int(chosen.sum()), np.uint16), rows, columns) if chosen.any() else None
        if cover is not None:
            soft = uniform_filter(cover.astype(np.float32), max(3, round(len(rows) / 90)))
            kinds.append(1 - np.float32(1 - factor) * soft)
    return kinds[0] if len(kinds) == 1 else kinds[0] * kinds[1]


def _glow(
    pixels: np.ndarray, shapes: Shapes, camera: Camera, table: np.ndarray, cover: np.ndarray, rows: np.ndarray,
    columns: np.ndarray,
) -> None:  # fmt: skip
    """Add the light around lamps that nothing hides to the picture (3, H, W)."""
    for (x, y, z), radius, color in shapes.glows:
        if z < NEAR:
            continue
        u = camera.center[0] + camera.focal * (x + camera.bend * z * z) / z
        v = camera.center[1] - camera.focal * (y - camera.height) / z
        row, column = np.searchsorted(rows, v), np.searchsorted(columns, u)
        if row == len(rows) or column == len(columns):
            continue
        inverse = table[6:9, cover[row, column]] @ (u, v, 1)
        if cover[row, column] and inverse > 1.1 / z:
            continue
        reach = max(camera.focal * radius / z, 0.006)
        r0, r1 = np.searchsorted(rows, (v - 3 * reach, v + 3 * reach))
        c0, c1 = np.searchsorted(columns, (u - 3 * reach, u + 3 * reach))
        fall = np.exp(-((((rows[r0:r1] - v) / reach) ** 2)[:, None] + ((columns[c0:c1] - u) / reach) ** 2))
        pixels[:, r0:r1, c0:c1] += np.array(color, np.float32)[:, None, None] * fall.astype(np.float32)


def _finish(pixels: np.ndarray, camera: Camera, light: Light, bank: Bank, noise_at: int) -> np.ndarray:
    """Blur, vignette, contrast and noise of the camera; (3, H, W) float32 to (H, W, 3) uint8."""
    _, height, width = pixels.shape
    rows, columns = _centers(height, width)
    blur = camera.blur * height / 360
    if blur > 0.8:
        pixels = np.stack([gaussian_filter(plane, blur) for plane in pixels])
    else:
        side = np.float32(np.exp(-0.5 / max(blur, 0.2) ** 2))
        side /= 1 + 2 * side
        middle = 1 - 2 * side
        pixels[:, 1:-1] = middle * pixels[:, 1:-1] + side * (pixels[:, :-2] + pixels[:, 2:])
        pixels[:, :, 1:-1] = middle * pixels[:, :, 1:-1] + side * (pixels[:, :, :-2] + pixels[:, :, 2:])
    dark = 1 - np.float32(camera.vignette) * (
        ((rows - 0.5) ** 2)[:, None] + np.minimum(columns, 1.5) ** 2
    ).astype(np.float32)  # fmt: skip
    pixels *= dark * np.float32(1 + camera.contrast)
    pixels -= np.float32(camera.contrast * 70 * light.around[1])
    gray = (pixels[0] + pixels[1] + pixels[2]) * np.float32((1 - camera.saturation) / 3)
    pixels *= np.float32(camera.saturation)
    pixels += gray
    image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    image += grain(bank, noise_at + 5000, image.size).reshape(image.shape) * np.float32(light.noise)
    return image.clip(0, 255).astype(np.uint8)
