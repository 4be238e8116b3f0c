"""Any folder of images and masks: layouts, pairing, classes, and what is wrong with one in one line."""

import os
import pickle
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.data import class_pixels, label_counts, open_data
from pixalign.data.folder import find, known_labels, splits
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
    assert len({tuple(c) for c in pairs.colors}) == 3


def test_classes_yaml_gives_names_and_colors(folder_data):
    (folder_data / "classes.yaml").write_text("classes:\n- road\n- {name: car, color: [1, 2, 3]}\n- sky\n")
    pairs = open_data("folder", folder_data, "train")
    assert pairs.classes == ["road", "car", "sky"]
    assert pairs.colors[1] == [1, 2, 3]


def test_palette_masks_give_their_indices_and_colors(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"images/{i}.png", tmp_path / f"masks/{i}.png", i)
        mask = Image.open(tmp_path / f"masks/{i}.png")
        ids = np.asarray(mask)
        mask = Image.fromarray(ids, "P")
        mask.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90] + [0] * 759)
        mask.save(tmp_path / f"masks/{i}.png")
    pairs = open_data("folder", tmp_path, "train")
    assert pairs.colors == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert pairs[0][1].max() <= 2


def test_label_counts_are_pixels_and_labeled_pixels_of_their_images(tmp_path):
    write_pair(tmp_path / "images/train/a.png", tmp_path / "masks/train/a.png", 0)
    write_pair(tmp_path / "images/train/b.png", tmp_path / "masks/train/b.png", 0)
    write_mask(
        tmp_path / "masks/train/a.png", np.where(np.arange(48 * 64).reshape(48, 64) < 100, 1, 0).astype(np.uint8)
    )
    write_mask(tmp_path / "masks/train/b.png", np.full((48, 64), 0, np.uint8))
    pixels, image_pixels = label_counts(class_pixels(open_data("folder", tmp_path, "train")))
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
        (lambda root: (root / "masks").rename(root / "labeled"), r"masks: no such folder, though .*images is there"),
        (lambda root: (root / "images").rename(root / "pictures"), "found neither images/ and masks/"),
        (lambda root: write_mask(root / "masks/img0.png", np.full((48, 64), 200, np.uint8)), r"ids 0, 1, 2, 200"),
        (lambda root: (root / "classes.yaml").write_text("a: [b"), "not valid YAML"),
    ],
)
def test_what_cannot_be_used_is_named(folder_data, break_it, message):
    break_it(folder_data)
    with pytest.raises(InputError, match=message):
        open_data("folder", folder_data, "train")


def written_as(root, change, count=3, suffix="png"):
    """Pairs whose masks of ids 0 to 2 are stored as ``change`` turns them."""
    for i in range(count):
        write_pair(root / f"images/{i}.png", root / f"masks/{i}.png", i)
        ids = np.asarray(Image.open(root / f"masks/{i}.png"))
        (root / f"masks/{i}.png").unlink()
        write_mask(root / f"masks/{i}.{suffix}", change(ids))


def pasted(error):
    """The classes.yaml that a message proposes."""
    text = str(error.value)
    assert "\n" not in text
    return text[text.index("classes: [") : text.rindex("]") + 1]


PAINT = np.array([[128, 64, 128], [0, 0, 142], [0, 0, 0]], np.uint8)


@pytest.mark.parametrize(
    ("change", "values"),
    [
        (lambda ids: np.where(ids > 0, 255, 0).astype(np.uint8), 2),
        (lambda ids: np.where(ids > 0, 255, 0).astype(np.uint8)[..., None].repeat(3, -1), 2),
        (lambda ids: ids + 1, 3),
        (lambda ids: ids * 85, 3),
        (lambda ids: ids.astype(np.uint16) * 1000, 3),
        (lambda ids: PAINT[ids], 3),
    ],
)
def test_the_remedy_for_other_values_can_be_pasted(tmp_path, change, values):
    written_as(tmp_path, change)
    with pytest.raises(InputError, match=r"write (them into )?.*classes.yaml: classes: \[") as error:
        open_data("folder", tmp_path, "train")
    (tmp_path / "classes.yaml").write_text(pasted(error))
    pairs = open_data("folder", tmp_path, "train")
    assert len(pairs.classes) == values
    assert class_pixels(pairs).sum() == len(pairs) * 48 * 64


