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

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from pixalign.streets.builder import SKY, Builder
from pixalign.streets.cover import fill, paint_plant
from pixalign.streets.scene import Camera, Light
from pixalign.streets.shading import Shading, grain
from pixalign.streets.textures import TILE, Bank

NEAR = 0.6  # meters; nothing nearer is drawn


def render(
    street: Builder, camera: Camera, light: Light, size: tuple[int, int], noise_at: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return image (H, W, 3) uint8 and label (H, W) uint8 of class ids and 255."""
    surfaces = street.surfaces()
    points, outline, kept = _project(surfaces["points"], camera)
    edge = np.roll(outline, -1, 1)
    area = (outline[..., 0] * edge[..., 1] - edge[..., 0] * outline[..., 1]).sum(1)
    chosen = np.flatnonzero(kept & ((surfaces["cull"] == 0) | (area < 0)))
    chosen = chosen[np.argsort(-surfaces["far"][chosen], kind="stable")]  # painter's order; 0 will be the sky
    table = _table(points[chosen], surfaces[chosen], camera, light, size[0], street.shelter)
    labels, shown = surfaces["label"][chosen], surfaces["shown"][chosen] > 0
    first = len(surfaces) - len(street.plants)
    plants = [(order, *street.plants[i - first]) for order, i in enumerate(chosen.tolist(), 1) if i >= first]
    outline = outline[chosen]

    rows, columns = _centers(*size)
    label = np.append(SKY, labels)[_cover(outline, labels >= 0, plants, rows, columns, street.bank, 0)].astype(np.uint8)
    fine = _cover(outline, shown, plants, *_centers(2 * size[0], 2 * size[1]), street.bank, 1)
    samples = [fine[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    mixed = np.flatnonzero((samples[0] != samples[1]) | (samples[0] != samples[2]) | (samples[0] != samples[3]))
    shade = _shadows(street, camera, light, rows, columns).ravel()
    u = np.tile(columns.astype(np.float32), size[0])
    v = np.repeat(rows.astype(np.float32), size[1])
    shading = Shading(table, camera, light, street.bank)
    pixels = shading(samples[0].ravel(), u, v, shade, noise_at)
    u, v, shade = u[mixed], v[mixed], shade[mixed]
    step = np.float32(0.25 / size[0])
    four = np.zeros((3, len(mixed)), np.float32)
    for sample, (down, across) in zip(samples, ((-1, -1), (-1, 1), (1, -1), (1, 1))):
        four += shading(sample.ravel()[mixed], u + across * step, v + down * step, shade, noise_at)
    pixels[:, mixed] = four / 4
    pixels = pixels.reshape(3, *size)
    _glow(pixels, street, camera, table, samples[0], rows, columns)
    return _finish(pixels, camera, light, street.bank, noise_at), label


def _centers(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel centers, v of each row and u of each column: quotients of integers, so that sizes agree."""
    return (2 * np.arange(height) + 1) / (2 * height), (2 * np.arange(width) + 1 - width) / (2 * height)


def _project(polygons: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look at polygons (N, 8, 3) of the world.

    Returns:
        Their corners (N, 8, 3) around the camera; the corners (N, 8, 2) in the picture of what lies beyond `NEAR`; and
        whether (N,) anything does.
    """
    points = polygons - (0, camera.height, 0)
    points[..., 0] += camera.bend * points[..., 2] ** 2
    kept = points[..., 2].max(1) > NEAR
    cut = points.copy()
    for i in np.flatnonzero(kept & (points[..., 2].min(1) < NEAR)).tolist():
        clipped = _clip(points[i])
        cut[i, : len(clipped)], cut[i, len(clipped) :] = clipped, clipped[-1]
    x, y, depth = cut[..., 0], cut[..., 1], np.maximum(cut[..., 2], NEAR)
    u, v = camera.center[0] + camera.focal * x / depth, camera.center[1] - camera.focal * y / depth
    return points, np.stack([u, v], -1), kept


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
    points: np.ndarray, surfaces: np.ndarray, camera: Camera, light: Light, height: int,
    shelter: tuple[float, float] | None,
) -> np.ndarray:  # fmt: skip
    """What shading needs, (18, 1 + N) float32: a column for the sky, and for each surface around the camera.

    Rows 0 to 8: s, t and 1 / depth from (u, v, 1); 9: level; 10: texture; 11 to 13: color; 14: light; 15: ground, and 2
    if a texture is laid; 16: the height below which it is in shadow; 17: how much darker it is there.
    """
    tiles, lit, ground = surfaces["tiles"], surfaces["lit"], surfaces["ground"]
    laid = tiles[:, 0] > 0
    a = points[:, 0]
    s_axis, t_axis = np.tile([2.0, 0, 0], (len(points), 1)), np.tile([0, 2.0, 0], (len(points), 1))
    s_axis[laid] = (points[laid, 1] - a[laid]) / tiles[laid, :1]
    t_axis[laid] = (points[laid, 3] - a[laid]) / tiles[laid, 1:]
    rows = np.stack([np.cross(t_axis, a), np.cross(a, s_axis), np.cross(s_axis, t_axis)])  # (3, N, 3)
    plane = (rows[2] * a).sum(-1)
    rows /= np.where(np.abs(plane) < 1e-9, 1e-9, plane)[:, None]
    rows[..., :2] *= (1 / camera.focal, -1 / camera.focal)  # of u, v and 1 in place of the ray (x, y, 1)
    rows[..., 2] -= rows[..., 0] * camera.center[0] + rows[..., 1] * camera.center[1]

    normal = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normal /= (np.linalg.norm(normal, axis=1) + 1e-9)[:, None]
    facing = (normal * points[:, 0]).sum(1)
    normal *= -np.where(facing == 0, 1, np.sign(facing))[:, None]
    sunny = np.maximum(normal @ np.array(light.sun_from), 0)
    above = 0.5 + 0.5 * normal[:, 1:2]
    dim = np.array(light.around) * (1 - above) + np.array(light.above) * above
    gain = dim + np.array(light.sun) * sunny[:, None]
    lost = np.where((lit > 0) | (ground > 0), 0, 1 - dim.mean(1) / gain.mean(1))
    gain = np.where(lit[:, None] > 0, lit[:, None], gain)

    meters = np.sqrt(np.linalg.norm(s_axis, axis=1) * np.linalg.norm(t_axis, axis=1))
    level = np.log2(TILE / (meters * camera.focal * height))
    level -= 0.5 * np.log2(np.maximum(np.abs(plane) / np.maximum(meters**2, 1e-9), 0.05))
    level = np.where(laid, level, np.log2(TILE / (2 * camera.focal * height)))
    table = np.zeros((18, 1 + len(points)), np.float32)
    table[8, 0] = 1
    table[:9, 1:] = rows.transpose(0, 2, 1).reshape(9, -1)
    table[9, 1:], table[10, 1:], table[11:14, 1:] = level - 0.3, surfaces["texture"], (surfaces["color"] * gain).T
    table[14, 1:], table[15, 1:] = gain.mean(1), ground + 2 * laid
    if shelter and light.sun[0] and shelter[0] * light.sun_from[0] > 0:
        across = np.abs(points[..., 0].mean(1) - camera.bend * points[..., 2].mean(1) ** 2 - shelter[0])
        slope = light.sun_from[1] / abs(light.sun_from[0])
        table[16, 1:], table[17, 1:] = shelter[1] - camera.height - slope * across, lost
    return table


def _cover(
    outline: np.ndarray, wanted: np.ndarray, plants: list[tuple[int, str, int, bool]], rows: np.ndarray,
    columns: np.ndarray, bank: Bank, kind: int,
) -> np.ndarray:  # fmt: skip
    """1 + the index of the last surface at every center, (H, W) uint16, or 0; ``kind`` as of `Bank.stencils`."""
    solid = wanted.copy()
    solid[[order - 1 for order, *_ in plants]] = False
    orders = np.flatnonzero(solid)
    cover = fill(outline[orders], (orders + 1).astype(np.uint16), rows, columns)
    for order, name, which, mirrored in plants:
        paint_plant(cover, outline[order - 1], order, bank.stencils[name][which][kind], mirrored, rows, columns)
    return cover


def _shadows(street: Builder, camera: Camera, light: Light, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What remains of the light on the ground, (H, W) float32."""
    data = np.array(street.shadows)
    _, outline, kept = _project(data[:, :24].reshape(-1, 8, 3), camera)
    remains = np.ones((len(rows), len(columns)), np.float32)
    for contact, factor in ((0, light.shadow), (1, light.contact)):
        chosen = outline[kept & (data[:, 24] == contact)]
        cover = fill(chosen, np.ones(len(chosen), np.uint16), rows, columns)
        soft = uniform_filter(cover.astype(np.float32), max(3, round(len(rows) / 90)))
        remains *= 1 - np.float32(1 - factor) * soft
    return remains


def _glow(
    pixels: np.ndarray, street: Builder, camera: Camera, table: np.ndarray, cover: np.ndarray, rows: np.ndarray,
    columns: np.ndarray,
) -> None:  # fmt: skip
    """Add the light around lamps that nothing hides to the picture (3, H, W)."""
    for (x, y, z), radius, color in street.glows:
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
