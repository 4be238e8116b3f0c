"""Images of every depth, number of bands and orientation, with masks that are beyond doubt."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import LOSSY, Case, Pair, Reading, Shape, kind, put, save
from hostile.coco import coco
from hostile.files import Page, stored, with_rasterio, write_png, write_tiff
from hostile.labelme import labelme

TURNED = "EXIF|rientation"


def mask_for(case: Case, stem: str, ids: np.ndarray) -> None:
    save(Image.fromarray(ids), case.root / "masks" / f"{stem}.png")


# Orientation ----------------------------------------------------------------------------------------------------------


def _write_turned(case: Case, pair: Pair, path: Path, orientation: int) -> None:
    """Write a picture as a camera stores it, with a note of how to turn it."""
    raw = stored(pair.picture, orientation)
    if path.suffix == ".png":
        write_png(path, raw, orientation=orientation)
    elif path.suffix == ".tif":
        write_tiff(path, [Page(raw, photometric=2, orientation=orientation)])
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(Image.fromarray(raw), path, quality=95, exif=exif)
        pair.tolerance = LOSSY


@kind
def exif_of_images(case: Case) -> None:
    """Photographs with a note of orientation, and masks drawn upright, on the stored pixels, or with the same note."""
    masks = str(case.pick("masks", ["upright", "stored", "noted"]))
    suffix = str(case.pick("suffix", [".jpg", ".jpg", ".png", ".tif", ".webp"]))
    mixed = case.maybe("different orientations", 0.3)
    same = int(case.pick("orientation", range(2, 9)))
    quarter: set[int] = set()
    for stem, pair in case.scenes():
        orientation = case.dice.randint(1, 8) if mixed else same
        quarter.add(orientation)
        image = case.root / "images" / (stem + suffix)
        _write_turned(case, pair, image, orientation)
        if masks == "upright":
            mask_for(case, stem, pair.ids)
        elif masks == "stored":
            mask_for(case, stem, stored(pair.ids, orientation))
        else:
            write_png(case.root / "masks" / f"{stem}.png", stored(pair.ids, orientation), orientation=orientation)
        case.expect(image, pair)
        pair.orientation = orientation
    if masks == "upright":
        case.refusal = "no"
    elif not any(o >= 5 for o in quarter):  # of one size either way: nobody can tell, so it must be said
        as_stored = lambda path, pair: stored(pair.ids, pair.orientation)  # noqa: E731
        case.readings.append(Reading("masks as stored, said so", as_stored, warning=TURNED))


@kind
def exif_of_masks(case: Case) -> None:
    """A note of orientation on the mask alone: it is turned, refused, or taken as stored and said so."""
    orientation = int(case.pick("orientation", range(2, 9)))
    suffix = str(case.pick("suffix", [".png", ".tif"]))
    for stem, pair in case.scenes():
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        raw = stored(pair.ids, orientation)
        if suffix == ".png":
            write_png(case.root / "masks" / f"{stem}.png", raw, orientation=orientation)
        else:
            write_tiff(case.root / "masks" / f"{stem}.tif", [Page(raw, orientation=orientation)])
        case.expect(image, pair)
    if orientation < 5:
        as_stored = lambda path, pair: stored(pair.ids, orientation)  # noqa: E731
        case.readings.append(Reading("masks as stored, said so", as_stored, warning=TURNED))


# Bands and depths -----------------------------------------------------------------------------------------------------


def _bands(case: Case, pair: Pair, count: int) -> np.ndarray:
    """Bands (H, W, count) uint8: red, green, blue, and further ones in which the classes differ as well."""
    further = [np.roll(pair.picture[..., i % 3], 0) // (2 + i) + 30 * i for i in range(max(0, count - 3))]
    return np.dstack([pair.picture, *further])[..., :count].astype(np.uint8)


@kind
def bands(case: Case) -> None:
    """TIFF files of 1 to 5 bands, read with the right number of channels or with the default."""
    count, depth = int(case.pick("bands", range(1, 6))), str(case.pick("depth", ["uint8", "uint8", "uint16"]))
    right = case.maybe("channels are told")
    writer = str(case.pick("writer", ["rasterio", "own", "own planar"]))
    alpha = count in (2, 4) and case.maybe("extra band is declared alpha", 0.3)
    if alpha and writer == "rasterio":
        writer = "own"
    case.channels = count if right else 3
    full: dict[str, np.ndarray] = {}
    for stem, pair in case.scenes():
        image = case.root / "images" / f"{stem}.tif"
        pixels = _bands(case, pair, count)
        deep = pixels.astype(np.int64) * 257 if depth == "uint16" else pixels
        if writer == "rasterio":
            with_rasterio(deep, image, dtype=depth, **({"photometric": "RGB"} if count >= 3 else {}))
        else:
            colors = 3 if count >= 3 else 1
            page = Page(
                deep,
                16 if depth == "uint16" else 8,
                2 if colors == 3 else 1,
                extra=[2 if alpha else 0] * (count - colors),
            )
            page.planar = 2 if writer == "own planar" and count > 1 else 1
            write_tiff(image, [page])
        mask_for(case, stem, pair.ids)
        case.expect(image, pair)
        full[case_path(case, image)] = pixels
        if right:
            pair.picture = pixels
        elif count == 1:
            pair.picture = pixels.repeat(3, 2)
    if right and not alpha and count != 3:
        case.refusal = "no"
    elif count == 3:
        case.refusal = "no"  # 8 and 16 bits alike
    elif not right and count in (2, 5):
        case.readings = [Reading("said so", picture=False, warning="channels|bands")]
        if count == 5:
            case.readings.append(Reading("the first three, said so", warning="channels|bands"))
        case.refusal = "may"
    elif not right and count == 4:
        case.readings.append(Reading("said so", picture=False, warning="channels|bands"))
        if alpha:
            case.readings.append(Reading("over white", picture=lambda path, pair: over_white(full[path])))


def case_path(case: Case, path: Path) -> str:
    return path.relative_to(case.root).as_posix()


def over_white(pixels: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) laid over white, (H, W, 3)."""
    share = pixels[..., 3:].astype(float) / 255
    return (pixels[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8)


@kind
def float_images(case: Case) -> None:
    """Floating-point bands, of 0 to 1 or to 255: refused, or the same picture up to a scale."""
    top, count = float(case.pick("top", [1.0, 255.0, 10000.0])), int(case.pick("bands", [1, 3, 4]))
    case.channels = count
    for stem, pair in case.scenes():
        image = case.root / "images" / f"{stem}.tif"
        pair.picture = _bands(case, pair, count)
        with_rasterio(pair.picture / 255 * top, image, dtype="float32")
        mask_for(case, stem, pair.ids)
        case.expect(image, pair)
    case.readings = [Reading("up to a scale", picture="affine")]


@kind
def narrow_deep_images(case: Case) -> None:
    """16-bit values that use 10 to 12 bits: refused, stretched, or said to be dark."""
    shift = int(case.pick("bits", [10, 11, 12])) - 8
    count = int(case.pick("bands", [1, 3, 4]))
    case.channels = count
    for stem, pair in case.scenes():
        image = case.root / "images" / f"{stem}.tif"
        pair.picture = _bands(case, pair, count)
        write_tiff(image, [Page(pair.picture.astype(np.int64) << shift, 16, 1 + (count > 2), extra=[0] * (count - 3))])
        mask_for(case, stem, pair.ids)
        case.expect(image, pair)
    case.readings = [
        Reading("stretched", picture="affine"),
        Reading("said so", picture=False, warning="range|dark|bit"),
    ]


@kind(must_read=True)
def image_modes(case: Case) -> None:
    """PNG of every mode: as a viewer shows it, transparent pixels over white."""
    mode = str(
        case.pick(
            "mode", ["L", "1 bit", "P", "LA", "RGBA", "RGBA transparent", "I;16", "RGB16", "P tRNS", "gray channels 1"]
        )
    )
    for stem, pair in case.scenes():
        path = case.root / "images" / f"{stem}.png"
        gray = np.asarray(Image.fromarray(pair.picture).convert("L"))
        if mode == "L" or mode == "gray channels 1":
            save(Image.fromarray(gray), path)
            pair.picture = np.dstack([gray] * 3)
            if mode == "gray channels 1":
                case.channels, pair.picture = 1, gray[..., None]
        elif mode == "1 bit":
            ones = (gray > 90).astype(np.uint8)
            ones[::5, ::3] ^= 1
            write_png(path, ones, 1)
            pair.picture = np.dstack([ones * 255] * 3)
        elif mode in ("P", "P tRNS"):
            image = Image.fromarray(pair.picture).quantize(16, Image.Quantize.MEDIANCUT)
            index, palette = np.asarray(image), np.array(image.getpalette()[:48]).reshape(-1, 3)  # type: ignore[index]
            alpha = bytes([0]) if mode == "P tRNS" else b""
            pair.picture = palette[index].astype(np.uint8)
            if alpha:
                pair.picture[index == 0] = 255
            write_png(path, index, palette=palette, transparency=alpha)
        elif mode in ("LA", "RGBA"):
            save(Image.fromarray(pair.picture).convert(mode), path)
            if mode == "LA":
                pair.picture = np.dstack([gray] * 3)
        elif mode == "RGBA transparent":
            alpha_band = np.full(gray.shape, 255, np.uint8)
            alpha_band[5:12, 3:17] = 0
            alpha_band[13:16] = 100
            pixels = np.dstack([pair.picture, alpha_band])
            write_png(path, pixels)
            pair.picture = over_white(pixels)
        elif mode == "I;16":
            write_png(path, gray.astype(np.int64) * 257, 16)
            pair.picture = np.dstack([gray] * 3)
        else:
            write_png(path, pair.picture.astype(np.int64) * 257, 16)
        mask_for(case, stem, pair.ids)
        case.expect(path, pair)


@kind(must_read=True)
def gray_tiff_white_is_zero(case: Case) -> None:
    """A gray photograph in a TIFF whose zero is white: it is seen, and read, inverted."""
    for stem, pair in case.scenes():
        path = case.root / "images" / f"{stem}.tif"
        gray = np.asarray(Image.fromarray(pair.picture).convert("L"))
        write_tiff(path, [Page(255 - gray, photometric=0)])
        pair.picture = np.dstack([gray] * 3)
        mask_for(case, stem, pair.ids)
        case.expect(path, pair)


@kind
def image_formats(case: Case) -> None:
    """Images under the suffixes of phones, cameras and satellites: read, refused, or named as left out."""
    suffix = str(
        case.pick("suffix", [".jfif", ".avif", ".jp2", ".heic", ".JPG", ".Jpeg", ".webp", ".BMP", ".ppm", ".tga"])
    )
    encoder = {
        ".jfif": "JPEG",
        ".heic": "AVIF",
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".jp2": "JPEG2000",
        ".avif": "AVIF",
    }.get(suffix.lower())
    mixed = case.maybe("with some PNG")
    absent = set()
    for i, (stem, pair) in enumerate(case.scenes(count=6)):
        path = case.root / "images" / (stem + (".png" if mixed and i % 2 else suffix))
        pair.tolerance = LOSSY
        save(Image.fromarray(pair.picture), path, **({"format": encoder} if path.suffix == suffix and encoder else {}))
        if path.suffix == suffix:
            absent.add(case_path(case, path))
        mask_for(case, stem, pair.ids)
        case.expect(path, pair)
    case.readings.append(
        Reading("left out, said so", warning=f"without an image|{suffix[1:]}", absent=frozenset(absent))
    )
    if suffix.lower() in (".jpg", ".jpeg", ".webp", ".bmp"):
        case.refusal, case.readings = "no", [Reading()]


@kind(must_read=True)
def png_with_much_text(case: Case) -> None:
    """Sound PNG files with over a megabyte of text or a large color profile, in image or mask."""
    import zlib

    form = str(case.pick("form", ["text", "profile", "compressed text"]))
    where = str(case.pick("where", ["image", "mask"]))
    chunk = {
        "text": (b"tEXt", b"Comment\0" + b"x" * 1_500_000),
        "compressed text": (b"zTXt", b"Comment\0\0" + zlib.compress(b"word " * 500_000)),
        "profile": (b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 2_000_000)),
    }[form]
    for i, (stem, pair) in enumerate(case.scenes()):
        image, mask = case.root / "images" / f"{stem}.png", case.root / "masks" / f"{stem}.png"
        write_png(image, pair.picture, chunks=[chunk] if where == "image" and i < 2 else ())
        write_png(mask, pair.ids, chunks=[chunk] if where == "mask" and i < 2 else ())
        case.expect(image, pair)