def test_colors_are_listed_with_their_share(tmp_path):
    written_as(tmp_path, lambda ids: PAINT[np.arange(48 * 64).reshape(48, 64) // 768 // 2])
    with pytest.raises(InputError, match=r"classes.yaml: classes: .* \(these cover 50 %, 50 % of the pixels\)"):
        open_data("folder", tmp_path, "train")


def test_many_colors_are_counted(tmp_path):
    written_as(tmp_path, lambda ids: np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8))
    with pytest.raises(InputError, match=r"stored in colors, 256 in all masks: list those of the classes"):
        open_data("folder", tmp_path, "train")


def test_many_ids_with_gaps_are_counted(tmp_path):
    written_as(tmp_path, lambda ids: (np.arange(48 * 64).reshape(48, 64) % 100 * 2).astype(np.uint8))
    with pytest.raises(InputError, match=r"hold 100 ids \(0, 2, 4, 6, 8, 10, 12, 14, ...\), not 0 to 99: list those"):
        open_data("folder", tmp_path, "train")


def test_colors_and_ids_in_one_folder_are_named_with_a_file_of_each(tmp_path):
    written_as(tmp_path, lambda ids: PAINT[ids])
    write_mask(tmp_path / "masks/1.png", np.zeros((48, 64), np.uint8))
    with pytest.raises(InputError, match=r"0.png: the mask is stored in colors, and .*1.png as class ids"):
        open_data("folder", tmp_path, "train")


def test_a_black_color_mask_does_not_count_as_ids(tmp_path):
    written_as(tmp_path, lambda ids: PAINT[ids])
    write_mask(tmp_path / "masks/0.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"classes: .*\[0, 0, 0\]"):
        open_data("folder", tmp_path, "train")


@pytest.mark.parametrize(
    ("value", "message"), [(255, "hold no label but 255"), (0, "hold the id 0 alone, and one class cannot be learned")]
)
def test_masks_of_one_value_are_named(tmp_path, value, message):
    written_as(tmp_path, lambda ids: np.full_like(ids, value))
    with pytest.raises(InputError, match=message):
        open_data("folder", tmp_path, "train")


def test_both_splits_see_a_mask_that_was_changed_in_between(folder_data):
    assert len(open_data("folder", folder_data, "train").classes) == 3
    write_mask(folder_data / "masks/img0.png", np.full((48, 64), 3, np.uint8))
    os.utime(folder_data / "masks/img0.png", (1, 1))
    assert len(open_data("folder", folder_data, "val").classes) == 4


def test_pairs_can_be_pickled(tmp_path):
    written_as(tmp_path, lambda ids: PAINT[ids])
    entries = ", ".join(f"{{name: c{i}, color: {color}}}" for i, color in enumerate(PAINT.tolist()))
    (tmp_path / "classes.yaml").write_text(f"[{entries}]")
    pairs = open_data("folder", tmp_path, "train")
    again = pickle.loads(pickle.dumps(pairs))
    assert (again[0][1] == pairs[0][1]).all()
    assert again.fingerprint() == pairs.fingerprint()


# pairing


def test_partners_that_are_missing_are_found_on_both_sides(folder_data):
    (folder_data / "masks/img3.png").unlink()
    (folder_data / "images/img4.png").unlink()
    both = [find(folder_data, split) for split in ("train", "val")]
    assert [p.name for found in both for p in found.lone_images] == ["img3.png"]
    assert [p.name for found in both for p in found.lone_masks] == ["img4.png"]
    assert sorted(p.name for found in both for p in found.images) == [
        f"img{i}.png" for i in range(10) if i not in (3, 4)
    ]
    for found in both:
        assert [p.name for p in found.images] == [p.name for p in found.masks]


def test_splits_are_those_with_a_folder_or_a_list(tmp_path, folder_data):
    assert splits(folder_data) == []
    write_pair(tmp_path / "made/images/train/a.png", tmp_path / "made/masks/train/a.png", 0)
    write_pair(tmp_path / "made/valid/images/a.png", tmp_path / "made/valid/masks/a.png", 0)
    assert splits(tmp_path / "made") == ["train", "val"]
    assert len(open_data("folder", tmp_path / "made", "val")) == 1
    (folder_data / "val.txt").write_text("img0\n")
    assert splits(folder_data) == ["val"]


def test_a_test_split_without_masks_does_not_keep_train_from_opening(tmp_path):
    write_pair(tmp_path / "images/train/a.png", tmp_path / "masks/train/a.png", 0)
    write_pair(tmp_path / "images/test/b.png", tmp_path / "elsewhere/b.png", 0)
    assert len(open_data("folder", tmp_path, "train")) == 1
    assert len(find(tmp_path, "test").lone_images) == 1
    with pytest.raises(InputError, match=r"masks/test: no such folder, though .*images/test is there"):
        open_data("folder", tmp_path, "test")


def renamed(root, name):
    """Every mask of ``root`` moved to ``name``, with the fields folder and stem."""
    for mask in [p for p in (root / "masks").rglob("*") if p.is_file()]:
        folder = mask.parent.relative_to(root / "masks").as_posix()
        target = root / name.format(folder="" if folder == "." else folder, stem=mask.stem)
        target.parent.mkdir(parents=True, exist_ok=True)
        mask.rename(target)


@pytest.mark.parametrize("name", ["masks/{stem}_mask.png", "labels/of_{stem}.png", "images/{stem}_mask.png"])
def test_a_template_finds_masks_of_any_name(folder_data, name):
    before = {p.name: open_data("folder", folder_data, "val")[i] for i, p in
              enumerate(open_data("folder", folder_data, "val").images)}  # fmt: skip
    renamed(folder_data, name)
    pairs = open_data("folder", folder_data, "val", mask_template=name)
    assert {p.name for p in pairs.images} == set(before)
    for i, path in enumerate(pairs.images):
        assert (pairs[i][1] == before[path.name][1]).all()
    found = find(folder_data, "train", name)
    assert not found.lone_images
    assert not found.lone_masks


def test_a_template_may_name_folders_names_and_splits(tmp_path):
    for split in ("train", "val"):
        write_pair(tmp_path / f"images/{split}/city/a.png", tmp_path / f"truth/{split}/city/a.png.mask.png", 0)
    pairs = open_data("folder", tmp_path, "train", mask_template="truth/{split}/{folder}/{name}.mask.png")
    assert pairs.masks == [tmp_path / "truth/train/city/a.png.mask.png"]


def test_lone_masks_of_a_template_are_those_that_it_could_name(folder_data):
    renamed(folder_data, "masks/{folder}/{stem}_mask.png")
    (folder_data / "images/img4.png").unlink()
    (folder_data / "masks/img3_mask.png").unlink()
    write_mask(folder_data / "masks/readme.png", np.zeros((4, 4), np.uint8))
    template = "masks/{folder}/{stem}_mask.png"
    both = [find(folder_data, split, template) for split in ("train", "val")]
    assert [p.name for found in both for p in found.lone_masks] == ["img4_mask.png"]
    assert [p.name for found in both for p in found.lone_images] == ["img3.png"]
    with pytest.raises(InputError, match=r"img3.png: no mask where data.mask_template .*1 of 9 images"):
        open_data("folder", folder_data, "train", mask_template=template)


@pytest.mark.parametrize(
    "name", ["masks/{stem}_mask.png", "masks/mask_{stem}.png", "masks/{stem}.nii.png", "masks/{stem}-label.png"]
)
def test_the_template_is_proposed_when_masks_are_named_after_the_images(folder_data, name):
    renamed(folder_data, name)
    with pytest.raises(InputError, match=r"try --data.mask_template '(.*)'$") as error:
        open_data("folder", folder_data, "train")
    assert str(error.value).endswith(f"--data.mask_template '{name}'")


def test_the_proposed_template_knows_splits_and_folders(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"images/train/city/{i}a.png", tmp_path / f"masks/train/city/{i}a_gt.png", i)
    with pytest.raises(InputError, match=r"try --data.mask_template 'masks/\{split\}/\{folder\}/\{stem\}_gt.png'"):
        open_data("folder", tmp_path, "train")
    assert len(open_data("folder", tmp_path, "train", mask_template="masks/{split}/{folder}/{stem}_gt.png")) == 3


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("masks/{stm}.png", r"has the field \{stm\}: its fields are \{stem\}, \{folder\}, \{name\}, \{split\}"),
        ("masks/{}.png", r"has the field \{\}"),
        ("masks/{stem:>5}.png", r"has the field \{stem\}"),
        ("masks/{stem.png", "is wrong"),
        ("masks/a.png", "names one mask for all images"),
        ("masks/{split}/{stem}.png", r"has \{split\}, and .* is not divided"),
    ],
)
def test_a_wrong_template_is_one_line(folder_data, template, message):
    with pytest.raises(InputError, match=message) as error:
        open_data("folder", folder_data, "train", mask_template=template)
    assert "\n" not in str(error.value)


