"""Roboflow's "Semantic Segmentation Masks"."""

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.data import open_data
from pixalign.data.folder import find, splits
from pixalign.errors import InputError

CLASSES = "Pixel Value, Class\n0, background\n1, disc\n2, box\n"


@pytest.fixture
def exported(tmp_path):
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for i in range(count):
            stem = tmp_path / split / f"{split}_{i}_jpg.rf.0a1b{i}"
            write_pair(stem.with_name(f"{stem.name}.jpg"), stem.with_name(f"{stem.name}_mask.png"), i)
        (tmp_path / split / "_classes.csv").write_text(CLASSES)
    (tmp_path / "README.dataset.txt").write_text("https://universe.roboflow.com\n")
    return tmp_path


def test_splits_and_classes_are_those_of_the_export(exported):
    assert splits(exported) == ["train", "val", "test"]
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        pairs = open_data("folder", exported, split)
        assert len(pairs) == count
        assert pairs.classes == ["background", "disc", "box"]
        for i, mask in enumerate(pairs.masks):
            assert mask.name == pairs.images[i].name.replace(".jpg", "_mask.png")
            assert (pairs[i][1] == np.asarray(Image.open(mask))).all()
    assert check_data("folder", exported).layout == "Roboflow semantic masks: 3 splits, 3 classes from _classes.csv"


def test_values_need_not_count_from_0(exported):
    for file in exported.rglob("_classes.csv"):
        file.write_text("Pixel Value, Class\n255, crack\n0, road, dry\n")
    for file in exported.rglob("*_mask.png"):
        Image.fromarray((np.asarray(Image.open(file)) > 0).astype(np.uint8) * 255).save(file)
    pairs = open_data("folder", exported, "val")
    assert pairs.classes == ["road, dry", "crack"]
    assert (pairs[0][1] == np.asarray(Image.open(pairs.masks[0])) // 255).all()


def test_a_value_that_is_not_listed_is_named(exported):
    mask = next((exported / "test").glob("*_mask.png"))
    Image.fromarray(np.full((48, 64), 3, np.uint8)).save(mask)
    with pytest.raises(InputError, match=r"label value 3 \(3072 pixels\) belongs to no class: .*_classes.csv"):
        open_data("folder", exported, "test")[0]


def test_images_without_mask_and_masks_without_image_are_found(exported):
    first, second, _ = sorted((exported / "train").glob("*_mask.png"))
    first.unlink()
    second.with_name(second.name.replace("_mask.png", ".jpg")).unlink()
    found = find(exported, "train")
    assert [path.name for path in found.lone_images] == ["train_0_jpg.rf.0a1b0.jpg"]
    assert found.lone_masks == [second]
    with pytest.raises(InputError, match=r"train_0_jpg.rf.0a1b0.jpg: no mask"):
        open_data("folder", exported, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Pixel Value, Class\n0, background\n1, cat\n", "lists other classes than .*train"),
        ("Pixel Value, Class\n0, background\n0, disc\n", "the line '0,disc' is no value of its own and a class"),
        ("Pixel Value, Class\nx, background\n", "the line 'x,background' is no value"),
    ],
)
def test_wrong_classes_are_one_line(exported, text, message):
    (exported / "valid/_classes.csv").write_text(text)
    with pytest.raises(InputError, match=f"valid/_classes.csv: {message}") as caught:
        open_data("folder", exported, "train")
    assert "\n" not in str(caught.value)


def test_two_folders_of_one_split_are_an_error(exported):
    (exported / "test").rename(exported / "val")
    with pytest.raises(InputError, match=r"val/ and valid/ are the same split"):
        open_data("folder", exported, "train")
