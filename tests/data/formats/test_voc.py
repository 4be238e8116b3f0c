"""PASCAL VOC's folders as CVAT, Labelme's converter and VOC itself write them."""

import numpy as np
import pytest
from PIL import Image

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.data import open_data
from pixalign.data.folder import describe, splits
from pixalign.data.formats.colors import read_labelmap, voc_colors
from pixalign.data.formats.voc import CLASSES
from pixalign.errors import InputError

PAINT = np.array([[0, 0, 0], [48, 112, 32], [176, 112, 32]], np.uint8)
HEAD = "# label:color_rgb:parts:actions\n"
LABELMAP = HEAD + "background:0,0,0::\ndisc:48,112,32::\nbox:176,112,32::\n"


def voc(root, names, as_mask=lambda ids: Image.fromarray(PAINT[ids]), labelmap=LABELMAP, lists=None):
    """A folder of VOC's layout with masks of the ids 0 to 2; returns the ids by name."""
    ids = {}
    for i, name in enumerate(names):
        mask = root / f"SegmentationClass/{name}.png"
        write_pair(root / f"JPEGImages/{name}.jpg", mask, i)
        ids[name] = np.asarray(Image.open(mask))
        as_mask(ids[name]).save(mask)
        write_pair(root / f"elsewhere/{name}.jpg", root / f"SegmentationObject/{name}.png", i)
    if labelmap:
        (root / "labelmap.txt").write_text(labelmap)
    for list_name, listed in (lists or {}).items():
        file = root / f"ImageSets/Segmentation/{list_name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{name}\n" for name in listed))
    return ids


def palette(ids):
    image = Image.fromarray(ids, "P")
    image.putpalette([value for color in voc_colors(256) for value in color])
    return image


