"""Which layout a folder has, and that its reader's pairs, classes and splits are those of the data."""

import shutil
from functools import partial

import numpy as np
import pytest

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.data import open_data
from pixalign.data.folder import find, splits
from pixalign.data.formats import recognize
from pixalign.data.formats.annotations import Drawing, Shape
from pixalign.data.formats.layout import Found, Layout
from pixalign.data.masks import Labels
from pixalign.errors import InputError

LABELS = Labels(["background", "box"], [[0, 0, 0], [9, 9, 9]])


def drawing():
    return Drawing((48, 64), [Shape("box", [np.array([(0, 0), (8, 0), (8, 6), (0, 6)], float)])])


def found(root, folder):
    images = sorted((root / "pictures" / folder).iterdir())
    return Found(images, images, [], [], [drawing] * len(images))


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """A folder of pictures/, and a function that has a reader find these splits in it."""
    for i in range(10):
        write_pair(tmp_path / f"pictures/{i}.png", tmp_path / f"elsewhere/{i}.png", i)

    def reads(splits):
        layout = Layout("A tool", splits, tmp_path / "pictures", lambda: LABELS, "names.txt")
        monkeypatch.setattr(recognize, "FINDERS", (lambda root: None, lambda root: layout))
        return tmp_path

    return reads


def test_a_readers_pairs_are_divided_and_drawn_from_functions(tool, tmp_path):
    root = tool({"": partial(found, tmp_path, "")})
    train, val = (open_data("folder", root, split) for split in ("train", "val"))
    assert splits(root) == []
    assert (len(train), len(val)) == (8, 2)
    assert train.classes == ["background", "box"]
    assert train[0][1].sum() == 48
    assert check_data("folder", root).labels == LABELS


def test_a_readers_own_splits_are_those_of_the_data(tool, tmp_path):
    root = tool({"train": partial(found, tmp_path, ""), "test": partial(found, tmp_path, "")})
    assert splits(root) == ["train", "test"]
    assert len(find(root, "test").images) == 10
    with pytest.raises(InputError, match=r"of the split 'val', though train, test is there \(A tool\)"):
        open_data("folder", root, "val")


def test_classes_yaml_goes_before_a_readers_classes(tool, tmp_path):
    root = tool({"": partial(found, tmp_path, "")})
    (root / "classes.yaml").write_text("[box, other]")
    train = open_data("folder", root, "train")
    assert train.classes == ["box", "other"]
    assert (train[0][1] == 255).sum() == 48 * 64 - 48


def test_a_mask_template_goes_before_a_reader(tool, tmp_path):
    root = tool({"": partial(found, tmp_path, "")})
    shutil.copytree(root / "pictures", root / "images")
    assert open_data("folder", root, "train", "elsewhere/{stem}.png").classes == ["class_0", "class_1", "class_2"]