def test_a_template_that_names_one_mask_for_two_images_is_refused(tmp_path):
    for city in "ab":
        write_pair(tmp_path / f"images/{city}/0.png", tmp_path / "masks/0.png", 0)
    with pytest.raises(InputError, match=r"for 2 images, such as .*: add \{folder\} or \{name\}"):
        open_data("folder", tmp_path, "train", mask_template="masks/{stem}.png")


def test_options_that_a_data_set_does_not_take_are_named(camvid_data):
    with pytest.raises(InputError, match=r"data.mask_template is 'x', and the data set camvid takes none"):
        open_data("camvid", camvid_data, "train", mask_template="x")
    with pytest.raises(InputError, match=r"data.channels is 4, and the data set camvid takes none"):
        open_data("camvid", camvid_data, "train", channels=4)


def test_two_masks_for_one_image_are_named(folder_data):
    Image.open(folder_data / "masks/img0.png").save(folder_data / "masks/img0.bmp")
    with pytest.raises(InputError, match=r"img0.bmp and img0.png: two masks for one image"):
        open_data("folder", folder_data, "train")


def test_lists_divide_a_folder(folder_data):
    (folder_data / "train.txt").write_text("img0\nimages/img1.png\r\n./images/img2\n\nimg3.png\n")
    (folder_data / "val.txt").write_text("img4")
    assert [p.stem for p in open_data("folder", folder_data, "train").images] == ["img0", "img1", "img2", "img3"]
    assert [p.stem for p in open_data("folder", folder_data, "val").images] == ["img4"]
    with pytest.raises(InputError, match=r"test.txt: no such list, though other splits have theirs"):
        open_data("folder", folder_data, "test")
    (folder_data / "val.txt").write_text("img4\nimg77\n")
    with pytest.raises(InputError, match=r"val.txt: lists 'img77', which is not an image .*1 of 2 lines"):
        open_data("folder", folder_data, "val")
    (folder_data / "val.txt").write_text("\n")
    with pytest.raises(InputError, match=r"val.txt: lists no image"):
        open_data("folder", folder_data, "val")


