"""Batches whose gradients are accumulated make the update of the larger batch."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import write_pair
from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.loop import train

ALL_BUT_THE_CLASS_LAYER = "encoder,pool,laterals,aligners,smooth,fuse,auxiliary"  # no dropout, norms as they are


def configuration(root, out, batch_size, accumulate, **changes):
    config = TrainConfig(
        model=ModelConfig("sfnet", "test_resnet", options={"channels": 16}),
        data=DataConfig(root=str(root), crop=(64, 64), workers=0, color=0.2, check=False),
        optim=OptimConfig("sgd", lr=0.05),
        freeze=ALL_BUT_THE_CLASS_LAYER,
        epochs=2,
        batch_size=batch_size,
        accumulate=accumulate,
        precision="fp32",
        ema=0.9,
        evaluate_every=2,
        pictures_every=0,
        out=str(out),
        device="cpu",
    )
    return replace(config, **changes)


@pytest.fixture
def data(tmp_path):
    """8 training pairs, half of which have few labels, and one of val."""
    for i in range(9):
        name = f"{'train' if i < 8 else 'val'}/img{i}.png"
        image, mask = (tmp_path / "data" / part / name for part in ("images", "masks"))
        write_pair(image, mask, seed=i, size=(64, 64))
        if i % 2 and i < 8:
            ids = np.full((64, 64), 255, np.uint8)
            ids[20:44:4, 20:44:4] = i % 3  # few labels
            Image.fromarray(ids).save(mask)
    return tmp_path / "data"


def result(out):
    """The epochs' losses, the weights and their moving average."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    (state,) = (out / "state").iterdir()
    return [line["loss"] for line in lines], load_file(state / "tensors.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": LossConfig(class_weights="enet")},
        {"optim": OptimConfig("adamw", lr=0.01, clip=0.01)},
        {"loss": LossConfig("ohem", threshold=1.0, min_kept=0)},
    ],
    ids=["class weights", "clipped", "ohem that keeps all"],
)
def test_accumulated_batches_train_as_the_larger_batch_does(data, tmp_path, changes):
    runs = {
        (size, count): result(train(configuration(data, tmp_path / f"{size} {count}", size, count, **changes)))
        for size, count in ((4, 1), (2, 2), (1, 4))
    }
    losses, weights = runs.pop((4, 1))
    for other_losses, other_weights in runs.values():
        assert other_losses == pytest.approx(losses, rel=1e-5)
        for key, tensor in weights.items():
            if key.startswith(("model/", "ema/")):
                torch.testing.assert_close(other_weights[key], tensor, rtol=1e-4, atol=1e-6, msg=key)
    assert (weights["model/classify.weight"] - weights["ema/classify.weight"]).abs().max() > 1e-4
