"""Drawn streets: an endless supply of street scenes in CamVid's 11 classes, image and exact label at any size.

A seed gives a street: houses, vehicles, people, posts and plants as polygons in meters, seen by one camera in one
light (`pixalign.streets.layout`). No random number depends on the size. The camera is fixed by the picture's
height: the same street in a wider picture shows more at both sides, and at three times the size every third pixel has
the label that it had.

The label is the class at the pixel's center of the nearest thing there (`pixalign.streets.render`). As in CamVid,
a bare crown and railings are labeled whole, though one sees through them. Wires, where there are any, belong to the
poles; signal heads are signs; walls are building; hedges and verges are tree; the camera's own hood is 255.

All layouts, colors and frequencies are our choice, made so that the shares of the classes are near those of CamVid's
training set and so that a network meets daylight with washed-out skies, low sun with deep shadows, overcast weather,
and dusk, where the street is nearly black under a much brighter sky.
"""

import hashlib
from random import Random

import numpy as np

from pixalign.data.sets.camvid import CLASSES, COLORS
from pixalign.errors import InputError
from pixalign.streets.layout import compose
from pixalign.streets.light import light_of
from pixalign.streets.render import render

__all__ = ["CLASSES", "COLORS", "LIGHTS", "SPLITS", "VERSION", "Streets", "draw_scene"]

VERSION = 2  # of what a seed gives: raised with every change to it
SPLITS = {"train": 10_000, "val": 200, "test": 200}
LIGHTS = ("day", "overcast", "low sun", "dusk")


def draw_scene(
    seed: int = 0, size: tuple[int, int] = (360, 480), light: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a street.

    Args:
        seed: each, from 0 up, gives another street, the same on every machine up to the rounding of libraries.
        size: height and width of the picture, from 2 up.
        light: one of `LIGHTS`, or None for one that the seed draws. The street stays the same but for dusk, when
            lamps are lit.

    Returns:
        Image (H, W, 3) uint8 and ids (H, W) uint8: positions in `CLASSES`, and 255 (the hood).

    Raises:
        InputError: an unknown light, or a side below 2 pixels.
    """
    if light is not None and light not in LIGHTS:
        raise InputError(f"light {light!r} is unknown: choose one of {', '.join(LIGHTS)}")
    if min(size) < 2:
        raise InputError(f"size {size[0]} x {size[1]} is too small for a street: both sides must be at least 2")
    dice = Random(seed)
    own = dice.random()
    name = light or ("dusk" if own < 0.3 else "low sun" if own < 0.55 else "day" if own < 0.8 else "overcast")
    weather = light_of(name, Random(f"light {seed}"))
    street, camera = compose(dice, weather)
    return render(street, camera, weather, size, int(dice.random() * 1_000_000))


class Streets:
    """A split of drawn streets.

    Attributes:
        name: such as ``streets/train``.
        classes, colors: CamVid's.
    """

    def __init__(self, split: str = "train", count: int | None = None, size: tuple[int, int] = (360, 480)) -> None:
        """Args: split (train, val or test; no street is in two), how many (None: 10,000, 200, 200), height and width.

        Raises:
            InputError: an unknown split, or a count below 1.
        """
        if split not in SPLITS:
            raise InputError(f"data split {split!r} is unknown to streets: choose one of {', '.join(SPLITS)}")
        if count is not None and count < 1:
            raise InputError(f"count is {count}: streets need at least 1 scene")
        self.name, self.classes, self.colors = f"streets/{split}", CLASSES, COLORS
        self.split, self.count, self.size = split, SPLITS[split] if count is None else count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, 3) uint8 and mask (H, W) uint8 with ids and 255, as `draw_scene`."""
        if not -self.count <= index < self.count:
            raise IndexError(f"street {index} of {self.count}")
        return draw_scene(self.seed(index % self.count), self.size)

    def seed(self, index: int) -> int:
        """The seed of a street: the splits take turns, so that none shares one, whatever their lengths."""
        return len(SPLITS) * index + list(SPLITS).index(self.split)

    def where(self, index: int) -> str:
        """What to call street ``index`` in a message."""
        return f"street {self.seed(index)}"

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with split, count, size and the generator's version."""
        return hashlib.sha256(repr((VERSION, self.split, self.count, tuple(self.size))).encode()).hexdigest()[:16]
