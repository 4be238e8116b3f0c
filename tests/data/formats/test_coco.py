"""COCO annotations are drawn as masks."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixalign.data import open_data
from pixalign.data.folder import find, known_labels, splits
from pixalign.data.formats.coco import coco_files, decode_counts
from pixalign.errors import InputError

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
SIZE = (6, 9)
DISC = [14, 3, 2, 5, 1, 5, 1, 5, 2, 3, 13]  # lengths of runs down the columns of SIZE
COMPRESSED = ">322O0001N;"  # the same, as pycocotools 2.0.10 writes it


def box(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def annotation(image, category, segmentation, **more):
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, **more}


def write(file, annotations, names=("a.png",), categories=CATEGORIES, folder=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for i, name in enumerate(names)]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    for name in names if folder else ():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(folder / name)


def mask_of(root, annotations, **options):
    write(root / "annotations" / "train.json", annotations, folder=root / "images", **options)
    return open_data("folder", root, "train")[0][1]


def test_categories_become_classes_in_order_of_their_ids_after_the_background(tmp_path):
    mask = mask_of(tmp_path, [annotation(0, 7, [box(0, 0, 2, 6)]), annotation(0, 3, [box(7, 0, 9, 6)])])
    assert open_data("folder", tmp_path, "train").classes == ["background", "cat", "dog"]
    assert (mask == [2, 2, 0, 0, 0, 0, 0, 1, 1]).all()


def test_small_objects_lie_over_large_ones_in_any_order(tmp_path):
    large, small = annotation(0, 3, [box(0, 0, 9, 6)]), annotation(0, 7, [box(4, 0, 5, 6)])
    for order in ([large, small], [small, large]):
        assert (mask_of(tmp_path, order) == [1, 1, 1, 1, 2, 1, 1, 1, 1]).all()


@pytest.mark.parametrize("counts", [DISC, COMPRESSED])
def test_run_lengths_are_drawn_plain_and_compressed(tmp_path, counts):
    mask = mask_of(tmp_path, [annotation(0, 3, {"size": [*SIZE], "counts": counts})])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    assert (mask == ((x - 4) ** 2 + (y - 3) ** 2 < 8)).all()


def encode(counts):
    """COCO's compressed form, to read back."""
    text = ""
    for i, count in enumerate(counts):
        value = count - (counts[i - 2] if i > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            last = value == (-1 if bits & 16 else 0)
            text += chr(48 + bits + (0 if last else 32))
            if last:
                break
    return text


@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_compressed_run_lengths_come_back(counts):
    assert decode_counts(encode(counts)) == counts


def test_crowds_and_boxes_alone_have_no_label(tmp_path):
    crowd = annotation(0, 3, {"size": [*SIZE], "counts": DISC}, iscrowd=1)
    boxed = annotation(0, 3, [], bbox=[0, 0, 2, 6])
    mask = mask_of(tmp_path, [crowd, boxed, annotation(0, 7, [box(8, 0, 9, 6)])])
    assert (mask == 255).sum() == 21 + 12
    assert (mask[:, 8] == 2).all()


def test_an_image_without_annotation_is_background(tmp_path):
    assert (mask_of(tmp_path, []) == 0).all()


def test_one_file_for_all_images_is_divided(tmp_path):
    names = [f"sub/{i}.png" for i in range(10)]
    write(tmp_path / "annotations.json", [annotation(i, 3, [box(0, 0, 9, 6)]) for i in range(5)], names)
    write(tmp_path / "annotations.json", [annotation(i, 3, [box(0, 0, 9, 6)]) for i in range(5)], names,
          folder=tmp_path / "images")  # fmt: skip
    train, val = (open_data("folder", tmp_path, split) for split in ("train", "val"))
    assert splits(tmp_path) == []
    assert (len(train), len(val)) == (8, 2)
    for pairs in (train, val):
        assert [int(pairs[i][1].max()) for i in range(len(pairs))] == [int(int(p.stem) < 5) for p in pairs.images]


def test_roboflows_layout_is_read_and_its_heading_is_no_class(tmp_path):
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "animals"},
        {"id": 2, "name": "dog", "supercategory": "animals"},
    ]
    for folder in ("train", "valid"):
        file = tmp_path / folder / "_annotations.coco.json"
        write(file, [annotation(0, 2, [box(0, 0, 1, 6)])], ["a.jpg"], categories, tmp_path / folder)
    assert splits(tmp_path) == ["train", "val"]
    val = open_data("folder", tmp_path, "val")
    assert val.classes == ["background", "cat", "dog"]
    assert (val[0][1] == [2, 0, 0, 0, 0, 0, 0, 0, 0]).all()


