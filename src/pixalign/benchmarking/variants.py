"""What is measured: a network, from weights or by its architecture's name, made ready for one back-end."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pixalign.data.images import write_image
from pixalign.data.normalization import normalize
from pixalign.data.sets.streets import draw_scene
from pixalign.errors import InputError
from pixalign.exporting import export
from pixalign.fusing import fuse
from pixalign.models import create_model, list_models
from pixalign.models.network import SegmentationNetwork, as_network
from pixalign.palette import default_classes, default_colors
from pixalign.runtime import EXPORTED, Runtime, is_exported, open_runtime
from pixalign.weights import load

# name: what it is
BACKENDS = {
    "eager": "PyTorch, float32, channels last",
    "fused": "PyTorch, float32, rewritten by pixalign.fuse",
    "bf16": "PyTorch, rewritten by pixalign.fuse, bfloat16",
    "compiled": "PyTorch, float32, pixalign.fuse with torch.compile for dynamic sizes",
    "onnxruntime": "ONNX Runtime, float32, dynamic sizes",
    "openvino": "OpenVINO, float32, dynamic sizes",
    "openvino-bf16": "OpenVINO, float32 weights, computing in bfloat16",
    "onnxruntime-int8": "ONNX Runtime, 8-bit weights and activations",
    "openvino-int8": "OpenVINO, 8-bit weights and activations",
}
DEFAULT = ("eager", "fused", "onnxruntime", "openvino")

_FUSED: dict[str, dict[str, Any]] = {"fused": {}, "bf16": {"precision": "bf16"}, "compiled": {"compile": True}}
_FILES = {program: suffix for suffix, program in EXPORTED.items()}
_CLASSES = 19  # of a network without weights
_SCENES, _SCENE = 4, (192, 256)  # drawn streets that int8 graphs are calibrated on: their ranges do not matter for time


class TorchvisionModel(nn.Module):
    """A network of torchvision.models.segmentation, which gives logits (N, K, H, W) and says what it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.config = {
            "architecture": "torchvision",
            "arguments": {"num_classes": _CLASSES, "in_channels": 3},
            "classes": default_classes(_CLASSES),
            "colors": default_colors(_CLASSES),
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        }

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)["out"]


def is_architecture(source: str) -> bool:
    """Whether ``source`` is ARCHITECTURE@ENCODER, to be built without weights; a path that exists is not."""
    return "@" in source and not Path(source).exists()


def build(source: str) -> SegmentationNetwork:
    """Return the network of ``source`` in evaluation mode.

    Args:
        source: what `pixalign.load` takes, or ARCHITECTURE@ENCODER such as sfnet@resnet18, smp/FPN@resnet18,
            hf/segformer-b0@mit_b0 or torchvision/lraspp@mobilenet_v3_large: seeded random weights, 19 classes.

    Raises:
        InputError: it is unknown, or cannot be read or built.
    """
    if source in list_models():
        raise InputError(f"{source}: is an architecture, which needs an encoder: write {source}@resnet18, for instance")
    if not is_architecture(source):
        return load(source)
    architecture, encoder = source.rsplit("@", 1)
    if not encoder:
        raise InputError(f"{source}: names no encoder: write {source}resnet18, for instance")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        if architecture.startswith("torchvision/"):
            return _torchvision(source, f"{architecture.removeprefix('torchvision/')}_{encoder}").eval()
        return create_model(architecture, encoder=encoder, num_classes=_CLASSES).eval()


def _torchvision(source: str, name: str) -> SegmentationNetwork:
    from torchvision import models

    known = models.list_models(module=models.segmentation)
    if name not in known:
        listed = ", ".join(f"torchvision/{n.replace('_', '@', 1)}" for n in known)
        raise InputError(f"{source}: is unknown: choose one of {listed}")
    network = models.get_model(name, weights=None, weights_backbone=None, num_classes=_CLASSES)
    return as_network(TorchvisionModel(network))


def source_for(source: str, backend: str, model: SegmentationNetwork, folder: Path) -> str:
    """Return what `prepare` takes: ``source`` itself, or ``model`` exported into ``folder`` for the back-end.

    Raises:
        InputError: the network cannot be exported, or a package is missing.
    """
    program, _, precision = backend.partition("-")
    if program not in _FILES:
        return source
    number = len(list(folder.iterdir()))
    target = folder / str(number) / f"model{_FILES[program]}"
    if precision != "int8":
        return str(export(model, target)["file"])
    with tempfile.TemporaryDirectory() as scenes:
        for i in range(_SCENES):
            write_image(Image.fromarray(draw_scene(i, _SCENE)[0]), Path(scenes) / f"{i}.png")
        return str(export(model, target, int8=True, calibration=scenes)["file"])


def prepare(source: str, backend: str, threads: int, model: SegmentationNetwork | None = None) -> Runtime:
    """Return ``source`` ready to run on the CPU.

    Args:
        source: what `build` takes, or an exported file.
        backend: one of `BACKENDS`; an exported file is run by what it was made for.
        threads: of the CPU. With PyTorch it holds for the whole process.
        model: what `build` gave for ``source``, to save building it again; its weights are put channels last.

    Raises:
        InputError: as `build`, `open_runtime` and `fuse` do.
    """
    if is_exported(source):
        return open_runtime(source, None, "cpu", "bf16" if backend.endswith("-bf16") else "fp32", threads)
    model = build(source) if model is None else model
    return open_runtime(fuse(model, **_FUSED[backend]) if backend in _FUSED else model, None, "cpu", "fp32", threads)


def images_for(runtime: Runtime, batch: int, size: tuple[int, int]) -> Tensor:
    """Seeded noise as the graph takes it: (batch, C, H, W), normalized float32, or uint8 for a ``raw`` graph."""
    config = runtime.config
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (batch, config.in_channels, *size), np.uint8))
    return pixels if runtime.raw else normalize(pixels, config.mean, config.std).contiguous()
