"""Evaluation in modes: always at label size, and the mode is said."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

import pixalign
from pixalign import InputError, Mode
from pixalign.cli import main
from pixalign.data.samples import Samples
from pixalign.evaluating import evaluate, resize_ids, result_table


class Reader(nn.Module):
    """Reads the class from the red channel; where it is 200, class 0."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.config = {"mean": [0.0] * 3, "std": [1 / 255] * 3}

    def forward(self, image):
        ids = image[:, 0].round().long()
        return 9 * nn.functional.one_hot(torch.where(ids == 200, 0, ids), 3).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    pairs = []
    for size in ((70, 132), (101, 97)):
        label = rng.integers(0, 3, (size[0] // 4 + 1, size[1] // 4 + 1)).repeat(4, 0).repeat(4, 1)
        label = np.ascontiguousarray(label[: size[0], : size[1]]).astype(np.uint8)
        image = label[..., None].repeat(3, -1)
        image[10:14, 20:40] = 200
        label[:4] = 255
        pairs.append((image, label))
    return Samples(pairs, list("abc"), name="made/val")


@pytest.fixture(scope="module")
def whole(split):
    return evaluate(Reader(), split)


def without_mode(result):
    return {key: value for key, value in result.items() if key != "mode"}


@pytest.mark.parametrize("mode", [Mode(tile=64, overlap=0.5), Mode(flip=True), Mode(tile=64, overlap=0, flip=True)])
def test_modes_change_nothing_for_a_network_that_looks_at_single_pixels(split, whole, mode):
    found = evaluate(Reader(), split, mode=mode)
    assert found["mode"] == str(mode)
    assert whole["mode"] == "whole images, tiled above 16 megapixels"
    assert without_mode(found) == without_mode(whole)


def test_the_confusion_matrix_is_in_the_result_and_adds_up(split, whole):
    matrix = np.array(whole["confusion"])
    assert matrix.sum() == whole["pixels"]
    assert matrix.sum(1).tolist() == list(whole["class_pixels"].values())
    assert matrix.trace() / matrix.sum() == pytest.approx(whole["pixel_accuracy"])
    assert matrix[1, 0] > 0  # labels in rows: what is called "a" although it is "b"
    assert json.loads(json.dumps(whole)) == whole


def test_a_prediction_of_another_size_is_measured_at_label_size(split, whole):
    one = Samples(split.items[:1], split.classes)
    plain, doubled = (without_mode(evaluate(Reader(), one, mode=Mode(output_size=s))) for s in (None, (140, 264)))
    assert doubled == plain
    coarse = evaluate(Reader(), split, mode=Mode(output_size=(33, 40)))
    assert coarse["pixels"] == whole["pixels"]
    assert coarse["miou"] < whole["miou"]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5))
def test_enlarged_ids_are_read_back_as_they_were(height, width, factor):
    ids = np.random.default_rng(height).integers(0, 9, (height, width))
    assert (resize_ids(ids, (factor * height, factor * width)) == ids.repeat(factor, 0).repeat(factor, 1)).all()
    assert (resize_ids(ids.repeat(factor, 0).repeat(factor, 1), ids.shape) == ids).all()


def test_the_table_names_the_mode(split):
    console = Console(width=160)
    with console.capture() as shown:
        console.print(result_table(evaluate(Reader(), split, mode=Mode(tile=64, overlap=0.25))))
    assert "tiles of 64 px with overlap 0.25" in " ".join(shown.get().split())


def test_the_command_takes_modes_and_refuses_senseless_ones(folder_data, tmp_path, capsys):
    options = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}
    pixalign.save(pixalign.create_model("sfnet", num_classes=3, **options), tmp_path / "model")
    command = ["evaluate", str(tmp_path / "model"), "--data.root", str(folder_data)]
    modes = ["--tile", "64", "--overlap", "0.5", "--scales", "0.75,1", "--flip", "--output-size", "96x128"]
    assert main([*command, *modes, "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert result["mode"] == str(Mode(64, 0.5, (0.75, 1), True, (96, 128)))
    capsys.readouterr()
    for wrong, message in (
        (["--tile", "16"], "tile is 16"),
        (["--overlap", "1"], "overlap is 1"),
        (["--scales", "0"], "scales is 0"),
        (["--scales", "big"], "--scales big: give numbers"),
        (["--output-size", "720"], "--output-size 720: give height x width"),
    ):
        assert main([*command, *wrong]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_an_image_beyond_the_memory_is_one_line_that_names_tiles(split, monkeypatch):
    def too_large(self, image):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB")

    monkeypatch.setattr(Reader, "forward", too_large)
    with pytest.raises(InputError, match=r"made/val.*: 132 x 70 pixels do not fit .*--tile 256"):
        evaluate(Reader(), split)
