"""Whatever a network is handed to leaves it as it was."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import pixalign
from graphs import relative_error
from networks import image, network
from pixalign import InputError
from pixalign.benchmarking.variants import prepare
from pixalign.comparing.measure import time_by_turns
from pixalign.evaluating.biases import fit_biases
from pixalign.models.cost import cost
from pixalign.models.network import NetworkConfig
from pixalign.predicting import predict_files, predict_ids, predict_probabilities
from pixalign.predicting.files import plan
from pixalign.runtime import open_runtime
from pixalign.runtime.network import ready

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
CPU = torch.device("cpu")


def caller_network() -> nn.Module:
    """In training mode but for a frozen part; some weights channels last, some not to be trained; a hook."""
    torch.manual_seed(0)
    model = network("sfnet_lite").train()
    model.encoder.eval()
    model.fuse.to(memory_format=torch.channels_last)
    model.classify.requires_grad_(False)
    model.pool.register_forward_hook(lambda module, arguments, result: None)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.5  # a forward pass in training mode would be seen
    return model


def state(model: nn.Module) -> list:
    """All that a caller may notice of a network but its values."""
    seen: list = [(name, type(m), m.training, len(m._forward_hooks)) for name, m in model.named_modules()]
    for name, x in (*model.named_parameters(), *model.named_buffers()):
        seen.append((name, id(x), x.data_ptr(), x.stride(), x.dtype, x.device, x.requires_grad, x.grad is None))
    return seen


class Two:
    """Two labeled images of the network's classes."""

    classes, name = tuple("abcde"), "two"

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return PIXELS, PIXELS[..., index] % 5

    def where(self, index):
        return f"no. {index}"

    def fingerprint(self):
        return "two"


def everything(model: nn.Module, tmp_path):
    """Each public function that takes a network, by name."""
    photo = tmp_path / "photo.png"
    pixalign.Result(PIXELS, PIXELS[..., 0] * 0, ["a"], [(0, 0, 0)]).overlay().save(photo)
    out = tmp_path / "out"
    pairs = Two()
    x = image(48, 64)
    return {
        "Predictor": lambda: pixalign.Predictor(model, "cpu")(PIXELS, probabilities=True),
        "open_runtime": lambda: open_runtime(model, device="cpu").logits(torch.tensor(PIXELS).permute(2, 0, 1)[None]),
        "open_runtime, fused": lambda: open_runtime(model, "fused", "cpu"),
        "predict_files": lambda: predict_files(
            pixalign.Predictor(model, "cpu"), plan({photo: Path(photo.name)}, out), out
        ),
        "predict_ids": lambda: predict_ids(open_runtime(model, device=None), PIXELS),
        "predict_probabilities": lambda: predict_probabilities(open_runtime(model, device=None), PIXELS),
        "evaluate": lambda: pixalign.evaluate(model, pairs),
        "explain": lambda: pixalign.explain(model, PIXELS, device="cpu"),
        "fit_biases": lambda: fit_biases(model, pairs),
        "fuse": lambda: pixalign.fuse(model)(x),
        "save": lambda: pixalign.save(model, tmp_path / "saved"),
        "benchmark's prepare": lambda: prepare("model", "eager", 1, model),
        "compare's times": lambda: time_by_turns({"model": model}, (1, 3, 48, 64), CPU),
        "cost": lambda: cost(model, (1, 3, 48, 64)),
    }


FUNCTIONS = (
    *("Predictor", "open_runtime", "open_runtime, fused", "predict_files", "predict_ids", "predict_probabilities"),
    *("evaluate", "explain", "fit_biases", "fuse", "save", "benchmark's prepare"),
    *("compare's times", "cost"),
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_callers_network_is_as_before(name, tmp_path):
    model = caller_network()
    calls = everything(model, tmp_path)
    assert calls.keys() == set(FUNCTIONS)
    before, values = state(model), copy.deepcopy(model.state_dict())
    calls[name]()
    assert state(model) == before
    assert all(torch.equal(x, values[key]) for key, x in model.state_dict().items())


def test_what_is_exported_is_a_copy_of_the_callers_network(tmp_path, monkeypatch):
    """Capturing the graph takes half a minute; what is captured is all that it touches."""
    model, given = caller_network(), []
    before = state(model)
    monkeypatch.setattr("pixalign.exporting.writing._write", lambda graph, *others: given.append(graph) or {})
    with pytest.raises(InputError, match="cannot be written"):
        pixalign.export(model, tmp_path / "m.pt2")
    assert state(model) == before
    assert not any(part.training for part in given[0].modules())
    theirs = {x.data_ptr() for x in model.parameters()}
    assert theirs.isdisjoint(x.data_ptr() for x in given[0].parameters())


def test_what_was_in_training_mode_answers_as_in_evaluation_mode():
    model = caller_network()
    expected = pixalign.Predictor(copy.deepcopy(model).eval(), "cpu")(PIXELS, probabilities=True).probabilities
    assert np.array_equal(pixalign.Predictor(model, "cpu")(PIXELS, probabilities=True).probabilities, expected)
    assert np.allclose(predict_probabilities(open_runtime(model, device=None), PIXELS), expected, atol=1e-5)


def test_a_network_that_is_ready_is_not_copied():
    model = network("sfnet_lite").to(memory_format=torch.channels_last)
    assert ready(model, CPU) is model
    assert pixalign.Predictor(model, "cpu").network is model
    assert ready(network("sfnet_lite")).training is False


def test_what_need_not_change_is_shared():
    model = network("sfnet_lite").to(memory_format=torch.channels_last).train()
    made = ready(model, CPU)
    assert made is not model
    theirs = dict([*model.named_parameters(), *model.named_buffers()])
    for name, x in (*made.named_parameters(), *made.named_buffers()):
        assert x is theirs[name], name
    assert made.config is model.config


def test_modules_and_tensors_that_are_one_stay_one():
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    model[1].weight = model[0].weight
    model.append(model[0])
    model.config = NetworkConfig(mean=[], std=[])
    made = ready(model, CPU)
    assert made[1].weight is made[0].weight
    assert made[2] is made[0]


def test_parametrized_and_compiled_networks_are_copied_as_they_are():
    model = network("sfnet_lite")
    parametrizations.weight_norm(model.fuse[0])
    parametrizations.weight_norm(model.classify)
    made, x = ready(model.train(), CPU), image(48, 64)
    wrapped = torch.compile(model, backend="eager")
    with torch.no_grad():
        assert relative_error(made(x), model.eval()(x)) < 1e-5
        model.train()
        assert relative_error(ready(wrapped, CPU)(x), made(x)) < 1e-5
    assert model.training


def test_what_cannot_be_copied_is_one_line():
    model = network("sfnet_lite").train()
    model.handle = (_ for _ in ())
    with pytest.raises(InputError, match=r"SFNetLite cannot be copied \(.*\): give it in evaluation mode, on cpu"):
        pixalign.Predictor(model, "cpu")


@pytest.mark.parametrize("key", ["sfnet", "ifa"])
def test_the_layout_is_the_one_that_torch_gives_kernels_of_one_pixel_too(key):
    """A 1x1 kernel counts as channels last whatever its strides, but the result of its convolution follows them."""
    model = network(key)
    expected = copy.deepcopy(model).to(memory_format=torch.channels_last)
    made = ready(model, torch.device("cpu"))
    for (name, mine), theirs in zip(made.named_parameters(), expected.parameters(), strict=True):
        assert mine.stride() == theirs.stride(), name
    assert ready(expected, torch.device("cpu")) is expected
