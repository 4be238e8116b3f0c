"""Masks as TIFF: every depth, order, compression and photometric interpretation, pages, bands, lossy ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import VOID, Case, Reading, kind, save
from hostile.files import Page, with_rasterio, write_tiff
from hostile.masks import plain, some_palette


@kind(must_read=True)
def tiff_miniswhite(case: Case) -> None:
    """PhotometricInterpretation 0, ImageJ's inverting table: the stored values are the ids."""
    how = case.pick("how", ["strips", "tiles", "deflate", "16 bits", "rasterio", "big endian"])
    bits = 16 if how == "16 bits" else 8
    page = {"tiles": {"tile": 16}, "deflate": {"compression": 8, "rows": 7}}.get(str(how), {})

    def write(values: np.ndarray, path: Path) -> None:
        if how == "rasterio":
            with_rasterio(values, path, photometric="miniswhite")
        else:
            write_tiff(path, [Page(values, bits, photometric=0, **page)], ">" if how == "big endian" else "<")  # type: ignore

    plain(case, write, str(case.pick("suffix", [".tif", ".tiff"])), bits=bits, void=True)


@kind
def tiff_few_bits(case: Case) -> None:
    """1, 2 and 4 bits, black or white as zero: the stored values, or refused."""
    bits, photometric = int(case.pick("bits", [1, 2, 4])), int(case.pick("photometric", [0, 1]))
    plain(
        case,
        lambda v, p: write_tiff(p, [Page(v, bits, photometric)]),
        ".tif",
        bits=bits,
        classes=2 if bits == 1 else 3,
    )


@kind(must_read=True)
def tiff_gray(case: Case) -> None:
    """8 and 16 bits, in strips and tiles, in every order of bytes and common compression."""
    bits, order = int(case.pick("bits", [8, 16])), str(case.pick("order", "<>"))
    tile = int(case.pick("tile", [0, 0, 16, 32]))
    compression = int(case.pick("compression", [1, 8, 32946, 32773]))
    predictor = 2 if compression in (8, 32946) and case.maybe("predictor") else 1
    rows = int(case.pick("rows", [0, 1, 8]))
    plain(
        case,
        lambda v, p: write_tiff(p, [Page(v, bits, 1, 1, compression, tile, rows, 1, predictor)], order),
        ".tif",
        bits=bits,
        void=True,
    )


@kind(must_read=True)
def tiff_of_rasterio(case: Case) -> None:
    """As GDAL writes masks: compressions, tiles, no-data values, georeference."""
    compress = case.pick("compress", ["none", "lzw", "deflate", "packbits", "zstd"])
    options: dict = {"compress": compress} if compress != "none" else {}
    if case.maybe("tiled", 0.3):
        options |= {"tiled": True, "blockxsize": 16, "blockysize": 16}
    if case.maybe("nodata", 0.3):
        options["nodata"] = int(case.pick("nodata value", [0, 255]))
    if compress in ("lzw", "deflate") and case.maybe("predictor", 0.3):
        options["predictor"] = 2
    if case.maybe("uint16", 0.3):
        options["dtype"] = "uint16"
    plain(case, lambda v, p: with_rasterio(v, p, **options), ".tif", bits=16 if "dtype" in options else 8, void=True)


@kind(must_read=True)
def tiff_palette(case: Case) -> None:
    palette = some_palette(case, 256)
    tile = int(case.pick("tile", [0, 16]))
    plain(case, lambda v, p: write_tiff(p, [Page(v, photometric=3, palette=palette, tile=tile)]), ".tif", void=True)


@kind
def tiff_palette_few_bits(case: Case) -> None:
    bits = int(case.pick("bits", [1, 2, 4]))
    palette = some_palette(case, 1 << bits)
    plain(
        case,
        lambda v, p: write_tiff(p, [Page(v, bits, 3, palette=palette)]),
        ".tif",
        bits=bits,
        classes=2 if bits == 1 else 3,
    )


