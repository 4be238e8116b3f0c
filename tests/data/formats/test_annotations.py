"""Shapes become masks by one rule: a pixel belongs to a shape if its center does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixalign.data.formats.annotations import (
    Drawing,
    Shape,
    class_name,
    fill,
    picture_size,
    polygon,
    read_json,
    upright_size,
)
from pixalign.data.images import read_image
from pixalign.errors import InputError

SIZE = (24, 32)
coordinate = st.integers(-80, 400).map(lambda v: v / 10)
point = st.tuples(coordinate, coordinate)


def filled(points, size=SIZE):
    top, left, inside = fill(np.array(points, float), size)
    mask = np.zeros(size, bool)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return mask


def test_a_rectangle_of_whole_pixels_covers_just_these():
    mask = filled([(3, 2), (10, 2), (10, 5), (3, 5)])
    assert mask[2:5, 3:10].all()
    assert mask.sum() == 3 * 7


@given(point, point, point, point)
def test_triangles_that_share_an_edge_share_no_pixel_and_leave_none_out(a, b, c, d):
    whole = filled([a, b, c, d])
    assert (filled([a, b, c]) ^ filled([a, c, d]) == whole).all()


@given(st.lists(point, min_size=3, max_size=8))
def test_a_pixel_is_inside_if_a_ray_from_its_center_crosses_the_outline_oddly(points):
    mask = filled(points)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    odd, near = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):
        if y0 == y1:
            continue
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        near |= np.abs(at - x) < 1e-9
        odd ^= (min(y0, y1) <= y) & (y < max(y0, y1)) & (x > at)
    assert (mask == odd)[~near].all()


@given(st.lists(point, min_size=1, max_size=6))
def test_the_order_of_the_points_does_not_matter(points):
    assert (filled(points) == filled(points[::-1])).all()


@pytest.mark.parametrize(
    "points", [[(5, 5)], [(5, 5), (9, 9)], [(5, 5), (9, 5), (7, 5)], [(-9, -9), (-5, -9), (-5, -5)]]
)
def test_what_has_no_area_in_the_picture_covers_nothing(points):
    assert not filled(points).any()


def square(label, left, right):
    return Shape(label, [np.array([(left, 0), (right, 0), (right, 4), (left, 4)], float)])


def test_later_shapes_lie_over_earlier_ones_unless_drawn_by_area():
    shapes = [square("a", 0, 3), square("b", 1, 6)]
    classes = ["background", "a", "b"]
    assert Drawing((1, 8), shapes).draw(classes)[0].tolist() == [[1, 2, 2, 2, 2, 2, 0, 0]]
    assert Drawing((1, 8), shapes, by_area=True).draw(classes)[0].tolist() == [[1, 1, 1, 2, 2, 2, 0, 0]]


def test_what_no_shape_covers_has_no_label_where_there_is_no_background():
    assert Drawing((1, 4), [square("a", 0, 2)]).draw(["a"])[0].tolist() == [[0, 0, 255, 255]]


def test_labels_that_are_no_class_are_counted_and_left_without_label():
    ids, unknown = Drawing((1, 4), [square("dog", 0, 2)]).draw(["background", "cat"])
    assert ids.tolist() == [[255, 255, 0, 0]]
    assert unknown == {"dog": 2}


def test_several_polygons_of_a_shape_are_joined():
    parts = Shape("a", [*square("a", 0, 3).polygons, *square("a", 2, 5).polygons])
    assert Drawing((1, 6), [parts]).draw(["background", "a"])[0].tolist() == [[1, 1, 1, 1, 1, 0]]


@pytest.mark.parametrize(("at", "expected"), [((0, 1), [0, 1, 1, 0]), ((0, -1), [1, 0, 0, 0]), ((0, 3), [0, 0, 0, 1])])
def test_a_crop_that_reaches_out_of_the_picture_is_cut(at, expected):
    shape = Shape("a", crop=(at, np.ones((3, 2), bool)))
    assert Drawing((1, 4), [shape]).draw(["background", "a"])[0].tolist() == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100000, "is not valid JSON"),
        ("", "is not valid JSON"),
        ('{"a": NaN}', r"is not valid JSON \(NaN is not a number\)"),
        ('{"a": -Infinity}', r"is not valid JSON \(-Infinity is not a number\)"),
        (f'{{"a": {"9" * 5000}}}', "is not valid JSON"),
        ("[1]", "holds no JSON object"),
    ],
)
def test_files_that_are_no_json_objects_are_one_line(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "missing.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_every_encoding_that_json_may_have(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('{"label": "圆盘"}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"label": "圆盘"}


def test_an_encoding_that_json_may_not_have_is_named_as_the_reason(tmp_path):
    (tmp_path / "a.json").write_bytes('{"label": "圆盘"}'.encode("gbk"))
    with pytest.raises(InputError, match=r"is not valid UTF-8 .* save it again as UTF-8"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("points", [[[1, 2, 3], [4, 5, 6]], [1, 2, 3], "ab", [[10**400, 1]], 5, {"x": 1}, [[[[1, 2]]]]])
def test_what_is_no_list_of_points_is_refused(points):
    with pytest.raises(InputError, match=r"^a: has no list of points"):
        polygon(points, "a")


@pytest.mark.parametrize("points", [[[1e300, 2]], [[float("inf"), 1]], [[None, 1]]])
def test_points_that_lie_nowhere_are_refused(points):
    with pytest.raises(InputError, match=r"^a: has a point"):
        polygon(points, "a")


@pytest.mark.parametrize("side", [0, -3, 9.5, True, "9", None, float("nan")])
def test_a_side_is_a_whole_number_of_pixels(side):
    assert picture_size(6.0, 9, "a") == (6, 9)
    with pytest.raises(InputError, match=r"^a: the picture's height and width are"):
        picture_size(side, 9, "a")


@pytest.mark.parametrize(
    ("label", "name"),
    [(" disc\t", "disc"), ("Disc", "Disc"), ("e\u0301", "\u00e9"), ("Background", "background"),
     ("_background_", "background"), ("background wall", "background wall")],
)  # fmt: skip
def test_labels_lose_spaces_and_the_background_has_one_name(label, name):
    assert class_name(label) == name


def test_listed_classes_are_compared_as_labels_are():
    drawing = Drawing((1, 4), [square("\u00e9", 0, 2)])
    ids, unknown = drawing.draw(["Background", "e\u0301 "])
    assert (ids.tolist(), unknown) == ([[1, 1, 0, 0]], {})


@pytest.mark.parametrize(("suffix", "orientation"), [(".jpg", 6), (".png", 8), (".tif", 5), (".webp", 7), (".jpg", 3)])
def test_the_size_of_a_file_is_that_of_the_image_as_it_is_read(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (9, 6)).save(path, exif=exif)
    assert upright_size(path) == read_image(path).shape[:2]


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_the_size_of_an_image_of_many_bands_is_read(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    kind = {"driver": "GTiff", "width": 9, "height": 6, "count": 5, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", **kind) as file:
        file.write(np.zeros((5, 6, 9), np.uint8))
    assert upright_size(tmp_path / "a.tif") == (6, 9)
