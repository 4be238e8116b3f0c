"""Training with the edge losses: a network that has an edge head learns borders, one without is refused."""

import json
from dataclasses import replace

import pytest
import torch

import pixalign
from pixalign.errors import InputError
from pixalign.losses import edge_loss
from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.loop import train


def configuration(root, out):
    options = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}
    return TrainConfig(
        model=ModelConfig("bialignnet", "resnet18", options=options),
        data=DataConfig(root=str(root), crop=(48, 64), scale=(1.0, 1.0), workers=0, color=0.2, blur=0.0),
        loss=LossConfig(name="ohem", class_weights="enet", adjust=0.5, auxiliary=0.3, edge=25.0, edge_guided=1.0),
        optim=OptimConfig(lr=3e-3),
        epochs=12,
        batch_size=4,
        precision="fp32",
        ema=0.0,
        evaluate_every=12,
        pictures_every=0,
        out=str(out),
        device="cpu",
    )


def test_a_network_with_an_edge_head_learns_from_both_edge_losses(folder_data, tmp_path):
    out = train(configuration(folder_data, tmp_path / "run"))
    losses = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.9 * losses[0]

    model = pixalign.load(out / "last")
    data = pixalign.data.open_data("folder", folder_data, "train")
    images, masks = zip(*(data[i] for i in range(4)))
    target = torch.stack([torch.as_tensor(m).long() for m in masks])
    pixels = torch.stack([torch.as_tensor(i).permute(2, 0, 1) / 255 for i in images])
    mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (model.config.mean, model.config.std))
    with torch.no_grad():
        edges = model((pixels - mean) / std, heads=True)["edge"]
    assert edge_loss(edges, target) < edge_loss(torch.zeros_like(edges), target)


def test_edge_losses_for_a_network_without_an_edge_head_are_refused(folder_data, tmp_path):
    config = configuration(folder_data, tmp_path / "run")
    config = replace(config, model=replace(config.model, name="sfnet"))
    with pytest.raises(InputError, match=r"loss\.edge is 25\.0, but the network has no edge head"):
        train(config)
