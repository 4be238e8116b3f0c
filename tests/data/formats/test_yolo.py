"""Polygons of YOLO are drawn as masks."""

import pickle

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.data.folder import splits
from pixalign.data.formats.recognize import recognize
from pixalign.data.formats.yolo import find
from pixalign.errors import InputError

SIZE = (6, 10)
LEFT = "0 0 0 0.2 0 0.2 1 0 1\n"  # two columns
SMALL = "1 0.1 0 0.2 0 0.2 1 0.1 1\n"  # the second of them


def photograph(path, exif=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(path, **({"exif": exif} if exif else {}))


def write(root, labels, config="names: [disc, box]\ntrain: images/train\nval: images/val\n", images="images/{split}"):
    """A data set whose splits hold each an image "a" with these labels, and an image "b" without any."""
    for split in ("train", "val"):
        folder = root / images.format(split=split)
        for name in "ab":
            photograph(folder / f"{name}.png")
        place = root / images.format(split=split).replace("images", "labels")
        place.mkdir(parents=True, exist_ok=True)
        (place / "a.txt").write_text(labels)
    if config:
        (root / "data.yaml").write_text(config)


def masks_of(root, split="train"):
    pairs = open_data("folder", root, split)
    return {path.stem: pairs[i][1] for i, path in enumerate(pairs.images)}


def test_polygons_are_drawn_with_the_names_of_data_yaml_and_an_image_without_file_is_background(tmp_path):
    write(tmp_path, LEFT)
    masks = masks_of(tmp_path)
    assert open_data("folder", tmp_path, "train").classes == ["background", "disc", "box"]
    assert (masks["a"] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]).all()
    assert (masks["b"] == 0).all()
    assert splits(tmp_path) == ["train", "val"]
    assert (recognize(tmp_path).name, recognize(tmp_path).classes_from) == ("YOLO polygons", "data.yaml")


@pytest.mark.parametrize("labels", [LEFT + SMALL, SMALL + "\n" + LEFT])
def test_small_areas_lie_over_large_ones_in_any_order(tmp_path, labels):
    write(tmp_path, labels)
    assert (masks_of(tmp_path)["a"] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 0]).all()


@pytest.mark.parametrize(
    ("config", "images"),
    [
        ("names: {0: disc, 1: box}\nnc: 2\npath: .\ntrain: images/train\nval: images/val\n", "images/{split}"),
        ("names: [disc, box]\ntrain: ../train/images\nval: ../val/images\n", "{split}/images"),
        ("names: [disc, box]\npath: /home/me/set\ntrain: images/train\nval: images/val\n", "images/{split}"),
        ("names: [disc, box]\ntrain: /home/me/set/images/train\nval: [images/val]\n", "images/{split}"),
        ("names: [disc, box]\npath: sub\ntrain: images/train\nval: images/val\n", "sub/images/{split}"),
        ("names: [disc, box]\ntrain: list.txt\nval: images/val\n", "images/{split}"),
    ],
)
def test_paths_of_images_are_found_however_they_are_written(tmp_path, config, images):
    (tmp_path / "list.txt").write_text("data\\images/train/a.png\n./images/train/b.png\n")
    write(tmp_path, LEFT, config, images)
    if images.startswith("sub"):
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "other.txt").write_text("")
    for split in ("train", "val"):
        masks = masks_of(tmp_path, split)
        assert [(name, int(mask.sum())) for name, mask in sorted(masks.items())] == [("a", 12), ("b", 0)]


def test_names_in_classes_txt_go_with_data_that_is_not_divided(tmp_path):
    for i in range(5):
        photograph(tmp_path / "images" / f"{i}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{i}.txt").write_text(LEFT)
    (tmp_path / "classes.txt").write_text("圆盘\nbox\n", encoding="utf-8")
    assert splits(tmp_path) == []
    assert (len(open_data("folder", tmp_path, "train")), len(open_data("folder", tmp_path, "val"))) == (4, 1)
    assert open_data("folder", tmp_path, "val").classes == ["background", "圆盘", "box"]


