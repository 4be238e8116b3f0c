"""Mask files of every kind become class ids; what cannot be told is one line."""

import pickle
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixalign.data.images import read_image
from pixalign.data.masks import Labels, labels_from_yaml, pack, read_values, unpack
from pixalign.errors import InputError
from tiffs import write_bands, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 4, (30, 40), dtype=np.uint8)
FOUR = Labels(list("abcd"), [[0, 0, 0]] * 4)
PAINT = np.array([[128, 64, 128], [0, 0, 142], [0, 0, 0], [255, 255, 255]], np.uint8)
PAINTED = Labels(list("abcd"), PAINT.tolist(), None, {tuple(color): i for i, color in enumerate(PAINT.tolist())})


def save(path, values, mode=None, **options):
    image = Image.fromarray(np.asarray(values))
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def write_png(path, values, bits, interlaced=False, chunks=()):
    """A gray PNG of any depth, with Adam7 if ``interlaced``, and further ``chunks`` (kind, bytes)."""
    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for top, left, down, across in steps if interlaced else [(0, 0, 1, 1)]:
        for row in values[top::down, left::across]:
            text = "".join(f"{value:0{bits}b}" for value in row.tolist())
            data += b"\0" + int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, interlaced)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def yaml(tmp_path, text):
    (tmp_path / "classes.yaml").write_text(text)
    return labels_from_yaml(tmp_path / "classes.yaml")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif"])
def test_gray_values_are_ids_in_every_lossless_format(tmp_path, name):
    ids, unknown = FOUR.decode(save(tmp_path / name, IDS))
    assert ids.dtype == np.uint8
    assert (ids == IDS).all()
    assert not unknown


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_gives_its_indices_at_every_depth(tmp_path, bits):
    values = np.minimum(IDS, 2**bits - 1)
    image = Image.fromarray(values)
    image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png", bits=bits)
    assert (FOUR.decode(tmp_path / "a.png")[0] == values).all()


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_of_few_bits_is_not_stretched(tmp_path, bits):
    values = np.arange(4, dtype=np.uint8)
    row = int("".join(f"{v:0{bits}b}" for v in values), 2).to_bytes(4 * bits // 8, "big")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert FOUR.decode(tmp_path / "a.png")[0].tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_one_bit_masks_are_0_and_1(tmp_path, suffix):
    ids, _ = FOUR.decode(save(tmp_path / f"a.{suffix}", IDS > 1))
    assert (ids == (IDS > 1)).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_ids_are_mapped(tmp_path, suffix):
    labels = Labels(["a", "b"], [[0, 0, 0]] * 2, {0: 0, 1000: 1, 65535: 255})
    path = save(tmp_path / f"a.{suffix}", np.array([[0, 1000, 65535, 999]], np.uint16))
    ids, unknown = labels.decode(path)
    assert ids.tolist() == [[0, 1, 255, 255]]
    assert unknown == {"999": 1}


def test_colors_become_classes_with_and_without_an_opaque_alpha(tmp_path):
    painted = PAINT[IDS]
    opaque = np.dstack([painted, np.full(IDS.shape, 255, np.uint8)])
    for name, pixels in (("rgb.png", painted), ("rgba.png", opaque), ("rgb.bmp", painted), ("rgb.tif", painted)):
        ids, unknown = PAINTED.decode(save(tmp_path / name, pixels))
        assert (ids == IDS).all()
        assert not unknown


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=12, unique=True), st.data())
def test_any_colors_come_back_as_their_classes(tmp_path, colors, data):
    known = data.draw(st.integers(1, len(colors)))
    labels = Labels([str(i) for i in range(known)], [], {}, {c: i for i, c in enumerate(colors[:known])})
    ids, unknown = labels.decode(save(tmp_path / "a.png", np.array([colors], np.uint8)))
    assert ids[0].tolist() == [*range(known), *[255] * (len(colors) - known)]
    assert unknown == {str(color): 1 for color in colors[known:]}
    assert [unpack(pack(color)) for color in colors] == colors


