"""PNG and TIFF files written byte by byte, so that what they store is known and no library's habits come between."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hostile.case import put

UPRIGHT = {  # EXIF orientation -> how the stored pixels are turned to be seen
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a camera stores for ``pixels`` to be seen with an EXIF orientation."""
    back = {6: 8, 8: 6}.get(orientation, orientation)
    return np.ascontiguousarray(UPRIGHT[back](pixels))


def packed(values: np.ndarray, bits: int, sample_format: int = 1, order: str = ">") -> np.ndarray:
    """Rows of values (H, N) as rows of bytes (H, B), the first value in the highest bits."""
    if bits < 8:
        ones = (values.astype(np.int64)[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        return np.packbits(ones.reshape(len(values), -1).astype(np.uint8), axis=1)
    kind = {1: "u", 2: "i", 3: "f"}[sample_format]
    return np.ascontiguousarray(values.astype(f"{order}{kind}{bits // 8}")).view(np.uint8).reshape(len(values), -1)


def write_png(
    path: Path,
    values: np.ndarray,
    bits: int = 8,
    palette: np.ndarray | None = None,
    transparency: bytes = b"",
    orientation: int = 0,
    chunks: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Write a PNG: gray or (with ``palette``) indices (H, W), gray and alpha, RGB or RGBA (H, W, C)."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    color = 3 if palette is not None else {1: 0, 2: 4, 3: 2, 4: 6}[samples]
    rows = packed(values.reshape(height, -1), bits)
    data = zlib.compress(np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes())
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)), *chunks]
    if palette is not None:
        parts.append((b"PLTE", palette.astype(np.uint8).tobytes()))
    if transparency:
        parts.append((b"tRNS", transparency))
    if orientation:
        parts.append(
            (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HHI", orientation, 0, 0))
        )
    parts += [(b"IDAT", data), (b"IEND", b"")]
    text = b"\x89PNG\r\n\x1a\n"
    for name, body in parts:
        text += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    put(path, text)


@dataclass
class Page:
    """A picture in a TIFF file: values (H, W) or (H, W, C), and its tags (numbers as the standard has them)."""

    values: np.ndarray
    bits: int = 8
    photometric: int = 1
    sample_format: int = 1
    compression: int = 1
    tile: int = 0
    rows: int = 0
    planar: int = 1
    predictor: int = 1
    extra: Sequence[int] = ()
    palette: np.ndarray | None = None
    orientation: int = 0
    subfile: int = 0


def write_tiff(path: Path, pages: Sequence[Page], order: str = "<", big: bool = False) -> None:
    """Write a TIFF, or with ``big`` a BigTIFF, of several pages."""
    offset, count = ("Q", "Q") if big else ("I", "H")
    body = bytearray(b"II" if order == "<" else b"MM")
    body += struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)
    link = len(body) - (8 if big else 4)

    def align() -> None:
        body.extend(b"\0" * (len(body) % 2))

    for page in pages:
        height, width = page.values.shape[:2]
        values = page.values.reshape(height, width, -1)
        samples = values.shape[2]
        planes = [values] if page.planar == 1 else [values[..., i : i + 1] for i in range(samples)]
        places, sizes = [], []
        for plane in planes:
            for block in _blocks(plane, page):
                align()
                data = _compressed(_predicted(block, page), page, order)
                places.append(len(body))
                sizes.append(len(data))
                body += data
        tags: list[tuple[int, int, Sequence[int]]] = [
            (254, 4, [page.subfile]), (256, 4, [width]), (257, 4, [height]), (258, 3, [page.bits] * samples),
            (259, 3, [page.compression]), (262, 3, [page.photometric]), (277, 3, [samples]), (284, 3, [page.planar]),
            (339, 3, [page.sample_format] * samples),
        ]  # fmt: skip
        if page.orientation:
            tags.append((274, 3, [page.orientation]))
        if page.predictor != 1:
            tags.append((317, 3, [page.predictor]))
        if page.extra:
            tags.append((338, 3, [*page.extra]))
        if page.palette is not None:
            table = np.zeros((3, 1 << page.bits), np.int64)
            table[:, : len(page.palette)] = page.palette.T.astype(np.int64) * 257
            tags.append((320, 3, table.ravel().tolist()))
        kind = 16 if big else 4
        if page.tile:
            tags += [(322, 4, [page.tile]), (323, 4, [page.tile]), (324, kind, places), (325, kind, sizes)]
        else:
            tags += [(273, kind, places), (278, 4, [page.rows or height]), (279, kind, sizes)]
        entries = b""
        room = struct.calcsize(order + offset)
        for number, kind, numbers in sorted(tags):
            data = struct.pack(f"{order}{len(numbers)}{ {3: 'H', 4: 'I', 16: 'Q'}[kind] }", *numbers)
            if len(data) > room:
                align()
                place = len(body)
                body += data
                data = struct.pack(order + offset, place)
            entries += struct.pack(order + "HH" + offset, number, kind, len(numbers)) + data.ljust(room, b"\0")
        align()
        struct.pack_into(order + offset, body, link, len(body))
        body += struct.pack(order + count, len(tags)) + entries
        link = len(body)
        body += struct.pack(order + offset, 0)
    put(path, bytes(body))


def with_rasterio(values: np.ndarray, path: Path, **options: object) -> None:
    """Write bands (H, W) or (H, W, C) by rasterio."""
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    values = values.reshape(*values.shape[:2], -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = options.setdefault("dtype", "uint8")
    height, width, count = values.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=count, **options) as file:
            file.write(np.moveaxis(values, -1, 0).astype(dtype))


def _blocks(plane: np.ndarray, page: Page) -> list[np.ndarray]:
    """Strips or tiles (h, w, samples) of a plane."""
    height, width = plane.shape[:2]
    if not page.tile:
        rows = page.rows or height
        return [plane[y : y + rows] for y in range(0, height, rows)]
    side = page.tile
    padded = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    return [
        padded[y : y + side, x : x + side]
        for y in range(0, padded.shape[0], side)
        for x in range(0, padded.shape[1], side)
    ]


def _predicted(block: np.ndarray, page: Page) -> np.ndarray:
    """Values as differences from the left neighbor, where the page says so."""
    if page.predictor != 2:
        return block
    block = block.astype(np.int64)
    block[:, 1:] -= block[:, :-1].copy()
    return block % (1 << page.bits)


def _compressed(block: np.ndarray, page: Page, order: str) -> bytes:
    rows = packed(block.reshape(len(block), -1), page.bits, page.sample_format, order)
    if page.compression in (8, 32946):
        return zlib.compress(rows.tobytes())
    if page.compression == 32773:  # PackBits, row by row, literal runs alone
        return b"".join(
            bytes([len(part) - 1]) + part
            for row in rows
            for part in (row[i : i + 128].tobytes() for i in range(0, len(row), 128))
        )
    return rows.tobytes()