def test_classes_yaml_chooses_the_categories(tmp_path):
    (tmp_path / "classes.yaml").write_text("[dog, cat]")
    mask = mask_of(tmp_path, [annotation(0, 7, [box(0, 0, 2, 6)]), annotation(0, 3, [box(7, 0, 9, 6)])])
    assert (mask == [0, 0, 255, 255, 255, 255, 255, 1, 1]).all()
    (tmp_path / "classes.yaml").write_text("[background, dog]")
    pairs = open_data("folder", tmp_path, "train")
    assert pairs.read_mask(0)[1] == {"cat": 12}
    with pytest.raises(InputError, match=r"train.json \(a.png\): label value cat \(12 pixels\) is none of the classes"):
        pairs[0]


def test_drawn_pairs_can_be_pickled_and_found(tmp_path):
    mask = mask_of(tmp_path, [annotation(0, 3, {"size": [*SIZE], "counts": COMPRESSED})])
    pairs = pickle.loads(pickle.dumps(open_data("folder", tmp_path, "train")))
    assert (pairs[0][1] == mask).all()
    found = find(tmp_path, "train")
    assert found.images == pairs.images
    assert known_labels(tmp_path) == pairs.labels


def test_masks_go_before_an_annotations_file(tmp_path):
    write(tmp_path / "annotations.json", [], ["a.png", "b.png"], folder=tmp_path / "images")
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="no mask of the same stem"):
        open_data("folder", tmp_path, "train")
    (tmp_path / "masks").rmdir()
    assert len(open_data("folder", tmp_path, "train").drawings) == 1
    (tmp_path / "val" / "masks").mkdir(parents=True)
    with pytest.raises(InputError, match="masks: no such folder"):
        open_data("folder", tmp_path, "train")


def test_images_that_are_listed_and_not_there_are_named(tmp_path):
    write(tmp_path / "annotations" / "train.json", [], ["a.png", "b.png"], folder=tmp_path / "images")
    (tmp_path / "images" / "b.png").unlink()
    assert [path.name for path in find(tmp_path, "train").lone_masks] == ["b.png"]
    with pytest.raises(InputError, match=r"train.json: lists b.png, which is not in .*images \(1 of 2 images"):
        open_data("folder", tmp_path, "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("categories"), "is not a COCO file .it has no list of categories"),
        (lambda c: c.update(images=[]), "lists no image"),
        (lambda c: c["images"].append(c["images"][0]), "two images have one id or file_name"),
        (lambda c: c["images"][0].pop("height"), "the picture's height and width are None and 9"),
        (lambda c: c["images"][0].pop("file_name"), "no id or file_name"),
        (lambda c: c["images"][0].update(file_name="/a.png"), "the file_name '/a.png' is absolute"),
        (lambda c: c["images"][0].update(file_name="C:\\a.png"), r"the file_name 'C:.*a.png' is absolute"),
        (lambda c: c["images"][0].update(file_name="https://x.example/a.png"), "is an address: download the images"),
        (lambda c: c["images"][0].update(file_name="./"), "'./' names no file"),
        (lambda c: c["images"][0].update(id=None), "an image has no id"),
        (
            lambda c: c["images"][0].update(id="00"),
            "1 of 1 annotations have an image_id that no image",
        ),
        (lambda c: c["images"].append({**c["images"][0], "id": "0"}), "two images have one id or file_name .0, a.png"),
        (lambda c: c["images"].append({**c["images"][0], "id": 8, "file_name": ".\\a.png"}), "one id or file_name .a"),
        (lambda c: c["categories"].append({"id": 3, "name": "bird"}), "category 3 is 'cat' and 'bird'"),
        (lambda c: c["categories"].append({"id": 9, "name": "cat "}), "occurs twice"),
        (lambda c: c["categories"].append({"id": [9], "name": "bird"}), "has no id or name"),
        (lambda c: c["annotations"][0].pop("image_id"), "no image has, the first None"),
        (lambda c: c["annotations"][0].update(image_id=[0]), "no image has, the first"),
        (lambda c: c["annotations"][0].update(category_id=[3]), "has the category .3., which is not listed"),
        (lambda c: c["annotations"][0].update(iscrowd=2), "annotation 1 .image a.png. has the iscrowd 2"),
        (lambda c: c["annotations"][0].update(segmentation="[[1, 2]]"), "has the segmentation"),
        (lambda c: c["annotations"][0].update(segmentation=[[1e300] * 6]), "has a point at 1e.300 pixels"),
        (lambda c: c["annotations"][0].update(segmentation=[[10**400] * 6]), "has no list of points"),
        (lambda c: c["annotations"][0].update(segmentation=[[20, 1, 25, 1, 25, 5]]), "1 of 1 annotations lie outside"),
        (lambda c: c["annotations"][0].update(segmentation=[[0.1, 0.1, 0.5, 0.1, 0.5, 0.9]]), "or within one pixel"),
        (lambda c: c["annotations"][0].update(segmentation={"counts": [26.5, 27.5]}), "run lengths that are none"),
        (
            lambda c: c["annotations"][0].update(segmentation={"counts": [54], "size": [9, 6]}),
            r"of a picture of height and width \[9, 6\], and the image has \[6, 9\]",
        ),
        (lambda c: c["categories"].append({"id": 9}), "has no id or name"),
        (lambda c: c["categories"].append({"id": 9, "name": "cat"}), "occurs twice"),
        (lambda c: c["annotations"][0].update(category_id=8), "annotation 1 has the category 8, which is not listed"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]]), "has no list of points"),
        (lambda c: c["annotations"][0].update(segmentation=[["x"]]), "has no list of points"),
        (lambda c: c["annotations"][0].update(segmentation=[]), "neither a segmentation nor a box"),
        (lambda c: c["annotations"][0].update(segmentation={"counts": None}), "run lengths that are none"),
        (lambda c: c["annotations"][0].update(segmentation={"counts": [5, 6]}), "run lengths cover 11 pixels"),
        (lambda c: c["annotations"][0].update(segmentation={"counts": "é"}), "the character 'é'"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, change, message):
    file = tmp_path / "annotations" / "train.json"
    write(file, [annotation(0, 3, [box(0, 0, 2, 6)])], folder=tmp_path / "images")
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        open_data("folder", tmp_path, "train")
    assert "\n" not in str(caught.value)