def test_cvats_default_list_is_divided_and_its_colors_are_the_classes(tmp_path):
    names = [f"im_{i}" for i in range(6)]
    ids = voc(tmp_path, [*names, "unlisted"], lists={"default": names})
    train, val = (open_data("folder", tmp_path, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (5, 1)
    assert train.classes == ["background", "disc", "box"]
    assert train.colors == PAINT.tolist()
    for pairs in (train, val):
        assert all((pairs[i][1] == ids[path.stem]).all() for i, path in enumerate(pairs.images))
    assert describe(tmp_path) == "CVAT or PASCAL VOC masks: not divided, 3 classes from labelmap.txt"


@pytest.mark.parametrize("names", [("train", "val", "trainval", "test"), ("Train", "Validation", "trainval", "Test")])
def test_lists_of_subsets_are_the_splits(tmp_path, names):
    lists = dict(zip(names, (["a", "b"], ["c"], ["a", "b", "c"], ["d"])))
    voc(tmp_path, "abcd", lists=lists)
    assert splits(tmp_path) == ["train", "val", "test"]
    for split, stems in (("train", ["a", "b"]), ("val", ["c"]), ("test", ["d"])):
        assert [path.stem for path in open_data("folder", tmp_path, split).images] == stems


def test_images_that_no_list_names_need_no_mask(tmp_path):
    voc(tmp_path, "abc", lists={"train": "ab", "val": "c"})
    write_pair(tmp_path / "JPEGImages/z.jpg", tmp_path / "other/z.png", 0)
    assert len(open_data("folder", tmp_path, "train")) == 2
    (tmp_path / "SegmentationClass/a.png").unlink()
    with pytest.raises(InputError, match=r"a.jpg: no mask of the same stem in .*SegmentationClass \(1 of 2 images"):
        open_data("folder", tmp_path, "train")


def test_names_with_spaces_quotes_and_folders_are_listed_as_they_are(tmp_path):
    voc(tmp_path, ["my image", "sub/b", "c"], lists={"train": ['"my image"', "sub/b"], "val": ["c  1"]})
    assert [path.stem for path in open_data("folder", tmp_path, "train").images] == ["my image", "b"]
    assert [path.stem for path in open_data("folder", tmp_path, "val").images] == ["c"]


def test_a_line_of_no_image_is_named(tmp_path):
    voc(tmp_path, "ab", lists={"train": ["a", "gone"], "val": ["b"]})
    with pytest.raises(
        InputError, match=r"train.txt: lists 'gone', which is not an image in .*JPEGImages \(1 of 2 lines"
    ):
        open_data("folder", tmp_path, "train")


def test_images_of_no_subset_beside_others_are_an_error(tmp_path):
    voc(tmp_path, "abc", lists={"train": "a", "val": "b", "default": "c"})
    with pytest.raises(InputError, match=r"default.txt: lists images beside train.txt, val.txt: give them a split"):
        open_data("folder", tmp_path, "train")


def test_an_export_without_images_says_how_to_export_them(tmp_path):
    voc(tmp_path, "ab", lists={"default": "ab"})
    (tmp_path / "JPEGImages").rename(tmp_path / "gone")
    with pytest.raises(InputError, match=r"JPEGImages: no such folder: export with the images \(in CVAT: Save images"):
        open_data("folder", tmp_path, "train")


def test_images_of_another_usual_name_are_divided_by_the_lists(tmp_path):
    voc(tmp_path, "abc", lists={"train": "ab", "val": "c"})
    (tmp_path / "JPEGImages").rename(tmp_path / "images")
    assert [path.stem for path in open_data("folder", tmp_path, "val").images] == ["c"]


def test_a_template_keeps_the_lists_and_the_classes_of_the_same_masks(tmp_path):
    voc(tmp_path, "abc", lists={"train": "ab", "val": "c"})
    val = open_data("folder", tmp_path, "val", "SegmentationClass/{stem}.png")
    assert [path.stem for path in val.images] == ["c"]
    assert val.classes == ["background", "disc", "box"]
    others = open_data("folder", tmp_path, "val", "SegmentationObject/{stem}.png")
    assert others.classes == ["class_0", "class_1", "class_2"]


def test_folders_that_differ_in_case_alone_are_an_error(tmp_path):
    voc(tmp_path, "abc")
    (tmp_path / "segmentationclass").mkdir()
    with pytest.raises(InputError, match=r"SegmentationClass/ and segmentationclass/: keep one"):
        open_data("folder", tmp_path, "train")


def test_palettes_are_read_by_the_colors_of_the_labelmap(tmp_path):
    labelmap = HEAD + "background:0,0,0::\ndisc:0,128,0::\nbox:128,0,0::\n"  # VOC's colors of 2 and 1, not in its order
    ids = voc(tmp_path, "abc", palette, labelmap, {"train": "ab", "val": "c"})
    pairs = open_data("folder", tmp_path, "val")
    assert (pairs[0][1] == np.array([0, 2, 1])[ids["c"]]).all()


def test_the_border_is_no_label_and_an_unlisted_color_is_named(tmp_path):
    voc(tmp_path, "abc", lists={"train": "ab", "val": "c"})
    mask = PAINT[np.ones((48, 64), int)]
    mask[:2] = 224, 224, 192
    mask[2, :5] = 1, 2, 3
    Image.fromarray(mask).save(tmp_path / "SegmentationClass/c.png")
    pairs = open_data("folder", tmp_path, "val")
    assert (pairs.read_mask(0)[0][:2] == 255).all()
    with pytest.raises(InputError, match=r"c.png: label value \(1, 2, 3\) \(5 pixels\).*: add it to labelmap.txt"):
        pairs[0]


def test_vocs_own_data_has_its_21_classes(tmp_path):
    names = ["2007_000032", "2007_000039", "2011_003276"]
    ids = voc(tmp_path, names, palette, "", {"train": names[:2], "val": names[2:]})
    val = open_data("folder", tmp_path, "val")
    assert val.classes == [*CLASSES]
    assert val.colors[15] == [192, 128, 128]
    assert (val[0][1] == ids[names[2]]).all()
    assert check_data("folder", tmp_path).layout.startswith(
        "PASCAL VOC masks: 2 splits, 21 classes from VOC's own list"
    )


def test_other_masks_without_labelmap_tell_their_ids(tmp_path):
    ids = voc(tmp_path, "abc", palette, "", {"train": "ab", "val": "c"})
    val = open_data("folder", tmp_path, "val")
    assert val.classes == ["class_0", "class_1", "class_2"]
    assert (val[0][1] == ids["c"]).all()


def test_class_names_are_those_of_labelmes_converter(tmp_path):
    voc(tmp_path, "abcdef", palette, "")
    (tmp_path / "SegmentationClass").rename(tmp_path / "SegmentationClassPNG")
    (tmp_path / "SegmentationClass").mkdir()
    np.save(tmp_path / "SegmentationClass/a.npy", np.zeros(3))
    (tmp_path / "class_names.txt").write_text("_background_\ndisc\nbox\n")
    assert open_data("folder", tmp_path, "train").classes == ["_background_", "disc", "box"]


def test_vocs_palette_is_the_published_one():
    assert voc_colors(6) == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    assert voc_colors(256)[255] == (224, 224, 192)
    assert len({*voc_colors(256)}) == 256


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("road:128,64,128::\n", ["background", "road"]),
        ("ignored:224,224,192::\nroad:128,64,128::\nbackground:0,0,0::\n", ["road", "background"]),
        ("sky:0,0,0::\nroad:128,64,128::\n", ["sky", "road"]),
        ("background:::\nroad:::\n", ["background", "road"]),
    ],
)
def test_black_and_the_border_color_mean_what_the_labelmap_says(tmp_path, text, classes):
    (tmp_path / "labelmap.txt").write_text(HEAD + text)
    labels = read_labelmap(tmp_path / "labelmap.txt")
    assert labels.classes == classes
    assert labels.mask_colors[0, 0, 0] == labels.classes.index("sky" if "sky" in text else "background")
    assert labels.mask_colors[224, 224, 192] == 255


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no class"),
        ("a:1,2,3::\nb:::\n", "'b' has no color, though others have"),
        ("a:1,2,3::\nb:1,2,3::\n", r"a and b both have the color \[1, 2, 3\]"),
        ("a:1,2,3::\na:1,2,4::\n", "the class 'a' occurs twice"),
        ("a:1,2::\n", "'1,2' is not a color"),
        ("a:1,2,300::\n", "'1,2,300' is not a color"),
    ],
)
def test_a_wrong_labelmap_is_one_line(tmp_path, text, message):
    (tmp_path / "labelmap.txt").write_text(HEAD + text)
    with pytest.raises(InputError, match=f"labelmap.txt: {message}" if "both" not in message else message) as caught:
        read_labelmap(tmp_path / "labelmap.txt")
    assert "\n" not in str(caught.value)
