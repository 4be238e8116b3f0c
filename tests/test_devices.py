"""Networks and commands on a GPU make every tensor there, in any precision: checked without a GPU.

Networks are checked on tensors without numbers: PyTorch's fake tensors say that they lie on a GPU and compute shapes,
dtypes and devices alone; operations on tensors of two devices fail as they do on a GPU. A tensor that a network makes
on the CPU is found even where no operation fails: it would be copied in each call, and a CUDA graph could
not hold it. Commands are checked on tensors with numbers (`fake_gpu`), which fail where those of two devices meet.
"""

import json
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pixalign.fusing
from conftest import write_pair
from fake_gpu import fake_gpu
from networks import NETWORKS, network
from pixalign import fuse, load, save
from pixalign.cli import main
from pixalign.explaining.evidence import captured

SIZE = (2, 3, 65, 97)
# fewer places and bins, each with the same operations
FEWER = {"aligned_fpn-dynamic_dual": {"aligner_options": {"grid": 1, "pooled": 2}}}
DISTINCT = [key for key in NETWORKS if key not in ("sfnet", "ddsm")]  # the frame with these aligners is the same


class Elsewhere(TorchDispatchMode):
    """The names of the operations that read or make a tensor that is not on a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, made)) if isinstance(x, torch.Tensor)]
        if any(x.device.type != "cuda" for x in tensors):
            self.found.append(str(function))
        return made


@contextmanager
def on_gpu():
    """Tensors are fake, and every operation stays on the GPU."""
    with FakeTensorMode(), Elsewhere() as elsewhere:
        yield
    assert not elsewhere.found


@pytest.fixture
def no_numbers(monkeypatch):
    """autocast for CUDA is switched off where there is none; fake tensors can neither be copied nor moved."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(pixalign.fusing, "copy", SimpleNamespace(deepcopy=lambda model: model))


def fake(x):
    return torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device="cuda")


def moved(model):
    """The network with its parameters and buffers, and nothing else, on the GPU, as ``to`` moves them."""
    for module in model.modules():
        for name, x in module._parameters.items():
            if x is not None:
                module._parameters[name] = nn.Parameter(fake(x), x.requires_grad)
        for name, x in module._buffers.items():
            if x is not None:
                module._buffers[name] = fake(x)
    return model


def amp(dtype=torch.float16):
    return torch.autocast("cuda", dtype)


def in_half(model, x):
    """What the network gives, whose encoder gives float16."""
    encode, seen = model.encode, []

    def watched(image):
        features = encode(image)
        seen.append(features[0].dtype)
        return features

    with patch.object(model, "encode", watched):
        given = model(x)
    assert seen == [torch.float16]
    return given


@pytest.mark.parametrize("key", DISTINCT)
@pytest.mark.usefixtures("no_numbers")
def test_every_network_stays_on_the_gpu_as_it_is_fused_and_under_amp(key, monkeypatch):
    model = network(key, **FEWER.get(key, {}))
    with on_gpu(), torch.inference_mode():
        model, x = moved(model), torch.empty(SIZE, device="cuda")
        with captured(model) as alignments:
            assert model(x).dtype == torch.float32
        with amp():
            assert in_half(model, x).shape == (2, 5, *SIZE[2:])
        monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)
        quick = fuse(model)  # which runs it in float32
        with amp():
            assert in_half(quick, x).shape == (2, 5, *SIZE[2:])
    assert bool(alignments) == key.startswith(("aligned_fpn", "alignseg", "sfnet_lite", "bialignnet"))
    for part in (part for alignment in alignments for part in alignment.geometry):
        assert all(x.dtype == torch.float32 for x in vars(part).values() if isinstance(x, torch.Tensor))


@pytest.mark.parametrize("key", ["aligned_fpn-dynamic_dual", "bialignnet", "alignseg", "ifa"])
@pytest.mark.usefixtures("no_numbers")
def test_what_the_loss_needs_is_made_on_the_gpu(key):
    model = network(key, **FEWER.get(key, {})).train()
    with on_gpu():
        model, x = moved(model), torch.empty(SIZE, device="cuda")
        with amp(torch.bfloat16):
            assert len(tree_leaves(model(x, heads=True))) > 1
            assert model.encode(x)[0].dtype == torch.bfloat16


