"""Colors for what has none: displacements, shares, and features of many channels."""

from collections.abc import Sequence

import matplotlib
import numpy as np

# Hue around the wheel of the Middlebury flow evaluation (Baker et al., "A Database and Evaluation Methodology for
# Optical Flow", IJCV 2011), clockwise on the screen from "to the right": share of the turn, and color.
_TURN = np.array([0, 15, 21, 25, 36, 49, 55]) / 55
_HUES = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], float)


def hue(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The wheel's full color (..., 3), 0 to 1, of directions: right red, down yellow, left cyan, up violet."""
    turn = np.arctan2(dy, dx) / (2 * np.pi) % 1
    return np.stack([np.interp(turn, _TURN, channel) for channel in _HUES.T], axis=-1)


def flow_colors(displacement: np.ndarray, largest: float) -> np.ndarray:
    """Color a displacement field: hue is direction, and strength of color is length, white where nothing moves.

    Args:
        displacement: (2, H, W), dx to the right and dy downward.
        largest: the length that gets full color; what is longer is darkened.

    Returns:
        (H, W, 3) uint8.
    """
    dx, dy = displacement
    length = np.hypot(dx, dy)[..., None] / max(largest, 1e-9)
    colors = np.where(length <= 1, 1 - length * (1 - hue(dx, dy)), 0.75 * hue(dx, dy))
    return (255 * colors + 0.5).astype(np.uint8)


def flow_wheel(side: int) -> np.ndarray:
    """The legend of `flow_colors` on white, (side, side, 3) uint8: each place shows the color of pointing there."""
    place = (np.arange(side) + 0.5) / side * 2 - 1
    dx, dy = np.meshgrid(place, place)
    colors = flow_colors(np.stack((dx, dy)), 1.0)
    colors[np.hypot(dx, dy) > 1] = 255
    return colors


def heat(values: np.ndarray, smallest: float = 0.0, largest: float = 1.0) -> np.ndarray:
    """Color values (H, W) between smallest (dark violet) and largest (yellow) with viridis: (H, W, 3) uint8."""
    share = np.clip((values - smallest) / max(largest - smallest, 1e-9), 0, 1)
    return (matplotlib.colormaps["viridis"](share)[..., :3] * 255 + 0.5).astype(np.uint8)


def feature_colors(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Color feature maps of one space: alike features get like colors, over all of the maps.

    The three directions in which the features of all maps differ most (principal components) become red, green and
    blue, from the 2nd to the 98th percentile.

    Args:
        maps: (C, h, w) each, of one C.

    Returns:
        A picture (h, w, 3) uint8 for each map.
    """
    vectors = [x.reshape(x.shape[0], -1).T.astype(np.float64) for x in maps]  # (h * w, C)
    every = np.concatenate(vectors)
    mean = every.mean(0)
    _, directions = np.linalg.eigh(np.cov(every - mean, rowvar=False).reshape(len(mean), -1))
    axes = directions[:, ::-1][:, :3]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    low, high = np.percentile((every - mean) @ axes, (2, 98), axis=0)
    pictures = []
    for x, vector in zip(maps, vectors):
        share = ((vector - mean) @ axes - low) / np.maximum(high - low, 1e-9)
        colors = np.full((len(vector), 3), 0.5)
        colors[:, : axes.shape[1]] = np.clip(share, 0, 1)
        pictures.append((255 * colors + 0.5).astype(np.uint8).reshape(*x.shape[1:], 3))
    return pictures
