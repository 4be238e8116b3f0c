"""TIFF files for tests: plain ones of any depth written here, any others by rasterio."""

import struct

import numpy as np
import pytest


def write_tiff(path, pages, bits=8, photometric=1, order="<", tags=(), page_tags=()):
    """Write gray pages (H, W) of 1, 2, 4, 8 or 16 bits without compression.

    Args:
        path, pages: the file and its pictures.
        bits, photometric, order: of all pages; the order is "<" or ">".
        tags: further short tags of all pages, as (number, value).
        page_tags: in place of these, those of each page.
    """
    content, previous = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0)), 4
    for index, page in enumerate(pages):
        if bits == 16:
            data = page.astype(order + "u2").tobytes()
        else:
            data = b"".join(np.packbits(_in_bits(row, bits)).tobytes() for row in page)
        more = page_tags[index] if page_tags else tags
        entries = {256: page.shape[1], 257: page.shape[0], 258: bits, 259: 1, 262: photometric, 277: 1}
        entries |= {278: page.shape[0], **dict(more)}
        place = len(content) + len(data) % 2 + len(data)
        struct.pack_into(order + "I", content, previous, place)
        longs = {273: len(content), 279: len(data)}
        content += data + b"\0" * (len(data) % 2)
        content += struct.pack(order + "H", len(entries) + 2)
        for tag, value in sorted({**entries, **longs}.items()):
            if tag in longs:
                content += struct.pack(order + "HHII", tag, 4, 1, value)
            else:
                content += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
        previous = len(content)
        content += struct.pack(order + "I", 0)
    path.write_bytes(content)
    return path


def _in_bits(row, bits):
    return (row[:, None] >> np.arange(bits)[::-1] & 1).ravel().astype(np.uint8)


def write_bands(path, bands, **options):
    """Write bands (C, H, W) by rasterio, where it is installed, with its options."""
    rasterio = pytest.importorskip("rasterio")
    count, height, width = bands.shape
    given = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": bands.dtype.name, **options}
    try:
        with rasterio.open(path, "w", **given) as file:
            file.write(bands)
    except Exception as error:  # of a GDAL built without this compression
        pytest.skip(f"cannot be written: {error}")
    return path
