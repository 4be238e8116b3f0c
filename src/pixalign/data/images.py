"""Reading photographs as they come: any mode, any orientation, and one clear line for what cannot be read."""

import functools
import glob
import io
import os
import stat
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from pixalign.errors import InputError, first_line, replacing

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
MAX_PIXELS = 250_000_000
ID_MAP = {"compress_type": zlib.Z_RLE}  # for PNG files of ids, runs of equal values: half the time, and less space

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")  # named, so that no file starts Ghostscript or another program
_TIFF = (".tif", ".tiff")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_opening = threading.Lock()


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS, channels: int = 3) -> np.ndarray:
    """Read an image file (JPEG, PNG, WebP, TIFF, BMP, GIF) upright; of several frames or pages the first.

    With 2, 4 or more channels, TIFF files are read by rasterio (the extra ``geo``) and must have exactly that many
    bands: 8-bit values as they are, of 16-bit values the upper 8 bits, so these must use the full range of 0 to 65535
    (data of 12 bits, or reflectances up to 10000, come out almost black). Of other formats, RGBA gives 4 channels.

    Args:
        path: the file.
        max_pixels: larger images are refused from the header, before anything is decoded.
        channels: 3 (RGB), 1 (grey), or the number of bands in the file.

    Returns:
        (H, W, channels) uint8, as `to_pixels` converts it.

    Raises:
        InputError: the file is missing, a folder, empty, no image, truncated, too large, or without 8-bit meaning; its
            bands are not ``channels``.
    """
    path = Path(path)
    if channels not in (1, 3) and path.suffix.lower() in _TIFF:
        return _read_bands(path, max_pixels, channels)
    with opened(path, max_pixels) as image:
        return to_pixels(image, channels)


