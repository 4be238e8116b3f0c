"""Reading photographs as they come: any mode, any orientation, and one clear line for what cannot be read."""

import glob
import io
import os
import stat
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError, features

from pixalign.data import tiff as tags
from pixalign.data.tiff import TIFF_SUFFIXES, Tiff, is_transparency, opened_bands, tiff_of, upright
from pixalign.errors import InputError, naming
from pixalign.files import replacing
from pixalign.text import first_line

MAX_PIXELS = 250_000_000
ID_MAP = {"compress_type": zlib.Z_RLE}  # for PNG files of ids, runs of equal values: half the time, and less space

_CODECS = {"jpg_2000": ("JPEG2000", {".jp2", ".j2k"}), "avif": ("AVIF", {".avif"})}  # which not every Pillow has
_SUPPORTED = {*features.get_supported_modules(), *features.get_supported_codecs()}
_MORE = [kind for codec, kind in _CODECS.items() if codec in _SUPPORTED]
FURTHER_SUFFIXES = frozenset({".jfif"}.union(*(more for _, more in _MORE)))  # less usual ones
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}) | FURTHER_SUFFIXES
_OTHERS = "heic heif hif avif jp2 j2k jpx jxl jxr ppm pgm pbm pnm tga psd exr hdr dng cr2 cr3 nef arw orf rw2 raf"
OTHER_SUFFIXES = frozenset(f".{name}" for name in _OTHERS.split()) - IMAGE_SUFFIXES  # of pictures that are not read
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", *(name for name, _ in _MORE))  # no file starts Ghostscript
_TEXT_LIMIT = 64 << 20  # bytes of a text or a color profile in a PNG file, unpacked: Pillow's own is 1 MB
_REASONS: dict[type[Exception], str] = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "is a folder: name an image",
    PermissionError: "permission denied: change its permissions",
    UnidentifiedImageError: "is not an image in JPEG, PNG, WebP, TIFF, BMP or GIF: convert or remove it",
    MemoryError: "does not fit into memory: make it smaller",
}
_NO_WHITE = "which has no defined white level: store uint8, or uint16 up to 65535"
_ORIENTATION = 0x0112
_PNG_TURNS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
_opening = threading.Lock()
_T = TypeVar("_T")


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS, channels: int = 3) -> np.ndarray:
    """Read an image file upright; of several frames or pages the first.

    JPEG, PNG, WebP, TIFF, BMP and GIF, and JPEG 2000 and AVIF where Pillow has them. TIFF files that Pillow does not
    read, or not right, are read by rasterio (the extra ``geo``). Of 16-bit values the upper 8 bits are kept, so these
    must use the full range of 0 to 65535 (reflectances up to 10000 come out almost black).

    With 2, 4 or more channels, TIFF files are read by rasterio and must have exactly that many bands. With 1 or 3, a
    further band is left out unless the file declares it as transparency and it looks like it (`is_transparency`). Of
    other formats, RGBA gives 4 channels.

    Args:
        path: the file.
        max_pixels: larger images are refused from the header, before anything is decoded.
        channels: 3 (RGB), 1 (gray), or the number of bands in the file.

    Returns:
        (H, W, channels) uint8, as `to_pixels` converts it.

    Raises:
        InputError: the file is missing, a folder, empty, no image, truncated, too large, or without 8-bit meaning; its
            bands are not ``channels``.
    """
    path = Path(path)
    tiff = tiff_of(path)
    if tiff and channels in (1, 3):
        with naming(path):
            _check_bands(tiff)
    if (tiff or path.suffix.lower() in TIFF_SUFFIXES) and (channels not in (1, 3) or (tiff and not tiff.by_pillow)):
        return _read_tiff(path, tiff, max_pixels, channels)
    with opened(path, max_pixels) as image:
        if tiff and image.mode in ("RGBA", "LA"):
            image = _without_data(image, tiff)
        return to_pixels(image, channels)