def test_a_file_whose_images_are_all_missing_is_named(tmp_path):
    write(tmp_path / "annotations" / "train.json", [], ["a.png", "x" * 300 + ".png"])
    with pytest.raises(InputError, match=r"lists a.png, .* \(2 of 2 images are missing\): add the images"):
        open_data("folder", tmp_path, "train")


def test_an_image_of_the_name_in_another_folder_is_a_hint_and_no_partner(tmp_path):
    write(tmp_path / "annotations" / "train.json", [], ["b.png", "one/a.png"])
    write(tmp_path / "other.txt", [], ["a.png"], folder=tmp_path / "images" / "two")
    with pytest.raises(InputError, match=r"lists one/a.png, .* \(2 of 2 .*two/a.png is there, so move the images"):
        open_data("folder", tmp_path, "train")


def test_splits_must_agree_on_the_categories(tmp_path):
    write(tmp_path / "annotations" / "train.json", [], folder=tmp_path / "images")
    write(tmp_path / "annotations" / "val.json", [], categories=[{"id": 3, "name": "bird"}])
    with pytest.raises(InputError, match="category 3 is 'bird', and 'cat' in another split"):
        open_data("folder", tmp_path, "train")


def test_a_split_without_file_is_named(tmp_path):
    write(tmp_path / "annotations" / "train.json", [], folder=tmp_path / "images")
    with pytest.raises(InputError, match=r"no folder or file of the split 'val', though train is there \(COCO"):
        open_data("folder", tmp_path, "val")


def expected_and_found(tmp_path, change, file="annotations/train.json", split="train", images="images"):
    """The masks of a sound file, and of the same file changed and at another place."""
    annotations = [annotation(0, 3, [box(0, 0, 2, 6)]), annotation(1, 7, {"size": [*SIZE], "counts": DISC})]
    masks = []
    for root in (tmp_path / "sound", tmp_path / "changed"):
        target = root / (file if root.name == "changed" else "annotations/train.json")
        write(target, annotations, ["a.png", "b.png"], folder=root / (images if root.name == "changed" else "images"))
        if root.name == "changed":
            content = json.loads(target.read_text())
            change(content)
            target.write_text(json.dumps(content))
        pairs = open_data("folder", root, split if root.name == "changed" else "train")
        masks.append([pairs.classes, *([pairs[i][1].tolist() for i in range(len(pairs))])])
    return masks


def each(key, entry, change):
    return lambda content: [item.update({entry: change(item[entry])}) for item in content[key]]


def nothing(content):
    pass