@contextmanager
def opened(path: str | Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open an image file with Pillow; whatever goes wrong, inside too, becomes an `InputError` that names the file."""
    path = Path(path)
    try:
        if not stat.S_ISREG(kind := path.stat().st_mode) and not stat.S_ISDIR(kind):  # opening a pipe would wait
            raise InputError("is a pipe or a device, not a file: remove it")
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise InputError("the file is empty: copy it again or remove it")
            with _open(file) as image:
                _check_size(*image.size, max_pixels)
                yield image
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder: name an image") from error
    except PermissionError as error:
        raise InputError(f"{path}: may not be read: change its permissions") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: is not an image in JPEG, PNG, WebP, TIFF, BMP or GIF: convert or remove it"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory: make it smaller") from error
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        reason = first_line(error)
        raise InputError(f"{path}: is truncated or damaged ({reason}): copy it again or remove it") from error


def image_size(path: str | Path, channels: int = 3) -> tuple[int, int]:
    """Return (height, width) from an image file's header, before any turn by its EXIF orientation."""
    path = Path(path)
    if channels not in (1, 3) and path.suffix.lower() in _TIFF:
        with _opened_bands(path) as file:
            return file.height, file.width
    with opened(path) as image:
        return image.height, image.width


def to_pixels(image: Image.Image, channels: int = 3) -> np.ndarray:
    """Turn a Pillow image into (H, W, channels) uint8, upright by its EXIF orientation.

    With 1 or 3 channels transparent pixels are laid over white; with 4 an RGBA image is taken as it is. 16-bit grey
    keeps its upper 8 bits (as Pillow does for 16-bit colour); palettes, 1-bit, CMYK and other colour spaces are
    converted as Pillow does it, without colour profiles.

    Raises:
        InputError: another number of channels, or floating-point or 32-bit values, whose white is not known.
    """
    if channels not in (1, 3) and (channels, image.mode) != (4, "RGBA"):
        raise InputError(
            f"the model takes images of {channels} channels, and this one has {len(image.getbands())} (mode "
            f"{image.mode}): store {channels} bands in a TIFF file, or pass an array"
        )
    image.load()
    orientation = image.getexif().get(_ORIENTATION)  # after load(): PNG may have it last, TIFF is turned by Pillow
    if image.mode == "F" or image.mode.startswith("I"):
        image = _upper_bits(image)
    elif channels != 4 and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return np.array(image).reshape(image.height, image.width, channels)


def write_image(image: Image.Image, path: str | Path, **options: Any) -> None:
    """Write a Pillow image in the format of the path's suffix, whole or not at all; ``options`` are the format's.

    It is encoded in memory first: Pillow itself takes the short write of a full disk for success.

    Raises:
        InputError: the file system refuses the write.
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
        if path.is_dir():
            base, files = path, iter(walk(path))
        elif path.exists() or not glob.has_magic(text):
            if not path.exists():
                raise InputError(f"{text}: no such file or folder")
            found.setdefault(path, Path(path.name))
            continue
        else:
            parts = path.parts
            base = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
            files = (Path(match) for match in glob.iglob(text, recursive=True))
        images = sorted(p for p in files if _is_visible_image(p.relative_to(base)) and p.is_file())
        if not images:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise InputError(f"{text}: no image {'in it' if path.is_dir() else 'matches'} ({kinds})")
        for image in images:
            found.setdefault(image, image.relative_to(base))
    return found


def walk(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden files and folders.

    Links to folders are followed, but each folder is visited once and those above ``folder`` never: a circle of links
    ends.

    Raises:
        InputError: a sub-folder that may not be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: may not be read ({error.strerror}): change its permissions") from error

    files: list[Path] = []
    visited = {str(above) for above in Path(os.path.realpath(folder)).parents}
    for base, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(base)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if name[0] != ".")
        files += [Path(base, name) for name in names if name[0] != "."]
    return sorted(files)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not width * height:
        raise InputError(f"{width} x {height}: has no pixels: remove it")
    if width * height > max_pixels:
        raise InputError(
            f"{width} x {height} pixels are more than {max_pixels:,}: "
            "make it smaller, or raise --max-pixels if there is memory for it"
        )


@functools.cache
def _rasterio() -> Any:
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise InputError(
            "TIFF files of other than 1 or 3 channels are read by rasterio: pip install 'pixalign[geo]'"
        ) from error
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    return rasterio


@contextmanager
def _opened_bands(path: Path) -> Iterator[Any]:
    """Open a TIFF file with rasterio; whatever goes wrong, inside too, becomes an `InputError` that names the file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with _rasterio().open(path, driver="GTiff") as file:
            yield file
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # GDAL's errors come in many classes
        reason = first_line(error)
        raise InputError(f"{path}: cannot be read as TIFF ({reason}): copy it again or remove it") from error


def _read_bands(path: Path, max_pixels: int, channels: int) -> np.ndarray:
    """All bands of a TIFF file, (H, W, channels) uint8."""
    with _opened_bands(path) as file:
        _check_size(file.width, file.height, max_pixels)
        if file.count != channels:
            raise InputError(f"has {file.count} bands, and data.channels is {channels}: set it to the files' number")
        kinds = sorted(set(file.dtypes))
        if kinds not in (["uint8"], ["uint16"]):
            raise InputError(
                f"holds {' and '.join(kinds)}, whose white is not known: store uint8, or uint16 up to 65535"
            )
        bands = file.read()  # (C, H, W)
        return np.ascontiguousarray((bands if kinds == ["uint8"] else bands >> 8).astype(np.uint8).transpose(1, 2, 0))


def _open(file: object) -> Image.Image:
    """``Image.open`` without Pillow's own limit on pixels; the lock keeps others from restoring a limit set aside."""
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_FORMATS)  # type: ignore[arg-type]
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _upper_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as 8; InputError for values outside 16 bits."""
    values = np.asarray(image)
    if image.mode == "F" or (values.size and (values.min() < 0 or values.max() > 65535)):
        raise InputError(f"has mode {image.mode}, whose white is not known: convert it to 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _is_visible_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in path.parts)
