"""Two processes compute what one does with the batch of both."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from safetensors.torch import load_file, save_file

import pixalign
from conftest import write_pair
from pixalign.data import open_data
from pixalign.data.loader import EpochBatches
from pixalign.errors import InputError
from pixalign.losses import cross_entropy, total_loss
from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig, write_config
from pixalign.training.launch import processes_to_start
from pixalign.training.loop import train
from pixalign.training.parallel import synchronize_norms


def configuration(root, out, batch_size):
    return TrainConfig(
        model=ModelConfig(
            "sfnet", "resnet18", options={"channels": 8, "encoder_options": {"channels": [8, 8, 16, 16]}}
        ),
        data=DataConfig(root=str(root), crop=(64, 64), workers=0, color=0.2, check=False),
        loss=LossConfig(class_weights="enet"),
        optim=OptimConfig("sgd", lr=0.02),
        freeze="pool,auxiliary",  # whose dropout would be drawn differently
        epochs=2,
        batch_size=batch_size,
        precision="fp32",
        ema=0.9,
        evaluate_every=1,
        pictures_every=0,
        out=str(out),
        device="cpu",
    )


def launch(config, folder):
    """Train in two processes, as a user would."""
    write_config(config, folder / "config.yaml")
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "pixalign", "train"]
    done = subprocess.run(
        [*command, "--config", str(folder / "config.yaml")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (Path(config.out) / "metrics.jsonl").read_text().splitlines()]


def in_two_processes(function, *arguments):
    """Call it with 0 and with 1 before its arguments, in two processes that are forked from one that has imported."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["torch", "timm", "accelerate", "pixalign.training.loop"]
    )
    torch.multiprocessing.start_processes(function, arguments, nprocs=2, start_method="forkserver")


