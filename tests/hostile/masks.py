"""Masks in every encoding that can hold class ids, in some that cannot, and in some that only seem to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import VOID, Case, Pair, Reading, kind, put, save
from hostile.files import Page, write_png, write_tiff

Write = Callable[[np.ndarray, Path], None]


def plain(
    case: Case,
    write: Write,
    suffix: str = ".png",
    bits: int = 8,
    void: bool = False,
    classes: int = 3,
    table: np.ndarray | None = None,
) -> None:
    """Write images/ and masks/, the masks by ``write`` as stored values (H, W) from ``table``."""
    if table is None:
        table, void = case.coding(bits, void, classes)
    for stem, pair in case.scenes(classes, void):
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        write(table[pair.ids], case.root / "masks" / (stem + suffix))
        case.expect(image, pair)


def pillow(values: np.ndarray, path: Path) -> None:
    save(Image.fromarray(values.astype(np.uint8)), path)


def some_palette(case: Case, size: int) -> np.ndarray:
    """Distinct colors (size, 3), which no reader may take for ids."""
    chosen = case.noise.permutation(4096)[:size]
    return np.stack([chosen // 256 * 16 + 5, chosen // 16 % 16 * 16 + 3, chosen % 16 * 16 + 1], 1).astype(np.uint8)


# PNG ------------------------------------------------------------------------------------------------------------------


@kind(must_read=True)
def png_gray_bits(case: Case) -> None:
    bits = int(case.pick("bits", [1, 2, 4, 8, 16]))
    plain(case, lambda v, p: write_png(p, v, bits), bits=bits, void=True, classes=2 if bits == 1 else 3)


@kind(must_read=True)
def png_palette(case: Case) -> None:
    bits = int(case.pick("bits", [1, 2, 4, 8]))
    palette = some_palette(case, 1 << bits)
    if case.maybe("gray palette", 0.2):
        palette = np.repeat(np.linspace(255, 0, 1 << bits).astype(np.uint8)[:, None], 3, 1)  # inverted, as from a scan
    alpha = bytes(case.noise.permuted([0, 255, 128, 255])[: min(4, 1 << bits)]) if case.maybe("tRNS") else b""
    plain(case, lambda v, p: write_png(p, v, bits, palette, alpha), bits=bits, void=True, classes=2 if bits == 1 else 3)


@kind
def png_gray_with_transparent_value(case: Case) -> None:
    value = int(case.pick("transparent value", [0, 1, 99]))
    plain(case, lambda v, p: write_png(p, v, transparency=bytes([0, value])), table=np.arange(256))


@kind(must_read=True)
def png_opaque_alpha(case: Case) -> None:
    mode = case.pick("mode", ["LA", "RGBA", "RGB"])
    plain(
        case,
        lambda v, p: save(
            Image.fromarray(v.astype(np.uint8)).convert("RGB" if mode == "RGB" else "L").convert(mode), p
        ),
        void=True,
    )


@kind
def png_transparent(case: Case) -> None:
    """Pixels without color: their label is not known, whatever lies below."""
    mode = str(case.pick("mode", ["LA", "RGBA", "P"]))
    part = case.pick("transparent", ["class 0", "a corner", "half transparent"])

    def write(values: np.ndarray, path: Path) -> None:
        gray = Image.fromarray(values.astype(np.uint8))
        alpha = np.full(values.shape, 255, np.uint8)
        if part == "class 0":
            alpha[values == 0] = 0
        else:
            alpha[:5, :7] = 0 if part == "a corner" else 100
        colored = np.dstack([*[np.asarray(gray)] * (1 if mode == "LA" else 3), alpha])
        if mode == "P":
            save(Image.fromarray(colored).quantize(8, Image.Quantize.FASTOCTREE), path)
        else:
            save(Image.fromarray(colored), path)

    plain(case, write, table=np.arange(256))
    case.must_refuse()
    if mode == "P":  # whose indices are the quantizer's: no meaning of ours
        case.refusal, case.readings = "may", [Reading("indices", ids=_indices(case), picture=None)]
    else:
        case.readings = [
            Reading("transparent is unlabeled", lambda path, pair: _holes(pair, str(part)), None, "transparent")
        ]


def _indices(case: Case) -> Callable[[str, Pair], np.ndarray]:
    def read(path: str, pair: Pair) -> np.ndarray:
        with Image.open(case.root / path.replace("images", "masks")) as image:
            return np.asarray(image).astype(np.uint8)

    return read


def _holes(pair: Pair, part: str) -> np.ndarray:
    ids = pair.ids.copy()
    if part == "class 0":
        ids[ids == 0] = VOID
    else:
        ids[:5, :7] = VOID
    return ids


@kind
def png_16_bit_color(case: Case) -> None:
    """Gray ids in 16 bits per channel, or in 16 bits and alpha: right or refused, never cut to 8."""
    samples = int(case.pick("samples", [2, 3, 4]))

    def write(values: np.ndarray, path: Path) -> None:
        planes = [values] * (1 if samples == 2 else 3) + [np.full_like(values, 65535)] * (samples != 3)
        write_png(path, np.dstack(planes), 16)

    plain(case, write, bits=int(case.pick("value bits", [8, 16])), void=True)


@kind(must_read=True)
def color_masks(case: Case) -> None:
    """A color per class, listed in classes.yaml."""
    mode = str(case.pick("mode", ["RGB", "RGBA", "P", "tif", "bmp", "webp"]))
    palette = some_palette(case, 256)
    names = case.names(3)
    quoted = ["'" + name.replace("'", "''") + "'" for name in names]
    lines = [f"- {{name: {n}, color: {palette[i].tolist()}}}\n" for i, n in enumerate(quoted)]
    key = str(case.pick("spelling", ["color", "colors"]))
    if key == "colors":
        lines = [f"- {{name: {n}, colors: [{palette[i].tolist()}]}}\n" for i, n in enumerate(quoted)]
    elif mode == "P":
        mode = "RGB"  # with `color` alone, a palette's indices are the ids
    put(case.root / "classes.yaml", "classes:\n" + "".join(lines) + f"ignore: [{palette[VOID].tolist()}]\n")
    case.classes = names

    def write(values: np.ndarray, path: Path) -> None:
        colors = Image.fromarray(palette[values])
        if mode == "P":
            order = np.random.default_rng(0).permutation(256)  # the indices mean nothing
            write_png(path, np.argsort(order)[values], palette=palette[order])
        elif mode == "tif":
            write_tiff(path, [Page(palette[values], photometric=2, compression=8)])
        else:
            save(
                colors.convert("RGBA") if mode == "RGBA" else colors,
                path,
                **({"lossless": True} if mode == "webp" else {}),
            )

    suffix = {"tif": ".tif", "bmp": ".bmp", "webp": ".webp"}.get(mode, ".png")
    plain(case, write, suffix, void=True, table=np.arange(256))


@kind
def color_masks_untold(case: Case) -> None:
    """Colors, of which no list says the classes: refused, and the proposed list makes them right."""
    palette = some_palette(case, 3)
    plain(case, lambda v, p: save(Image.fromarray(palette[v]), p), table=np.arange(256))
    case.must_refuse()
    case.follow = True
    order = np.argsort([-sum(int((pair.ids == k).sum()) for pair in case.pairs.values()) for k in range(3)])
    case.readings = [Reading("in order of pixels", lambda path, pair: np.argsort(order)[pair.ids].astype(np.uint8))]


@kind
def stretched_ids(case: Case) -> None:
    """Ids stretched over the range to be seen: refused, and with the proposed classes.yaml all of them are classes."""
    values = case.pick(
        "values",
        [(0, 255), (0, 127, 255), (0, 128, 255), (0, 85, 170, 255), (0, 64, 128, 191, 255), (0, 60, 120),
         (50, 100, 150), (0, 32768, 65535), (0, 21845, 43690, 65535), (0, 100, 255), (0, 1, 255), (0, 254, 255)],
    )  # fmt: skip
    values = list(values)  # type: ignore[call-overload]
    deep = max(values) > 255
    table = np.zeros(256, np.int64)
    table[: len(values)] = values
    mode = str(case.pick("written as", ["16 bits"] if deep else ["gray", "RGB", "tif", "RGBA"]))

    def write(stretched: np.ndarray, path: Path) -> None:
        if mode == "tif":
            write_tiff(path, [Page(stretched)])
        elif mode in ("RGB", "RGBA"):
            save(Image.fromarray(stretched.astype(np.uint8)).convert(mode), path)
        else:
            write_png(path, stretched, 16 if deep else 8)

    plain(case, write, ".tif" if mode == "tif" else ".png", classes=len(values), table=table)
    case.refusal, case.follow = "must", True
    # 0, 1, 255: 255 may well be "no label"; with 254 as well nobody knows
    if values[-1] == 255 and values[:-1] == [*range(len(values) - 1)] and len(values) > 2:
        case.refusal = "may"
        case.readings.append(
            Reading("255 is no label", lambda path, pair: np.where(pair.ids == len(values) - 1, VOID, pair.ids))
        )


@kind
def stretched_ids_with_names(case: Case) -> None:
    """Stretched ids with classes.yaml of as many names: right, refused, or what 255 was taken for is said."""
    values = list(case.pick("values", [(0, 255), (0, 127, 255), (0, 85, 170, 255), (0, 1, 255)]))  # type: ignore
    table = np.zeros(256, np.int64)
    table[: len(values)] = values
    case.yaml(case.names(len(values)))
    plain(case, pillow, classes=len(values), table=table)
    case.follow = True
    if values[:-1] == [*range(len(values) - 1)]:
        void = lambda path, pair: np.where(pair.ids == len(values) - 1, VOID, pair.ids)  # noqa: E731
        case.readings.append(Reading("255 is no label", void, warning="never occur|no label|255"))


@kind(must_read=True)
def stretched_ids_listed(case: Case) -> None:
    """Stretched ids that classes.yaml lists, 255 as a class."""
    values = list(case.pick("values", [(0, 255), (255, 0), (0, 127, 255), (0, 85, 170, 255), (0, 32768, 65535)]))  # type: ignore
    table = np.zeros(256, np.int64)
    table[: len(values)] = values
    case.yaml(case.names(len(values)), values)
    deep = max(values) > 255
    suffix = str(case.pick("suffix", [".png", ".tif"]))
    if suffix == ".tif":
        plain(case, lambda v, p: write_tiff(p, [Page(v, 16 if deep else 8)]), suffix, classes=len(values), table=table)
    else:
        plain(case, lambda v, p: write_png(p, v, 16 if deep else 8), classes=len(values), table=table)


@kind
def one_class(case: Case) -> None:
    """A single class cannot be learned, however it is written."""
    form = case.pick("form", ["yaml id", "yaml ids and void", "no yaml", "yaml name", "with 255"])
    value = 255 if form == "yaml ids and void" else 0
    table = np.full(256, value, np.int64)
    if form == "yaml ids and void":
        table[0] = 0
    elif form == "with 255":
        table[0] = 255
    plain(case, pillow, classes=2, table=table)
    if form == "yaml id":
        case.yaml(["crack"], [0])
    elif form == "yaml ids and void":
        case.yaml(["crack"], [255], [0])
    elif form == "yaml name":
        case.yaml(["crack"])
    case.must_refuse()
    if form == "with 255":  # a binary mask, and the proposal says so
        case.follow = True
        case.readings = [Reading("binary", lambda path, pair: np.where(pair.ids == 0, 1, 0).astype(np.uint8))]


# Lossy in disguise, and other formats ---------------------------------------------------------------------------------


@kind
def lossy_in_disguise(case: Case) -> None:
    """Masks that went through a lossy format: refused, whatever their names are."""
    form = str(
        case.pick(
            "form", ["jpg", "jpeg.png", "webp", "webp.png", "jfif", "avif", "avif.png", "jp2", "jpeg.tif", "jpeg.bmp"]
        )
    )
    name, _, disguise = form.partition(".")
    encoder = {"jpg": "JPEG", "jpeg": "JPEG", "jfif": "JPEG", "webp": "WEBP", "avif": "AVIF", "jp2": "JPEG2000"}[name]
    options: dict = (
        {"quality": 70}
        if encoder != "JPEG2000"
        else {"quality_mode": "rates", "quality_layers": [8], "irreversible": True}
    )

    def write(values: np.ndarray, path: Path) -> None:
        save(
            Image.fromarray(values.astype(np.uint8)).convert("RGB" if encoder in ("WEBP", "AVIF") else "L"),
            path,
            format=encoder,
            **options,
        )

    values = np.zeros(256, np.int64)
    values[:3] = case.pick("values", [(0, 1, 2), (0, 100, 200)])
    plain(case, write, f".{disguise or name}", table=values)
    if values[1] > 1:
        case.yaml(case.names(3), values[:3].tolist())
    case.must_refuse()


@kind
def gif_masks(case: Case) -> None:
    """GIF, whose indices are the ids, as long as its writer kept them."""

    def write(values: np.ndarray, path: Path) -> None:
        image = Image.fromarray(values.astype(np.uint8))
        image.putpalette(some_palette(case, 256).tobytes())
        save(image, path, fuse=False)
        with Image.open(path) as written:
            assert (np.asarray(written) == values).all()

    plain(case, write, ".gif")


@kind(must_read=True)
def lossless_formats(case: Case) -> None:
    """Lossless WebP and BMP, also under the names of others."""
    form = str(case.pick("form", ["webp", "webp.png", "bmp", "bmp.png", "png.tif", "png.bmp"]))
    name, _, disguise = form.partition(".")
    options = {"lossless": True, "exact": True} if name == "webp" else {}

    def write(values: np.ndarray, path: Path) -> None:
        image = Image.fromarray(values.astype(np.uint8))
        save(image.convert("RGB") if name == "webp" else image, path, format=name.upper(), **options)

    plain(case, write, f".{disguise or name}", void=True)


@kind
def masks_of_mixed_kinds(case: Case) -> None:
    """Masks of one data set in several encodings, all of which store ids."""
    writers: list[tuple[str, Write]] = [
        (".png", pillow),
        (".tif", lambda v, p: write_tiff(p, [Page(v, photometric=0)])),
        (".tif", lambda v, p: write_tiff(p, [Page(v, 16)])),
        (".png", lambda v, p: write_png(p, v, palette=some_palette(case, 256))),
        (".png", lambda v, p: write_png(p, v, 2)),
        (".bmp", pillow),
    ]
    for stem, pair in case.scenes(3):
        suffix, write = case.dice.choice(writers)
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        write(pair.ids, case.root / "masks" / (stem + suffix))
        case.expect(image, pair)
    case.refusal = "no"


@kind
def smoothed_masks(case: Case) -> None:
    """Masks resized with smoothing, or drawn with soft edges: values in between are no classes."""
    table = np.zeros(256, np.int64)
    table[:3] = [0, 120, 240]

    def write(values: np.ndarray, path: Path) -> None:
        image = Image.fromarray(values.astype(np.uint8))
        small = image.resize((image.width // 2 + 3, image.height // 2 + 5), Image.Resampling.BILINEAR)
        save(small.resize(image.size, Image.Resampling.BILINEAR), path)

    plain(case, write, table=table)
    if case.maybe("classes.yaml"):
        case.yaml(case.names(3), [0, 120, 240])
    case.must_refuse()