# file systems


def test_links_are_followed_once(folder_data, tmp_path):
    more = tmp_path / "disk"
    write_pair(more / "images/x.png", more / "masks/x.png", 5)
    for kind in ("images", "masks"):
        (folder_data / kind / "more").symlink_to(more / kind)
        (folder_data / kind / "loop").symlink_to(folder_data / kind)
        (more / kind / "back").symlink_to(folder_data)
    both = [open_data("folder", folder_data, split) for split in ("train", "val")]
    assert sum(len(pairs) for pairs in both) == 11
    assert "more/x.png" in {p.relative_to(folder_data / "images").as_posix() for pairs in both for p in pairs.images}


def test_unicode_and_long_names_work(tmp_path):
    for i, name in enumerate(["straße 1", "街道", "é" * 60, "x" * 240, "a.b.c", "100%{stem}"]):
        write_pair(tmp_path / f"images/{name}.png", tmp_path / f"masks/{name}.png", i)
    pairs = open_data("folder", tmp_path, "train")
    assert len(pairs) == 5
    assert pairs[0][0].shape == (48, 64, 3)
    assert len(open_data("folder", tmp_path, "train", mask_template="masks/{stem}.png")) == 5


def test_one_image_cannot_be_divided(tmp_path):
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", 0)
    with pytest.raises(InputError, match="one image cannot be divided into train and val"):
        open_data("folder", tmp_path, "train")


