"""What a hostile data set means: pictures, class ids per pixel of the upright picture, and what may be made of them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

VOID = 255
BACKGROUND = "background"
# Far apart in every channel and in brightness, so that an inversion, a swap of channels or a turn shows.
HUES = np.array([(40, 70, 110), (200, 60, 60), (60, 190, 70), (230, 220, 60), (120, 30, 200), (20, 20, 20)], np.uint8)
NOISE = 8
LOSSY = 55.0  # mean difference of values that a lossy format may cause in a small area
PLAIN_NAMES = ["road", "car", "tree", "house", "river"]
STRANGE_NAMES = ["Straße", "雨 ☂", "e\u0301te\u0301", "класс 🚲", "a: b, 'c' \"d\" # e"]


@dataclass
class Shape:
    """A labeled area: class id and corners (P, 2) x, y on the edges of pixels, every side upright or level."""

    label: int
    corners: list[tuple[int, int]]
    inside: np.ndarray  # (H, W) bool, painted from rectangles


@dataclass
class Pair:
    """What one image and its mask mean.

    Attributes:
        ids: (H, W) uint8, positions in the case's classes or `VOID`, upright.
        picture: (H, W, C) uint8 as it should be read, upright.
        shapes: what the mask is drawn from, large ones first.
        split: the one it belongs to, where the data says so.
        tolerance: mean difference of values that the image's format may cause.
        orientation: how its file says that it is to be turned (EXIF).
    """

    ids: np.ndarray
    picture: np.ndarray
    shapes: list[Shape] = field(default_factory=list)
    split: str = ""
    tolerance: float = 1.0
    orientation: int = 1


@dataclass
class Reading:
    """One way to take a data set that is right, or that is wrong and said to be questionable.

    Attributes:
        name: for the summary.
        ids: from the image's path and pair to the ids (H, W) of this reading; None: as meant.
        picture: likewise, to the pixels; None: as meant, False: not compared, "affine": as meant up to a scale.
        warning: pattern that the report's problems must match for this reading to do.
        absent: images that may be left out.
        twice: whether an image may be in two splits.
    """

    name: str = "as meant"
    ids: Callable[[str, Pair], np.ndarray] | None = None
    picture: Callable[[str, Pair], np.ndarray] | Literal[False, "affine"] | None = None
    warning: str = ""
    absent: frozenset[str] = frozenset()
    twice: bool = False


class Case:
    """A data set to be written below ``root``, and what may be made of it.

    Attributes:
        classes: names of the ids; None: compared by position.
        pairs: by the image's path below ``root``.
        refusal: whether an error in one line is "no" answer, "may" be one or "must" be the answer.
        readings: those that are right if the data is not refused.
        options: arguments of every command; ``template`` and ``channels`` are the same for `open_data`.
        follow: whether the lines for classes.yaml that the report proposes are to be written, and then be right.
        by_check: an answer "must" holds for ``data check`` alone: reading does not see it.
        found: the classes as they were read.
        out: where results go; ``writable``: whether anything can be written there.
        encoding: of the terminal.
    """

    def __init__(self, root: Path, kind: str, seed: int) -> None:
        self.root, self.kind, self.seed = root, kind, seed
        self.dice = random.Random(f"{kind}/{seed}")
        self.noise = np.random.default_rng(self.dice.getrandbits(60))
        self.classes: list[str] | None = None
        self.pairs: dict[str, Pair] = {}
        self.found: list[str] = []
        self.refusal: Literal["no", "may", "must"] = "may"
        self.readings = [Reading()]
        self.template, self.channels = "", 3
        self.follow = self.by_check = False
        self.out, self.writable = root.parent / "out", True
        self.encoding = "utf-8"
        self.notes: list[str] = []

    def note(self, text: object) -> None:
        """Remember what was drawn by lot, for the report of a failure."""
        self.notes.append(str(text))

    def pick(self, name: str, choices: object) -> object:
        """One of several by lot, noted."""
        chosen = self.dice.choice(list(choices))  # type: ignore[call-overload]
        self.note(f"{name}={chosen}")
        return chosen

    def maybe(self, name: str, share: float = 0.5) -> bool:
        """True with a probability, noted."""
        if self.dice.random() < share:
            self.note(name)
            return True
        return False

    def must_refuse(self) -> None:
        self.refusal, self.readings = "must", []

    def names(self, count: int, first: str = "") -> list[str]:
        """Names of classes, seldom ones outside ASCII."""
        source = STRANGE_NAMES if self.maybe("strange class names", 0.15) else PLAIN_NAMES
        names = self.dice.sample(source, count - bool(first))
        return [first, *names] if first else names

    def scene(self, classes: int = 3, void: bool = False, height: int = 0, width: int = 0) -> Pair:
        """Draw a picture: areas of every class on class 0, its mask unlike its mirror images and its turns."""
        while True:
            high, wide = height or self.dice.randint(34, 70), width or self.dice.randint(34, 70)
            if not height and high == wide:
                continue
            ids = np.zeros((high, wide), np.uint8)
            labels = [*range(1, classes), *(self.dice.randrange(1, classes) for _ in range(self.dice.randint(0, 2)))]
            shapes = sorted((self._shape(k, high, wide) for k in labels), key=lambda s: -int(s.inside.sum()))
            areas = [int(s.inside.sum()) for s in shapes]
            for shape in shapes:
                ids[shape.inside] = shape.label
            counts = np.bincount(ids.ravel(), minlength=classes)
            turned = (ids[::-1], ids[:, ::-1], ids[::-1, ::-1])
            if counts.min() >= 30 and len(set(areas)) == len(areas) and not any((t == ids).all() for t in turned):
                break
        if void:
            ids[: high // 7, wide // 5 :] = VOID
        return Pair(ids, self.paint(ids), shapes)

    def paint(self, ids: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) in which every class has its hue, with noise."""
        noise = self.noise.integers(-NOISE, NOISE + 1, (*ids.shape, 3))
        return (HUES[np.where(ids == VOID, 5, ids)] + noise).clip(0, 255).astype(np.uint8)

    def _shape(self, label: int, height: int, width: int) -> Shape:
        """A rectangle, or an L made of one, somewhere in the picture."""
        w, h = self.dice.randint(7, width // 2), self.dice.randint(7, height // 2)
        x, y = self.dice.randint(0, width - w), self.dice.randint(0, height - h)
        inside = np.zeros((height, width), bool)
        inside[y : y + h, x : x + w] = True
        if self.dice.random() < 0.4:
            return Shape(label, [(x, y), (x + w, y), (x + w, y + h), (x, y + h)], inside)
        a, b = self.dice.randint(2, w - 2), self.dice.randint(2, h - 2)
        inside[y : y + b, x + a : x + w] = False
        return Shape(label, [(x, y), (x + a, y), (x + a, y + b), (x + w, y + b), (x + w, y + h), (x, y + h)], inside)

    def scenes(self, classes: int = 3, void: bool = False, count: int = 0, **size: int) -> list[tuple[str, Pair]]:
        """Several scenes with stems to call them by."""
        style = self.dice.choice(["im_{}", "{:06d}", "a{}b", "IMG-{}"])
        count = count or self.dice.randint(4, 6)
        return [(style.format(i), self.scene(classes, void, **size)) for i in range(1, count + 1)]

    def expect(self, path: Path, pair: Pair, split: str = "") -> None:
        """Expect a pair whose image is at ``path``."""
        pair.split = split
        self.pairs[path.relative_to(self.root).as_posix()] = pair

    def write_image(self, pair: Pair, path: Path, **options: object) -> None:
        """Write a pair's picture in the format of the path's suffix."""
        lossy = path.suffix.lower() in (".jpg", ".jpeg", ".jfif") or (
            path.suffix.lower() == ".webp" and not options.get("lossless")
        )
        if lossy:
            options = {"quality": 95, "subsampling": 0, **options}  # full color: areas are small
            pair.tolerance = LOSSY if path.suffix.lower() == ".webp" else LOSSY / 2
        save(Image.fromarray(pair.picture.squeeze()), path, **options)

    def yaml(self, names: list[str], ids: list[int] | None = None, ignore: list[int] | None = None) -> None:
        """Write classes.yaml with names, and ids if given."""
        text = "classes:\n"
        for i, name in enumerate(names):
            quoted = "'" + name.replace("'", "''") + "'"
            text += f"- {{name: {quoted}, id: {ids[i]}}}\n" if ids else f"- {quoted}\n"
        if ignore:
            text += f"ignore: {ignore}\n"
        put(self.root / "classes.yaml", text)
        self.classes = names

    def coding(self, bits: int, void: bool = True, classes: int = 3) -> tuple[np.ndarray, bool]:
        """Choose how ids are stored in ``bits``, and write classes.yaml where it is needed.

        Returns:
            A table (256,) from id to stored value, and whether the masks may hold pixels without a label.
        """
        top = 2**bits - 1
        kind = str(self.pick("coding", ["plain", "names", "ids"]))
        if kind == "plain" or top < classes:
            values, void = [*range(classes)], void and bits >= 8
            if kind == "names":
                self.yaml(self.names(classes))
        elif kind == "names":
            self.yaml(self.names(classes))
            values, void = [*range(classes)], void and bits >= 8
        else:
            values = self.dice.sample([v for v in range(min(top, 65535) + 1) if v != VOID or bits == 8], classes)
            free = [v for v in range(min(top, 65535) + 1) if v not in values and v != VOID]
            void = void and bool(free)
            ignored = self.dice.choice(free) if free else 0
            self.yaml(self.names(classes), values, [ignored] if void else None)
        table = np.zeros(256, np.int64)
        table[:classes] = values
        table[VOID] = ignored if kind == "ids" and void else VOID
        return table, void


def save(image: Image.Image, path: Path, **options: object) -> None:
    """Write a Pillow image, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]


def foreign(case: Case, text: str) -> str:
    """A text file as another system may write it: with CR LF, a byte order mark, or without the last line end."""
    if case.maybe("CR LF", 0.2):
        text = text.replace("\n", "\r\n")
    if case.maybe("no last line end", 0.2):
        text = text.rstrip()
    return "\ufeff" * case.maybe("BOM", 0.1) + text


def put(path: Path, content: str | bytes) -> None:
    """Write a file, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def corners(case: Case, shape: Shape) -> list[list[float]]:
    """A shape's corners x, y, seldom moved by less than half a pixel, which changes no pixel's center."""
    move = case.dice.choice([0, 0, 0.3])
    return [[x + case.dice.uniform(-move, move), y + case.dice.uniform(-move, move)] for x, y in shape.corners]


# Kinds ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of case: its function writes one, and ``must_read`` says that refusing it is a failure."""

    name: str
    write: Callable[[Case], None]
    must_read: bool


KINDS: dict[str, Kind] = {}


def kind(write: Callable[[Case], None] | None = None, *, must_read: bool = False) -> Callable:
    """Register a function as a kind of case."""

    def register(function: Callable[[Case], None]) -> Callable[[Case], None]:
        KINDS[function.__name__] = Kind(function.__name__, function, must_read)
        return function

    return register(write) if write else register
