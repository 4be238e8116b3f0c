"""Any folder of images/ and masks/."""

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.data import label_counts, open_data
from pixalign.errors import InputError


def write_mask(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)


def test_an_unsplit_folder_is_divided_the_same_way_every_time(folder_data):
    train, val = (open_data("folder", folder_data, split) for split in ("train", "val"))
    assert len(train) == 8
    assert len(val) == 2
    assert not set(train.images) & set(val.images)
    assert open_data("folder", folder_data, "val").images == val.images


def test_a_new_image_moves_few_others_between_the_splits(folder_data):
    before = set(open_data("folder", folder_data, "val").images)
    write_pair(folder_data / "images/new.png", folder_data / "masks/new.png", seed=99)
    after = set(open_data("folder", folder_data, "val").images)
    assert len(before & after) >= len(before) - 1


@pytest.mark.parametrize("layout", ["images/{split}/{name}", "{split}/images/{name}"])
def test_both_layouts_with_splits_inside_are_read(tmp_path, layout):
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            image = tmp_path / layout.format(split=split, name=f"sub/{i}.png")
            mask = tmp_path / layout.replace("images", "masks").format(split=split, name=f"sub/{i}.png")
            write_pair(image, mask, i)
    assert len(open_data("folder", tmp_path, "train")) == 3
    assert len(open_data("folder", tmp_path, "val")) == 2


def test_classes_are_discovered_over_all_splits(folder_data):
    pairs = open_data("folder", folder_data, "val")
    assert pairs.classes == ["class_0", "class_1", "class_2"]
    assert len({tuple(c) for c in pairs.colours}) == 3


def test_classes_yaml_gives_names_and_colours(folder_data):
    (folder_data / "classes.yaml").write_text("classes:\n- road\n- {name: car, colour: [1, 2, 3]}\n- sky\n")
    pairs = open_data("folder", folder_data, "train")
    assert pairs.classes == ["road", "car", "sky"]
    assert pairs.colours[1] == [1, 2, 3]


def test_palette_masks_give_their_indices_and_colours(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"images/{i}.png", tmp_path / f"masks/{i}.png", i)
        mask = Image.open(tmp_path / f"masks/{i}.png")
        ids = np.asarray(mask)
        mask = Image.fromarray(ids, "P")
        mask.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90] + [0] * 759)
        mask.save(tmp_path / f"masks/{i}.png")
    pairs = open_data("folder", tmp_path, "train")
    assert pairs.colours == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert pairs[0][1].max() <= 2


def test_label_counts_are_pixels_and_labelled_pixels_of_their_images(tmp_path):
    write_pair(tmp_path / "images/train/a.png", tmp_path / "masks/train/a.png", 0)
    write_pair(tmp_path / "images/train/b.png", tmp_path / "masks/train/b.png", 0)
    write_mask(
        tmp_path / "masks/train/a.png", np.where(np.arange(48 * 64).reshape(48, 64) < 100, 1, 0).astype(np.uint8)
    )
    write_mask(tmp_path / "masks/train/b.png", np.full((48, 64), 0, np.uint8))
    pixels, image_pixels = label_counts(open_data("folder", tmp_path, "train"))
    assert pixels.tolist() == [2 * 3072 - 100, 100]
    assert image_pixels.tolist() == [2 * 3072, 3072]


def test_a_value_outside_the_classes_names_file_value_and_count(folder_data):
    (folder_data / "classes.yaml").write_text("classes: [a, b, c]")
    values = np.zeros((48, 64), np.uint8)
    values[:2, :3] = 37
    write_mask(folder_data / "masks/img0.png", values)
    pairs = open_data("folder", folder_data, "train")
    index = next((i for i, p in enumerate(pairs.images) if p.stem == "img0"), None)
    pairs = pairs if index is not None else open_data("folder", folder_data, "val")
    index = [p.stem for p in pairs.images].index("img0")
    with pytest.raises(InputError, match=r"img0.png: label value 37 \(6 pixels\) lies outside the 3 classes"):
        pairs[index]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: (root / "masks/img3.png").unlink(), r"img3.png: no mask of the same stem"),
        (lambda root: [p.unlink() for p in (root / "images").iterdir()], "no image in it"),
        (lambda root: (root / "masks").rename(root / "labels"), "found neither images/ and masks/"),
        (lambda root: write_mask(root / "masks/img0.png", np.full((48, 64), 200, np.uint8)), r"ids 0, 1, 2, 200"),
        (lambda root: (root / "classes.yaml").write_text("classes: {a: 1}"), "no list of 1 to 255 classes"),
        (lambda root: (root / "classes.yaml").write_text("classes: [a, a]"), "occurs twice"),
        (lambda root: (root / "classes.yaml").write_text("[a, {name: b, colour: [1, 2]}]"), "write three numbers"),
        (lambda root: (root / "classes.yaml").write_text("a: [b"), "not valid YAML"),
    ],
)
def test_what_cannot_be_used_is_named(folder_data, break_it, message):
    break_it(folder_data)
    with pytest.raises(InputError, match=message):
        open_data("folder", folder_data, "train")


def test_a_binary_mask_of_0_and_255_gets_the_remedy(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"images/{i}.png", tmp_path / f"masks/{i}.png", i)
        write_mask(tmp_path / f"masks/{i}.png", np.where(np.eye(48, 64) > 0, 255, 0).astype(np.uint8))
    with pytest.raises(InputError, match=r"binary mask\? store 0 and 1"):
        open_data("folder", tmp_path, "train")


def read_first(root, name="img0"):
    for split in ("train", "val"):
        pairs = open_data("folder", root, split)
        stems = [p.stem for p in pairs.images]
        if name in stems:
            return pairs[stems.index(name)]
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: write_mask(root / "masks/img0.png", np.zeros((40, 64), np.uint8)), "both must have one size"),
        (lambda root: write_mask(root / "masks/img0.png", np.zeros((48, 64, 3), np.uint8)), "store class ids"),
        (
            lambda root: (
                Image.open(root / "masks/img0.png").save((root / "masks/img0.png").with_suffix(".jpg"))
                or (root / "masks/img0.png").unlink()
            ),
            "a JPEG mask has lost its exact labels",
        ),
        (
            lambda root: (root / "images/img0.png").write_bytes((root / "images/img0.png").read_bytes()[:900]),
            "img0.png: is truncated or damaged",
        ),
    ],
)
def test_a_bad_file_is_named_when_it_is_read(folder_data, break_it, message):
    (folder_data / "classes.yaml").write_text("classes: [a, b, c]")
    break_it(folder_data)
    with pytest.raises(InputError, match=message):
        read_first(folder_data)


def test_unknown_data_and_unset_root_are_named(folder_data):
    with pytest.raises(InputError, match=r"data.name 'voc' is unknown: choose one of camvid, folder"):
        open_data("voc", folder_data, "train")
    with pytest.raises(InputError, match=r"data.root is not set"):
        open_data("folder", "", "train")
