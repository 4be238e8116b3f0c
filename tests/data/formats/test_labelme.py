"""Labelme files are drawn as masks."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.data.folder import find, splits
from pixalign.data.formats.labelme import read_labelme
from pixalign.errors import InputError

SIZE = (6, 9)


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def write(path, shapes, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": "5.5.0", "shapes": shapes, "imageHeight": SIZE[0], "imageWidth": SIZE[1], "imageData": None}
    path.write_text(json.dumps({**content, **more}))


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(path)


def mask_of(root, shapes):
    photograph(root / "images/train/a.png")
    write(root / "images/train/a.json", shapes)
    return open_data("folder", root, "train")[0][1]


LEFT = shape("dog", [[0, 0], [2, 0], [2, 6], [0, 6]])
RIGHT = shape("cat", [[7, 0], [9, 6]], "rectangle")


def test_labels_become_classes_by_name_after_the_background(tmp_path):
    assert (mask_of(tmp_path, [LEFT, RIGHT]) == [2, 2, 0, 0, 0, 0, 0, 1, 1]).all()
    assert open_data("folder", tmp_path, "train").classes == ["background", "cat", "dog"]


def test_classes_yaml_orders_the_labels(tmp_path):
    (tmp_path / "classes.yaml").write_text("[dog, background, cat]")
    assert (mask_of(tmp_path, [LEFT, RIGHT]) == [0, 0, 1, 1, 1, 1, 1, 2, 2]).all()


def test_a_label_that_is_no_class_is_named(tmp_path):
    (tmp_path / "classes.yaml").write_text("[background, dog]")
    with pytest.raises(
        InputError, match=r"a.json: label value cat \(12 pixels\) is none of the classes background, dog"
    ):
        mask_of(tmp_path, [LEFT, RIGHT])


def test_later_shapes_lie_over_earlier_ones_and_two_labels_are_special(tmp_path):
    shapes = [
        shape("dog", [[0, 0], [9, 6]], "rectangle"),
        shape("__ignore__", [[0, 0], [2, 6]], "rectangle"),
        shape("_background_", [[8, 0], [9, 6]], "rectangle"),
    ]
    assert (mask_of(tmp_path, shapes) == [255, 255, 1, 1, 1, 1, 1, 1, 0]).all()


def test_a_circle_covers_the_pixels_whose_centers_it_holds(tmp_path):
    mask = mask_of(tmp_path, [shape("dog", [[4.5, 3.5], [4.5, 5.9]], "circle"), shape("cat", [[0, 0], [1, 9], [9, 9]])])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    assert ((mask == 2) <= ((x - 4) ** 2 + (y - 3) ** 2 <= 2.4**2)).all()
    alone = mask_of(tmp_path, [shape("dog", [[4.5, 3.5], [4.5, 5.9]], "circle")])
    assert (alone == ((x - 4) ** 2 + (y - 3) ** 2 <= 2.4**2)).all()


def test_a_mask_shape_is_laid_at_its_box(tmp_path):
    file = io.BytesIO()
    Image.fromarray(np.array([[True, False], [True, True]])).save(file, "PNG")
    encoded = base64.b64encode(file.getvalue()).decode()
    mask = mask_of(tmp_path, [shape("dog", [[3, 1], [4, 2]], "mask", mask=encoded)])
    assert np.argwhere(mask).tolist() == [[1, 3], [2, 3], [2, 4]]


def test_lines_and_points_have_no_area(tmp_path):
    others = [shape("wire", [[0, 0], [9, 6]], kind) for kind in ("line", "linestrip", "points")]
    assert (mask_of(tmp_path, [LEFT, *others, shape("spot", [[3, 3]], "point")])[:, 2:] == 0).all()
    assert open_data("folder", tmp_path, "train").classes == ["background", "dog"]


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("{name}.png", "{name}.json"),
        ("images/{name}.png", "images/{name}.json"),
        ("images/{name}.png", "masks/{name}.json"),
        ("images/sub/{name}.png", "masks/sub/{name}.json"),
    ],
)
def test_files_may_lie_beside_the_images_or_in_masks(tmp_path, image, annotation):
    for i in range(5):
        photograph(tmp_path / image.format(name=i))
        write(tmp_path / annotation.format(name=i), [LEFT])
    assert splits(tmp_path) == []
    assert len(open_data("folder", tmp_path, "train")) == 4
    assert len(open_data("folder", tmp_path, "val")) == 1
    assert (open_data("folder", tmp_path, "val")[0][1][:, :2] == 1).all()


def test_folders_of_splits_need_no_images_folder(tmp_path):
    for split in ("train", "valid"):
        photograph(tmp_path / split / "a.png")
        write(tmp_path / split / "a.json", [LEFT])
    assert splits(tmp_path) == ["train", "val"]
    assert open_data("folder", tmp_path, "val").images == [tmp_path / "valid/a.png"]


def test_an_image_without_file_is_named(tmp_path):
    for i in range(3):
        photograph(tmp_path / f"{i}.png")
    write(tmp_path / "0.json", [LEFT])
    assert len(find(tmp_path, "train").lone_images) + len(find(tmp_path, "val").lone_images) == 2
    with pytest.raises(InputError, match=r"1.png: no Labelme file \(.json\) beside it \(2 of 3 images"):
        open_data("folder", tmp_path, "train")


@pytest.mark.parametrize(
    ("shapes", "more", "message"),
    [
        (None, {}, "is not a Labelme file"),
        ([LEFT], {"imageHeight": None}, "height and width are None and 9"),
        ([LEFT], {"imageHeight": 10**6, "imageWidth": 10**6}, "more than 250,000,000"),
        ([shape(None, [])], {}, "shape 0 has no label"),
        (
            [shape("dog", [[0, 0], [1, 1]], "ellipse")],
            {},
            r"shape 0 \(dog\) has the kind ellipse, which is not read: areas are polygon",
        ),
        ([shape("dog", [[0]])], {}, "has no list of points"),
        ([shape("dog", [[0, 1]], "circle")], {}, "a circle of 1 points"),
        ([shape("dog", [[0, 1], [5, 5]])], {}, "a polygon of 2 points"),
        ([shape("dog", [])], {}, "a polygon of 0 points"),
        ([shape("dog", [[0, 1], [5, 5], [1, 5]], "rotation")], {}, "a rotation of 3 points"),
        ([shape(" ", [[0, 0], [3, 0], [3, 3]])], {}, "shape 0 has no label"),
        ([shape(True, [[0, 0], [3, 0], [3, 3]])], {}, "shape 0 has no label"),
        ([shape("dog", [[0, 0], [3, 0], [3, 3]], "cuboid")], {}, r"shape 0 \(dog\) has the kind cuboid"),
        ([shape("dog", [[0, 1], [2, 3]], "mask", mask="!")], {}, "a mask that cannot be read"),
        ([shape("__ignore__", [[0, 0], [3, 0], [3, 3]])], {}, "hold no labeled area"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, shapes, more, message):
    photograph(tmp_path / "images/train/a.png")
    write(tmp_path / "images/train/a.json", shapes, **more)
    with pytest.raises(InputError, match=message) as caught:
        open_data("folder", tmp_path, "train")
    assert "\n" not in str(caught.value)


def test_a_size_other_than_the_images_is_named(tmp_path):
    photograph(tmp_path / "images/train/a.png")
    write(tmp_path / "images/train/a.json", [LEFT], imageHeight=9, imageWidth=6)
    with pytest.raises(InputError, match=r"a.json: the mask is 6 x 9 but its image a.png is 9 x 6"):
        open_data("folder", tmp_path, "train")[0]


def test_a_turned_rectangle_and_a_label_that_is_a_number_are_read(tmp_path):
    mask = mask_of(tmp_path, [shape(1, [[1, 1], [4, 1], [4, 3], [1, 3]], "rotation", direction=0.5)])
    assert open_data("folder", tmp_path, "train").classes == ["background", "1"]
    assert (mask[1:3, 1:4] == 1).all()
    assert mask.sum() == 6


@pytest.mark.parametrize("size", [{"imageHeight": 6.0, "imageWidth": 9.0}, {"imageHeight": None, "imageWidth": None}])
def test_a_size_may_be_written_as_a_fraction_or_left_to_the_picture(tmp_path, size):
    expected = mask_of(tmp_path, [LEFT])
    write(tmp_path / "images/train/a.json", [LEFT], **size)
    assert (open_data("folder", tmp_path, "train")[0][1] == expected).all()


def test_a_size_is_taken_from_the_picture_that_a_file_elsewhere_names(tmp_path):
    photograph(tmp_path / "images/train/a.png")
    lacking = {"imageHeight": None, "imageWidth": None, "imagePath": "..\\..\\images\\train\\a.png"}
    write(tmp_path / "masks/train/a.json", [LEFT], **lacking)
    assert (open_data("folder", tmp_path, "train")[0][1] == [1, 1, 0, 0, 0, 0, 0, 0, 0]).all()


@pytest.mark.parametrize(("picture", "named"), [("a.PNG", None), ("other.png", "other.png")])
def test_a_size_is_taken_from_the_picture_among_the_images(tmp_path, picture, named):
    """A file in masks/ is of the picture of its name in images/, or of the one there that it names."""
    photograph(tmp_path / "Images/train" / picture)
    write(tmp_path / "masks/train/a.json", [LEFT], imageHeight=None, imageWidth=None, imagePath=named)
    assert read_labelme(tmp_path / "masks/train/a.json").size == (6, 9)


def test_spaces_at_the_ends_of_a_label_make_no_other_class(tmp_path):
    mask_of(tmp_path, [LEFT, shape("dog ", [[7, 0], [9, 6]], "rectangle")])
    pairs = open_data("folder", tmp_path, "train")
    assert pairs.classes == ["background", "dog"]
    assert (pairs[0][1] == [1, 1, 0, 0, 0, 0, 0, 1, 1]).all()


def test_more_classes_than_a_mask_can_tell_apart_are_refused(tmp_path):
    with pytest.raises(InputError, match="256 classes with the background, and 255 are the most"):
        mask_of(tmp_path, [shape(f"c{i}", [[0, 0], [9, 6]], "rectangle") for i in range(255)])