def test_an_empty_mask_file_is_named(folder_data):
    (folder_data / "masks/img0.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"img0.png: the file is empty"):
        open_data("folder", folder_data, "train")


def test_hidden_folders_are_left_out(folder_data):
    write_pair(folder_data / "images/.ipynb_checkpoints/img0.png", folder_data / "other/img0.png", 0)
    assert len(open_data("folder", folder_data, "train")) == 8


def test_the_classes_yaml_in_the_documentation_is_valid(tmp_path):
    text = sys.modules["pixalign.data.folder"].__doc__
    example = text[text.index("    classes:\n") : text.index("- Several ids")]
    (tmp_path / "classes.yaml").write_text(textwrap.dedent(example))
    labels = known_labels(tmp_path)
    assert labels.classes == ["road", "car"]
    assert labels.ids == {7: 0, 8: 0, 26: 1, 0: 255, 1: 255, 255: 255}
    assert labels.mask_colors == {(128, 64, 128): 0, (244, 35, 232): 0, (0, 0, 142): 1, (0, 0, 0): 255}


def test_classes_yaml_needs_no_look_at_the_masks(folder_data):
    (folder_data / "classes.yaml").write_text("[a, b, c]")
    (folder_data / "masks/img0.png").write_bytes(b"")
    assert known_labels(folder_data).classes == ["a", "b", "c"]
    assert len(open_data("folder", folder_data, "train")) == 8


def test_multi_band_images_are_read_with_their_channels(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"images/{i}.png", tmp_path / f"masks/{i}.png", i)
        image = Image.open(tmp_path / f"images/{i}.png")
        image.putalpha(i + 1)
        image.save(tmp_path / f"images/{i}.png")
    pairs = open_data("folder", tmp_path, "train", channels=4)
    assert pairs[0][0].shape == (48, 64, 4)


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
        (
            lambda root: write_mask(root / "masks/img0.png", np.arange(9216).reshape(48, 64, 3).astype(np.uint8)),
            "store class ids",
        ),
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


def test_sizes_that_an_exif_orientation_swaps_are_named_with_it(folder_data):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(folder_data / "images/img0.png") as image:
        image.save(folder_data / "images/img0.png", exif=exif)
    with pytest.raises(
        InputError, match=r"mask is 64 x 48 but .* 48 x 64, turned by its EXIF orientation \(6\): both must"
    ):
        read_first(folder_data)


def test_unknown_data_and_unset_root_are_named(folder_data):
    with pytest.raises(InputError, match=r"data.name 'voc' is unknown: choose one of folder, hub"):
        open_data("voc", folder_data, "train")
    with pytest.raises(InputError, match=r"data.root is not set"):
        open_data("folder", "", "train")
