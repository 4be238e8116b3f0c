"""The network as one graph for every batch and size, and what writes it."""

import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork
from pixalign.runtime import MANIFEST
from pixalign.text import first_line

OPSETS = range(18, 24)  # PyTorch's exporter begins at 18; ONNX Runtime 1.20 knows 21, TensorRT 10 knows 20
INPUT = "image"
_TRACED = (2, 128, 192)  # (N, H, W) that the graph is traced at, none of which appears in it
_MOST_BYTES = 2**31 - 1
_PACKAGES = {  # OpenVINO reads what is first written as ONNX
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "pt2": (),
}


class Graph(nn.Module):
    """A network with, by option, the normalization before it (``raw``) and the class ids after it (``labels``).

    Input (N, C, H, W): float32 that is normalized, or uint8 pixels with ``raw``. Output: logits (N, K, H, W) float32,
    or ids (N, H, W) uint8 with ``labels``.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: SegmentationNetwork, raw: bool, labels: bool) -> None:
        super().__init__()
        self.model = model
        self.raw = raw
        self.labels = labels
        mean, std = torch.tensor(model.config.mean), torch.tensor(model.config.std)
        self.register_buffer("scale", (1 / (255 * std)).view(-1, 1, 1))
        self.register_buffer("shift", (-mean / std).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits = self.model(image.float() * self.scale + self.shift if self.raw else image)
        return logits.argmax(1).to(torch.uint8) if self.labels else logits


def trace(graph: Graph) -> ExportedProgram:
    """Return the graph as torch.export captures it: batch, height and width dynamic.

    Raises:
        InputError: the network cannot be captured, or not for every size.
    """
    config = graph.model.config
    batch, height, width = _TRACED
    dtype = torch.uint8 if graph.raw else torch.float32
    image = torch.zeros(batch, config.in_channels, height, width, dtype=dtype)
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            return torch.export.export(graph, (image,), dynamic_shapes=(sizes,))
    except Exception as error:  # capturing runs all of the network and of the compiler
        name = f"{config.architecture} with the encoder {config.arguments.get('encoder')}"
        raise InputError(
            f"{name} cannot be exported for images of every size ({type(error).__name__}: {first_line(error)}): "
            "choose another encoder"
        ) from error


def write_onnx(program: ExportedProgram, path: Path, opset: int, output: str, manifest: str) -> None:
    """Write one ONNX file with the input ``image`` and an output of the given name; axes batch, height, width.

    Raises:
        InputError: ONNX lacks an operator, the opset cannot be had, or the weights exceed the 2 GB of an ONNX file.
    """
    if sum(x.numel() * x.element_size() for x in program.state_dict.values()) > _MOST_BYTES:
        raise InputError("export: the weights exceed the 2 GB that one ONNX file can hold: use format pt2")
    try:
        with warnings.catch_warnings(action="ignore"):
            exported = torch.onnx.export(
                program, opset_version=opset, dynamo=True, verbose=False, input_names=[INPUT], output_names=[output]
            )
    except Exception as error:  # an operator that ONNX lacks, mostly
        raise InputError(f"export: ONNX cannot express this network ({first_line(error)}): use format pt2") from error
    assert exported is not None
    model = exported.model_proto
    found = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if found != [opset]:
        raise InputError(f"export: opset {opset} cannot be had for this network ({found} came out): use 18")
    _name_axes(model.graph)
    save_onnx(model, path, manifest)


def save_onnx(model: Any, path: Path, manifest: str) -> None:
    """Write an ONNX model as one file that carries the manifest."""
    import onnx

    onnx.helper.set_model_props(model, {MANIFEST: manifest})
    onnx.save_model(model, path)


def save_openvino(model: Any, path: Path, manifest: str) -> None:
    """Write an OpenVINO model as FILE.xml, which carries the manifest, and FILE.bin, weights in float32."""
    import openvino

    model.set_rt_info(manifest, [MANIFEST])
    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise _unwritten(path, error) from error


def write_pt2(program: ExportedProgram, path: Path, manifest: str) -> None:
    """Write a torch.export archive that carries the manifest as the extra file ``pixalign.json``."""
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.export.save(program, path, extra_files={f"{MANIFEST}.json": manifest})
    except RuntimeError as error:
        raise _unwritten(path, error) from error


def require_packages(format: str, int8: bool) -> None:
    """Raise InputError if a package that the format needs is not installed."""
    for package in (*_PACKAGES[format], *["nncf"] * (int8 and format == "openvino")):
        if find_spec(package) is None:
            raise InputError(f"format {format}: {package} is not installed: pip install 'pixalign[export]'")


def _unwritten(path: Path, error: RuntimeError) -> InputError:
    return InputError(f"{path}: cannot be written ({first_line(error)}): free space or choose another place")


def _name_axes(graph: Any) -> None:
    """Call the dynamic axes batch, height and width wherever they appear, alone or in an expression."""
    (image,) = graph.input
    shape = image.type.tensor_type.shape.dim
    names = {shape[axis].dim_param: name for axis, name in ((0, "batch"), (2, "height"), (3, "width"))}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda found: names.get(found[0], found[0]), dim.dim_param)
