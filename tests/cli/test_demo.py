"""pixalign demo: drawn pictures or an image, each with a table and a sheet."""

import numpy as np
import pytest
from PIL import Image

import pixalign.weights as weights
from pixalign import create_model, save
from pixalign.cli import main
from pixalign.data.sets.camvid import CLASSES, COLORS
from pixalign.data.sets.drawings import NUCLEI, RETINA


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A tiny bundled `default` of CamVid's classes."""
    options = {"channels": (8, 16, 32, 64)}
    model = create_model("sfnet_lite", encoder="resnet18", num_classes=11, channels=16, encoder_options=options)
    model.config.classes, model.config.colors = CLASSES, COLORS
    save(model, tmp_path / "bundled" / "default")
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "bundled")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_an_image_a_drawn_street_is_scored_against_its_label(bundle, capsys):
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    for expected in ("bicyclist", "IoU", "mIoU", "street_sheet.png"):
        assert expected in printed
    out = bundle / "pixalign_demo"
    names = {"street.png", "street_image.png", "street_overlay.jpg", "street_sheet.png"}
    assert {p.name for p in out.iterdir()} == names
    with Image.open(out / "street_sheet.png") as sheet:
        assert sheet.width > sheet.height > 400


def test_each_bundled_model_has_a_picture_of_what_it_knows(bundle, capsys):
    for name, classes in (("vessels", RETINA), ("nuclei", NUCLEI)):
        model = create_model("sfnet_lite", encoder="test_resnet", num_classes=len(classes), channels=8)
        model.config.classes = classes
        save(model, bundle / "bundled" / name)
    assert main(["demo", "--model", "nuclei", "--out", "one"]) == 0
    assert {p.name for p in (bundle / "one").glob("*_sheet.png")} == {"nuclei_sheet.png"}
    assert main(["demo"]) == 0
    assert {p.name for p in (bundle / "pixalign_demo").glob("*_sheet.png")} == {
        "street_sheet.png", "retina_sheet.png", "nuclei_sheet.png",
    }  # fmt: skip
    assert capsys.readouterr().out.count("mIoU") == 4


def test_an_image_is_shown_without_scores(bundle, capsys):
    Image.fromarray(np.zeros((50, 80, 3), np.uint8)).save("mine.jpg")
    assert main(["demo", "mine.jpg", "--out", "shown"]) == 0
    assert "IoU" not in capsys.readouterr().out
    assert {p.name for p in (bundle / "shown").iterdir()} == {"mine.png", "mine_overlay.jpg", "mine_sheet.png"}


def test_a_model_of_other_classes_is_shown_without_scores(bundle, capsys):
    options = {"channels": (8, 16, 32, 64)}
    save(create_model("sfnet_lite", num_classes=3, channels=16, encoder_options=options), bundle / "other")
    assert main(["demo", "--model", "other"]) == 0
    assert "IoU" not in capsys.readouterr().out


def test_a_missing_bundle_is_one_line(bundle, monkeypatch, capsys):
    monkeypatch.setattr(weights, "BUNDLED", bundle / "none")
    assert main(["demo"]) == 2
    assert "no bundled model of this name (bundled: none in this installation)" in capsys.readouterr().err
    assert not (bundle / "pixalign_demo").exists()
