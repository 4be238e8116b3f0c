"""The colors of the surfaces of a drawn street: textures, light, haze and sky."""

from dataclasses import dataclass

import numpy as np

from pixalign.streets.scene import Camera, Light
from pixalign.streets.textures import LEVEL_OFFSET, LEVELS, TEXELS, TILE, Bank


@dataclass
class Shading:
    """The color of samples."""

    table: np.ndarray
    camera: Camera
    light: Light
    bank: Bank

    def __call__(
        self, surface: np.ndarray, u: np.ndarray, v: np.ndarray, shade: np.ndarray, noise_at: int
    ) -> np.ndarray:
        """Return display values (3, N) float32 of N samples at (u, v) of the given surfaces."""
        surface = surface.astype(np.intp)
        table = self.table
        inverse = np.maximum(_affine(table, 6, surface, u, v), np.float32(1e-4))  # 1 / depth in meters
        s = _affine(table, 0, surface, u, v) / inverse
        t = _affine(table, 3, surface, u, v) / inverse
        flags = table[15].take(surface)
        bits = np.ascontiguousarray(inverse).view(np.int32).astype(np.float32) * np.float32(2**-23) - np.float32(127)
        level = table[9].take(surface) - bits * np.where(flags > 1.5, np.float32(1.5), np.float32(1))
        level = np.rint(level).clip(0, LEVELS - 1).astype(np.int32)
        side = np.right_shift(TILE, level)
        size = side.astype(np.float32)
        s, t = (s + np.float32(512)) * size, (t + np.float32(512)) * size
        first = table[10].take(surface).astype(np.int32) * TEXELS + LEVEL_OFFSET[level]
        offset = grain(self.bank, noise_at, len(s)) * np.float32(0.2) + np.float32(0.3)
        texel = self._texels(first, side, s + offset, t + offset)
        texel += self._texels(first, side, s - offset, t - offset)
        parts = texel.view(np.uint8).reshape(-1, 4).T
        light = np.where((flags % 2) > 0.5, shade, np.float32(1))
        if table[17].any():
            up = (np.float32(self.camera.center[1]) - v) / (inverse * np.float32(self.camera.focal))
            below = ((table[16].take(surface) - up) * np.float32(1.5) + np.float32(0.5)).clip(0, 1)
            light *= 1 - table[17].take(surface) * below
        own = parts[0] * (light * np.float32(1 / 128))
        gain = table[14].take(surface) * light
        far = np.float32(self.light.haze) / (1 + inverse * np.float32(self.light.haze_depth))
        pixels = np.empty((3, len(s)), np.float32)
        for channel in range(3):
            color = own * table[11 + channel].take(surface) + parts[1 + channel] * gain
            color = np.minimum(color, np.float32(84) + np.float32(0.52) * color)  # highlights are held back
            pixels[channel] = color + (np.float32(self.light.horizon[channel]) - color) * far
        sky = np.flatnonzero(surface == 0)
        if len(sky):
            pixels[:, sky] = self._sky(u[sky], v[sky])
        return pixels

    def _texels(self, first: np.ndarray, side: np.ndarray, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Half of each byte of the texels at (s, t), so that two of them add up."""
        mask = side - 1
        where = first + (t.astype(np.int32) & mask) * side + (s.astype(np.int32) & mask)
        return (self.bank.texels.take(where, mode="clip") >> 1) & np.uint32(0x7F7F7F7F)

    def _sky(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Clouds on a plane overhead, paler toward the horizon."""
        which, shift_x, shift_y, scale = self.camera.clouds
        up = np.maximum(self.camera.center[1] - v, 0) + np.float32(0.06)
        x, y = (u - self.camera.center[0]) / up ** np.float32(0.7), np.float32(0.5) / up ** np.float32(0.8)
        clouds = self.bank.clouds[which]
        total = np.zeros(len(u), np.float32)
        for factor, weight in ((1.0, 1.0), (3.1, 0.3)):
            gx = (x * (factor * scale) + shift_x) * TILE
            gy = (y * (factor * scale) + shift_y) * TILE
            cx, cy = np.floor(gx), np.floor(gy)
            fx, fy = gx - cx, gy - cy
            ix, iy = cx.astype(np.int32) & (TILE - 1), cy.astype(np.int32) & (TILE - 1)
            jx, jy = (ix + 1) & (TILE - 1), (iy + 1) & (TILE - 1)
            upper = clouds[iy, ix] * (1 - fx) + clouds[iy, jx] * fx
            lower = clouds[jy, ix] * (1 - fx) + clouds[jy, jx] * fx
            total += np.float32(weight) * (upper * (1 - fy) + lower * fy)
        light = self.light
        cover = (0.5 + 0.6 * (total + light.cloudiness)).clip(0, 1)
        low = np.exp(-up * np.float32(5))
        tone = 1 + np.float32(light.texture) * total
        result = np.empty((3, len(u)), np.float32)
        for channel in range(3):
            color = light.sky[channel] + (light.cloud[channel] * tone - light.sky[channel]) * cover
            result[channel] = color + (light.horizon[channel] - color) * low
        return result


def grain(bank: Bank, start: int, count: int) -> np.ndarray:
    """A stretch of the bank's noise, repeated if it is too short."""
    return bank.noise[start : start + count] if start + count <= len(bank.noise) else np.resize(bank.noise, count)


def _affine(table: np.ndarray, row: int, surface: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return table[row].take(surface) * u + table[row + 1].take(surface) * v + table[row + 2].take(surface)