@kind
def tiff_wide(case: Case) -> None:
    """32 bits, signed values, floats with whole numbers, -1 or NaN for no label: right or refused."""
    form = str(
        case.pick("form", ["u32", "i32", "i16", "i8", "f32", "f64", "f16", "i32 -1", "i16 -1", "i8 -1", "f32 nan"])
    )
    bits, signed = int(form[1:3].strip()), {"u": 1, "i": 2, "f": 3}[form[0]]
    special = form.split()[1:] != []
    table = np.arange(256).astype(float)
    if special:
        table[VOID] = np.nan if form.endswith("nan") else -1
    elif bits == 8:
        table[VOID] = 0
    void = special or bits > 8
    plain(case, lambda v, p: write_tiff(p, [Page(v, bits, 1, signed)]), ".tif", void=void, table=table)
    if form == "i8 -1":  # the same bits as 255
        case.note("-1 is stored as 255")


@kind
def tiff_bigtiff(case: Case) -> None:
    plain(case, lambda v, p: write_tiff(p, [Page(v)], str(case.dice.choice("<>")), big=True), ".tif", void=True)


@kind
def tiff_pages(case: Case) -> None:
    """Several pages, or frames of an animation: a page per class or a stack; never the first one alone."""
    form = str(case.pick("form", ["page per class", "stack", "gif", "webp", "apng", "tif of pillow"]))
    suffix = {"gif": ".gif", "webp": ".webp", "apng": ".png"}.get(form, ".tif")

    def write(values: np.ndarray, path: Path) -> None:
        frames = [(values == k).astype(np.uint8) for k in (1, 2)]
        if form in ("stack", "page per class"):
            write_tiff(
                path, [Page(frame) for frame in (frames if form == "page per class" else [values, values[::-1]])]
            )
            return
        pictures = [Image.fromarray(frame) for frame in frames]
        options = {"lossless": True} if form == "webp" else {}
        if form == "webp":
            pictures = [picture.convert("RGB") for picture in pictures]
        save(pictures[0], path, save_all=True, append_images=pictures[1:], **options)

    plain(case, write, suffix, table=np.arange(256))
    case.must_refuse()
    if form != "stack":
        case.readings = [Reading("pages are classes")]


@kind
def tiff_overviews(case: Case) -> None:
    """A second page that is only a smaller copy, as in cloud-fused GeoTIFF: the first page."""
    plain(
        case,
        lambda v, p: write_tiff(p, [Page(v, tile=16), Page(v[::2, ::2].copy(), tile=16, subfile=1)]),
        ".tif",
        void=True,
    )


@kind
def tiff_color(case: Case) -> None:
    """RGB and more samples that repeat the ids, chunky or by plane, with and without declared alpha."""
    form = str(case.pick("form", ["RGB", "planar", "extra", "alpha", "two bands"]))

    def write(values: np.ndarray, path: Path) -> None:
        bands = np.dstack([values] * (2 if form == "two bands" else 3))
        extra: Sequence[int] = ()
        if form in ("extra", "alpha"):
            bands = np.dstack([bands, np.full(values.shape, 255)])
            extra = [2] if form == "alpha" else [0]
        elif form == "two bands":
            extra = [0]
        write_tiff(
            path, [Page(bands, photometric=1 if form == "two bands" else 2, planar=1 + (form == "planar"), extra=extra)]
        )

    plain(case, write, ".tif", void=True)


@kind
def tiff_jpeg(case: Case) -> None:
    """JPEG or LERC with an error inside a TIFF: the labels are not exact any more."""
    form = case.pick("form", ["jpeg", "jpeg of pillow", "webp", "lerc"])

    def write(values: np.ndarray, path: Path) -> None:
        if form == "jpeg of pillow":
            save(Image.fromarray(values.astype(np.uint8)), path, compression="jpeg", quality=60)
        elif form == "jpeg":
            with_rasterio(values, path, compress="jpeg", jpeg_quality=60)
        elif form == "webp":
            with_rasterio(np.dstack([values] * 3), path, compress="webp", webp_level=50)
        else:
            with_rasterio(values, path, compress="lerc", max_z_error=3)

    plain(case, write, ".tif", table=np.arange(256) * 10)
    case.yaml(case.names(3), [0, 10, 20])
    case.must_refuse()
