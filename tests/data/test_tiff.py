"""What the tags of TIFF files say: pages that count, bands that are transparency, and what Pillow must not read."""

import numpy as np
import pytest
from PIL import Image

from pixalign.data.images import read_image
from pixalign.data.masks import read_values
from pixalign.data.tiff import is_transparency, tiff_of, upright
from pixalign.errors import InputError
from tiffs import write_bands, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 4, (30, 40), dtype=np.uint8)
SMALL = IDS[::2, ::2].copy()


def test_other_files_have_no_tags(tmp_path):
    Image.fromarray(IDS).save(tmp_path / "a.png")
    (tmp_path / "empty.tif").touch()
    for name in ("a.png", "empty.tif", "missing.tif", "."):
        assert tiff_of(tmp_path / name) is None


@pytest.mark.parametrize(
    ("page_tags", "pages"),
    [
        ([(), ()], 2),
        ([(), ((254, 0),)], 2),
        ([((254, 2),), ((254, 2),)], 2),
        ([(), ((254, 1),)], 1),
        ([(), ((255, 2),)], 1),
        ([(), ((254, 4),)], 1),
        ([(), ((254, 5),)], 1),
    ],
)
def test_reduced_copies_and_masks_of_transparency_are_no_pages(tmp_path, page_tags, pages):
    path = write_tiff(tmp_path / "a.tif", [IDS, SMALL], page_tags=page_tags)
    assert tiff_of(path).pages == pages
    if pages == 1:
        assert (read_values(path) == IDS).all()
    else:
        with pytest.raises(InputError, match="the mask has 2 pages"):
            read_values(path)


def test_a_thumbnail_in_the_first_place_is_refused(tmp_path):
    path = write_tiff(tmp_path / "a.tif", [SMALL, IDS], page_tags=[((254, 1),), ()])
    for read in (read_image, read_values):
        with pytest.raises(InputError, match="first page is a thumbnail"):
            read(path)


def test_a_mask_with_overviews_and_its_own_mask_of_validity_is_read(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    values = RNG.integers(0, 4, (1, 600, 700), dtype=np.uint8)
    path = write_bands(tmp_path / "a.tif", values, tiled=True, compress="deflate")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.full((600, 700), 255, np.uint8))
        file.build_overviews([2, 4])
    assert tiff_of(path).pages == 1
    assert (read_values(path) == values[0]).all()
    write_bands(tmp_path / "cog.tif", values, driver="COG", compress="lzw")
    assert (read_values(tmp_path / "cog.tif") == values[0]).all()
    write_bands(tmp_path / "image.tif", values.repeat(3, 0), driver="COG")
    assert (read_image(tmp_path / "image.tif") == values[0, ..., None]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_alike_with_and_without_rasterio(tmp_path, orientation):
    path = write_tiff(tmp_path / "a.tif", [IDS], tags=[(274, orientation)])
    wide = write_tiff(tmp_path / "b.tif", [IDS.astype(np.uint16)], bits=16, photometric=0, tags=[(274, orientation)])
    assert tiff_of(path).by_pillow
    assert not tiff_of(wide).by_pillow
    assert (read_values(path) == upright(IDS, orientation)).all()
    pytest.importorskip("rasterio")
    assert (read_values(wide) == upright(IDS, orientation)).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_bits_in_reverse_order_are_read_as_stored(tmp_path, bits, photometric):
    if bits > 4:
        pytest.importorskip("rasterio")
    values = RNG.integers(0, 2**bits, (8, 16)).astype(np.uint16)
    path = write_tiff(tmp_path / "a.tif", [values], bits, photometric, tags=[(266, 2)])
    content = bytearray(path.read_bytes())
    pixels = slice(8, 8 + 16 * bits)
    turned = np.packbits(np.unpackbits(np.frombuffer(content[pixels], np.uint8)).reshape(-1, 8)[:, ::-1])
    content[pixels] = turned.tobytes()
    path.write_bytes(content)
    assert (read_values(path) == values).all()


def test_transparency_is_told_from_data():
    soft = np.array([0] * 50 + [255] * 40 + [*range(1, 21)], np.uint8)
    assert is_transparency(soft)
    assert is_transparency(np.zeros(9, np.uint8))
    assert not is_transparency(RNG.integers(0, 256, 1000, dtype=np.uint8))
    assert not is_transparency(np.array([0] * 900 + [*range(1, 101)], np.uint8))
