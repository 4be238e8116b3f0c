"""Supervisely's "Export as masks"."""

import json

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.data import open_data
from pixalign.data.folder import describe, splits
from pixalign.errors import InputError

FILE = "obj_class_to_machine_color.json"


def project(root, sets, name="{}.png", colors=None):
    for data_set, count in sets.items():
        for i in range(count):
            mask = root / data_set / "masks_machine" / name.format(f"im{i}")
            write_pair(root / data_set / f"img/im{i}.jpg", mask, i)
            Image.fromarray(np.asarray(Image.open(mask))[..., None].repeat(3, -1)).save(mask)
            write_pair(root / data_set / f"masks_human/im{i}.png", root / data_set / f"masks_instances/im{i}.png", i)
            (root / data_set / "ann").mkdir(exist_ok=True)
            (root / data_set / f"ann/im{i}.jpg.json").write_text("{}")
    (root / "meta.json").write_text('{"classes": []}')
    (root / FILE).write_text(json.dumps(colors or {"box": [2, 2, 2], "disc": [1, 1, 1]}))
    return root


@pytest.mark.parametrize("name", ["{}.png", "{}.jpg.png"])
def test_data_sets_are_taken_together_and_the_classes_are_named(tmp_path, name):
    root = project(tmp_path, {"ds0": 4, "ds1": 6}, name)
    train, val = (open_data("folder", root, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    assert train.classes == ["background", "disc", "box"]
    for i, image in enumerate(train.images):
        assert train.masks[i].parent.parent == image.parent.parent
        assert (train[i][1] == np.asarray(Image.open(train.masks[i]))[..., 0]).all()
    division = "not divided (val: 2 of 10 images, the last fifth of ds0/img/im*, ds1/img/im*)"
    assert describe(root) == f"Supervisely machine masks: {division}, 3 classes from {FILE}"


def test_data_sets_named_after_splits_are_the_splits(tmp_path):
    root = project(tmp_path, {"train": 3, "val": 2})
    assert splits(root) == ["train", "val"]
    assert len(open_data("folder", root, "val")) == 2


def test_one_data_set_alone_may_be_the_folder(tmp_path):
    project(tmp_path, {"ds0": 5})
    assert len(open_data("folder", tmp_path / "ds0", "train")) == 4


def test_a_data_set_beside_splits_is_an_error(tmp_path):
    root = project(tmp_path, {"train": 2, "more": 1})
    with pytest.raises(InputError, match=r"more: no split's name, though others have one"):
        open_data("folder", root, "train")


def test_where_a_class_is_called_background_0_is_no_label(tmp_path):
    root = project(tmp_path, {"train": 3}, colors={"background": [1, 1, 1], "box": [2, 2, 2]})
    pairs = open_data("folder", root, "train")
    assert pairs.classes == ["background", "box"]
    assert (pairs[0][1] == np.array([255, 0, 1])[np.asarray(Image.open(pairs.masks[0]))[..., 0]]).all()


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        ({"disc": [1, 2, 1]}, r"'disc' has the color \[1, 2, 1\], which is not a value"),
        ({"disc": [1, 1, 1], "box": [1, 1, 1]}, "two classes have one value"),
    ],
)
def test_wrong_values_are_one_line(tmp_path, colors, message):
    root = project(tmp_path, {"train": 2}, colors=colors)
    with pytest.raises(InputError, match=message):
        open_data("folder", root, "train")