def test_gray_in_rgb_is_ids_where_the_classes_have_no_colors(tmp_path):
    path = save(tmp_path / "a.webp", IDS[..., None].repeat(3, -1), lossless=True)
    assert (FOUR.decode(path)[0] == IDS).all()


def test_255_is_no_label_and_ids_outside_are_counted(tmp_path):
    ids, unknown = FOUR.decode(save(tmp_path / "a.png", np.array([[0, 3, 255, 4, 9, 9]], np.uint8)))
    assert ids.tolist() == [[0, 3, 255, 255, 255, 255]]
    assert unknown == {"9": 2, "4": 1}
    assert [*unknown] == ["9", "4"]  # the most frequent first


def test_labels_can_be_pickled(tmp_path):
    path = save(tmp_path / "a.png", PAINT[IDS])
    PAINTED.decode(path)
    again = pickle.dumps(PAINTED)
    assert len(again) < 2000  # the tables stay behind
    assert (pickle.loads(again).decode(path)[0] == IDS).all()


def test_what_is_no_mask_is_named(tmp_path):
    half = np.dstack([PAINT[IDS], np.where(IDS > 0, 255, 100).astype(np.uint8)])
    (tmp_path / "nothing.png").touch()
    (tmp_path / "text.png").write_text("hello")
    for path, labels, message in (
        (save(tmp_path / "a.jpg", IDS), FOUR, "a JPEG mask has lost its exact labels"),
        (save(tmp_path / "b.png", IDS, format="JPEG"), FOUR, "in JPEG compression has lost its exact labels"),
        (save(tmp_path / "c.tif", PAINT[IDS], compression="jpeg"), PAINTED, "in JPEG compression has lost"),
        (save(tmp_path / "d.webp", PAINT[IDS]), PAINTED, "lossy WebP has lost its exact labels"),
        (save(tmp_path / "e.webp", half), PAINTED, "lossy WebP has lost its exact labels"),
        (save(tmp_path / "f.png", half), PAINTED, rf"{(IDS == 0).sum()} transparent pixels"),
        (save(tmp_path / "g.png", PAINT[IDS]), FOUR, "stored in colors, and the classes have none"),
        (save(tmp_path / "h.tif", IDS.astype(np.float32) / 2), FOUR, "holds fractions"),
        (save(tmp_path / "i.tif", IDS.astype(np.int32) * 70000), FOUR, "values from 0 to 210000"),
        (tmp_path / "nothing.png", FOUR, "the file is empty"),
        (tmp_path / "text.png", FOUR, "is not an image"),
        (tmp_path / "missing.png", FOUR, "no such file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            labels.decode(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_lossless_webp_is_taken_and_lossy_webp_is_not(tmp_path):
    frames = [Image.fromarray(PAINT[IDS]), Image.fromarray(PAINT[IDS[::-1]])]
    frames[0].save(tmp_path / "a.webp", lossless=True)
    assert (PAINTED.decode(tmp_path / "a.webp")[0] == IDS).all()
    frames[0].save(tmp_path / "lossy.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="lossy WebP"):
        PAINTED.decode(tmp_path / "lossy.webp")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_a_mask_of_several_pages_or_frames_is_refused_and_says_how_many(tmp_path, name):
    pages = [Image.fromarray(np.uint8(value == IDS)[..., None].repeat(3, -1) * 200) for value in (1, 2, 3)]
    options = {"lossless": True} if name == "a.webp" else {}
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
    with pytest.raises(InputError, match=rf"{name}: the mask has 3 (pages|frames): store one picture of class ids"):
        read_values(tmp_path / name)
    pages[0].save(tmp_path / name, save_all=True, **options)
    assert read_values(tmp_path / name).shape == IDS.shape


@pytest.mark.parametrize("suffix", ["jfif", "jp2", "avif", "png"])
def test_masks_in_other_lossy_formats_are_refused_by_name_and_by_content(tmp_path, suffix):
    kind = {"jfif": "JPEG", "png": "JPEG", "jp2": "JPEG2000", "avif": "AVIF"}[suffix]
    path = tmp_path / f"a.{suffix}"
    try:
        Image.fromarray(IDS).convert("RGB").save(path, kind)
    except KeyError:
        pytest.skip(f"this Pillow writes no {kind}")
    with pytest.raises(InputError, match="has lost its exact labels: store masks as PNG"):
        read_values(path)
    path.rename(tmp_path / "b.png")
    with pytest.raises(InputError, match="compression has lost its exact labels"):
        read_values(tmp_path / "b.png")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("photometric", [0, 1])
def test_masks_in_tiff_files_are_the_stored_values_whether_0_is_shown_black_or_white(tmp_path, bits, photometric):
    values = IDS & (2**bits - 1)
    write_tiff(tmp_path / "a.tif", [values], bits=bits, photometric=photometric)
    assert (read_values(tmp_path / "a.tif") == values).all()


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_16_bit_masks_in_tiff_files_are_the_stored_values_with_either_byte_order(tmp_path, photometric):
    for order in ("little", "big"):
        path = write_bands(
            tmp_path / f"{order}.tif", (IDS * np.uint16(9000))[None], photometric=photometric, endianness=order
        )
        assert (read_values(path) == IDS * np.uint16(9000)).all()


NUMBERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(NUMBERS),
    values=st.lists(st.integers(0, 65535), min_size=1, max_size=40),
    photometric=st.sampled_from(["miniswhite", "minisblack"]),
    compress=st.sampled_from(["none", "lzw", "deflate", "packbits", "zstd", "lzma"]),
    endianness=st.sampled_from(["little", "big"]),
    interleave=st.sampled_from(["pixel", "band"]),
    bits=st.sampled_from([0, 1, 2, 4, 12]),
)
def test_what_a_tiff_mask_stores_is_what_is_read(
    tmp_path, kind, values, photometric, compress, endianness, interleave, bits
):
    bits = bits if (kind, bits) in (("uint8", 1), ("uint8", 2), ("uint8", 4), ("uint16", 12)) else 0
    highest = 2**bits - 1 if bits else min(np.iinfo(kind).max if kind[0] in "iu" else 65535, 65535)
    stored = np.minimum(np.array([values]), highest).astype(kind)
    options = {"photometric": photometric, "compress": compress, "endianness": endianness, "interleave": interleave}
    write_bands(tmp_path / "a.tif", stored[None], **options, **({"nbits": bits} if bits else {}))
    assert (read_values(tmp_path / "a.tif") == stored).all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    colors=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=20),
    compress=st.sampled_from(["none", "lzw", "deflate", "packbits", "zstd", "lzma"]),
    endianness=st.sampled_from(["little", "big"]),
    interleave=st.sampled_from(["pixel", "band"]),
    further=st.integers(0, 2),
)
def test_the_colors_that_a_tiff_mask_stores_are_what_is_read(
    tmp_path, colors, compress, endianness, interleave, further
):
    bands = np.concatenate(
        [np.array([colors], np.uint8).transpose(2, 0, 1), np.zeros((further, 1, len(colors)), np.uint8)]
    )
    options = {"photometric": "rgb", "compress": compress, "endianness": endianness, "interleave": interleave}
    write_bands(tmp_path / "a.tif", bands, **options)
    assert read_values(tmp_path / "a.tif").tolist() == [[pack(color) for color in colors]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
@pytest.mark.parametrize("compression", ["raw", "group4", "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_what_pillow_stores_in_a_tiff_mask_is_what_is_read(tmp_path, mode, compression):
    if compression == "group4" and mode != "1":
        pytest.skip("of two values alone")
    values = IDS > 1 if mode == "1" else IDS.astype(np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette([9, 9, 9, 7, 7, 7, 5, 5, 5, 3, 3, 3])
    image.save(tmp_path / "a.tif", compression=compression)
    assert (read_values(tmp_path / "a.tif") == values).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_what_a_png_mask_stores_is_what_is_read(tmp_path, bits, interlaced):
    values = RNG.integers(0, 2**bits, (9, 13)).astype(np.uint16)
    write_png(tmp_path / "a.png", values, bits, interlaced, [(b"gAMA", struct.pack(">I", 220000))])
    assert (read_values(tmp_path / "a.png") == values).all()


@pytest.mark.parametrize(
    ("bands", "options", "message"),
    [
        (np.full((2, 9, 9), 1, np.uint8), {}, "the mask has 2 bands, and which holds the labels is not known"),
        (np.full((3, 9, 9), 1, np.uint8), {"photometric": "minisblack"}, "the mask has 3 bands"),
        (np.full((3, 9, 9), 1, np.uint16), {"photometric": "rgb"}, "the mask has 16 bits per color"),
        (np.full((3, 9, 9), 1, np.float32), {"photometric": "rgb"}, "the mask has 32 bits per color"),
        (np.full((4, 9, 9), 1, np.uint8), {"photometric": "cmyk"}, "has PhotometricInterpretation 5, which is neither"),
        (np.full((4, 9, 9), 1, np.uint8), {}, "the mask has 81 transparent pixels"),
        (np.full((1, 9, 9), 1, np.uint8), {"compress": "lerc"}, "in LERC compression has lost its exact labels"),
        (np.full((1, 9, 9), -1, np.int8), {}, "values from -1 to -1: ids are 0 to 65535"),
        (np.full((1, 9, 9), -9999, np.int16), {"nodata": -9999}, "values from -9999 to -9999: ids are 0 to 65535"),
        (np.full((1, 9, 9), 70000, np.uint32), {}, "values from 70000 to 70000: ids are 0 to 65535"),
        (np.full((1, 9, 9), 1.5, np.float32), {}, "the mask holds fractions"),
        (np.full((1, 9, 9), np.nan, np.float64), {}, "the mask holds fractions"),
    ],
)
def test_tiff_masks_that_hold_something_else_than_labels_are_one_line(tmp_path, bands, options, message):
    path = write_bands(tmp_path / "a.tif", bands, **options)
    with pytest.raises(InputError, match=message) as caught:
        read_values(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_an_extra_band_of_no_stated_kind_leaves_the_colors_of_a_mask(tmp_path):
    bands = np.concatenate([PAINT[IDS].transpose(2, 0, 1), IDS[None]])
    for interleave in ("pixel", "band"):
        path = write_bands(tmp_path / f"{interleave}.tif", bands, photometric="rgb", interleave=interleave)
        assert (PAINTED.decode(path)[0] == IDS).all()


def test_a_palette_with_transparency_gives_its_indices(tmp_path):
    image = Image.fromarray(IDS)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=0)
    assert (read_values(tmp_path / "a.png") == IDS).all()


def test_bmp_masks_are_read_as_stored_or_refused(tmp_path):
    def bmp(bits, palette, rows):
        data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows[::-1])
        start = 54 + 4 * len(palette)
        header = struct.pack("<IiiHHIIiiII", 40, 8, len(rows), 1, bits, 0, len(data), 0, 0, len(palette), 0)
        colors = b"".join(bytes([gray, gray, gray, 0]) for gray in palette)
        return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + colors + data

    values = np.array([[0, 1, 1, 0, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0, 0, 1]], np.uint8)
    (tmp_path / "eight.bmp").write_bytes(bmp(8, [0, 255], [row.tobytes() for row in values]))
    (tmp_path / "one.bmp").write_bytes(bmp(1, [0, 255], [np.packbits(row).tobytes() for row in values]))
    (tmp_path / "one_white.bmp").write_bytes(bmp(1, [255, 0], [np.packbits(row).tobytes() for row in values]))
    with pytest.raises(InputError, match=r"eight.bmp: is a BMP of 8 bits with a short gray palette"):
        read_values(tmp_path / "eight.bmp")
    assert (read_values(tmp_path / "one.bmp") == values).all()
    assert (read_values(tmp_path / "one_white.bmp") == values).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_mask_with_an_exif_orientation_is_turned_as_its_image_is(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / f"mask.{suffix}", IDS, exif=exif)
    save(tmp_path / "image.png", IDS, exif=exif)
    assert (read_values(tmp_path / f"mask.{suffix}") == read_image(tmp_path / "image.png", channels=1)[..., 0]).all()


def test_16_bits_per_color_are_refused(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    options = {"driver": "PNG", "height": 30, "width": 40, "count": 3, "dtype": "uint16"}
    with rasterio.open(tmp_path / "a.png", "w", **options) as file:
        file.write(np.full((3, 30, 40), 300, np.uint16))
    with pytest.raises(InputError, match="16 bits per color"):
        read_values(tmp_path / "a.png")


# classes.yaml


def test_ids_are_remapped_and_merged(tmp_path):
    labels = yaml(tmp_path, "classes:\n- {name: road, ids: [7, 8]}\n- {name: car, id: 26}\nignore: [0, 1]\n")
    ids, unknown = labels.decode(save(tmp_path / "a.png", np.array([[7, 8, 26, 0, 1, 255, 2]], np.uint8)))
    assert ids.tolist() == [[0, 0, 1, 255, 255, 255, 255]]
    assert unknown == {"2": 1}


def test_a_class_may_claim_255_as_in_binary_masks(tmp_path):
    labels = yaml(tmp_path, "- {name: background, id: 0}\n- {name: object, id: 255}\n")
    ids, unknown = labels.decode(save(tmp_path / "a.png", np.array([[0, 255, 128]], np.uint8)))
    assert ids.tolist() == [[0, 1, 255]]
    assert unknown == {"128": 1}


def test_colors_are_merged_ignored_and_drawn_in_the_first_one(tmp_path):
    labels = yaml(
        tmp_path,
        "classes:\n- {name: road, colors: [[1, 2, 3], [4, 5, 6]]}\n"
        "- {name: car, color: [9, 9, 9], colors: [[7, 8, 9]]}\nignore: [[0, 0, 0]]\n",
    )
    pixels = [[[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 0, 0], [9, 9, 9]]]
    ids, unknown = labels.decode(save(tmp_path / "a.png", np.array(pixels, np.uint8)))
    assert ids.tolist() == [[0, 0, 1, 255, 255]]
    assert unknown == {"(9, 9, 9)": 1}
    assert labels.colors == [[1, 2, 3], [9, 9, 9]]


def test_the_drawing_color_is_the_mask_color_where_there_is_no_other(tmp_path):
    labels = yaml(tmp_path, "- {name: road, color: [1, 2, 3]}\n- {name: car, color: [4, 5, 6]}\n")
    assert labels.decode(save(tmp_path / "a.png", np.array([[[4, 5, 6], [1, 2, 3]]], np.uint8)))[0].tolist() == [[1, 0]]
    assert labels.decode(save(tmp_path / "b.png", np.array([[0, 1, 255]], np.uint8)))[0].tolist() == [[0, 1, 255]]


def test_classes_told_by_colors_alone_are_found_in_palette_and_gray_files_too(tmp_path):
    labels = yaml(tmp_path, "- {name: a, colors: [[0, 0, 0]]}\n- {name: b, colors: [[255, 255, 255]]}\n")
    black_white = np.where(IDS > 1, 255, 0).astype(np.uint8)
    palette = Image.fromarray((IDS <= 1).astype(np.uint8))
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.save(tmp_path / "p.png")
    save(tmp_path / "l.png", black_white)
    save(tmp_path / "1.png", black_white > 0)
    for name in ("p.png", "l.png", "1.png"):
        ids, unknown = labels.decode(tmp_path / name)
        assert (ids == (IDS > 1)).all()
        assert not unknown
    with pytest.raises(InputError, match="stored in mode I;16, which is not a color of a class"):
        labels.decode(save(tmp_path / "16.png", IDS.astype(np.uint16)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: {a: 1}", "no list of 1 to 255 classes"),
        ("", "no list of 1 to 255 classes"),
        ("[]", "no list of 1 to 255 classes in it, but 0 entries"),
        (str([f"c{i}" for i in range(256)]), "no list of 1 to 255 classes in it, but 256 entries"),
        ("- a\n- {b: [", "not valid YAML .line 2: "),
        ("[2020-99-99]", "not valid YAML"),
        ("[a, a]", "a class name occurs twice"),
        ("[a, {nmae: b}]", r"entry 1 is \{'nmae': 'b'\}"),
        ("[a, 3]", "entry 1 is 3"),
        ("[{name: no}]", "entry 0 has the name False: write it in quotes"),
        ("[{name: a, hue: [1, 2, 3]}]", "unknown key 'hue': the keys are name, id, ids, color, colors"),
        ("[{name: a, color: [1, 2, 3], colour: [1, 2, 3]}]", "class 'a' has colour and color: leave one out"),
        ("{classes: [a], ignored: [3]}", "the key 'ignored' is unknown: the keys are classes and ignore"),
        ("[{name: a, color: [1, 2]}]", r"class 'a' has the color \[1, 2\]: write three numbers 0 to 255"),
        ("[{name: a, color: [1, 2, 256]}]", "write three numbers"),
        ("[{name: a, color: red}]", "write three numbers"),
        ("[{name: a, colors: [1, 2, 3]}]", "class 'a' has the color 1: write three numbers"),
        ("[{name: a, id: -1}]", "class 'a' has the id -1: write a number of 0 to 65535"),
        ("[{name: a, id: 1, ids: [2]}]", "has id and ids"),
        ("[{name: a, ids: 3}]", "has the ids 3: write a list"),
        ("[{name: a, id: 7}, {name: b, id: 7}]", "a and b both have the id 7"),
        ("[{name: a, color: [1, 1, 1]}, {name: b, color: [1, 1, 1]}]", r"a and b both have the color \[1, 1, 1\]"),
        ("[{name: a, colors: [[1, 1, 1]]}, {name: b, colors: [[1, 1, 1]]}]", "a and b both have the color"),
        ("[{name: a, id: 7}, b]", "class 'b' has no ids, though others have"),
        ("[{name: a, colors: [[1, 1, 1]]}, b]", "class 'b' has no colors, though others have"),
        ("{classes: [a, b], ignore: [1]}", "b and ignore both have the id 1"),
        ("{classes: [a, b], ignore: 11}", "ignore is 11: write a list"),
        ("{classes: [{name: a, colors: [[1, 1, 1]]}], ignore: [3]}", "ignore holds 3, but the classes are given by"),
    ],
)
def test_a_wrong_classes_yaml_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        yaml(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "classes.yaml"))
    assert "\n" not in str(caught.value)


def test_classes_yaml_may_spell_color_as_the_british_do(tmp_path):
    read = []
    for color in ("color", "colour"):
        text = f"[{{name: a, {color}: [1, 2, 3]}}, {{name: b, {color}s: [[4, 5, 6], [7, 8, 9]]}}]"
        (tmp_path / "classes.yaml").write_text(text)
        read.append(labels_from_yaml(tmp_path / "classes.yaml"))
    assert read[0] == read[1]
    assert read[0].mask_colors == {(1, 2, 3): 0, (4, 5, 6): 1, (7, 8, 9): 1}


def test_a_classes_yaml_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "classes.yaml").write_bytes(b"\xff\xfe\x00[")
    with pytest.raises(InputError, match="not valid YAML"):
        labels_from_yaml(tmp_path / "classes.yaml")


def test_255_classes_use_all_ids(tmp_path):
    labels = yaml(tmp_path, str([f"c{i}" for i in range(255)]))
    values = np.arange(256, dtype=np.uint8)[None]
    ids, unknown = labels.decode(save(tmp_path / "a.png", values))
    assert (ids == values).all()
    assert not unknown