def test_shares_are_of_the_image_as_it_is_turned(tmp_path):
    write(tmp_path, LEFT)
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(tmp_path / "images/train/a.jpg", exif)
    (tmp_path / "images/train/a.png").unlink()
    mask = masks_of(tmp_path)["a"]
    assert mask.shape == SIZE[::-1]
    assert (mask == [1, 0, 0, 0, 0, 0]).all()  # of six columns, one has its center in the first fifth


def test_drawn_pairs_can_be_pickled(tmp_path):
    write(tmp_path, LEFT)
    pairs = open_data("folder", tmp_path, "train")
    assert (pickle.loads(pickle.dumps(pairs))[0][1] == pairs[0][1]).all()
    assert pairs.fingerprint()


def test_other_folders_are_none_of_yolos(tmp_path):
    assert find(tmp_path) is None
    write(tmp_path, LEFT)
    (tmp_path / "masks").mkdir()
    assert find(tmp_path) is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0 0.5 0.5 0.2 0.2\n", r"a.txt: line 1 is a box \(5 numbers\)"),
        (LEFT + "\n2 0 0 1 0 1 1\n", "line 3 begins with '2', which is not a class number of .*data.yaml"),
        ("disc 0 0 1 0 1 1\n", "begins with 'disc'"),
        ("-1 0 0 1 0 1 1\n", "begins with '-1'"),
        ("nan 0 0 1 0 1 1\n", "begins with 'nan'"),
        ("0 0 0 100 0 100 60\n", "points outside 0 to 1"),
        ("0 0 0 1 0 1\n", "has no list of points x, y"),
        ("0 0 0 1 nan 1 1\n", "a point that is no number"),
        ("0 0 0\n", "a polygon of 1 points"),
        ("0,0,0,1,0,1,1\n", "begins with '0,0,0,1,0,1,1'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, labels, message):
    write(tmp_path, labels)
    with pytest.raises(InputError, match=message) as caught:
        masks_of(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "a.txt: YOLO labels, and no file tells their classes"),
        ("names: [a, a]\ntrain: images/train\n", "a name occurs twice"),
        ("names: [yes, no]\ntrain: images/train\n", "write a list of the classes' names"),
        ("names: 5\ntrain: images/train\n", "write a list of the classes' names"),
        ("names: {a: b}\ntrain: images/train\n", "write a list of the classes' names"),
        ("names: [a]\nnc: 2\ntrain: images/train\n", "nc is 2, and names has 1"),
        ("names: [a]\n", "names no train and val"),
        ("names: [a]\ntrain: images/tran\n", "data.yaml: images/tran is neither there nor below"),
        ("names: [a]\ntrain: 5\n", "5 is not a path of images"),
        ("names: [a]\ntrain: list.txt\n", r"list.txt: lists images/train/c.png, which is not there \(1 of 2 lines\)"),
        ("names: [a\n", "is not valid YAML"),
        (f"names: {[f'c{i}' for i in range(255)]}\ntrain: images/train\n", "256 classes with the background, and 255"),
    ],
)
def test_a_wrong_list_of_classes_and_images_is_named(tmp_path, config, message):
    write(tmp_path, LEFT, config)
    (tmp_path / "list.txt").write_text("images/train/a.png\nimages/train/c.png\n")
    with pytest.raises(InputError, match=message) as caught:
        masks_of(tmp_path)
    assert "\n" not in str(caught.value)


def test_labels_that_no_image_has_are_an_error(tmp_path):
    write(tmp_path, LEFT)
    (tmp_path / "images/train/a.png").rename(tmp_path / "images/train/c.png")
    with pytest.raises(InputError, match=r"a.txt: no image of its name in .*images/train \(1 of 1 files"):
        masks_of(tmp_path)
    (tmp_path / "labels/train/a.txt").unlink()
    with pytest.raises(InputError, match=r"labels/train/b.txt: no such file, nor that of any other image"):
        masks_of(tmp_path)