@contextmanager
def opened(path: str | Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open an image file with Pillow; whatever goes wrong, inside too, becomes an `InputError` that names the file."""
    path = Path(path)
    with naming(path):
        try:
            if not stat.S_ISREG(kind := path.stat().st_mode) and not stat.S_ISDIR(kind):  # opening a pipe would wait
                raise InputError("is a pipe or a device, not a file: remove it")
            with path.open("rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    raise InputError("the file is empty: copy it again or remove it")
                with _open(file) as image:
                    _check_size(*image.size, max_pixels)
                    yield image
        except InputError:
            raise
        except Exception as error:  # damaged files make Pillow's decoders raise almost anything
            reason = first_line(error)
            known = next((text for kind, text in _REASONS.items() if isinstance(error, kind)), "")
            if not known and "MAX_TEXT" in reason:
                known = "holds more than 64 MB of text or color profile: store it without"
            raise InputError(known or f"is truncated or damaged ({reason}): copy it again or remove it") from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from an image file's header, before any turn by its EXIF orientation."""
    path = Path(path)
    if tiff := tiff_of(path):
        return tiff.size
    with opened(path) as image:
        return image.height, image.width


def orientation(path: Path) -> int:
    """Return how EXIF says that an image or mask file is to be turned, 1 to 8; 1 is not at all."""
    if tiff := tiff_of(path):
        return tiff.orientation
    with opened(path) as image:
        if image.format == "PNG" and not any(word in path.read_bytes() for word in _PNG_TURNS):
            return 1  # without the look behind the pixels, which decodes them
        return image.getexif().get(_ORIENTATION, 1)


def stored_kind(image: Image.Image) -> str:
    """How a file stores the values of an image, in Pillow's words, such as "RGB;16"; "" where it has none."""
    tiles = getattr(image, "tile", None)
    stored = tiles[0][3] if tiles else None
    return stored if isinstance(stored, str) else str(next(iter(stored or ()), ""))


def page_count(path: Path) -> int:
    """Return how many pages or frames an image file has; further pictures of a camera's JPEG file are none."""
    if tiff := tiff_of(path):
        return tiff.pages
    with opened(path) as image:
        return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)


def unused_bands(path: Path) -> int:
    """Return the number of bands of a TIFF file of which `read_image` leaves some out as gray or RGB; 0 if none."""
    tiff = tiff_of(path)
    if tiff is None or tiff.photometric not in (tags.WHITE_IS_ZERO, tags.BLACK_IS_ZERO, tags.RGB):
        return 0
    used = tiff.colors + tiff.transparent
    if tiff.bands == used and tiff.transparent and tiff.extra[0] != 1:
        if tiff.by_pillow:
            with opened(path) as image:
                used -= _without_data(image, tiff) is not image
        else:
            with opened_bands(path) as file:
                used -= not is_transparency(_as_bytes(file.read(used), tiff.bits[0]))
    return tiff.bands if used < tiff.bands else 0


def left_out(path: Path, channels: int) -> list[str]:
    """Return what `read_image` leaves out of a file, worded for several files."""
    texts = ["of several pages or frames, of which the first was taken"] if page_count(path) > 1 else []
    if channels in (1, 3) and (bands := unused_bands(path)):
        texts.append(f"of {bands} bands, of which the model takes {channels}")
    return texts


def to_pixels(image: Image.Image, channels: int = 3) -> np.ndarray:
    """Turn a Pillow image into (H, W, channels) uint8, upright by its EXIF orientation.

    With 1 or 3 channels transparent pixels are laid over white; with 4 an RGBA image is taken as it is. 16-bit gray
    keeps its upper 8 bits (as Pillow does for 16-bit color); palettes, 1-bit, CMYK and other color spaces are
    converted as Pillow does it, without color profiles.

    Raises:
        InputError: another number of channels, or floating-point or 32-bit values, which have no defined white.
    """
    if channels not in (1, 3) and (channels, image.mode) != (4, "RGBA"):
        raise InputError(
            f"the model takes images of {channels} channels, and this one has {len(image.getbands())} (mode "
            f"{image.mode}): store {channels} bands in a TIFF file, or pass an array"
        )
    image.load()
    turn = image.getexif().get(_ORIENTATION, 1)  # after load(): PNG may have it last, TIFF is turned by Pillow
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "F" or (values.size and (values.min() < 0 or values.max() > 65535)):
            raise InputError(f"has mode {image.mode}, which has no defined white level: convert it to 8 or 16 bits")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    elif channels != 4 and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    return np.array(upright(np.asarray(image).reshape(image.height, image.width, channels), turn), order="C")


def rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) of any number of bands (H, W, C): the first three, or the first."""
    return image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, -1)


def write_image(image: Image.Image, path: str | Path, **options: Any) -> None:
    """Write a Pillow image in the format of the path's suffix, whole or not at all; ``options`` are the format's.

    It is encoded in memory first: Pillow itself takes the short write of a full disk for success. InputError if the
    file system refuses the write.
    """
    encoded = io.BytesIO()
    image.save(encoded, Image.registered_extensions()[Path(path).suffix.lower()], **options)
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def find_images(inputs: Sequence[str | Path]) -> dict[Path, Path]:
    """Find the images that files, folders and patterns name.

    Args:
        inputs: files (any suffix), folders (images in them and in their sub-folders, by suffix), and patterns with
            ``*``, ``?``, ``[...]`` and ``**`` (files alone, by suffix). Hidden files and folders are left out.

    Returns:
        Each image with its path below the folder, or the fixed part of the pattern, that was given (a file: its name);
        in the order of the inputs, sorted within each.

    Raises:
        InputError: a path that is not there, a folder or pattern without images.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        path, text = Path(given), str(given)
        base, files = _named(given)
        if files is None:
            if not path.exists():
                raise InputError(f"{text}: no such file or folder")
            found.setdefault(path, Path(path.name))
            continue
        kept = (path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        images = sorted(path for path in kept if all(map(is_visible, path.relative_to(base).parts)))
        if not images:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            others = f"; {noted_kinds(left)}" if (left := other_images([given])) else ""
            raise InputError(f"{text}: no image {'in it' if path.is_dir() else 'matches'} ({kinds}){others}")
        for image in images:
            found.setdefault(image, image.relative_to(base))
    return found


def other_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Return the pictures of kinds that are not read, in the folders and patterns that `find_images` takes."""
    found = [path for given in inputs for path in sorted(_named(given)[1] or ())]
    return [path for path in dict.fromkeys(found) if path.suffix.lower() in OTHER_SUFFIXES]


def _named(given: str | Path) -> tuple[Path, list[Path] | None]:
    """A folder, or the fixed part of a pattern, with the files in it; None for a path that is neither."""
    path, text = Path(given), str(given)
    if path.is_dir():
        return path, walk(path)
    if path.exists() or not glob.has_magic(text):
        return path, None
    parts = path.parts
    base = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
    return base, [Path(match) for match in glob.iglob(text, recursive=True)]


def noted_kinds(files: Sequence[Path]) -> str:
    """One sentence on files that are left out: how many of each suffix, and what to do."""
    counts = Counter(path.suffix.lower() for path in files)
    listed = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())
    return f"{listed} left out (not supported): convert to JPEG or PNG"


def walk(folder: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """Return the files below a folder, sorted, without hidden files and folders and ``__MACOSX``.

    Links to folders are followed, but each folder is visited once and those above ``folder`` never: a circle of links
    ends. With ``suffixes`` (in lower case), only files of these. InputError for a sub-folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}): change its permissions") from error

    return sorted(path for path in each_file(folder, refuse) if not suffixes or path.suffix.lower() in suffixes)


