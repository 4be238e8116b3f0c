"""From a network, its name or an exported file to a `Runtime`."""

from pathlib import Path

import torch
from torch import nn

from pixalign.errors import InputError
from pixalign.models.network import as_network
from pixalign.runtime.onnx_file import open_onnx
from pixalign.runtime.openvino_file import open_openvino
from pixalign.runtime.runtime import PRECISIONS, Runtime
from pixalign.weights import load

# name: what it is
BACKENDS = {
    "torch": "PyTorch",
    "fused": "PyTorch, fused",
    "cuda_graphs": "PyTorch, CUDA graphs",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}
EXPORTED = {".onnx": "onnxruntime", ".xml": "openvino"}
Source = nn.Module | Runtime | str | Path  # what stands for a network wherever a user names one


def open_runtime(
    source: Source,
    backend: str | None = None,
    device: str | torch.device | None = "auto",
    precision: str = "fp32",
    threads: int | None = None,
) -> Runtime:
    """Make a network ready to run.

    Args:
        source: a network, or a module of a program's own with a dictionary ``config`` (`pixalign.models.network`); what
            `pixalign.load` takes; an exported FILE.onnx or FILE.xml. A network is left as it is: unless it is in
            evaluation mode, on the device and channels last, a copy is run, as the network is now. A `Runtime` is
            returned as it is, whatever else is given.
        backend: None takes PyTorch for a network, and for an exported file what it was made for. "torch"; "fused", the
            network rewritten by `pixalign.fuse`; "cuda_graphs", PyTorch's kernels recorded once for each shape of
            images and then repeated (`pixalign.runtime.cuda_graphs`): on a GPU, for images of few sizes, with weights
            that are not moved afterwards; "onnxruntime"; "openvino".
        device: cpu or cuda; "auto" takes CUDA where the back-end has it; None leaves a network where it is, in its own
            memory layout.
        precision: fp32; bf16 or fp16 with PyTorch (autocast) and OpenVINO (whose own default is bf16 on CPUs that have
            it: 3e-2 from the float32 logits in place of 1e-5); with PyTorch "auto", bf16 where the device computes it.
        threads: of the CPU; None leaves it to the back-end. With PyTorch it holds for the whole process.

    Raises:
        InputError: no such file, a broken one, one that does not say what it is, a back-end that is not installed or is
            not the source's, a device or precision that it does not have, CUDA graphs elsewhere than on a GPU.
        FusingError: "fused" of a network that cannot be rewritten; it is an InputError.
    """
    if isinstance(source, Runtime):
        return source
    if precision not in (*PRECISIONS, "auto"):
        raise InputError(f"precision {precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
    if backend is not None and backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown: choose one of {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: give 1 or more")
    if not isinstance(source, nn.Module) and is_exported(source):
        return _open_file(Path(source), backend, device, precision, threads)
    if backend is not None and backend in EXPORTED.values():
        name = type(source).__name__ if isinstance(source, nn.Module) else source
        raise InputError(f"{name}: is run by PyTorch, not {BACKENDS[backend]}: export it, and give the file")
    place = None if device is None and isinstance(source, nn.Module) else pick_device(device)
    if isinstance(source, nn.Module):
        name, network = type(source).__name__, as_network(source)
    else:
        name, network = str(source), load(source, pick_device(device))
    from pixalign.runtime.pytorch import open_torch  # every network, and timm: exported files do without them

    return open_torch(network, name, backend or "torch", place, precision, threads)


def _open_file(
    path: Path, backend: str | None, device: str | torch.device | None, precision: str, threads: int | None
) -> Runtime:
    suffix = path.suffix.lower()
    if suffix == ".pt2":
        raise InputError(
            f"{path}: a .pt2 program is for torch.export.load in a program of your own: "
            "give pixalign the model, its .onnx or its .xml"
        )
    if backend not in (None, EXPORTED[suffix]):
        raise InputError(
            f"{path}: is run by {BACKENDS[EXPORTED[suffix]]}, not {BACKENDS[str(backend)]}: leave the back-end out, or "
            "give the model folder"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    name = None if device in (None, "auto") else str(device)
    precision = "fp32" if precision == "auto" else precision
    return (open_onnx if suffix == ".onnx" else open_openvino)(path, name, precision, threads)


def is_exported(source: str | Path) -> bool:
    """Whether ``source`` names an exported file, which `open_runtime` hands to ONNX Runtime or OpenVINO."""
    return Path(source).suffix.lower() in (*EXPORTED, ".pt2")


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Return the torch device for ``auto`` or None (CUDA if there) or by name; InputError if it is not there."""
    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(str(device))
    except RuntimeError as error:
        raise InputError(f"device {device!r} is unknown: use auto, cpu or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {device} but no CUDA device is there: use auto or cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {device} but there are {torch.cuda.device_count()}: give a lower number, from 0")
    return place
