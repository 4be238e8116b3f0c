"""Images of every mode come out as upright 8-bit arrays; what cannot be read is one clear line."""

import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pixalign import InputError
from pixalign.data import tiff
from pixalign.data.images import (
    ID_MAP,
    find_images,
    image_size,
    noted_kinds,
    other_images,
    read_image,
    to_pixels,
    walk,
    write_image,
)
from pixalign.data.sets.streets import draw_scene
from tiffs import write_bands, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 60), dtype=np.uint8)
RGB = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises ``width`` x ``height`` pixels and brings none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp"])
def test_lossless_formats_come_back_exactly(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, **({"lossless": True} if suffix == "webp" else {}))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert (pixels == RGB).all()


def test_jpeg_comes_back_nearly(tmp_path):
    smooth = np.array(Image.fromarray(RGB).resize((6, 4)).resize((60, 40), Image.Resampling.BICUBIC))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - smooth).max() < 12


def test_a_named_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=r"pipe.png: is a pipe or a device, not a file: remove it"):
            read(tmp_path / "pipe.png")


def test_gray_is_repeated_over_the_channels_and_read_as_one_where_one_is_asked_for(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == GRAY[..., None]).all()
    assert (read_image(tmp_path / "a.png", channels=1) == GRAY[..., None]).all()
    assert read_image(tmp_path / "a.png", channels=1).shape == (40, 60, 1)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_gray_keeps_its_upper_8_bits(tmp_path, suffix):
    values = GRAY.astype(np.uint16) * 256 + 77
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    assert (read_image(tmp_path / f"a.{suffix}") == GRAY[..., None]).all()


def test_transparent_pixels_are_laid_over_white(tmp_path):
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:, 30:] = 255
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([GRAY, alpha])).save(tmp_path / "la.png")
    palette = Image.fromarray(RGB).quantize(8)
    palette.save(tmp_path / "p.png", transparency=int(np.asarray(palette)[0, 0]))
    pixels = read_image(tmp_path / "rgba.png")
    assert (pixels[:, :30] == 255).all()
    assert (pixels[:, 30:] == RGB[:, 30:]).all()
    assert (read_image(tmp_path / "la.png")[:, 30:] == GRAY[:, 30:, None]).all()
    assert (read_image(tmp_path / "p.png")[0, 0] == 255).all()