@kind(must_read=True)
def image_compressions(case: Case) -> None:
    """GeoTIFF of 3 bands in compressions that Pillow may not know, and files of several pages."""
    form = str(
        case.pick(
            "form", ["lzw", "deflate", "zstd", "webp", "lerc", "jpeg ycbcr", "pages", "tiled", "bigtiff", "uint16 lerc"]
        )
    )
    for stem, pair in case.scenes():
        path = case.root / "images" / f"{stem}.tif"
        if form == "pages":
            write_tiff(
                path, [Page(pair.picture, photometric=2), Page(pair.picture[::2, ::2].copy(), photometric=2, subfile=1)]
            )
        elif form == "tiled":
            with_rasterio(
                pair.picture, path, photometric="RGB", tiled=True, blockxsize=16, blockysize=16, interleave="band"
            )
        elif form == "bigtiff":
            write_tiff(path, [Page(pair.picture, photometric=2)], big=True)
        elif form == "uint16 lerc":
            with_rasterio(pair.picture.astype(np.int64) * 257, path, dtype="uint16", compress="lerc", photometric="RGB")
        elif form == "webp":
            with_rasterio(pair.picture, path, compress="webp", webp_lossless=True, photometric="RGB")
        elif form == "jpeg ycbcr":
            with_rasterio(pair.picture, path, compress="jpeg", photometric="YCBCR", jpeg_quality=95)
            pair.tolerance = LOSSY
        else:
            with_rasterio(pair.picture, path, compress=form, photometric="RGB")
        mask_for(case, stem, pair.ids)
        case.expect(path, pair)


