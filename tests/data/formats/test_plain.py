"""Folders of images and masks by their usual names, divided in either order, and masks beside their images."""

import itertools

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.data import open_data
from pixalign.data.folder import describe, find, splits
from pixalign.data.formats.plain import IMAGE_FOLDERS, MASK_FOLDERS
from pixalign.errors import InputError


def pairs_in(root, image, mask, splits=("",), count=3):
    """Pairs at paths with the fields split and i."""
    for split, i in itertools.product(splits, range(count)):
        write_pair(
            root / image.format(split=split, i=f"{split}{i}"), root / mask.format(split=split, i=f"{split}{i}"), i
        )


def assert_pairs(root, split, mask_of):
    """Every image has the mask whose path ``mask_of`` makes of the image's stem."""
    pairs = open_data("folder", root, split)
    assert pairs.images
    for i, image in enumerate(pairs.images):
        assert pairs.masks[i] == root / mask_of.format(image.stem)
        assert (pairs[i][1] == np.asarray(Image.open(pairs.masks[i]))).all()


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
@pytest.mark.parametrize(
    ("images", "masks"),
    [*zip(itertools.cycle(IMAGE_FOLDERS), MASK_FOLDERS)] + [(name, "masks") for name in IMAGE_FOLDERS],
)
def test_usual_names_in_any_case_are_recognized(tmp_path, images, masks, case):
    pairs_in(tmp_path, f"{case(images)}/{{i}}.jpg", f"{case(masks)}/{{i}}.png")
    assert_pairs(tmp_path, "train", f"{case(masks)}/{{}}.png")
    assert splits(tmp_path) == []


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("img_dir/{split}/{i}.jpg", "ann_dir/{split}/{i}.png"),
        ("{split}/Images/{i}.jpg", "{split}/Labels/{i}.png"),
        ("images/{split}/{i}.jpg", "{split}/gt/{i}.png"),
        ("{split}_images/{i}.jpg", "{split}_masks/{i}.png"),
        ("images-{split}/{i}.jpg", "labels-{split}/{i}.png"),
        ("{split}/{i}.jpg", "{split}annot/{i}.png"),
        ("{split}/{i}.jpg", "{split}_labels/{i}.png"),
        ("{split}/{i}.jpg", "masks/{split}/{i}.png"),
        ("{split}/{i}.jpg", "{split}/masks/{i}.png"),
    ],
)
@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Validation", "Testing")])
def test_splits_may_be_outside_inside_or_in_the_names(tmp_path, image, mask, names):
    pairs_in(tmp_path, image, mask, names)
    assert splits(tmp_path) == ["train", "val", "test"]
    for split, name in zip(("train", "val", "test"), names):
        assert_pairs(tmp_path, split, mask.format(split=name, i="{}"))
        assert len(open_data("folder", tmp_path, split)) == 3


@pytest.mark.parametrize("mark", ["_mask", "_label", "_seg", "_gt", "_Mask"])
@pytest.mark.parametrize("place", ["images/", "", "{split}/", "images/{split}/"])
def test_masks_beside_their_images_are_told_by_their_mark(tmp_path, place, mark):
    names = ("train", "valid") if "{split}" in place else ("",)
    pairs_in(tmp_path, place + "{i}.jpg", place + "{i}" + mark + ".png", names)
    assert splits(tmp_path) == (["train", "val"] if "{split}" in place else [])
    assert_pairs(tmp_path, "val", place.format(split="valid") + "{}" + mark + ".png")
    assert describe(tmp_path).startswith(f"masks beside their images, marked {mark.lower()}: ")


def test_a_picture_without_its_mask_beside_it_is_proposed_as_a_template_not_guessed(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "images/{i}_mask.png", count=5)
    (tmp_path / "images/3_mask.png").unlink()
    with pytest.raises(InputError, match=r"try --data.mask_template 'images/\{stem\}_mask.png'"):
        open_data("folder", tmp_path, "train")


def test_an_unknown_mark_is_proposed_as_a_template(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "images/{i}_classes.png", count=5)
    with pytest.raises(InputError, match=r"try --data.mask_template 'images/\{stem\}_classes.png'"):
        open_data("folder", tmp_path, "train")
    assert len(open_data("folder", tmp_path, "train", "images/{stem}_classes.png")) == 4


def test_masks_of_the_same_name_beside_their_images_need_a_template(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "images/{i}.png", count=5)
    with pytest.raises(InputError, match=r"try --data.mask_template 'images/\{stem\}.png'"):
        open_data("folder", tmp_path, "train")
    assert len(open_data("folder", tmp_path, "train", "images/{stem}.png")) == 4


def test_masks_in_one_folder_for_all_are_proposed_as_a_template(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "annotations/trimaps/{i}.png")
    with pytest.raises(InputError, match=r"try --data.mask_template 'annotations/trimaps/\{stem\}.png'"):
        open_data("folder", tmp_path, "train")


def test_masks_of_another_split_are_never_proposed(tmp_path):
    pairs_in(tmp_path, "images/train/{i}.jpg", "masks/train/{i}.png")
    pairs_in(tmp_path, "images/val/{i}.jpg", "elsewhere/{i}.png")
    with pytest.raises(InputError, match=r"masks/val: no such folder, though .*images/val is there") as caught:
        open_data("folder", tmp_path, "val")
    assert "template" not in str(caught.value)