def one_of_two(rank, config, port):
    """Train as one of two processes that a launcher has started."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ |= {key: str(value) for key, value in places.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    train(config)


def train_in_two(config):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    in_two_processes(one_of_two, config, port)
    return [json.loads(line) for line in (Path(config.out) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def data(tmp_path):
    """8 training pairs and 5 of val, an uneven share for two processes."""
    root = tmp_path / "data"
    for split, count in (("train", 8), ("val", 5)):
        for i in range(count):
            name = f"{split}/img{i}.png"
            write_pair(root / "images" / name, root / "masks" / name, seed=i + 100 * (split == "val"), size=(96, 96))
    return root


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_with_the_doubled_batch(data, tmp_path):
    one = configuration(data, tmp_path / "one", batch_size=4)
    train(one)
    alone = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    both = launch(configuration(data, tmp_path / "two", batch_size=2), tmp_path)
    assert [line["loss"] for line in both] == pytest.approx([line["loss"] for line in alone], rel=2e-4)
    first, second = (pixalign.load(tmp_path / run / "last").state_dict() for run in ("one", "two"))
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, rtol=5e-3, atol=5e-4, msg=key)

    # Each image is counted once: the same integers, and so the same quotients, as in one process.
    measured = pixalign.evaluate(pixalign.load(tmp_path / "two" / "last"), open_data("folder", data, "val"))
    assert both[-1]["val"]["val"]["iou"] == measured["iou"]
    assert both[-1]["val"]["val"]["pixel_accuracy"] == measured["pixel_accuracy"]


@pytest.mark.slow
def test_two_processes_that_accumulate_two_batches_train_as_one_with_the_fourfold_batch(data, tmp_path):
    for i in range(0, 8, 3):  # few labels
        mask = np.full((96, 96), 255, np.uint8)
        mask[40:60:4, 40:60:4] = i % 3
        Image.fromarray(mask).save(data / "masks" / "train" / f"img{i}.png")
    frozen = "encoder,pool,laterals,aligners,smooth,fuse,auxiliary"  # norms would differ
    optim = OptimConfig("sgd", lr=0.05, clip=0.05)
    one = replace(configuration(data, tmp_path / "one", batch_size=4), freeze=frozen, optim=optim)
    train(one)
    alone = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    two = replace(configuration(data, tmp_path / "two", batch_size=1), freeze=frozen, optim=optim, accumulate=2)
    both = train_in_two(two)
    assert [line["loss"] for line in both] == pytest.approx([line["loss"] for line in alone], rel=1e-5)
    first, second = (pixalign.load(tmp_path / run / "last").state_dict() for run in ("one", "two"))
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.slow
def test_a_process_whose_crops_hold_no_label_does_not_stop_the_other(data, tmp_path):
    for i in range(0, 8, 2):
        Image.fromarray(np.full((96, 96), 255, np.uint8)).save(data / "masks" / "train" / f"img{i}.png")
    config = replace(configuration(data, tmp_path / "run", batch_size=2), epochs=8, evaluate_every=8)
    shares = [list(EpochBatches(8, 2, config.seed, config.epochs, rank=rank, world=2)) for rank in (0, 1)]
    unlabeled = [[all(index % 2 == 0 for _, index in batch) for batch in share] for share in shares]
    assert sum(a != b for a, b in zip(*unlabeled)) > 0, "no batch is without labels on one process alone"
    lines = train_in_two(config)
    assert len(lines) == 8
    assert all(np.isfinite(line["loss"]) for line in lines)


CASES = [
    (dtype, layout)
    for dtype in (torch.float64, torch.float32, torch.bfloat16)
    for layout in (torch.contiguous_format, torch.channels_last)
]


def global_norms(rank, folder):
    """One of two processes: normalize its half of each batch, and hand in what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    left = {}
    for case, (dtype, layout) in enumerate(CASES):
        whole, gradient, norm = batch_for_a_norm(dtype)
        half = whole[2 * rank : 2 * rank + 2].contiguous(memory_format=layout).requires_grad_()
        norm = synchronize_norms(torch.nn.Sequential(norm), torch.device("cpu"))[0]
        out = norm(half)
        out.backward(gradient[2 * rank : 2 * rank + 2])
        tensors = {"out": out, "x": half.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
        tensors |= dict(norm.named_buffers())
        left |= {f"{case} {key}": value.detach().contiguous() for key, value in tensors.items()}
    save_file(left, f"{folder}/{rank}.safetensors")
    dist.destroy_process_group()


def batch_for_a_norm(dtype):
    """Two halves of a batch with unlike means and spreads, a gradient for it, and a norm with random weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, 5, 7, generator=generator, dtype=torch.float64)
    x[:2] = 3 * x[:2] + 40
    gradient = torch.randn(4, 6, 5, 7, generator=generator, dtype=torch.float64)
    norm = torch.nn.BatchNorm2d(6).to(torch.promote_types(dtype, torch.float32))
    torch.nn.init.uniform_(norm.weight, 0.5, 2, generator=generator)
    torch.nn.init.normal_(norm.bias, generator=generator)
    return x.to(dtype), gradient.to(dtype), norm


@pytest.mark.slow
def test_a_norm_over_two_processes_is_the_norm_of_the_whole_batch(tmp_path):
    """Forward, all gradients and the running statistics, against torch's own norm in one process."""
    in_two_processes(global_norms, str(tmp_path))
    parts = [load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1)]
    for case, (dtype, _) in enumerate(CASES):
        whole, gradient, norm = batch_for_a_norm(dtype)
        whole.requires_grad_()
        out = norm(whole)
        out.backward(gradient)
        close = {"rtol": 0.02, "atol": 0.05} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(torch.cat([p[f"{case} out"] for p in parts]), out, **close)
        torch.testing.assert_close(torch.cat([p[f"{case} x"] for p in parts]), whole.grad, **close)
        for key, expected in (("weight", norm.weight.grad), ("bias", norm.bias.grad)):
            torch.testing.assert_close(sum(p[f"{case} {key}"] for p in parts), expected, **close)
        for part in parts:
            for key, expected in norm.named_buffers():
                torch.testing.assert_close(part[f"{case} {key}"], expected, rtol=1e-5, atol=1e-5)


def test_a_cpu_launch_of_several_processes_is_told_by_its_trace():
    trace = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"}
    launcher = ["python", "accelerate", "launch", "--cpu", "--num_processes", "3", "-m", "pixalign"]
    assert processes_to_start(trace, launcher) == 3
    assert processes_to_start(trace, ["accelerate", "--num_processes=2"]) == 2
    assert processes_to_start({**trace, "WORLD_SIZE": "3"}, launcher) == 1
    assert processes_to_start({"ACCELERATE_USE_CPU": "True"}, launcher) == 1
    assert processes_to_start({}, launcher) == 1
    with pytest.raises(InputError, match="torchrun --nproc_per_node N"):
        processes_to_start(trace, ["mine"])


def test_pixel_losses_of_shares_average_to_the_loss_of_the_whole_batch():
    generator = torch.Generator().manual_seed(0)
    logits, weight = torch.randn(4, 3, 8, 8, generator=generator), torch.tensor([1.0, 2.0, 5.0])
    target = torch.randint(0, 3, (4, 8, 8), generator=generator)
    target[:2, :, 3:] = 255  # the first share has fewer labels
    shares = [(logits[:2], target[:2]), (logits[2:], target[2:])]
    counts = [weight[t[t != 255]].sum(dtype=torch.float64) for _, t in shares]

    def mean(x):
        return torch.stack(counts).mean()

    losses = [
        total_loss({"logits": x}, t, weight=weight, mean_over_processes=mean)[0] for x, t in shares
    ]  # fmt: skip
    torch.testing.assert_close(torch.stack(losses).mean(), cross_entropy(logits, target, weight))