@kind
def cmyk(case: Case) -> None:
    """CMYK as JPEG or TIFF: as Pillow converts it, roughly."""
    suffix = str(case.pick("suffix", [".jpg", ".tif"]))
    for stem, pair in case.scenes():
        path = case.root / "images" / (stem + suffix)
        save(Image.fromarray(pair.picture).convert("CMYK"), path)
        pair.tolerance = LOSSY
        mask_for(case, stem, pair.ids)
        case.expect(path, pair)
    case.refusal = "no"


@kind
def sizes_that_differ(case: Case) -> None:
    """A mask of another size, a quarter turn, a pixel more: refused; large images with small masks, too."""
    form = str(case.pick("form", ["transposed", "one more row", "half", "cropped"]))
    pairs = case.scenes()
    for i, (stem, pair) in enumerate(pairs):
        path = case.root / "images" / f"{stem}.png"
        case.write_image(pair, path)
        ids = pair.ids
        if i == len(pairs) - 1 or case.dice.random() < 0.3:
            ids = {
                "transposed": ids.T,
                "one more row": np.vstack([ids, ids[-1:]]),
                "half": ids[::2, ::2],
                "cropped": ids[:-3, :-2],
            }[form]
        mask_for(case, stem, np.ascontiguousarray(ids))
        case.expect(path, pair)
    case.must_refuse()