def test_masks_that_are_divided_as_the_images_are_not_are_told(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "masks/train/{i}.png")
    with pytest.raises(InputError, match=r"masks/train/0.png has the name of images/0.jpg \(3 such pairs\)"):
        open_data("folder", tmp_path, "train")


def test_masks_go_before_annotations_whatever_the_case(tmp_path):
    pairs_in(tmp_path, "Images/{i}.jpg", "Masks/{i}.png")
    (tmp_path / "annotations.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert_pairs(tmp_path, "train", "Masks/{}.png")


@pytest.mark.parametrize("name", ["Train.txt", "train_list.txt", "training.TXT"])
def test_lists_of_any_usual_name_divide(tmp_path, name):
    pairs_in(tmp_path, "images/{i}.jpg", "masks/{i}.png", count=5)
    (tmp_path / name).write_text("0\n1\n2\n")
    (tmp_path / name.lower().replace("training", "validation").replace("train", "val")).write_text("3\n")
    assert [path.stem for path in open_data("folder", tmp_path, "train").images] == ["0", "1", "2"]
    assert [path.stem for path in open_data("folder", tmp_path, "val").images] == ["3"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("imgs/{i}.jpg", r"images/ and imgs/ both hold images"),
        ("Images/{i}.jpg", r"(I|i)mages/ and (I|i)mages/ both hold images"),
        ("labels/{i}.png", r"labels/ and masks/ both hold masks: say which .* --data.mask_template '"),
        ("Masks/{i}.png", r"Masks/ and masks/ both hold masks: say which"),
    ],
)
def test_two_folders_that_could_be_meant_are_an_error(tmp_path, other, message):
    pairs_in(tmp_path, "images/{i}.jpg", "masks/{i}.png")
    pairs_in(tmp_path, other, "elsewhere/{i}.png")
    with pytest.raises(InputError, match=message) as caught:
        open_data("folder", tmp_path, "train")
    assert "\n" not in str(caught.value)
    if "template" in message:
        assert len(open_data("folder", tmp_path, "train", "masks/{folder}/{stem}.png")) == 2


def test_two_folders_of_one_split_are_an_error(tmp_path):
    pairs_in(tmp_path, "images/{split}/{i}.jpg", "masks/{split}/{i}.png", ("train", "val", "valid"))
    with pytest.raises(InputError, match=r"images/val/ and images/valid/ both hold images of the split val"):
        open_data("folder", tmp_path, "train")


def test_an_empty_folder_of_another_usual_name_is_not_meant(tmp_path):
    pairs_in(tmp_path, "imgs/{i}.jpg", "gt/{i}.png")
    for name in ("images", "masks", "labels"):
        (tmp_path / name).mkdir()
    assert_pairs(tmp_path, "train", "gt/{}.png")


def test_two_names_of_one_folder_are_one(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "masks/{i}.png")
    (tmp_path / "img").symlink_to(tmp_path / "images")
    assert len(open_data("folder", tmp_path, "train")) == 2


def test_what_a_mac_and_windows_add_is_no_data(tmp_path):
    pairs_in(tmp_path, "images/{i}.jpg", "masks/{i}.png")
    for folder in ("images", "masks"):
        write_pair(tmp_path / f"__MACOSX/{folder}/0.png", tmp_path / f"{folder}/__MACOSX/7.png", 0)
        (tmp_path / folder / "._0.png").write_bytes(b"\0\5\x16\7")
        (tmp_path / folder / "Thumbs.db").write_bytes(b"x")
        (tmp_path / folder / ".DS_Store").write_bytes(b"x")
    found = [find(tmp_path, split) for split in ("train", "val")]
    assert sum(len(part.images) for part in found) == 3
    assert not any(part.lone_images or part.lone_masks for part in found)
    assert check_data("folder", tmp_path).layout == "images/ and masks/: not divided, classes from the masks"


def test_class_dict_has_the_classes_of_colors(tmp_path):
    paint = np.array([[9, 9, 9], [48, 112, 32], [176, 112, 32]], np.uint8)
    pairs_in(tmp_path, "{split}/{i}.jpg", "{split}_labels/{i}.png", ("train", "val"))
    ids = {}
    for mask in tmp_path.glob("*_labels/*.png"):
        ids[mask] = np.asarray(Image.open(mask))
        Image.fromarray(paint[ids[mask]]).save(mask)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nsoil,9,9,9\ngrass,48,112,32\nhouse,176,112,32\n")
    val = open_data("folder", tmp_path, "val")
    assert val.classes == ["soil", "grass", "house"]
    assert (val[0][1] == ids[val.masks[0]]).all()
    assert describe(tmp_path) == "SPLIT/ and SPLIT_labels/: 2 splits, 3 classes from class_dict.csv"


def test_a_check_names_the_files_that_no_split_has(tmp_path):
    pairs_in(tmp_path, "images/{split}/{i}.jpg", "masks/{split}/{i}.png", ("train", "val"))
    write_pair(tmp_path / "images/stray.jpg", tmp_path / "preview/train/a.png", 0)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/0.txt").write_text("0 0.1 0.1 0.2 0.2 0.3 0.1")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.txt").write_text("0")
    layout = check_data("folder", tmp_path).layout
    assert layout.startswith("images/SPLIT/ and masks/SPLIT/: 2 splits, classes from the masks; not read: ")
    assert layout.endswith("images/ (1 .jpg), labels/ (1 .txt), lists/ (1 .txt), preview/train/ (1 .png)")
