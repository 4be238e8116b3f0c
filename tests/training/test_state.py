"""What a state must fit, and what a run leaves of the process that it ran in."""

import json
import os
import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import write_pair
from no_float64 import NoFloat64
from pixalign.errors import InputError
from pixalign.training.config import LossConfig, ModelConfig
from pixalign.training.loop import train
from short_run import short_run


def one_epoch(root, out, **changes):
    return short_run(root, out, **{"epochs": 1, "batch_size": 2, **changes})


def test_resuming_with_other_images_or_batches_says_what_changed_and_what_helps(folder_data, tmp_path):
    config = one_epoch(folder_data, tmp_path / "run")
    out = train(config)
    last = f"start a new run with --init {out / 'last'}"
    with pytest.raises(InputError) as caught:
        train(replace(config, batch_size=4, accumulate=2, epochs=2), resume=True)
    assert str(caught.value) == (
        f"{out / 'state' / '00000004'}: the run has been trained with 2 batch_size (now 4), 1 accumulate (now 2): "
        f"set it back, or {last}"
    )
    for i in range(10, 15):
        write_pair(folder_data / "images" / f"img{i}.png", folder_data / "masks" / f"img{i}.png", seed=i)
    with pytest.raises(InputError) as caught:
        train(replace(config, epochs=2), resume=True)
    assert str(caught.value).endswith(f"with 8 training images (now 12): restore the data, or {last}")


def test_one_image_more_is_refused_though_the_epochs_are_as_long(folder_data, tmp_path):
    config = one_epoch(folder_data, tmp_path / "run", batch_size=5)
    train(config)
    write_pair(folder_data / "images" / "img10.png", folder_data / "masks" / "img10.png", seed=10)
    with pytest.raises(InputError, match=r"with 8 training images \(now 9\): restore the data"):
        train(replace(config, epochs=2), resume=True)


def test_images_in_place_of_others_are_a_warning(folder_data, tmp_path):
    config = one_epoch(folder_data, tmp_path / "run")
    out = train(config)
    for i in range(10):
        write_pair(folder_data / "images" / f"img{i}.png", folder_data / "masks" / f"img{i}.png", seed=i + 50)
    train(replace(config, epochs=2), resume=True)
    assert "is not what this run began with" in (out / "log.txt").read_text()


def test_a_state_of_a_version_that_trained_otherwise_is_refused(folder_data, tmp_path):
    config = one_epoch(folder_data, tmp_path / "run")
    out = train(config)
    (state,) = (out / "state").iterdir()
    numbers = json.loads((state / "state.json").read_text())
    del numbers["format"]
    (state / "state.json").write_text(json.dumps(numbers))
    with pytest.raises(InputError, match=r"another version of pixalign, .* start another with --init .*run/last$"):
        train(replace(config, epochs=2), resume=True)


def test_a_run_leaves_no_trace_in_the_process_and_none_of_it_in_the_run(folder_data, tmp_path):
    def described():
        flags = (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled())
        flags += (torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision())
        flags += (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        return flags, handlers, dict(os.environ), os.getcwd()

    weights = []
    for seed in (1, 2):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)  # noqa: NPY002
        before, drawn = described(), [random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002
        generator = torch.get_rng_state()
        config = one_epoch(folder_data, tmp_path / str(seed))
        kept = repr(config)
        out = train(config)
        assert described() == before
        assert [random.getstate(), np.random.get_state()[1].tolist()] == drawn  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), generator)
        assert repr(config) == kept
        weights.append(load_file(out / "last" / "model.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(
    ("name", "loss", "accumulate"),
    [
        ("sfnet", LossConfig(class_weights="enet", adjust=0.5, dice=0.5, lovasz=0.5), 1),
        ("sfnet", LossConfig("ohem", min_kept=10), 2),
        ("bialignnet", LossConfig(class_weights="median", edge=25.0, edge_guided=1.0), 2),
        ("ifa", LossConfig(dice=0.5), 2),
    ],
)
def test_training_and_evaluation_need_no_float64(folder_data, tmp_path, name, loss, accumulate):
    model = ModelConfig(name, "test_resnet", options={"channels": 16})
    if name == "ifa":
        model.options["train_points"] = 50
    config = one_epoch(folder_data, tmp_path / "run", model=model, loss=loss, accumulate=accumulate)
    config.optim.clip = 1.0
    with NoFloat64():
        out = train(replace(config, pictures_every=1))
    assert "could not be drawn" not in (out / "log.txt").read_text()
    with NoFloat64(), pytest.raises(TypeError):
        torch.zeros(1).double()