def each_file(folder: Path, onerror: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Find the files of `walk` one by one, in no order; ``onerror`` is called with errors, which are passed over."""
    visited = {str(above) for above in Path(os.path.realpath(folder)).parents}
    for base, folders, names in os.walk(folder, onerror=onerror, followlinks=True):
        real = os.path.realpath(base)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(filter(is_visible, folders))
        yield from (Path(base, name) for name in names if is_visible(name))


def is_visible(name: str) -> bool:
    """Whether a file or folder is the user's own by its name: not hidden, and not what a Mac adds to archives."""
    return name[0] != "." and name != "__MACOSX"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not width * height:
        raise InputError(f"{width} x {height}: has no pixels: remove it")
    if width * height > max_pixels:
        raise InputError(
            f"{width} x {height} pixels are more than {max_pixels:,}: "
            "make it smaller, or raise --max-pixels if there is memory for it"
        )


def _read_tiff(path: Path, tiff: Tiff | None, max_pixels: int, channels: int) -> np.ndarray:
    """The bands of a TIFF file by rasterio, (H, W, channels) uint8, upright."""
    with opened_bands(path) as file:
        _check_size(file.width, file.height, max_pixels)
        if channels not in (1, 3) and file.count != channels:
            raise InputError(f"has {file.count} bands, and data.channels is {channels}: set it to the files' number")
        kinds = sorted(set(file.dtypes))
        if kinds not in (["uint8"], ["uint16"]):
            raise InputError(f"holds {' and '.join(kinds)}, {_NO_WHITE}")
        bands = _as_bytes(file.read(), tiff.bits[0] if tiff else 8 * np.dtype(kinds[0]).itemsize)
    if tiff and channels in (1, 3):
        pixels = to_pixels(_picture(bands, tiff), channels)
    else:
        pixels = bands.transpose(1, 2, 0)
    return np.ascontiguousarray(upright(pixels, tiff.orientation if tiff else 1))


def _check_bands(tiff: Tiff) -> None:
    """InputError if the bands of a TIFF file do not say what is black, white and color in them."""
    if tiff.reduced:
        raise InputError("its first page is a thumbnail: store the whole picture as the first one")
    if any(kind != tags.UNSIGNED for kind in tiff.kinds) or max(tiff.bits) > 16:
        name = {tags.SIGNED: "int", tags.FLOAT: "float"}.get(max(tiff.kinds), "uint") + str(max(tiff.bits))
        raise InputError(f"holds {name}, {_NO_WHITE}")
    if tiff.photometric in (tags.WHITE_IS_ZERO, tags.BLACK_IS_ZERO) and tiff.bands > 3:
        raise InputError(
            f"has {tiff.bands} bands, which the file does not call red, green and blue: set --model.in_channels "
            f"{tiff.bands}, or store 3 bands"
        )
    known = (tags.WHITE_IS_ZERO, tags.BLACK_IS_ZERO, tags.RGB, tags.PALETTE, tags.CMYK, tags.YCBCR)
    if tiff.photometric not in known or (tiff.photometric == tags.PALETTE and not tiff.by_pillow):
        raise InputError(f"has PhotometricInterpretation {tiff.photometric}, not gray or RGB: store it as RGB")


def _picture(bands: np.ndarray, tiff: Tiff) -> Image.Image:
    """Bands (C, H, W) uint8 of gray or RGB as a Pillow image, with the transparency that they have."""
    colors = tiff.colors
    mode = "L" if colors == 1 else "RGB"
    if tiff.photometric == tags.WHITE_IS_ZERO:
        bands = np.concatenate([255 - bands[:colors], bands[colors:]])
    if tiff.transparent and (tiff.extra[0] == 1 or is_transparency(bands[colors])):
        mode += "a" if tiff.extra[0] == 1 else "A"  # small: the colors are multiplied by it
    pixels = bands[: len(mode)].transpose(1, 2, 0)
    return Image.frombytes(mode, (bands.shape[2], bands.shape[1]), pixels.tobytes()).convert(mode.upper())


def _without_data(image: Image.Image, tiff: Tiff) -> Image.Image:
    """A TIFF file's image without a last band that is no transparency."""
    if tiff.extra[0] == 1 or (tiff.transparent and is_transparency(np.asarray(image.getchannel("A")))):
        return image
    return image.convert(image.mode.removesuffix("A"))


def _as_bytes(bands: np.ndarray, bits: int) -> np.ndarray:
    """Values of 1 to 16 bits as 8: the upper ones, or stretched so that white becomes 255."""
    if bits >= 8:
        return (bands >> (bits - 8)).astype(np.uint8)
    return (bands * (255 / (2**bits - 1))).round().astype(np.uint8)


def _open(file: BinaryIO) -> Image.Image:
    """``Image.open`` without Pillow's own limits on pixels and on the text of PNG files."""
    image = _without_limits(lambda: Image.open(file, formats=_FORMATS))
    if image.format == "BMP":
        _check_bmp(image, file)
    stream = getattr(image, "png", None)
    for name in ("tEXt", "zTXt", "iTXt") if stream else ():  # text after the pixels, which is read with them
        read = getattr(stream, f"chunk_{name}")
        setattr(stream, f"chunk_{name}", lambda *place, read=read: _without_limits(lambda: read(*place)))
    return image


def _check_bmp(image: Image.Image, file: BinaryIO) -> None:
    """InputError for palettes of gray that Pillow takes for the values of another depth."""
    place = file.tell()
    file.seek(14)
    header = file.read(16)
    file.seek(place)
    bits = int.from_bytes(header[10:12] if header[0] == 12 else header[14:16], "little")
    if (image.mode, bits) not in (("1", 1), ("L", 8)) and image.mode in ("1", "L"):
        raise InputError(f"is a BMP of {bits} bits with a short gray palette, which is misread: store it as PNG")


def _without_limits(read: Callable[[], _T]) -> _T:
    """What ``read`` returns with Pillow's limits set aside; the lock keeps other threads from restoring what is set."""
    with _opening:
        kept = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, _TEXT_LIMIT
        try:
            return read()
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = kept
