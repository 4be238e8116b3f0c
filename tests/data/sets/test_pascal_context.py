"""PASCAL Context: PNG labels of 60 ids, the original .mat labels of 459, in 59 classes and in 60."""

from itertools import chain

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pixalign.data import open_data
from pixalign.data.sets.pascal_context import CLASSES, CLASSES_60, COLORS_60
from pixalign.errors import InputError

SIZE = (36, 48)
NAMES = {"train": ["2008_000002", "2008_000003"], "val": ["2008_000008"]}
# Every label of the original list that the 59 are found by, and others between them, at made-up numbers.
ORIGINAL = dict(enumerate(["accordion", *CLASSES, "unknown", "zebra crossing"], start=1))


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """VOC2010 without labels."""
    root = tmp_path / "VOC2010"
    rng = np.random.default_rng(0)
    lists = root / "ImageSets/SegmentationContext"
    lists.mkdir(parents=True)
    for split, names in NAMES.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in (*names, f"{names[0]}_unlisted"):
            write(root / "JPEGImages" / f"{name}.jpg", rng.integers(0, 256, (*SIZE, 3), np.uint8))
    return root


@pytest.fixture
def png(root):
    """With labels as PNG: all 60 values, and 255."""
    for name in chain(*NAMES.values()):
        values = np.resize(np.array([*range(60), 255], np.uint8), SIZE)
        write(root / "SegmentationClassContext" / f"{name}.png", values)
    return root


@pytest.fixture
def mat(root):
    """With the original labels: all values of labels.txt."""
    (root / "labels.txt").write_text("".join(f"{value}: {name}\n" for value, name in ORIGINAL.items()))
    for name in chain(*NAMES.values()):
        (root / "trainval").mkdir(exist_ok=True)
        savemat(root / "trainval" / f"{name}.mat", {"LabelMap": np.resize(np.array([*ORIGINAL], np.uint16), SIZE)})
    return root


def test_there_are_59_classes_in_alphabetical_order():
    assert len(CLASSES) == 59
    assert sorted(CLASSES) == CLASSES
    assert CLASSES_60[0] == "background"
    assert len({tuple(color) for color in COLORS_60}) == 60


def test_of_59_classes_the_background_is_ignored(png):
    pairs = open_data("pascal_context", png, "train")
    assert pairs[0][1].ravel()[:61].tolist() == [255, *range(59), 255]
    assert pairs.classes == CLASSES
    assert pairs.name == "pascal_context/train"


def test_of_60_classes_the_background_is_the_first(png):
    pairs = open_data("pascal_context_60", png, "val")
    assert pairs[0][1].ravel()[:61].tolist() == [*range(60), 255]
    assert pairs.name == "pascal_context_60/val"


def test_the_original_labels_are_found_by_their_names(mat):
    flat = open_data("pascal_context", mat, "val")[0][1].ravel()[: len(ORIGINAL)].tolist()
    assert flat == [255, *range(59), 255, 255]
    flat = open_data("pascal_context_60", mat, "val")[0][1].ravel()[: len(ORIGINAL)].tolist()
    assert flat == [0, *range(1, 60), 0, 0]


def test_the_split_is_what_its_list_says(png):
    assert [path.stem for path in open_data("pascal_context", png, "train").images] == NAMES["train"]


def test_without_a_list_of_its_own_that_of_voc_is_taken(png):
    (png / "ImageSets/SegmentationContext").rename(png / "ImageSets/Main")
    assert len(open_data("pascal_context", png, "val")) == 1
    (png / "ImageSets/Main/val.txt").unlink()
    with pytest.raises(InputError, match=r"ImageSets.SegmentationContext.val.txt: no such file: it must list"):
        open_data("pascal_context", png, "val")


def test_a_value_outside_the_table_is_named(png):
    write(png / "SegmentationClassContext/2008_000008.png", np.full(SIZE, 60, np.uint8))
    with pytest.raises(InputError, match=r"2008_000008.png: label value 60 .*: SegmentationClassContext must hold 0"):
        open_data("pascal_context", png, "val")[0]


def test_a_label_that_the_list_does_not_name_is_named(mat):
    savemat(mat / "trainval/2008_000008.mat", {"LabelMap": np.full(SIZE, 459.0)})
    with pytest.raises(InputError, match=r"2008_000008.mat: label value 459 .*labels.txt does not list it"):
        open_data("pascal_context", mat, "val")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "truncated or damaged"),
        ({"other": np.zeros(SIZE)}, "has no variable LabelMap"),
        ({"LabelMap": np.full(SIZE, 0.5)}, "whole numbers of 0 to 65535"),
        ({"LabelMap": np.full(SIZE, -1.0)}, "whole numbers of 0 to 65535"),
        ({"LabelMap": "text"}, "whole numbers of 0 to 65535"),
    ],
)
def test_a_wrong_mat_file_is_one_line(mat, content, message):
    file = mat / "trainval/2008_000008.mat"
    if content is None:
        file.write_bytes(file.read_bytes()[:200])
    else:
        savemat(file, content)
    with pytest.raises(InputError, match=rf"2008_000008.mat: .*{message}") as error:
        open_data("pascal_context", mat, "val")[0]
    assert "\n" not in str(error.value)


def test_a_list_of_labels_that_lacks_a_name_or_is_none_is_named(mat):
    (mat / "labels.txt").write_text("1: accordion\n2: aeroplane\n")
    with pytest.raises(InputError, match=r"labels.txt: has no 'bag' \(58 of the 59"):
        open_data("pascal_context", mat, "val")
    (mat / "labels.txt").write_text("accordion\n")
    with pytest.raises(InputError, match="line 1 is 'accordion': expected a label and its name"):
        open_data("pascal_context", mat, "val")
    (mat / "labels.txt").unlink()
    with pytest.raises(InputError, match=r"labels.txt: no such file"):
        open_data("pascal_context", mat, "val")


def test_what_is_missing_is_named(root):
    with pytest.raises(InputError, match=r"SegmentationClassContext: no such folder: .*or trainval"):
        open_data("pascal_context", root, "val")
    with pytest.raises(InputError, match="unknown to pascal_context_60: choose one of train, val"):
        open_data("pascal_context_60", root, "test")
    (root / "JPEGImages/2008_000008.jpg").unlink()
    with pytest.raises(InputError, match=r"2008_000008.jpg: no such file, though .*val.txt lists it \(1 of 1"):
        open_data("pascal_context", root, "val")
    with pytest.raises(InputError, match=r"JPEGImages: no such folder: data.root must be VOC2010"):
        open_data("pascal_context", root / "nowhere", "val")
