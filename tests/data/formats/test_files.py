"""Pairing by names: composed and decomposed, case, two of one name; and what is said of what lacks a partner."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.data import open_data
from pixalign.data.folder import find
from pixalign.data.formats.files import pair
from pixalign.errors import InputError

NAMES = ["Straße_Köln", "Mühle", "Bäume", "Öl_1", "São", "Übung"]


def form(name, text):
    return unicodedata.normalize(name, text)


@pytest.fixture
def of_a_mac(tmp_path):
    """Images with composed names, masks with decomposed ones."""
    for i, name in enumerate(NAMES):
        write_pair(tmp_path / f"images/{form('NFC', name)}.png", tmp_path / f"masks/{form('NFD', name)}.png", i)
    return tmp_path


def test_composed_and_decomposed_names_are_one(of_a_mac):
    both = [open_data("folder", of_a_mac, split) for split in ("train", "val")]
    assert sum(map(len, both)) == 6
    for pairs in both:
        assert [form("NFC", path.name) for path in pairs.masks] == [path.name for path in pairs.images]


def test_the_form_of_names_moves_no_image_between_the_splits(of_a_mac, tmp_path):
    before = {form("NFC", path.name) for path in open_data("folder", of_a_mac, "val").images}
    for path in [*(of_a_mac / "images").iterdir()]:
        path.rename(path.with_name(form("NFD", path.name)))
    assert {form("NFC", path.name) for path in open_data("folder", of_a_mac, "val").images} == before


def test_templates_and_lists_know_both_forms(of_a_mac):
    for mask in [*(of_a_mac / "masks").iterdir()]:
        mask.rename(mask.with_name(f"{mask.stem}_gt.png"))
    (of_a_mac / "train.txt").write_text("\n".join(form("NFD", name) for name in NAMES[:4]), encoding="utf-8")
    (of_a_mac / "val.txt").write_text("\n".join(form("NFC", name) for name in NAMES[4:]), encoding="utf-8")
    with pytest.raises(InputError, match=r"--data.mask_template 'masks/\{stem\}_gt.png'"):
        open_data("folder", of_a_mac, "train")
    train, val = (open_data("folder", of_a_mac, split, "masks/{stem}_gt.png") for split in ("train", "val"))
    assert {path.stem for path in train.images} == {form("NFC", name) for name in NAMES[:4]}
    assert {path.stem for path in val.images} == {form("NFC", name) for name in NAMES[4:]}
    assert not find(of_a_mac, "train", "masks/{stem}_gt.png").lone_masks


@pytest.mark.parametrize("template", ["", "masks/{stem}.png"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_two_files_whose_names_are_one_are_an_error(of_a_mac, kind, template):
    for name in ("NFC", "NFD"):
        Image.new("L" if kind == "masks" else "RGB", (64, 48)).save(of_a_mac / kind / f"{form(name, 'Mühle')}.png")
    with pytest.raises(InputError, match=r"Mu\u0308hle.png") as caught:
        open_data("folder", of_a_mac, "train", template)
    assert "\n" not in str(caught.value)


def test_names_that_differ_in_case_are_told(tmp_path):
    for i in range(4):
        write_pair(tmp_path / f"images/IMG_{i}.JPG", tmp_path / f"masks/img_{i}.png", i)
    told = r"images/IMG_0.JPG and masks/img_0.png differ in upper and lower case alone \(4 such pairs\): give both one"
    with pytest.raises(InputError, match=told):
        open_data("folder", tmp_path, "train")
    problem = next(p for p in check_data("folder", tmp_path).problems if p.kind == "no-mask")
    assert "upper and lower case" in problem.remedy


@pytest.mark.parametrize("template", ["", "masks/{stem}.png"])
def test_two_images_of_one_mask_are_an_error(tmp_path, template):
    for i in range(3):
        write_pair(tmp_path / f"images/im{i}.png", tmp_path / f"masks/im{i}.png", i)
    write_pair(tmp_path / "images/im1.jpg", tmp_path / "other/im1.png", 7)
    with pytest.raises(InputError, match=r"im1\.(jpg|png).*: .*keep one of"):
        open_data("folder", tmp_path, "train", template)


def test_suffixes_within_names_are_parts_of_them(tmp_path):
    for i, name in enumerate(["a", "a.b", "IM.0.v2", "a.b.c"]):
        write_pair(tmp_path / f"images/{name}.JPG", tmp_path / f"masks/{name}.PNG", i)
    for split in ("train", "val"):
        found = find(tmp_path, split)
        assert not found.lone_images
        assert [path.stem for path in found.images] == [path.stem for path in found.masks]


@given(st.dictionaries(st.text("aébß.~ü", min_size=1), st.sampled_from(["both", "image", "mask"])))
def test_every_file_is_in_a_pair_or_alone(kinds):
    kinds = {form("NFC", key): kind for key, kind in kinds.items()}
    images = {Path("images", f"{form('NFC', key)}.jpg"): key for key, kind in kinds.items() if kind != "mask"}
    masks = {Path("masks", f"{form('NFD', key)}.png"): key for key, kind in kinds.items() if kind != "image"}
    found = pair(images, masks)
    assert sorted([*found.images, *found.lone_images]) == sorted(images)
    assert sorted([*found.masks, *found.lone_masks]) == sorted(masks)
    assert [images[path] for path in found.images] == [masks[path] for path in found.masks]


# folders of no layout that is known


def test_a_folder_of_no_known_layout_says_what_it_holds_and_what_is_nearest(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"pics/{i}.jpg", tmp_path / f"painted/{i}.png", i)
    (tmp_path / "notes.md").write_text("x")
    message = (
        r"found neither images/ and masks/ nor .*; it holds painted/ \(3 .png\), pics/ \(3 .jpg\), 1 .md: "
        r"painted/ and pics/ have 3 names in common: call them images/ and masks/$"
    )
    with pytest.raises(InputError, match=message):
        open_data("folder", tmp_path, "train")
    with pytest.raises(InputError, match=message):
        check_data("folder", tmp_path)


def test_a_layout_one_folder_down_is_pointed_at(tmp_path, folder_data):
    with pytest.raises(InputError, match=r"data/ is such a folder \(images/ and masks/\): is data.root .*/data\?"):
        open_data("folder", tmp_path, "train")


def test_an_empty_folder_holds_nothing(tmp_path):
    with pytest.raises(InputError, match=r"it holds nothing: call the folders images/ and masks/"):
        open_data("folder", tmp_path, "train")