@pytest.mark.usefixtures("no_numbers")
def test_ifa_answers_points_and_ensembles_on_the_gpu():
    model = network("ifa", local_ensemble=True, queries="pixels", train_points=7).train()
    with on_gpu():
        model, x = moved(model), torch.empty(SIZE, device="cuda")
        with amp():
            assert model(x, heads=True)["logits"].shape == (2, 5, 7, 1)
            assert model.decode(model.encode(x), (33, 47)).shape == (2, 5, 33, 47)


class Strayed(nn.Module):
    def __init__(self, place):
        super().__init__()
        self.place = place

    def forward(self, x):
        return x + torch.arange(x.shape[-1], device=self.place).to(x.device)


@pytest.mark.usefixtures("no_numbers")
def test_a_tensor_made_on_the_cpu_is_found():
    x = torch.zeros(1, 3, 8, 8)
    with on_gpu():
        Strayed("cuda")(fake(x))
    with pytest.raises(AssertionError, match="arange"), on_gpu():
        Strayed("cpu")(fake(x))


@pytest.fixture
def data(tmp_path):
    """Two training pairs and one of val."""
    root = tmp_path / "data"
    for split, names in {"train": "ab", "val": "c"}.items():
        for seed, name in enumerate(names):
            write_pair(root / "images" / split / f"{name}.png", root / "masks" / split / f"{name}.png", seed, 5)
    (root / "classes.yaml").write_text("classes: [c0, c1, c2, c3, c4]\n")
    return root


@pytest.fixture
def model(tmp_path):
    """The folder of a tiny network of five classes."""
    made = network("sfnet")
    made.config.classes = [f"c{i}" for i in range(5)]
    return save(made, tmp_path / "model")


@pytest.fixture
def gpu(monkeypatch, data, model):
    with fake_gpu(monkeypatch):
        yield


def test_tensors_of_the_fake_gpu_meet_no_others(gpu):
    x = torch.ones(3, device="cuda")
    assert (x + torch.tensor([1.0, 2.0, 3.0], device="cuda")).tolist() == [2, 3, 4]
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(3)
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "MODEL", "--data.root", "DATA", "--out", "OUT", "--tta", "--precision", "fp16"),
        ("evaluate", "MODEL", "--data.root", "DATA", "--tile", "64", "--precision", "bf16"),
        ("predict", "DATA/images/val", "--model", "MODEL", "--out", "OUT", "--probabilities"),
        ("explain", "MODEL", "DATA/images/val/c.png", "--out", "OUT"),
    ],
    ids=" ".join,
)
def test_every_command_runs_on_the_gpu(arguments, gpu, model, data, tmp_path, capsys):
    places = {"MODEL": str(model), "DATA": str(data), "OUT": str(tmp_path / "out")}
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    assert main([*arguments, "--device", "cuda"]) == 0, capsys.readouterr().err


def test_biases_are_fitted_on_the_gpu_as_on_the_cpu(gpu, model, data, tmp_path, capsys):
    biases = []
    for device in ("cpu", "cuda"):
        out = tmp_path / device
        assert main(["adjust", str(model), "--data.root", str(data), "--out", str(out), "--device", device]) == 0
        biases.append(load(out).classify.bias)
    torch.testing.assert_close(*biases)
    assert not torch.equal(biases[0], load(model).classify.bias)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--loss.class_weights", "enet", "--loss.adjust", "0.5", "--data.class_uniform", "0.5", "--init", "MODEL"),
        ("--teacher", "MODEL", "--loss.distill", "1", "--precision", "fp16", "--loss.name", "ohem",
         "--optim.clip", "1"),
        ("--model.name", "bialignnet", "--loss.edge", "1", "--loss.edge_guided", "1", "--loss.dice", "1",
         "--loss.lovasz", "1", "--optim.name", "sgd"),
    ],
)  # fmt: skip
def test_training_of_every_kind_takes_a_step_on_the_gpu_and_is_resumed(arguments, gpu, model, data, tmp_path, capsys):
    command = [
        "train", "--data.root", str(data), "--out", str(tmp_path / "run"), "--device", "cuda", "--data.crop", "[32,32]",
        "--batch_size", "2", "--data.workers", "0", "--data.check", "false", "--model.encoder", "test_resnet",
        "--epochs", "1", "--updates_per_epoch", "1",
        *(str(model) if argument == "MODEL" else argument for argument in arguments),
    ]  # fmt: skip
    assert main(command) == 0, capsys.readouterr().err
    assert json.loads((tmp_path / "run/run.json").read_text())["starts"][0]["device"].startswith("cuda")
    assert main([*command, "--resume"]) == 0, capsys.readouterr().err
