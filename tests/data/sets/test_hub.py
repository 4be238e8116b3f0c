"""Data sets in the formats of the Hugging Face Hub, saved by the tests themselves."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from pixalign.data import class_pixels, open_data
from pixalign.errors import InputError

datasets = pytest.importorskip("datasets")

SIZE = (32, 40)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Conversions of parquet files are kept below the test's folder, and nothing is looked for on the network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def picture(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8))


def ids(*values, kind=np.uint8):
    return np.resize(np.array(values, kind), SIZE)


def rows(count=3, image="image", mask="mask", values=(0, 1, 2, 255), mask_feature=None, **further):
    """A data set of pictures and masks of the same values."""
    columns = {image: [picture(i) for i in range(count)]}
    kinds = {image: datasets.Image()}
    for name, of in {mask: mask_feature or datasets.Image(), **further}.items():
        columns[name] = [ids(*values).tolist() if of != datasets.Image() else Image.fromarray(ids(*values))] * count
        kinds[name] = of
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def saved(path, parts):
    datasets.DatasetDict(parts).save_to_disk(path)
    return path


def test_a_saved_data_set_is_pairs_of_image_and_mask(tmp_path):
    root = saved(tmp_path / "set", {"train": rows(3), "validation": rows(2)})
    train, val = open_data("hub", root, "train"), open_data("hub", root, "val")
    assert (len(train), len(val)) == (3, 2)
    image, mask = train[1]
    assert (image == np.asarray(picture(1))).all()
    assert (mask == ids(0, 1, 2, 255)).all()
    assert train.classes == ["class_0", "class_1", "class_2"]
    assert train.name == f"{root}/train"
    assert class_pixels(train).sum(0).tolist() == [960] * 3


def test_a_folder_of_parquet_files_is_one_too(tmp_path):
    for split in ("train", "test"):
        (tmp_path / "set").mkdir(exist_ok=True)
        rows(2).to_parquet(tmp_path / "set" / f"{split}-00000-of-00001.parquet")
    assert len(open_data("hub", tmp_path / "set", "test")) == 2
    assert (open_data("hub", tmp_path / "set", "train")[0][1] == ids(0, 1, 2, 255)).all()


def test_a_single_saved_part_is_the_training_split(tmp_path):
    rows(2).save_to_disk(tmp_path / "set")
    assert len(open_data("hub", tmp_path / "set", "train")) == 2
    with pytest.raises(InputError, match=r"has no split 'val': choose one of train"):
        open_data("hub", tmp_path / "set", "val")


@pytest.mark.parametrize("mask", ["label", "semantic_segmentation", "annotation"])
def test_the_mask_column_is_told_by_its_name(tmp_path, mask):
    root = saved(tmp_path / "set", {"train": rows(image="photo", mask=mask)})
    assert (open_data("hub", root, "train")[2][0] == np.asarray(picture(2))).all()


def test_the_mask_column_may_be_named(tmp_path):
    root = saved(tmp_path / "set", {"train": rows(mask="mask", label_of_parts=datasets.Image())})
    with pytest.raises(
        InputError, match=r"2 columns could be the mask \(mask, label_of_parts\): set data.mask_template"
    ):
        open_data("hub", root, "train")
    assert len(open_data("hub", root, "train", mask_template="mask")) == 3
    with pytest.raises(InputError, match=r"has no column 'masks': set data.mask_template to one of image, mask"):
        open_data("hub", root, "train", mask_template="masks")


def test_a_set_without_masks_or_with_two_images_says_so(tmp_path):
    root = saved(tmp_path / "a", {"train": rows().remove_columns("mask")})
    with pytest.raises(InputError, match="has no column of masks"):
        open_data("hub", root, "train")
    root = saved(tmp_path / "b", {"train": rows(image="left", right=datasets.Image())})
    with pytest.raises(InputError, match=r"2 columns could be the image \(left, right\) beside the mask 'mask'"):
        open_data("hub", root, "train")


def test_lists_of_class_labels_name_the_classes(tmp_path):
    names = ["road", "car", "sky", "tree"]
    kind = datasets.Sequence(datasets.Sequence(datasets.ClassLabel(names=names)))
    root = saved(tmp_path / "set", {"train": rows(values=(0, 1, 2), mask="pixels", mask_feature=kind)})
    data = open_data("hub", root, "train")
    assert data.classes == names
    assert (data[0][1] == ids(0, 1, 2)).all()


def test_id2label_names_the_classes(tmp_path):
    root = saved(tmp_path / "set", {"train": rows()})
    (root / "id2label.json").write_text(json.dumps({"1": "car", "0": "road", "2": "sky", "3": "never seen"}))
    assert open_data("hub", root, "train").classes == ["road", "car", "sky", "never seen"]
    (root / "id2label.json").write_text(json.dumps({"1": "road"}))
    with pytest.raises(InputError, match=r"id2label.json: its ids are not 0, 1, 2"):
        open_data("hub", root, "train")
    (root / "id2label.json").write_text("[")
    with pytest.raises(InputError, match=r"id2label.json: cannot be read"):
        open_data("hub", root, "train")


def test_masks_of_16_bits_keep_their_ids_and_others_are_refused(tmp_path):
    wide = Image.fromarray(ids(0, 1, 2, 255, kind=np.uint16))
    data = datasets.Dataset.from_dict(
        {"image": [picture(0)], "mask": [wide]},
        features=datasets.Features(dict.fromkeys(("image", "mask"), datasets.Image())),
    )
    assert (open_data("hub", saved(tmp_path / "a", {"train": data}), "train")[0][1] == ids(0, 1, 2, 255)).all()
    root = saved(tmp_path / "b", {"train": rows(values=(0, 1, 7))})
    (root / "id2label.json").write_text(json.dumps({"0": "a", "1": "b"}))
    with pytest.raises(InputError, match=r"train, sample 0: label value 7 \(426 pixels\) lies outside the 2 classes"):
        open_data("hub", root, "train")[0]


def test_masks_of_colors_are_refused(tmp_path):
    data = rows(1).map(lambda row: {"mask": row["image"]})
    with pytest.raises(InputError, match=r"sample 0: the mask 'mask' is uint8 \(32, 40, 3\): class ids"):
        open_data("hub", saved(tmp_path / "set", {"train": data}), "train")


def test_binary_masks_of_0_and_255_are_refused(tmp_path):
    root = saved(tmp_path / "set", {"train": rows(values=(0, 255))})
    with pytest.raises(InputError, match="the masks in 'mask' hold 0 and 255 alone"):
        open_data("hub", root, "train")


@pytest.mark.parametrize("values", [(0, 127, 255), (0, 127, 254), (50, 100, 150)])
def test_masks_of_stretched_ids_are_refused_where_no_names_are_listed(tmp_path, values):
    root = saved(tmp_path / "set", {"train": rows(values=values)})
    with pytest.raises(
        InputError, match=rf"hold {values[0]}, {values[1]}, {values[2]}, stretched: store class ids 0, 1"
    ):
        open_data("hub", root, "train")


def test_a_damaged_picture_names_its_sample(tmp_path):
    kind = datasets.Features(dict.fromkeys(("image", "mask"), datasets.Image()))
    good = {"bytes": (tmp_path / "good.png"), "path": None}
    Image.fromarray(ids(0, 1)).save(good["bytes"])
    content = good["bytes"].read_bytes()
    items = {"image": [{"bytes": content[:60], "path": None}], "mask": [{"bytes": content, "path": None}]}
    root = saved(tmp_path / "set", {"train": datasets.Dataset.from_dict(items, features=kind)})
    (root / "id2label.json").write_text(json.dumps({"0": "a", "1": "b"}))
    with pytest.raises(InputError, match=r"train, sample 0: cannot be decoded"):
        open_data("hub", root, "train")[0]


def test_what_is_no_data_set_is_one_line(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError) as error:
            open_data("hub", root, "train")
        assert str(error.value).startswith(str(root))
        assert "\n" not in str(error.value)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'pixalign\[datasets\]'"):
        open_data("hub", tmp_path, "train")
