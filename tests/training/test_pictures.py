"""Pictures of predictions: of any number of bands, without a trace in the weights, never at the cost of a state."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import pixalign.training.loop as loop
from pixalign.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.loop import train
from pixalign.training.pictures import prediction_sheet


def configuration(out, bands=3, **changes):
    config = TrainConfig(
        model=ModelConfig("sfnet", "test_resnet", in_channels=bands, options={"channels": 16}),
        data=DataConfig(crop=(32, 32), workers=0, check=False),
        optim=OptimConfig(lr=3e-3),
        epochs=2,
        batch_size=4,
        precision="fp32",
        evaluate_every=1,
        pictures_every=1,
        out=str(out),
        device="cpu",
    )
    return replace(config, **changes)


def items(bands=3):
    rng = np.random.default_rng(0)
    return [
        (rng.integers(0, 256, (48, 64, bands), np.uint8), rng.integers(0, 2, (48, 64), np.uint8)) for _ in range(10)
    ]


def test_a_sheet_has_a_row_per_sample_and_black_where_there_is_no_label(tmp_path):
    image = np.full((120, 160, 3), 200, np.uint8)
    label = np.full((120, 160), 255, np.uint8)
    prediction = np.ones((120, 160), np.uint8)
    prediction_sheet([(image, label, prediction)] * 2, [[255, 0, 0], [0, 255, 0]], tmp_path / "sheet.jpg")
    sheet = np.asarray(Image.open(tmp_path / "sheet.jpg")).astype(int)
    assert sheet.shape == (2 * 246 + 6, 3 * 320 + 24, 3)
    assert sheet[120, 160].min() > 190  # image
    assert sheet[120, 160 + 326].max() < 20  # label
    red, green, blue = sheet[120, 160 + 652]  # prediction, green over the image
    assert green > red + 100
    assert green > blue + 100


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
def test_images_of_any_number_of_bands_are_trained_on_and_drawn(tmp_path, bands):
    out = train(configuration(tmp_path / "run", bands, epochs=1), dataset=items(bands), classes=["a", "b"])
    assert Image.open(out / "pictures" / "epoch_0001.jpg").size[0] > 300
    assert "warning" not in (out / "log.txt").read_text()


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
def test_a_sheet_shows_the_first_three_bands_or_the_first(tmp_path, bands):
    image = np.full((120, 160, bands), [200, 50, 20, 90, 240][:bands], np.uint8)
    none = np.full((120, 160), 255, np.uint8)
    prediction_sheet([(image, none, none)], [[255, 0, 0]], tmp_path / "sheet.png")
    shown = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))[120, 160].astype(int)
    expected = [200, 50, 20] if bands >= 3 else [200] * 3
    assert np.abs(shown - expected).max() < 12


@pytest.mark.parametrize(("ema", "channels_last"), [(0.0, False), (0.9, True)])
def test_drawing_changes_no_bit_of_the_weights(tmp_path, ema, channels_last):
    runs = [
        train(
            configuration(tmp_path / str(every), ema=ema, channels_last=channels_last, pictures_every=every),
            dataset=items(), classes=["a", "b"],
        )
        for every in (0, 1)
    ]  # fmt: skip
    assert len([*(runs[1] / "pictures").iterdir()]) == 2
    one, other = (load_file(next((run / "state").iterdir()) / "tensors.safetensors") for run in runs)
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (runs[0] / "metrics.jsonl").read_text() == (runs[1] / "metrics.jsonl").read_text()


def test_drawing_leaves_mode_and_layout_of_the_network_alone(tmp_path, monkeypatch):
    seen = []

    def watched(model, data, path):
        for _ in range(2):
            seen.append([(m.training, *(p.stride() for p in m.parameters())) for m in model.modules()])
            real(model, data, path)

    real = loop.draw_predictions
    monkeypatch.setattr(loop, "draw_predictions", watched)
    train(configuration(tmp_path, ema=0.0, channels_last=False, epochs=1), dataset=items(), classes=["a", "b"])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("what", ["draw_predictions", "draw_curves"])
def test_a_picture_that_fails_is_a_warning_and_the_state_is_there_first(tmp_path, monkeypatch, what):
    states = []

    def fail(*arguments):
        states.append(len([*(tmp_path / "state").iterdir()]))
        raise TypeError("Cannot handle this data type\nat all")

    monkeypatch.setattr(loop, what, fail)
    train(configuration(tmp_path), dataset=items(), classes=["a", "b"])
    assert states == [1, 1]
    said = (tmp_path / "log.txt").read_text()
    assert said.count("could not be drawn (TypeError: Cannot handle this data type)") == 2
    assert [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2]
    assert (tmp_path / "last").is_dir()


def test_a_run_killed_before_it_drew_draws_when_it_is_resumed(tmp_path, monkeypatch):
    def die(*arguments):
        raise SystemExit  # as if it was killed

    config = configuration(tmp_path)
    monkeypatch.setattr(loop, "draw_predictions", die)
    with pytest.raises(SystemExit):
        train(config, dataset=items(), classes=["a", "b"])
    assert not (tmp_path / "curves.png").exists()
    monkeypatch.undo()
    train(config, resume=True, dataset=items(), classes=["a", "b"])
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == ["epoch_0001.jpg", "epoch_0002.jpg"]
    assert (tmp_path / "curves.png").exists()
