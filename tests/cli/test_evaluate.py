"""`pixalign evaluate`, from the command line."""

import csv
import json

import pytest

import pixalign
from pixalign.cli import main

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}


@pytest.fixture
def model(tmp_path):
    network = pixalign.create_model("sfnet", num_classes=3, **TINY)
    pixalign.save(network, tmp_path / "model")
    return str(tmp_path / "model")


def test_a_model_is_measured_and_the_figures_are_written(model, folder_data, tmp_path, capsys):
    out = tmp_path / "results"
    assert main(["evaluate", model, "--data.root", str(folder_data), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "mean over classes" in shown
    assert "class_2" in shown
    result = json.loads((out / "metrics.json").read_text())
    assert result["images"] == 2
    with (out / "images.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 3
    assert (out / "classes.csv").is_file()


def test_a_model_of_other_classes_is_refused_by_name(model, folder_data, capsys):
    (folder_data / "classes.yaml").write_text("classes: [road, car, sky]")
    assert main(["evaluate", model, "--data.root", str(folder_data)]) == 2
    error = capsys.readouterr().err
    assert "road" in error
    assert error.count("\n") == 1