@pytest.mark.parametrize(
    "change",
    [
        each("annotations", "image_id", str),
        each("annotations", "image_id", float),
        each("images", "id", str),
        each("images", "id", float),
        each("annotations", "category_id", str),
        each("annotations", "category_id", float),
        each("categories", "id", str),
        each("categories", "id", float),
        each("images", "height", float),
        each("images", "file_name", lambda name: f"images\\{name}"),
        each("images", "file_name", lambda name: f"images/{name}"),
        each("images", "file_name", lambda name: f".\\{name}"),
        each("images", "file_name", lambda name: f"./{name}"),
        each("categories", "name", lambda name: f" {name}"),
        lambda content: content["annotations"][1]["segmentation"].update(counts=[float(n) for n in DISC]),
        lambda content: content["annotations"][0]["segmentation"].append([]),
        lambda content: content["annotations"][0]["segmentation"].append([1, 1, 5, 5]),
        lambda content: content["annotations"][0].update(iscrowd="0"),
        lambda content: content["categories"].append({"id": 0, "name": "Background", "supercategory": ""}),
        lambda content: content["categories"].append(content["categories"][0]),
    ],
)
def test_what_exporters_write_otherwise_is_read_alike(tmp_path, change):
    expected, found = expected_and_found(tmp_path, change)
    assert found == expected


@pytest.mark.parametrize(
    ("file", "split", "images"),
    [
        ("annotations/instances_train.json", "train", "images"),
        ("annotations/instances_Train.json", "train", "images/Train"),
        ("annotations/instances_val2017.json", "val", "val2017"),
        ("annotations/instances_train2017.json", "train", "images/train2017"),
        ("annotations/instances_validation.json", "val", "images/validation"),
        ("train/labels.json", "train", "train/data"),
        ("valid/result.json", "val", "valid/images"),
        ("train.json", "train", "images"),
    ],
)
def test_files_of_a_split_are_found_under_their_exporters_names(tmp_path, file, split, images):
    expected, found = expected_and_found(tmp_path, nothing, file, split, images)
    assert found == expected
    assert splits(tmp_path / "changed") == [split]


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("result.json", "images"),
        ("labels.json", "data"),
        ("annotations/instances_default.json", "images"),
        ("annotations/instances_default.json", "images/default"),
        ("project_of_mine.json", "."),
    ],
)
def test_one_file_for_all_images_is_found_under_its_exporters_name(tmp_path, file, images):
    names = [f"{i}.png" for i in range(5)]
    write(tmp_path / file, [annotation(i, 3, [box(0, 0, 9, 6)]) for i in range(5)], names, folder=tmp_path / images)
    (tmp_path / "package.json").write_text('{"name": "no annotations"}')
    assert splits(tmp_path) == []
    train, val = (open_data("folder", tmp_path, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (4, 1)
    assert (val[0][1] == 1).all()


@pytest.mark.parametrize(
    "names",
    [
        ("a.json", "b.json"),
        ("annotations.json", "_annotations.coco.json"),
        ("annotations/instances_a.json", "annotations/train.json"),
    ],
)
def test_several_files_of_one_split_are_named(tmp_path, names):
    for name in names:
        write(tmp_path / name, [], folder=tmp_path / "images")
    with pytest.raises(InputError, match=rf"several COCO files .*{names[0]}, .*{names[1]}"):
        open_data("folder", tmp_path, "train")


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_files_of_two_splits_are_told_by_their_names_alone(tmp_path, name):
    for split in ("train", name):
        write(tmp_path / "annotations" / f"{split}.json", [], folder=tmp_path / "images")
    assert [*coco_files(tmp_path)] == ["train", "val"]


@pytest.mark.parametrize("name", ["person_keypoints_train2017.json", "captions_train2017.json", "panoptic_val.json"])
def test_other_kinds_of_annotations_are_passed_over(tmp_path, name):
    write(tmp_path / "annotations" / name, [], folder=tmp_path / "images")
    assert coco_files(tmp_path) == {}
    write(tmp_path / "annotations" / "instances_train2017.json", [])
    assert [*coco_files(tmp_path)] == ["train"]


def test_an_annotation_without_area_leaves_its_box_without_label(tmp_path):
    for segmentation in ([], None, [[]], [[1, 1, 5, 5]]):
        mask = mask_of(tmp_path, [annotation(0, 3, segmentation, bbox=[0, 0, 2, 6])])
        assert (mask == [255, 255, 0, 0, 0, 0, 0, 0, 0]).all()


def test_areas_are_cut_at_the_edges_of_the_image(tmp_path):
    assert (mask_of(tmp_path, [annotation(0, 3, [box(-5, -5, 2, 20)])]) == [1, 1, 0, 0, 0, 0, 0, 0, 0]).all()


def test_the_folder_that_holds_most_of_the_images_is_theirs(tmp_path):
    write(tmp_path / "annotations" / "train.json", [], ["a.png", "b.png"], folder=tmp_path / "train")
    (tmp_path / "images").mkdir()
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / "b.png")
    assert [path.parent.name for path in open_data("folder", tmp_path, "train").images] == ["train", "train"]
