"""What a prediction is: class ids per pixel, with names and colors to show and store them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pixalign.data.images import ID_MAP, write_image
from pixalign.files import replacing

_JPEG_SIDE = 65500  # longest side that the format can hold
_BAND = 2**16  # pixels that are drawn at a time: what is made of them fits into a processor's cache


@dataclass
class Result:
    """The prediction for one image.

    Attributes:
        image: (H, W, C) uint8, upright, as the network saw it, or resized to the output size that was asked for.
        ids: (H, W) uint8, positions in ``classes``.
        classes: names.
        colors: an RGB triple (0 to 255) per class.
        probabilities: (K, H, W) float32, summing to 1 over K, if they were asked for.
    """

    image: np.ndarray
    ids: np.ndarray
    classes: list[str]
    colors: list[list[int]]
    probabilities: np.ndarray | None = None

    def areas(self) -> dict[str, float]:
        """Share of the pixels (0 to 1) by class, all classes, in the order of the ids."""
        counts = Image.fromarray(self.ids).histogram()
        return {name: count / self.ids.size for name, count in zip(self.classes, counts)}

    def overlay(self, opacity: float = 0.5) -> Image.Image:
        """The image under the class colors (RGB, same size), borders between classes drawn stronger.

        Args:
            opacity: of the colors, 0 (the image alone) to 1 (the colors alone).
        """
        return draw_overlay(self.image, self.ids, self.colors, opacity)

    def id_image(self) -> Image.Image:
        """The ids as an image of mode P: pixel values are ids, the palette has the class colors."""
        return _painted(self.ids, self.colors)

    def save(self, folder: str | Path, stem: str) -> list[Path]:
        """Write what `output_paths` lists into ``folder``, each file whole or not at all; return the paths.

        Raises:
            InputError: the file system refuses the write.
        """
        paths = output_paths(folder, stem, self.probabilities is not None)
        write_image(self.id_image(), paths[0], **ID_MAP)
        overlay = self.overlay()
        overlay.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
        write_image(overlay, paths[1], quality=92)
        if self.probabilities is not None:
            self.save_probabilities(paths[2])
        return paths

    def save_probabilities(self, path: str | Path) -> None:
        """Write the probabilities, which must be there, as .npz: ``probabilities``, (K, H, W) float16."""
        assert self.probabilities is not None
        with replacing(path) as temporary:
            np.savez_compressed(temporary, probabilities=self.probabilities.astype(np.float16))


def output_paths(folder: str | Path, stem: str, probabilities: bool) -> list[Path]:
    """The files of one result: <stem>.png, <stem>_overlay.jpg and, if asked for, <stem>_probabilities.npz (float16)."""
    suffixes = [".png", "_overlay.jpg"] + ["_probabilities.npz"] * probabilities
    return [Path(folder) / f"{stem}{suffix}" for suffix in suffixes]


def draw_overlay(image: np.ndarray, ids: np.ndarray, colors: list[list[int]], opacity: float = 0.5) -> Image.Image:
    """Blend class colors over an image; ids beyond ``colors`` (255: no label) leave it as it is.

    Args:
        image: (H, W, C) uint8: of 3 and more channels the first three are shown as RGB, else the first as gray.
        ids: (H, W) uint8.
        colors: an RGB triple per class.
        opacity: 0 to 1; borders between classes are drawn at 40 % of what is left to 1 above it.
    """
    thickness = max(1, round(min(ids.shape) / 600))
    shown = 3 if image.shape[2] >= 3 else 1
    drawn = Image.new("RGB", ids.shape[::-1])
    for rows in _bands(ids):
        above = min(thickness, rows.start)  # rows that the borders of this band are found with
        near = ids[rows.start - above : rows.stop]
        border = np.zeros(near.shape, bool)
        border[thickness:] |= near[thickness:] != near[:-thickness]
        border[:, thickness:] |= near[:, thickness:] != near[:, :-thickness]
        below = Image.fromarray(np.broadcast_to(image[rows, :, :shown], (*ids[rows].shape, 3)))
        colored = _painted(ids[rows], colors).convert("RGB")
        mixed = Image.blend(below, colored, opacity)
        if opacity:
            stronger = Image.blend(below, colored, opacity + 0.4 * (1 - opacity))
            mixed.paste(stronger, mask=Image.fromarray(border[above:]))
        unknown = ids[rows] >= len(colors)
        if unknown.any():
            mixed.paste(below, mask=Image.fromarray(unknown))
        drawn.paste(mixed, (0, rows.start))
    return drawn


def _painted(ids: np.ndarray, colors: list[list[int]]) -> Image.Image:
    """Ids (H, W) uint8 as an image of mode P whose palette has the colors."""
    picture = Image.fromarray(ids, mode="P")
    picture.putpalette([value for color in colors for value in color])
    return picture


def _bands(ids: np.ndarray) -> list[slice]:
    """Rows of ids (H, W) in bands, so that what is made of each takes little memory."""
    height, width = ids.shape
    rows = max(1, _BAND // width)
    return [slice(start, min(start + rows, height)) for start in range(0, height, rows)]
