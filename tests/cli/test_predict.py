"""pixalign predict: status, summary, and errors in one line."""

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
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


def test_a_folder_is_predicted_and_summed_up(model_folder, photos, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["predict", str(photos), "--model", model_folder, "--out", str(out), "--device", "cpu"]
    assert main([*arguments, "--probabilities"]) == 0
    printed = capsys.readouterr().out
    assert "2 images: 2 predicted, 0 done before, 0 failed" in printed
    assert "largest classes: class_" in printed
    assert str(out) in printed
    assert (out / "b_probabilities.npz").exists()
    assert main(arguments) == 0
    assert "0 predicted, 2 done before" in capsys.readouterr().out
    assert main([*arguments, "--force"]) == 0
    assert "2 predicted, 0 done before" in capsys.readouterr().out


def test_a_broken_file_is_named_at_the_end_with_status_1(model_folder, photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    assert main(["predict", str(photos), "--model", model_folder, "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "3 images: 2 predicted, 0 done before, 1 failed" in captured.out
    assert captured.err.startswith(f"pixalign: failed: {photos / 'broken.jpg'}")
    assert captured.err.count("\n") == 1


def test_pictures_of_kinds_that_are_not_read_are_named_at_the_end(model_folder, photos, tmp_path, capsys):
    (photos / "phone.HEIC").write_bytes(b"x")
    assert main(["predict", str(photos), "--model", model_folder, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "2 images: 2 predicted" in captured.out
    assert captured.err == "pixalign: 1 .heic left out (not supported): convert to JPEG or PNG\n"


@pytest.mark.parametrize(
    ("image", "model", "message"),
    [
        ("nowhere", None, "nowhere: no such file or folder"),
        ("empty", None, "empty: no image in it"),
        ("photos", "no/such/model", "model 'no/such/model': no such folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(image, model, message, model_folder, photos, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = [str(tmp_path / image), "--model", model or model_folder, "--out", str(tmp_path / "out")]
    assert main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
