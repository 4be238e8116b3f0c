"""TIFF files: what their tags say, and the bands that Pillow does not read, or reads wrongly, through rasterio."""

import functools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from pixalign.errors import InputError, naming
from pixalign.text import first_line

TIFF_SUFFIXES = (".tif", ".tiff")
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6  # PhotometricInterpretation
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # SampleFormat
LOSSY = {6: "JPEG", 7: "JPEG", 33003: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL"}

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = 1  # Compression: none
_NOT_OF_PILLOW = (34887, 50001, 50002)
_TRANSPARENCY = (1, 2)  # ExtraSamples: premultiplied and plain alpha; 0 is data of no stated kind


@dataclass(frozen=True)
class Tiff:
    """What the tags of a file's first page say, and how many pages there are.

    Attributes:
        size: (height, width) as stored, before any turn.
        photometric: what the values stand for (`WHITE_IS_ZERO` and so on); -1: not said.
        bits, kinds: per band, bits and `UNSIGNED`, `SIGNED` or `FLOAT`.
        extra: of the bands beyond gray or color, what they are: 1 or 2 transparency, 0 data of no stated kind.
        planar: whether the bands are stored one after another.
        compression: the tag's number.
        little: whether the least significant byte comes first.
        reversed: whether the least significant bit comes first.
        orientation: 1 to 8, as in EXIF.
        pages: pages that are neither reduced copies nor transparency masks.
        reduced: whether the first page is a reduced copy (a thumbnail).
    """

    size: tuple[int, int]
    photometric: int
    bits: tuple[int, ...]
    kinds: tuple[int, ...]
    extra: tuple[int, ...]
    planar: bool
    compression: int
    little: bool
    reversed: bool
    orientation: int
    pages: int
    reduced: bool

    @property
    def bands(self) -> int:
        """The number of bands."""
        return len(self.bits)

    @property
    def colors(self) -> int:
        """How many of the first bands are shown, 1 of gray or 3: three bands of no stated kind are red, green, blue."""
        return 3 if self.photometric == RGB or (self.bands == 3 and not self.transparent) else 1

    @property
    def transparent(self) -> bool:
        """Whether the first band beyond gray or color is declared as transparency."""
        return bool(self.extra) and self.extra[0] in _TRANSPARENCY

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow reads the values right.

        It does not read many kinds, and some wrongly without a word: bands one after another of two samples or of 16
        bits, compressed big-endian numbers with a sign or a fraction.
        """
        bits, kind, shape = self.bits[0], self.kinds[0], (self.photometric, self.bands)
        if len({*self.bits}) > 1 or len({*self.kinds}) > 1 or self.compression in _NOT_OF_PILLOW:
            return False
        if self.reversed and bits > 4:
            return False
        if self.photometric in (CMYK, YCBCR):
            return self.compression != _PLAIN or self.photometric == CMYK
        if kind != UNSIGNED:
            sizes = {SIGNED: (8, 16, 32), FLOAT: (32,)}.get(kind, ())
            plain = self.little or self.compression == _PLAIN
            return shape == (BLACK_IS_ZERO, 1) and bits in sizes and plain and not self.planar
        if self.bands == 1:
            if self.planar:  # of which Pillow takes the first letter of a mode for the mode of the band
                return shape in ((BLACK_IS_ZERO, 1), (PALETTE, 1)) and bits == 8
            if self.photometric == BLACK_IS_ZERO:
                return bits in (1, 2, 4, 8, 16) or (bits == 32 and self.little)
            return self.photometric in (-1, WHITE_IS_ZERO, PALETTE) and bits in (1, 2, 4, 8)
        if self.planar:
            return self.photometric == RGB and bits == 8 and self.extra in ((), (2,)) and self.bands < 5
        if shape == (BLACK_IS_ZERO, 2):
            return bits == 8 and self.extra == (2,)
        few = self.bands <= (6 if bits == 8 else 4)
        return self.photometric == RGB and bits in (8, 16) and few and len(self.extra) == self.bands - 3


def tiff_of(path: Path) -> Tiff | None:
    """Return what the tags of a TIFF file say; None for other files, also those that cannot be read."""
    if not path.is_file():
        return None
    with suppress(OSError), path.open("rb") as file:
        start = file.read(16)
        if start[:4] in _MAGIC:
            with suppress(Exception):  # damaged tags make Pillow's reader raise almost anything: it says so itself
                return _read_tags(file, start[:16] if start[2] == 43 or start[3] == 43 else start[:8])
    return None


@contextmanager
def opened_bands(path: Path) -> Iterator[Any]:
    """Open a TIFF file with rasterio; whatever goes wrong, inside too, becomes an `InputError` that names the file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with naming(path):
        try:
            with _rasterio().open(path, driver="GTiff") as file:
                yield file
        except InputError:
            raise
        except Exception as error:  # GDAL's errors come in many classes
            raise InputError(f"cannot be read as TIFF ({first_line(error)}): copy it again or remove it") from error


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels (H, W, ...) turned as an EXIF orientation (1 to 8) says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if orientation in (3, 4, 7, 8) else 1, :: -1 if orientation in (2, 3, 6, 7) else 1]


def is_transparency(alpha: np.ndarray) -> bool:
    """Whether a band (uint8) that is declared as transparency looks like it, most of what it shows being opaque.

    Writers of GeoTIFF declare any fourth band of 8 bits so, near infrared as well, of which few pixels are full.
    """
    shown = alpha[alpha > 0]
    return not shown.size or bool((shown == 255).mean() >= 0.5)


@functools.cache
def _rasterio() -> Any:
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise InputError("this kind of TIFF file is read by rasterio: pip install 'pixalign[geo]'") from error
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    return rasterio


def _read_tags(file: BinaryIO, start: bytes) -> Tiff:
    """The tags of an open TIFF file, of which ``start`` are the first bytes up to the place of the first page."""
    tags = ImageFileDirectory_v2(start)
    place, places, pages = tags.next, set[int](), 0
    first: dict[int, Any] = {}
    while place and place not in places:
        places.add(place)
        file.seek(place)
        tags.load(file)
        kind = tags.get(254, 1 if tags.get(255) == 2 else 0)  # NewSubfileType, SubfileType
        pages += kind in (0, 2)
        if not first:
            first = {**dict(tags), 254: kind}
        place = tags.next
    if stack := re.match(r"ImageJ=.*?\bimages=(\d+)", str(first.get(270, "")), re.DOTALL):
        pages = max(pages, int(stack[1]))  # of which large ones have tags for the first alone
    count = max(1, first.get(277, 1))

    def each(tag: int, otherwise: tuple[int, ...]) -> tuple[int, ...]:
        value = first.get(tag, otherwise)
        return value if isinstance(value, tuple) else (value,)

    bits, kinds = each(258, (1,)), each(339, (1,))  # of which some writers give one for all bands
    return Tiff(
        size=(first[257], first[256]),
        photometric=first.get(262, -1),
        bits=bits[:count] if len(bits) >= count else bits[:1] * count,
        kinds=kinds[:count] if len(kinds) >= count else kinds[:1] * count,
        extra=each(338, ()),
        planar=first.get(284, 1) == 2,
        compression=first.get(259, _PLAIN),
        little=start[:2] == b"II",
        reversed=first.get(266) == 2,
        orientation=first.get(274, 1),
        pages=pages,
        reduced=first[254] not in (0, 2),
    )
