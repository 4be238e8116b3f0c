"""Cityscapes: label ids, train ids, and what lies beside them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pixalign.cli import main
from pixalign.data import open_data
from pixalign.data.sets.cityscapes import CLASSES, COLORS, LABEL_IDS, write_submission
from pixalign.errors import InputError

# (id, name, trainId) of the 34 labels, as the benchmark publishes them
OFFICIAL = [
    (0, "unlabeled", 255), (1, "ego vehicle", 255), (2, "rectification border", 255), (3, "out of roi", 255),
    (4, "static", 255), (5, "dynamic", 255), (6, "ground", 255), (7, "road", 0), (8, "sidewalk", 1),
    (9, "parking", 255), (10, "rail track", 255), (11, "building", 2), (12, "wall", 3), (13, "fence", 4),
    (14, "guard rail", 255), (15, "bridge", 255), (16, "tunnel", 255), (17, "pole", 5), (18, "polegroup", 255),
    (19, "traffic light", 6), (20, "traffic sign", 7), (21, "vegetation", 8), (22, "terrain", 9), (23, "sky", 10),
    (24, "person", 11), (25, "rider", 12), (26, "car", 13), (27, "truck", 14), (28, "bus", 15), (29, "caravan", 255),
    (30, "trailer", 255), (31, "train", 16), (32, "motorcycle", 17), (33, "bicycle", 18),
]  # fmt: skip
SIZE = (32, 64)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def labels(*values):
    return np.resize(np.array(values, np.uint8), SIZE)


@pytest.fixture
def root(tmp_path):
    """Two cities of train, one of val, one of train_extra and of test, with every file that the archives hold."""
    frames = {
        ("train", "aachen", "000000_000019"): labels(*range(34)),
        ("train", "bochum", "000000_000313"): labels(7, 26),
        ("val", "frankfurt", "000000_000294"): labels(11, 0, 23),
        ("train_extra", "bad-honnef", "000000_000000"): labels(7, 0),
        ("test", "berlin", "000000_000019"): labels(0),
    }
    for (split, city, number), ids in frames.items():
        kind = "gtCoarse" if split == "train_extra" else "gtFine"
        name = f"{city}/{city}_{number}"
        image = np.random.default_rng(len(name)).integers(0, 256, (*SIZE, 3), np.uint8)
        write(tmp_path / "leftImg8bit" / split / f"{name}_leftImg8bit.png", image)
        beside = tmp_path / kind / split / f"{name}_{kind}"
        write(beside.with_name(f"{beside.name}_labelIds.png"), ids)
        write(beside.with_name(f"{beside.name}_instanceIds.png"), ids.astype(np.uint16) * 1000)
        write(beside.with_name(f"{beside.name}_color.png"), np.zeros((*SIZE, 4), np.uint8))
        beside.with_name(f"{beside.name}_polygons.json").write_text("{}")
    return tmp_path


def test_every_label_id_becomes_its_official_train_id(root):
    pairs = open_data("cityscapes", root, "train")
    image, mask = pairs[0]
    assert image.shape == (*SIZE, 3)
    assert [int(value) for value in mask.ravel()[:34]] == [train_id for _, _, train_id in OFFICIAL]
    assert pairs.classes == [name for _, name, train_id in OFFICIAL if train_id != 255]
    assert [label for label, _, train_id in OFFICIAL if train_id != 255] == LABEL_IDS
    assert pairs.name == "cityscapes/train"
    assert len(COLORS) == len(CLASSES) == len({tuple(color) for color in COLORS})


def test_each_image_has_its_label_and_no_file_beside_it(root):
    pairs = open_data("cityscapes", root, "train")
    assert [path.name for path in pairs.masks] == [
        "aachen_000000_000019_gtFine_labelIds.png",
        "bochum_000000_000313_gtFine_labelIds.png",
    ]


def test_the_coarse_labels_are_those_of_train_extra(root):
    pairs = open_data("cityscapes", root, "train_extra")
    assert [path.name for path in pairs.masks] == ["bad-honnef_000000_000000_gtCoarse_labelIds.png"]
    assert set(np.unique(pairs[0][1])) == {0, 255}


def train_ids_only(root):
    for path in (root / "gtFine/val").rglob("*_labelIds.png"):
        path.unlink()
    write(root / "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelTrainIds.png", labels(2, 255, 10))


def test_train_ids_are_taken_where_there_are_no_label_ids(root):
    expected = open_data("cityscapes", root, "val")[0][1]
    train_ids_only(root)
    assert (open_data("cityscapes", root, "val")[0][1] == expected).all()


def test_label_ids_go_before_train_ids(root):
    write(root / "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelTrainIds.png", labels(5))
    assert set(np.unique(open_data("cityscapes", root, "val")[0][1])) == {2, 10, 255}


@pytest.mark.parametrize("prepare", [lambda root: None, train_ids_only])
def test_a_value_outside_the_table_is_named_with_its_remedy(root, prepare):
    prepare(root)
    mask = open_data("cityscapes", root, "val").masks[0]
    write(mask, labels(*np.asarray(Image.open(mask)).ravel()[:3], 77))
    with pytest.raises(
        InputError, match=r"val.frankfurt.*: label value 77 \(512 pixels\) .* get the file again"
    ) as error:
        open_data("cityscapes", root, "val")[0]
    assert "classes.yaml" not in str(error.value)


def test_the_test_split_has_no_labels_and_says_what_to_do(root):
    with pytest.raises(InputError, match=r"gtFine.test: the labels of test are not public.*--format cityscapes"):
        open_data("cityscapes", root, "test")


def test_a_missing_label_is_counted(root):
    next((root / "gtFine/train/bochum").glob("*_labelIds.png")).unlink()
    with pytest.raises(InputError, match=r"bochum_000000_000313_leftImg8bit.png: no mask .*\(1 of 2 images"):
        open_data("cityscapes", root, "train")


@pytest.mark.parametrize(("gone", "split"), [("leftImg8bit", "val"), ("gtFine", "val"), ("gtCoarse", "train_extra")])
def test_a_missing_folder_is_named(root, gone, split):
    shutil.rmtree(root / gone)
    with pytest.raises(InputError, match=rf"{gone}.{split}: no such folder: data.root must hold"):
        open_data("cityscapes", root, split)


def test_an_unknown_split_or_an_empty_folder_is_named(root):
    with pytest.raises(InputError, match="choose one of train, val, train_extra"):
        open_data("cityscapes", root, "coarse")
    shutil.rmtree(root / "leftImg8bit/val/frankfurt")
    with pytest.raises(InputError, match=r"no CITY/NAME_leftImg8bit.png"):
        open_data("cityscapes", root, "val")


def test_a_submission_holds_label_ids_under_the_names_of_the_server(tmp_path):
    path = tmp_path / "berlin/berlin_000000_000019_leftImg8bit.png"
    write(path, labels(*range(19)))
    (written,) = write_submission([path], tmp_path / "out", CLASSES)
    assert written == tmp_path / "out/berlin_000000_000019.png"
    assert [int(value) for value in np.asarray(Image.open(written)).ravel()[:19]] == LABEL_IDS


def test_a_submission_of_other_classes_or_names_is_refused(tmp_path):
    path = tmp_path / "photo.png"
    write(path, labels(0))
    with pytest.raises(InputError, match="needs a model of the 19 classes of Cityscapes: this one has 2, from 'a' to"):
        write_submission([path], tmp_path / "out", ["a", "b"])
    with pytest.raises(InputError, match=r"photo.png: not named as of Cityscapes"):
        write_submission([path], tmp_path / "out", CLASSES)
    assert not (tmp_path / "out").exists()


def test_predicting_the_test_split_writes_what_the_server_takes(root, tmp_path, capsys):
    import pixalign

    model = pixalign.create_model("sfnet", encoder="test_resnet", num_classes=19, channels=16)
    model.config.classes, model.config.colors = CLASSES, COLORS
    pixalign.save(model.eval(), tmp_path / "model")
    arguments = [
        "predict",
        str(root / "leftImg8bit/test"),
        "--model",
        str(tmp_path / "model"),
        "--format",
        "cityscapes",
    ]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "1 files in" in capsys.readouterr().out
    ids = np.asarray(Image.open(tmp_path / "out/berlin/berlin_000000_000019_leftImg8bit.png"))
    sent = np.asarray(Image.open(tmp_path / "out/cityscapes/berlin_000000_000019.png"))
    assert (sent == np.array(LABEL_IDS)[ids]).all()


def test_a_model_of_other_classes_is_refused_before_it_predicts(root, tmp_path, capsys):
    arguments = ["predict", str(root / "leftImg8bit/test"), "--format", "cityscapes", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "this one has 11" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
