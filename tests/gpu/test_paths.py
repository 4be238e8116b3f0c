"""Training, evaluation, prediction, explanation, export and measurement with a network on a GPU."""

import json

import numpy as np
import pytest
import torch

import pixalign
from pixalign import Mode, Predictor, evaluate
from pixalign.benchmarking import benchmark
from pixalign.data import open_data
from pixalign.runtime import open_runtime
from pixalign.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.loop import train

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}

MODES = [Mode(), Mode(tile=64), Mode(scales=(0.5, 1.0), flip=True), Mode(output_size=(99, 77))]


def tiny(name="sfnet"):
    torch.manual_seed(0)
    return pixalign.create_model(name, encoder="resnet18", num_classes=3, **TINY).eval()


def configuration(root, out, **changes):
    return TrainConfig(
        **{
            "model": ModelConfig("sfnet", "resnet18", options=TINY),
            "data": DataConfig(root=str(root), crop=(32, 48), workers=1, blur=0.0),
            "optim": OptimConfig(lr=3e-3),
            "epochs": 2,
            "batch_size": 4,
            "precision": "fp16",
            "ema": 0.9,
            "evaluate_every": 1,
            "pictures_every": 2,
            "out": str(out),
            "device": "cuda",
            **changes,
        }
    )


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (150, 170, 3), np.uint8)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_training_leaves_a_model_that_any_device_loads(precision, folder_data, tmp_path):
    out = train(configuration(folder_data, tmp_path / "run", precision=precision))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert next(pixalign.load(out / "best", "cpu").parameters()).device.type == "cpu"
    assert next(pixalign.load(out / "best", "cuda").parameters()).device.type == "cuda"


@pytest.mark.parametrize("name", ["ddsm", "ifa", "bialignnet", "alignseg"])
def test_every_kind_of_network_trains_under_amp(name, folder_data, tmp_path):
    options = {**TINY, "train_points": 50} if name == "ifa" else TINY
    config = configuration(
        folder_data, tmp_path / "run", model=ModelConfig(name, "resnet18", options=options), epochs=1
    )
    assert (train(config) / "last").is_dir()


def test_an_interrupted_run_goes_on(folder_data, tmp_path):
    out = train(configuration(folder_data, tmp_path / "run"))
    (out / "metrics.jsonl").unlink()
    assert train(configuration(folder_data, out), resume=True) == out


def test_evaluation_gives_the_figures_of_the_cpu(folder_data):
    data, model = open_data("folder", folder_data, "val"), tiny()
    on_cpu = evaluate(model, data)
    on_gpu = evaluate(model.to("cuda"), data)
    assert abs(on_gpu["pixel_accuracy"] - on_cpu["pixel_accuracy"]) < 0.01


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize(
    "mode", [Mode(), Mode(tile=64), Mode(scales=(0.5, 1.0), flip=True), Mode(output_size=(99, 77))]
)
def test_predictions_are_nearly_those_of_the_cpu(mode, precision, picture):
    model = tiny()
    wanted = Predictor(model, "cpu", mode=mode)(picture, probabilities=True).probabilities
    found = Predictor(model, "cuda", precision, mode)(picture, probabilities=True).probabilities
    assert np.abs(found - wanted).max() < (1e-3 if precision == "fp32" else 0.1)
    ids = Predictor(model, "cuda", precision, mode)(picture).ids
    assert ids.shape == found.shape[1:]
    assert ids.dtype == np.uint8


def test_a_picture_beyond_the_memory_is_refused_with_the_remedy(picture, monkeypatch):
    predictor = Predictor(tiny(), "cuda")
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        torch.cuda.empty_cache()
        with pytest.raises(pixalign.InputError, match="do not fit into the memory of cuda:0: predict in tiles"):
            predictor(np.tile(picture, (20, 20, 1)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("name", ["sfnet", "ddsm", "ifa", "bialignnet", "alignseg", "sfnet_lite"])
def test_sheets_are_drawn(name, picture):
    assert pixalign.explain(tiny(name), picture, device="cuda").sheets


def test_a_network_on_the_gpu_is_exported(picture, tmp_path):
    pytest.importorskip("onnxruntime")
    model = tiny().to("cuda")
    pixalign.export(model, tmp_path / "model.onnx")
    assert next(model.parameters()).device.type == "cuda"
    wanted = Predictor(model, "cuda")(picture, probabilities=True).probabilities
    found = Predictor(open_runtime(tmp_path / "model.onnx", device="cpu"))(picture, probabilities=True).probabilities
    assert np.abs(found - wanted).max() < 1e-3


def test_the_benchmark_measures_the_cpu_where_there_is_a_gpu():
    result = benchmark(["sfnet@test_resnet"], [(64, 96)], ["eager", "fused"], rounds=2)
    assert [row["error"] for row in result["rows"]] == [None, None]
