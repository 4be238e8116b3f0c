"""ADE20K's SceneParsing benchmark."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.data.sets.ade20k import CLASSES, COLORS
from pixalign.errors import InputError


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    rng = np.random.default_rng(0)
    for folder, prefix, count in (("training", "ADE_train_0000000", 3), ("validation", "ADE_val_0000000", 2)):
        for i in range(1, count + 1):
            write(root / "images" / folder / f"{prefix}{i}.jpg", rng.integers(0, 256, (40, 50, 3), np.uint8))
            write(
                root / "annotations" / folder / f"{prefix}{i}.png", np.resize(np.arange(151, dtype=np.uint8), (40, 50))
            )
    return root


def test_there_are_150_classes_of_their_own_names():
    assert len(CLASSES) == len(set(CLASSES)) == len(COLORS) == 150
    assert (CLASSES[0], CLASSES[12], CLASSES[149]) == ("wall", "person", "flag")
    assert all(len(color) == 3 for color in COLORS)


def test_other_is_ignored_and_the_rest_are_one_less(root):
    image, mask = open_data("ade20k", root, "train")[0]
    assert image.shape == (40, 50, 3)
    assert mask.ravel()[:151].tolist() == [255, *range(150)]


def test_splits_have_the_names_of_the_others(root):
    assert [len(open_data("ade20k", root, split)) for split in ("train", "val")] == [3, 2]
    assert open_data("ade20k", root, "val").name == "ade20k/val"


@pytest.mark.parametrize("value", [151, 255])
def test_a_value_beyond_150_is_named(root, value):
    mask = root / "annotations/validation/ADE_val_00000001.png"
    write(mask, np.full((40, 50), value, np.uint8))
    with pytest.raises(InputError, match=rf"ADE_val_00000001.png: label value {value} \(2000 pixels\).*0 to 150"):
        open_data("ade20k", root, "val")[0]


def test_masks_of_16_bits_are_read_by_their_values(root):
    expected = open_data("ade20k", root, "val")[0][1]
    mask = root / "annotations/validation/ADE_val_00000001.png"
    write(mask, np.asarray(Image.open(mask)).astype(np.uint16))
    assert (open_data("ade20k", root, "val")[0][1] == expected).all()


def test_what_is_missing_is_named(root):
    with pytest.raises(InputError, match="choose one of train, val"):
        open_data("ade20k", root, "test")
    (root / "annotations/training/ADE_train_00000002.png").unlink()
    with pytest.raises(InputError, match=r"ADE_train_00000002.jpg: no mask .*\(1 of 3"):
        open_data("ade20k", root, "train")
    shutil.rmtree(root / "annotations/validation")
    with pytest.raises(
        InputError, match=r"annotations.validation: no such folder: data.root must be ADEChallengeData2016"
    ):
        open_data("ade20k", root, "val")
    shutil.rmtree(root / "images/training")
    (root / "images/training").mkdir()
    with pytest.raises(InputError, match=r"images.training: no \.jpg image"):
        open_data("ade20k", root, "train")
