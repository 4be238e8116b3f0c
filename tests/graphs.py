"""Modules as graphs with dynamic sizes: exported by torch, and as ONNX in ONNX Runtime and OpenVINO."""

import io
from collections.abc import Callable, Sequence

import onnxruntime
import openvino
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram


def export(module: nn.Module, inputs: Sequence[Tensor], fixed: Sequence[int] = (1,)) -> ExportedProgram:
    """Export with every dimension of every input dynamic, except those in ``fixed`` (channels)."""
    sizes = [{d: Dim.DYNAMIC for d in range(x.dim()) if d not in fixed} for x in inputs]
    return torch.export.export(module, tuple(inputs), dynamic_shapes=tuple(sizes))


def onnx_runner(program: ExportedProgram) -> Callable[..., Tensor]:
    """The program as an opset 18 ONNX graph in ONNX Runtime: a function from tensors to its (one) output."""
    return onnx_runtime(onnx_file(program))


def onnx_file(program: ExportedProgram) -> bytes:
    """The program as an opset 18 ONNX graph."""
    file = io.BytesIO()
    torch.onnx.export(program, opset_version=18, dynamo=True, verbose=False).save(file)
    return file.getvalue()


def onnx_runtime(file: bytes) -> Callable[..., Tensor]:
    """An ONNX graph in ONNX Runtime."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> Tensor:
        feeds = {node.name: x.numpy() for node, x in zip(session.get_inputs(), inputs)}
        return torch.from_numpy(session.run(None, feeds)[0])

    return run


def openvino_runtime(file: bytes) -> Callable[[Tensor], Tensor]:
    """An ONNX graph of one input in OpenVINO, computed in float32."""
    core = openvino.Core()
    model = core.compile_model(core.read_model(file, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: torch.from_numpy(model([x.contiguous().numpy()], share_inputs=True)[0].copy())


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value."""
    assert got.shape == expected.shape
    return float((got - expected).detach().abs().max() / expected.detach().abs().max())
