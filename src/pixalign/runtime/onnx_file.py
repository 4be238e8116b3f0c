"""ONNX Runtime as back-end of an exported FILE.onnx."""

from pathlib import Path

import torch
from torch import Tensor

from pixalign.errors import InputError
from pixalign.runtime.exported import check_shapes, exported, failed, missing
from pixalign.runtime.manifest import MANIFEST, read_manifest
from pixalign.runtime.runtime import Runtime
from pixalign.text import first_line


def open_onnx(path: Path, device: str | None, precision: str, threads: int | None) -> Runtime:
    """`open_runtime` for a file; a device of None is CUDA where this ONNX Runtime has it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing(path, "ONNX Runtime") from error
    if precision != "fp32":
        raise InputError(f"{path}: precision {precision} is not supported by ONNX Runtime: use fp32")
    offered = onnxruntime.get_available_providers()
    if device not in (None, "cpu", "cuda"):
        raise InputError(f"{path}: device {device} is not supported by ONNX Runtime: use cpu or cuda")
    if device == "cuda" and "CUDAExecutionProvider" not in offered:
        raise InputError(f"{path}: this ONNX Runtime has no CUDA: pip install onnxruntime-gpu, or use cpu")
    providers = ["CPUExecutionProvider"]
    if device != "cpu" and "CUDAExecutionProvider" in offered:
        providers.insert(0, "CUDAExecutionProvider")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its errors have no common class
        raise InputError(
            f"{path}: cannot be read as ONNX by ONNX Runtime {onnxruntime.__version__} ({first_line(error)}): "
            "export the model again"
        ) from error
    config = read_manifest(path, session.get_modelmeta().custom_metadata_map.get(MANIFEST))
    inputs, outputs = session.get_inputs(), session.get_outputs()
    check_shapes(path, config, [x.shape for x in inputs], [x.shape for x in outputs])

    def run(images: Tensor) -> Tensor:
        try:
            (found,) = session.run(None, {inputs[0].name: images.cpu().contiguous().numpy()})
        except Exception as error:
            raise failed(path, images, error) from error
        return torch.from_numpy(found)

    return exported(path, "onnxruntime", config, run)
