"""OpenVINO as back-end of an exported FILE.xml, on a CPU."""

import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixalign.errors import InputError
from pixalign.runtime.exported import check_shapes, exported, failed, missing
from pixalign.runtime.manifest import MANIFEST, read_manifest
from pixalign.runtime.runtime import Runtime
from pixalign.text import first_line

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def open_openvino(path: Path, device: str | None, precision: str, threads: int | None) -> Runtime:
    """`open_runtime` for a file."""
    try:
        import openvino
    except ImportError as error:
        raise missing(path, "OpenVINO") from error
    if device not in (None, "cpu"):
        raise InputError(f"{path}: device {device} is not supported by OpenVINO here: use cpu")
    if not path.with_suffix(".bin").is_file():
        raise InputError(f"{path.with_suffix('.bin')}: no such file: {path.name} needs its weights beside it")
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        core = openvino.Core()
        model = core.read_model(path)
        embedded = model.get_rt_info([MANIFEST]).astype(str) if model.has_rt_info([MANIFEST]) else None
        shapes = [
            [[None if x.is_dynamic else x.get_length() for x in port.get_partial_shape()] for port in ports]
            for ports in (model.inputs, model.outputs)
        ]
    except Exception as error:  # RuntimeError mostly; a damaged file brings others
        raise InputError(
            f"{path}: cannot be read by OpenVINO {openvino.__version__} ({first_line(error)}): export the model again"
        ) from error
    config = read_manifest(path, embedded)
    check_shapes(path, config, *shapes)
    try:
        compiled = core.compile_model(model, "CPU", options)
    except Exception as error:
        raise InputError(
            f"{path}: OpenVINO cannot run it with precision {precision} on this CPU ({first_line(error)}): use fp32"
        ) from error

    requests = threading.local()  # a request has one place for its images

    def run(images: Tensor) -> Tensor:
        try:
            if not hasattr(requests, "own"):
                requests.own = compiled.create_infer_request()
            found = requests.own.infer([images.cpu().contiguous().numpy()], share_inputs=True)[0]
        except Exception as error:
            raise failed(path, images, error) from error
        return torch.from_numpy(found.copy())  # the next call writes to the same memory

    return exported(path, "openvino", config, run, precision)
