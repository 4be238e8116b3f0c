"""PaddleSeg's lists of images and masks."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.data import open_data
from pixalign.data.folder import describe, find, splits
from pixalign.errors import InputError


def listed(root, lines, name="train.txt"):
    (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def data(tmp_path):
    """Six pairs in folders that no other layout knows, with masks whose names are not the images'."""
    for i in range(6):
        write_pair(tmp_path / f"shots/im_{i}.jpg", tmp_path / f"truth/of {i}.png", i)
    return tmp_path


@pytest.mark.parametrize("between", [" ", "\t", "  ", ",", ", "])
@pytest.mark.parametrize("ending", [".txt", "_list.txt"])
def test_two_columns_are_an_image_and_its_mask(data, between, ending):
    listed(data, [f"shots/im_{i}.jpg{between}truth/of {i}.png" for i in range(4)], f"train{ending}")
    listed(data, [f"./shots\\im_{i}.jpg{between}truth/of {i}.png" for i in (4, 5)], f"val{ending}")
    (data / "labels.txt").write_text("background\ndisc\nbox\n\n")
    assert splits(data) == ["train", "val"]
    assert describe(data) == "PaddleSeg lists: 2 splits, 3 classes from labels.txt"
    val = open_data("folder", data, "val")
    assert val.classes == ["background", "disc", "box"]
    assert [path.name for path in val.images] == ["im_4.jpg", "im_5.jpg"]
    assert (val[1][1] == np.asarray(Image.open(data / "truth/of 5.png"))).all()


def test_without_labels_the_masks_tell_the_classes(data):
    listed(data, [f"shots/im_{i}.jpg truth/of {i}.png" for i in range(6)])
    assert open_data("folder", data, "train").classes == ["class_0", "class_1", "class_2"]
    with pytest.raises(InputError, match=r"of the split 'val', though train is there \(PaddleSeg lists\)"):
        open_data("folder", data, "val")


def test_names_that_look_like_two_are_read_as_the_files_that_are_there(tmp_path):
    write_pair(tmp_path / "a.png b.png", tmp_path / "c d.png", 0)
    write_pair(tmp_path / "a.png", tmp_path / "e.png", 1)
    listed(tmp_path, ["a.png e.png", "a.png b.png c d.png"])
    pairs = open_data("folder", tmp_path, "train")
    assert [(image.name, mask.name) for image, mask in zip(pairs.images, pairs.masks)] == [
        ("a.png", "e.png"),
        ("a.png b.png", "c d.png"),
    ]


def test_names_may_be_listed_in_another_form_of_unicode(tmp_path):
    write_pair(tmp_path / "i/Mühle.jpg", tmp_path / "m/Mühle.png", 0)
    listed(tmp_path, [unicodedata.normalize("NFD", "i/Mühle.jpg m/Mühle.png")])
    assert find(tmp_path, "train").images == [tmp_path / "i/Mühle.jpg"]


def test_an_image_listed_alone_has_no_mask(data):
    listed(data, ["shots/im_0.jpg truth/of 0.png", "shots/im_1.jpg", "shots/im_2.jpg truth/gone.png"])
    assert [path.name for path in find(data, "train").lone_images] == ["im_1.jpg", "im_2.jpg"]
    with pytest.raises(InputError, match=r"im_1.jpg: no mask .*2 of 3 images"):
        open_data("folder", data, "train")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["shots/im_0.jpg truth/of 0.png", "shots/gone.jpg truth/of 1.png"], r"lists 'shots/gone.jpg', which is no"),
        (["shots/im_0.jpg truth/of 0.png", "shots/im_1.jpg truth/of 0.png"], r"im_0.jpg and .*im_1.jpg have one mask"),
        (["shots/im_0.jpg truth/of 0.png", "shots/im_0.jpg truth/of 1.png"], r"im_0.jpg has two masks"),
    ],
)
def test_a_wrong_list_is_one_line(data, lines, message):
    listed(data, lines)
    with pytest.raises(InputError, match=f"train.txt: .*{message}") as caught:
        open_data("folder", data, "train")
    assert "\n" not in str(caught.value)


def test_two_lists_of_one_split_are_an_error(data):
    for name in ("val.txt", "val_list.txt"):
        listed(data, ["shots/im_0.jpg truth/of 0.png"], name)
    with pytest.raises(InputError, match=r"val_list.txt: val.txt is a list of the same split"):
        open_data("folder", data, "val")


def test_a_list_of_one_column_divides_images_and_masks_as_ever(folder_data):
    listed(folder_data, ["images/img0.png", "img1"])
    listed(folder_data, ["img2.png"], "val.txt")
    assert [path.stem for path in open_data("folder", folder_data, "train").images] == ["img0", "img1"]
