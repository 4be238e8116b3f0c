"""Supervisely's projects are drawn as masks."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.data.folder import find as find_split
from pixalign.data.folder import splits
from pixalign.data.formats.recognize import recognize
from pixalign.errors import InputError

SIZE = (6, 9)
CLASSES = [("disc", "polygon"), ("box", "any"), ("spot", "point")]


def entry(kind, title="disc", **more):
    return {"classTitle": title, "geometryType": kind, "tags": [], **more}


def points(kind, exterior, interior=(), title="disc"):
    return entry(kind, title, points={"exterior": exterior, "interior": interior})


def bitmap(inside, origin, title="disc", alpha=True):
    image, file = Image.fromarray(inside.astype(np.uint8)), io.BytesIO()
    if alpha:
        image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(file, "PNG", **({"transparency": 0} if alpha else {}))
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return entry("bitmap", title, bitmap={"data": data, "origin": origin})


def write(root, objects, sets=("train", "val"), classes=CLASSES, name="a.png", **more):
    root.mkdir(exist_ok=True)
    listed = [{"title": title, "shape": kind, "color": "#112233"} for title, kind in classes]
    (root / "meta.json").write_text(json.dumps({"classes": listed, "tags": []}))
    for data_set in sets:
        for folder in ("img", "ann"):
            (root / data_set / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(root / data_set / "img" / name)
        content = {"size": {"height": SIZE[0], "width": SIZE[1]}, "objects": objects, "tags": [], **more}
        (root / data_set / "ann" / f"{name}.json").write_text(json.dumps(content))


def mask_of(root, objects, **more):
    write(root, objects, **more)
    return open_data("folder", root, "train")[0][1]


def test_classes_are_those_of_meta_json_that_have_an_area(tmp_path):
    mask = mask_of(tmp_path, [points("rectangle", [[7, 0], [8, 5]], title="box"), entry("point", "spot")])
    assert (mask == [0, 0, 0, 0, 0, 0, 0, 2, 2]).all()
    assert open_data("folder", tmp_path, "train").classes == ["background", "disc", "box"]
    assert splits(tmp_path) == ["train", "val"]
    assert recognize(tmp_path).name == "Supervisely project"


def test_whole_coordinates_are_pixels_of_the_area(tmp_path):
    for kind, exterior in (("rectangle", [[2, 1], [4, 3]]), ("polygon", [[2, 1], [4, 1], [4, 3], [2, 3]])):
        assert np.argwhere(mask_of(tmp_path, [points(kind, exterior)])).tolist() == [
            [y, x] for y in (1, 2, 3) for x in (2, 3, 4)
        ]


def test_a_hole_is_left_out(tmp_path):
    hole = [[[3, 2], [5, 2], [5, 3], [3, 3]]]
    mask = mask_of(tmp_path, [points("polygon", [[1, 0], [7, 0], [7, 5], [1, 5]], hole)])
    expected = np.zeros(SIZE, int)
    expected[:, 1:8], expected[2:4, 3:6] = 1, 0
    assert (mask == expected).all()


@pytest.mark.parametrize("alpha", [True, False])
def test_a_bitmap_lies_at_its_origin(tmp_path, alpha):
    mask = mask_of(tmp_path, [bitmap(np.array([[1, 0], [1, 1]]), [3, 1], alpha=alpha)])
    assert np.argwhere(mask).tolist() == [[1, 3], [2, 3], [2, 4]]


def test_later_objects_lie_over_earlier_ones_and_are_cut_at_the_edges(tmp_path):
    objects = [points("rectangle", [[-5, -5], [20, 20]]), points("rectangle", [[8, 0], [30, 9]], title="box")]
    assert (mask_of(tmp_path, objects) == [1, 1, 1, 1, 1, 1, 1, 1, 2]).all()
    assert (mask_of(tmp_path, [points("polygon", [[20, 20], [30, 20], [30, 30]])]) == 0).all()


def test_data_sets_of_other_names_are_divided(tmp_path):
    write(tmp_path, [], [f"ds{i}" for i in range(4)])
    write(tmp_path, [], ["ds0/datasets/inner"], name="圆.png")
    assert splits(tmp_path) == []
    pairs = [open_data("folder", tmp_path, split) for split in ("train", "val")]
    assert [len(part) for part in pairs] == [4, 1]
    assert pairs[0].classes == ["background", "disc", "box"]


def test_what_lacks_a_partner_is_named(tmp_path):
    write(tmp_path, [])
    write(tmp_path, [], name="b.png")
    (tmp_path / "train/ann/b.png.json").unlink()
    assert [path.name for path in find_split(tmp_path, "train").lone_images] == ["b.png"]
    (tmp_path / "val/img/b.png").unlink()
    assert [path.name for path in find_split(tmp_path, "val").lone_masks] == ["b.png.json"]


@pytest.mark.parametrize(
    ("objects", "more", "message"),
    [
        ([], {"size": None}, "is not a Supervisely file"),
        ([], {"size": {"height": 0, "width": 9}}, "height and width are 0 and 9"),
        ([{}], {}, "object 0 has no classTitle"),
        ([entry("cuboid")], {}, r"object 0 \(disc\) is of the type cuboid, which is not read"),
        ([points("polygon", [[0, 0], [1, 1]])], {}, "is a polygon of 2 points"),
        ([points("polygon", [[0, 0], [5, 0], [5, 5]], [[[1, 1]]])], {}, "draw it again or remove it"),
        ([points("rectangle", [])], {}, "is a rectangle of 0 points"),
        ([entry("polygon")], {}, "has no list of points"),
        ([points("polygon", [[0, 0], [5, 0], [5, 5]], 5)], {}, "has no list of points"),
        ([entry("bitmap", bitmap={"data": "!", "origin": [0, 0]})], {}, "a bitmap that cannot be read"),
        ([entry("bitmap", bitmap=None)], {}, "a bitmap that cannot be read"),
        ([{**bitmap(np.ones((1, 1)), [0, 0]), "geometryType": "alpha_mask"}], {}, "of the type alpha_mask"),
        ([points("rectangle", [[0, 0], [1, 1]], title="dog")], {}, "label value dog .4 pixels. is none of the classes"),
        ([], {"classes": [("a", "any"), ("a ", "any")]}, "a class's title occurs twice"),
        ([], {"classes": [(None, "any")]}, "has no title"),
        ([], {"sets": ["train", "more"]}, "more: a data set that is no split, though train is there"),
    ],
)
def test_a_wrong_project_is_one_line(tmp_path, objects, more, message):
    with pytest.raises(InputError, match=message) as caught:
        mask_of(tmp_path, objects, **more)
    assert "\n" not in str(caught.value)
