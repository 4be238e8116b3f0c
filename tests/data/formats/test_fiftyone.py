"""FiftyOne's folders of images and masks are read, and its other exports refused by name."""

import json

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.data.folder import splits
from pixalign.data.formats.recognize import recognize
from pixalign.errors import InputError


def write(root, count=5, labels=True):
    for i in range(count):
        for folder, pixels in (("data", np.full((6, 9, 3), 90, np.uint8)), ("labels", np.eye(6, 9, dtype=np.uint8))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            if folder == "data" or labels:
                Image.fromarray(pixels).save(root / folder / f"{i}.png")


def test_images_in_data_have_their_masks_in_labels(tmp_path):
    write(tmp_path)
    assert splits(tmp_path) == []
    train, val = (open_data("folder", tmp_path, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (4, 1)
    assert (val[0][1] == np.eye(6, 9)).all()
    assert recognize(tmp_path).name == "FiftyOne's images and masks"


def test_splits_lie_in_folders_of_their_own(tmp_path):
    for split in ("train", "validation"):
        write(tmp_path / split, 2)
    assert splits(tmp_path) == ["train", "val"]
    assert len(open_data("folder", tmp_path, "val")) == 2


def test_an_image_without_mask_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "labels/3.png").unlink()
    with pytest.raises(InputError, match=r"3.png: no mask of the same stem in .*labels \(1 of 5 images lack one\)"):
        open_data("folder", tmp_path, "train")


def test_other_exports_are_refused_by_name(tmp_path):
    write(tmp_path, labels=False)
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["disc"], "labels": {"0": []}}))
    with pytest.raises(InputError, match=r"labels.json: FiftyOne's boxes or classes .*ImageSegmentationDirectory"):
        open_data("folder", tmp_path, "train")
    for name in ("metadata.json", "samples.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"samples.json: FiftyOne's own form of a data set, which is not read"):
        open_data("folder", tmp_path, "train")


def test_two_folders_of_one_split_are_refused(tmp_path):
    for split in ("train", "val", "valid"):
        write(tmp_path / split, 2)
    with pytest.raises(InputError, match=r"val/ and valid/ are the same split: remove one"):
        splits(tmp_path)