def test_palette_and_one_bit_images_give_their_colors(tmp_path):
    palette = Image.fromarray(RGB).quantize(8)
    palette.save(tmp_path / "p.png")
    assert (read_image(tmp_path / "p.png") == np.asarray(palette.convert("RGB"))).all()
    Image.fromarray(GRAY > 127).save(tmp_path / "1.png")
    assert (read_image(tmp_path / "1.png") == np.where(GRAY > 127, 255, 0)[..., None]).all()


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk_is_turned_into_rgb(tmp_path, suffix):
    flat = np.full((40, 60, 3), (200, 120, 40), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / f"a.{suffix}")
    assert np.abs(read_image(tmp_path / f"a.{suffix}").astype(int) - flat).max() <= 3


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (60, 40), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_image(tmp_path / "a.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honored(tmp_path, orientation, suffix):
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, 1),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(RGB, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    assert (read_image(tmp_path / f"a.{suffix}") == RGB).all()


def test_floating_point_images_are_refused(tmp_path):
    Image.fromarray(GRAY.astype(np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(
        InputError, match=r"a.tiff: holds float32, which has no defined white level: store uint8, or uint16"
    ):
        read_image(tmp_path / "a.tiff")


def test_other_numbers_of_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"images of 4 channels, and this one has 3 \(mode RGB\)"):
        to_pixels(Image.fromarray(RGB), channels=4)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png: the model takes images of 5 channels"):
        read_image(tmp_path / "a.png", channels=5)


def test_rgba_gives_four_channels_as_they_are(tmp_path):
    pixels = np.dstack([RGB, GRAY])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", channels=4) == pixels).all()


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_tiff_files_of_several_bands_come_back(tmp_path, channels):
    bands = RNG.integers(0, 256, (channels, 40, 60), dtype=np.uint8)
    path = write_bands(tmp_path / "a.tif", bands)
    pixels = read_image(path, channels=channels)
    assert pixels.flags.c_contiguous
    assert (pixels == bands.transpose(1, 2, 0)).all()
    assert image_size(path) == (40, 60)


def test_of_16_bit_bands_the_upper_8_bits_are_kept(tmp_path):
    bands = RNG.integers(0, 65536, (5, 40, 60), dtype=np.uint16)
    pixels = read_image(write_bands(tmp_path / "a.tiff", bands), channels=5)
    assert pixels.dtype == np.uint8
    assert (pixels == bands.transpose(1, 2, 0) // 256).all()


def test_bands_that_cannot_be_used_are_one_line(tmp_path):
    (tmp_path / "text.tif").write_text("hello")
    bands = np.zeros((4, 40, 60))
    for path, message in (
        (write_bands(tmp_path / "a.tif", bands.astype(np.uint8)), "has 4 bands, and data.channels is 5"),
        (
            write_bands(tmp_path / "b.tif", np.zeros((5, 40, 60), np.float32)),
            "holds float32, which has no defined white level",
        ),
        (tmp_path / "text.tif", "cannot be read as TIFF"),
        (tmp_path / "missing.tif", "no such file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_image(path, channels=5)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="60 x 40 pixels are more than 100"):
        read_image(tmp_path / "a.tif", max_pixels=100, channels=4)


def test_a_truncated_file_of_bands_is_named(tmp_path):
    path = write_bands(tmp_path / "a.tif", RNG.integers(0, 256, (4, 200, 300), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"a.tif: cannot be read as TIFF"):
        read_image(path, channels=4)


def test_without_rasterio_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.tif").touch()
    tiff._rasterio.cache_clear()
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"a.tif: .*pip install 'pixalign\[geo\]'"):
        read_image(tmp_path / "a.tif", channels=4)


BANDS = RNG.integers(0, 256, (4, 40, 60), dtype=np.uint8)
COLORS = BANDS[:3].transpose(1, 2, 0)


@pytest.mark.parametrize("options", [{}, {"interleave": "band"}, {"photometric": "rgb", "alpha": "unspecified"}])
@pytest.mark.parametrize("compress", ["none", "lzw"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_near_infrared_as_a_fourth_band_is_no_transparency(tmp_path, options, compress, kind):
    scale = {np.uint8: 1, np.uint16: 257}[kind]
    options = options if kind is np.uint8 else {"photometric": "rgb", **options}
    path = write_bands(tmp_path / "a.tif", BANDS.astype(kind) * kind(scale), compress=compress, **options)
    assert (read_image(path) == COLORS).all()


def test_an_extra_band_beside_gray_is_left_out(tmp_path):
    path = write_bands(tmp_path / "a.tif", BANDS[:2])
    assert (read_image(path, channels=1)[..., 0] == BANDS[0]).all()
    assert (read_image(path) == BANDS[0, ..., None]).all()


def test_gray_with_a_declared_alpha_and_a_further_band_is_gray_over_white(tmp_path):
    alpha = np.where(np.arange(60) < 20, 0, 255).astype(np.uint16)[None].repeat(40, 0) * np.uint16(257)
    gray = BANDS[0].astype(np.uint16) * np.uint16(256)
    path = write_bands(tmp_path / "a.tif", np.stack([gray, alpha, gray]), alpha="yes")
    assert (read_image(path, channels=1)[..., 0] == np.where(alpha == 0, 255, BANDS[0])).all()


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_transparency_of_tiff_files_is_laid_over_white(tmp_path, interleave):
    alpha = np.where(np.arange(60) < 20, 0, 255).astype(np.uint8)[None].repeat(40, 0)
    expected = np.where(alpha[..., None] == 0, 255, COLORS)
    for name, options in (("a", {}), ("b", {"photometric": "rgb", "alpha": "premultiplied"})):
        colors = BANDS[:3] * (alpha > 0)
        path = write_bands(
            tmp_path / f"{name}.tif", np.concatenate([colors, alpha[None]]), interleave=interleave, **options
        )
        assert (read_image(path) == expected).all()
    gray = write_bands(tmp_path / "c.tif", np.stack([BANDS[0], alpha]), alpha="yes", interleave=interleave)
    assert (read_image(gray, channels=1)[..., 0] == np.where(alpha == 0, 255, BANDS[0])).all()


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_of_16_bit_colors_the_upper_8_bits_are_kept(tmp_path, interleave, photometric, order):
    values = RNG.integers(0, 65536, (3, 40, 60), dtype=np.uint16)
    path = write_bands(
        tmp_path / "a.tif", values, interleave=interleave, photometric=photometric, endianness=order, compress="lzw"
    )
    assert (read_image(path) == (values >> 8).transpose(1, 2, 0)).all()


@pytest.mark.parametrize("compress", ["lerc", "webp", "zstd", "lzma"])
def test_compressions_that_pillow_lacks_are_read(tmp_path, compress):
    options = {"webp_lossless": "yes"} if compress == "webp" else {}
    path = write_bands(tmp_path / "a.tif", BANDS[:3], compress=compress, **options)
    assert (read_image(path) == COLORS).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_an_image_whose_0_is_white_is_shown_so(tmp_path, bits):
    values = np.arange(8 * 2 ** min(bits, 8), dtype=np.uint16).reshape(8, -1) % 2 ** min(bits, 8)
    values = values * 257 if bits == 16 else values
    if bits == 16:
        pytest.importorskip("rasterio")
    write_tiff(tmp_path / "black.tif", [values], bits)
    write_tiff(tmp_path / "white.tif", [values], bits, photometric=0)
    black = read_image(tmp_path / "black.tif", channels=1)
    assert (black[..., 0] == np.round(values * (255 / (2**bits - 1)))).all()
    assert (read_image(tmp_path / "white.tif", channels=1) == 255 - black).all()


def test_12_bits_use_the_full_range(tmp_path):
    values = RNG.integers(0, 4096, (1, 40, 60), dtype=np.uint16)
    path = write_bands(tmp_path / "a.tif", values, nbits=12)
    assert (read_image(path, channels=1)[..., 0] == values[0] >> 4).all()


@pytest.mark.parametrize(
    ("bands", "options", "message"),
    [
        (
            np.zeros((3, 40, 60), np.float32),
            {},
            "holds float32, which has no defined white level: store uint8, or uint16 up to",
        ),
        (np.zeros((1, 40, 60), np.int16), {}, "holds int16, which has no defined white level"),
        (np.zeros((1, 40, 60), np.int8), {}, "holds int8, which has no defined white level"),
        (np.zeros((1, 40, 60), np.uint32), {}, "holds uint32, which has no defined white level"),
        (np.zeros((5, 40, 60), np.uint8), {}, "has 5 bands, which .* red, green and blue: set --model.in_channels 5"),
        (
            np.zeros((3, 40, 60), np.uint8),
            {"photometric": "cielab"},
            "has PhotometricInterpretation 8, not gray or RGB",
        ),
    ],
)
def test_tiff_files_whose_colors_are_not_known_are_one_line(tmp_path, bands, options, message):
    path = write_bands(tmp_path / "a.tif", bands, **options)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_without_rasterio_the_extra_is_named_for_what_pillow_does_not_read(tmp_path, monkeypatch):
    path = write_bands(tmp_path / "a.tif", BANDS[:3].astype(np.uint16))
    plain = write_bands(tmp_path / "b.tif", BANDS[:3])
    tiff._rasterio.cache_clear()
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(
        InputError, match=r"a.tif: this kind of TIFF file is read by rasterio: pip install 'pixalign\[geo\]'"
    ):
        read_image(path)
    assert (read_image(plain) == COLORS).all()
    monkeypatch.undo()
    tiff._rasterio.cache_clear()


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_png_files_with_megabytes_of_text_or_profile_are_read(tmp_path, place, kind):
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    info = PngImagePlugin.PngInfo()
    content = zlib.compress(b"masked " * 500_000)
    head = {"zTXt": b"parameters\0\0", "iTXt": b"XML:com.adobe.xmp\0\x01\0\0\0", "iCCP": b"profile\0\0"}[kind]
    info.add(kind.encode(), head + content)
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path, pnginfo=info)
    if place == "after":
        if kind == "iCCP":
            pytest.skip("a profile stands before the pixels")
        move_behind_the_pixels(path, kind.encode())
    assert (read_image(path) == RGB).all()
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def move_behind_the_pixels(path, kind):
    data, parts, position = path.read_bytes(), [], 8
    while position < len(data):
        length = 12 + struct.unpack_from(">I", data, position)[0]
        parts.append(data[position : position + length])
        position += length
    moved = [part for part in parts if part[4:8] == kind]
    kept = [part for part in parts if part[4:8] != kind]
    path.write_bytes(data[:8] + b"".join([*kept[:-1], *moved, kept[-1]]))


def test_text_that_unpacks_to_more_than_any_photograph_has_is_one_line(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(70 << 20), 1))
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(InputError, match=r"a.png: holds more than 64 MB of text or color profile: store it without"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("suffix", "kind"), [("jfif", "JPEG"), ("jp2", "JPEG2000"), ("avif", "AVIF")])
def test_further_formats_are_found_and_read_where_pillow_can(tmp_path, suffix, kind):
    flat = np.full((40, 60, 3), (200, 120, 40), np.uint8)
    try:
        Image.fromarray(flat).save(tmp_path / f"a.{suffix}", kind)
    except KeyError:
        pytest.skip(f"this Pillow writes no {kind}")
    (path,) = find_images([tmp_path])
    assert np.abs(read_image(path).astype(int) - flat).max() < 6


def test_a_huge_image_is_refused_from_its_header(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(100_000, 100_000))
    with pytest.raises(InputError, match=r"100000 x 100000 pixels are more than 250,000,000: .*--max-pixels"):
        read_image(tmp_path / "bomb.png")


def test_max_pixels_alone_decides_and_pillow_keeps_its_own_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", max_pixels=2400).shape == (40, 60, 3)
    with pytest.raises(InputError, match="60 x 40 pixels are more than 2,399"):
        read_image(tmp_path / "a.png", max_pixels=2399)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_threads_that_read_together_restore_pillows_limit(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    Image.fromarray(RGB).save(tmp_path / "a.png")
    threads = [threading.Thread(target=lambda: [read_image(tmp_path / "a.png") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "gif"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.repeat(np.repeat(RGB, 4, 0), 4, 1)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"a.{suffix}: is (truncated or damaged|not an image)") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_images_are_named(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for name, message in (
        ("empty.jpg", "the file is empty"),
        ("text.jpg", "is not an image"),
        ("program.eps", "is not an image"),
        ("missing.jpg", "no such file"),
        (".", "is a folder"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_an_image_is_written_whole_or_not_at_all(tmp_path):
    write_image(Image.fromarray(RGB), tmp_path / "new" / "a.png")
    assert (read_image(tmp_path / "new" / "a.png") == RGB).all()
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # a file system that takes the first 1000 bytes
    try:
        for suffix in ("png", "jpg"):
            with pytest.raises(InputError, match="cannot be written"):
                write_image(Image.fromarray(RGB), tmp_path / f"b.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.webp", ".hidden/d.jpg", ".e.jpg", "sub/deep/f.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_gives_its_images_sorted_with_their_path_below_it(tree):
    found = find_images([tree])
    assert [str(p) for p in found.values()] == ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/f.tif"]
    assert all(image == tree / relative for image, relative in found.items())


def test_patterns_are_expanded_and_relative_to_their_fixed_part(tree):
    assert [str(p) for p in find_images([f"{tree}/**/*.webp"]).values()] == ["sub/c.webp"]
    assert [str(p) for p in find_images([f"{tree}/sub/*"]).values()] == ["c.webp"]
    assert [str(p) for p in find_images([f"{tree}/**"]).values()] == ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/f.tif"]


def test_files_are_taken_as_given_once(tree):
    (tree / "x[1].jpg").touch()
    found = find_images([tree / "notes.txt", tree / "b.jpg", f"{tree}/x[1].jpg", tree / "b.jpg"])
    assert [str(p) for p in found.values()] == ["notes.txt", "b.jpg", "x[1].jpg"]


def test_nothing_found_is_an_error_that_names_the_input(tree):
    for given, message in (
        (tree / ".hidden" / "none", "no such file or folder"),
        (f"{tree}/*.gif", "no image matches"),
        (f"{tree}/nowhere/*", "no image matches"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            find_images([tree, given])
        assert str(given) in str(caught.value)
    (tree / "bare").mkdir()
    with pytest.raises(InputError, match="bare: no image in it"):
        find_images([tree / "bare"])


def test_pictures_of_other_kinds_are_named_and_counted(tree):
    for name in ("p.HEIC", "sub/q.heic", "sub/r.psd", ".hidden/s.heic"):
        (tree / name).touch()
    left = other_images([tree, f"{tree}/sub/*", tree / "b.jpg"])
    assert [path.name for path in left] == ["p.HEIC", "q.heic", "r.psd"]
    assert noted_kinds(left) == "2 .heic, 1 .psd left out (not supported): convert to JPEG or PNG"
    (tree / "phone").mkdir()
    (tree / "phone" / "a.heic").touch()
    with pytest.raises(InputError, match=r"phone: no image in it \(.*\); 1 .heic left out \(not supported\): convert"):
        find_images([tree / "phone"])


def test_links_in_a_circle_end(tree):
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "again").symlink_to(tree / "sub")
    assert [p.name for p in walk(tree)] == ["a.PNG", "c.webp", "f.tif", "b.jpg", "notes.txt"]


def test_a_folder_that_may_not_be_read_is_named(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"sub/deep: cannot be read \(Permission denied\)"):
        walk(tree)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_a_street_the_id_map_is_written_as_it_is_and_takes_no_more_space_than_by_pillows_choice(tmp_path, seed):
    ids = draw_scene(seed, (180, 240))[1]
    picture = Image.fromarray(ids)
    write_image(picture, tmp_path / "a.png", **ID_MAP)
    write_image(picture, tmp_path / "b.png")
    assert (np.asarray(Image.open(tmp_path / "a.png")) == ids).all()
    assert (tmp_path / "a.png").stat().st_size <= (tmp_path / "b.png").stat().st_size