@kind
def left_out_of_the_masks(case: Case) -> None:
    """Images without a mask, masks without an image, and notes beside them."""
    form = str(case.pick("form", ["no mask", "no image", "other files"]))
    pairs = case.scenes(count=6)
    for i, (stem, pair) in enumerate(pairs):
        path = case.root / "images" / f"{stem}.png"
        if not (form == "no image" and i == 2):
            case.write_image(pair, path)
            case.expect(path, pair)
        if not (form == "no mask" and i == 2):
            mask_for(case, stem, pair.ids)
    if form == "no mask":
        case.must_refuse()
    elif form == "no image":
        case.readings = [Reading("said so", warning="without an image")]
    else:
        for name in ("Thumbs.db", ".DS_Store", "notes.txt", "._im_1.png", "a.png.part", "desktop.ini"):
            put(case.root / "images" / name, case.noise.bytes(100))
            put(case.root / "masks" / name, case.noise.bytes(100))
        case.refusal = "no"


@kind
def annotations_of_turned_photographs(case: Case) -> None:
    """COCO and Labelme over photographs with a note of orientation: drawn upright, as tools show them, or as stored."""
    form, upright = str(case.pick("form", ["coco", "labelme"])), case.maybe("drawn upright", 0.6)
    orientation = int(case.pick("orientation", range(2, 9)))
    names = case.names(4, "background")
    pairs = []
    for stem, pair in case.scenes(4):
        image = case.root / ("images" if form == "coco" else "") / f"{stem}.jpg"
        _write_turned(case, pair, image, orientation)
        case.expect(image, pair)
        pair.orientation = orientation
        drawn = pair if upright else _as_stored(pair, orientation)
        pairs.append((image.name, drawn))
        if form == "labelme":
            put(image.with_suffix(".json"), json.dumps(labelme(case, drawn, names, image.name, "mask")))
    if form == "coco":
        put(case.root / "annotations.json", json.dumps(coco(case, pairs, names, "compressed")))
    case.classes = names
    if upright:
        case.refusal = "no"
    elif orientation < 5:
        as_stored = lambda path, pair: stored(pair.ids, pair.orientation)  # noqa: E731
        case.readings.append(Reading("as stored, said so", as_stored, warning=TURNED))


def _as_stored(pair: Pair, orientation: int) -> Pair:
    shapes = [Shape(s.label, s.corners, stored(s.inside, orientation)) for s in pair.shapes]
    return Pair(stored(pair.ids, orientation), pair.picture, shapes)
