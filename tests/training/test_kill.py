"""Killed at any moment and resumed, a run ends as if nothing had happened."""

import multiprocessing
import random
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from killed_run import run
from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.state import find_state

KILLS, EPOCHS = 8, 18


def configuration(root, out, workers):
    return TrainConfig(
        model=ModelConfig(
            "sfnet",
            "resnet18",
            options={"channels": 8, "encoder_options": {"channels": [8, 8, 16, 16], "drop_path_rate": 0.3}},
        ),
        data=DataConfig(root=str(root), crop=(32, 32), workers=workers, color=0.2, dusk=0.3, check=False),
        loss=LossConfig(class_weights="enet", adjust=0.5),
        optim=OptimConfig(lr=3e-3),
        epochs=EPOCHS,
        batch_size=2,
        accumulate=2,
        precision="fp32",
        ema=0.9,
        evaluate_every=4,
        pictures_every=0,
        state_minutes=1e-3,
        out=str(out),
        device="cpu",
    )


def start(context, config, kill_at=0):
    started = context.Event()
    resume = (Path(config.out) / "run.json").exists()
    process = context.Process(target=run, args=(config, resume, kill_at, started))
    process.start()
    assert started.wait(120)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_kills_change_no_bit_of_weights_average_and_metrics(folder_data, tmp_path, workers):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "timm", "accelerate", "matplotlib.figure", "pixalign.training.loop"])
    whole = configuration(folder_data, tmp_path / "whole", workers)
    process = start(context, whole)
    began = time.perf_counter()
    process.join()
    duration = time.perf_counter() - began
    assert process.exitcode == 0

    killed = configuration(folder_data, tmp_path / "killed", workers)
    draw = random.Random(workers)
    kills = {"while writing": 0, "at a random time": 0}
    runs = 1
    while sum(kills.values()) < KILLS:
        if sum(kills.values()) % 2:
            process, way = start(context, killed, kill_at=draw.randint(1, 60)), "while writing"
            process.join()
        else:
            process, way = start(context, killed), "at a random time"
            process.join(draw.uniform(0, 2 * duration / KILLS))
            process.kill()
            process.join()
        if process.exitcode == 0:  # it ended before it was killed: one more run
            compare_runs(tmp_path / "whole", tmp_path / "killed")
            shutil.rmtree(tmp_path / "killed")
            runs += 1
        else:
            kills[way] += 1
    print(f"{workers} workers: {runs} run(s) killed {kills}, {find_state(tmp_path / 'killed' / 'state')}")
    process = start(context, killed)
    process.join()
    assert process.exitcode == 0
    compare_runs(tmp_path / "whole", tmp_path / "killed")


def compare_runs(whole, killed):
    same_bytes = ("metrics.jsonl", "last/model.safetensors", "best/model.safetensors", "last/config.json")
    for name in same_bytes:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    one, other = (load_file(find_state(run / "state") / "tensors.safetensors") for run in (whole, killed))
    assert one.keys() == other.keys()
    assert {key.split("/")[0] for key in one} == {"model", "ema", "optimizer", "random"}
    assert all(torch.equal(one[key], other[key]) for key in one)
    written = [sorted(p.name for p in run.iterdir()) for run in (killed, whole)]
    assert written[0] == written[1], "something half-written was left"
