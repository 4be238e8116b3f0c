"""pixalign explain: sheets in a folder, and errors in one line."""

import numpy as np
import pytest
from PIL import Image

from pixalign import create_model, save
from pixalign.cli import main


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    options = {"channels": (8, 16, 32, 64)}
    model = create_model("sfnet_lite", encoder="resnet18", num_classes=3, channels=16, encoder_options=options)
    return str(save(model, tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_sheet_per_model_and_one_for_all(model_folder, photo, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--pixel", "30,20", "--device", "cpu"]
    assert main(["explain", model_folder, model_folder, photo, *arguments]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 3
    assert "photo_boundaries.png" in names
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(out / name) for name in sorted(names, key=lambda name: "boundaries" in name)]


def test_the_bundled_model_is_taken_when_none_is_named(photo, tmp_path, capsys):
    assert main(["explain", photo, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo_sfnet.png"]
    assert "least certain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "nowhere.png"}, "nowhere.png: no such image (the last argument is the image"),
        ({"model": "no/such/model"}, "model 'no/such/model': no such folder"),
        ({"options": ["--pixel", "7"]}, "--pixel is '7': give x and y in whole pixels, such as 120,80"),
        ({"options": ["--pixel", "48,0"]}, "pixel 48,0 lies outside the image of 48 x 40"),
        ({"options": ["--label", "nowhere.png"]}, "nowhere.png: no such file"),
        ({"options": ["--label", "small.png"]}, "the label is 8 x 8 but the image 48 x 40"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    change, message, model_folder, photo, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("small.png")
    arguments = [change.get("model", model_folder), change.get("image", photo), *change.get("options", [])]
    assert main(["explain", *arguments, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_before_any_work(photo, tmp_path, capsys):
    assert main(["explain", "no/such/model", photo, "--out", photo]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err
