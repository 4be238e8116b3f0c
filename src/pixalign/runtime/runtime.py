"""One call over three back-ends.

A `Runtime` takes images and gives logits, or labels where the graph ends in them. It has the attributes that prediction
and evaluation read of a network (``config``), and says where its tensors live (``device``).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pixalign.data.transforms import normalize
from pixalign.errors import InputError
from pixalign.runtime.cuda_graphs import CudaGraphs
from pixalign.runtime.manifest import MANIFEST, read_manifest
from pixalign.runtime.network import ready
from pixalign.text import first_line
from pixalign.weights import load

EXPORTED = {".onnx": "ONNX Runtime", ".xml": "OpenVINO"}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


@dataclass
class Runtime:
    """A network and what runs it.

    Attributes:
        source: what it was loaded from, for messages.
        backend: "PyTorch", "ONNX Runtime" or "OpenVINO".
        config: what is known about the network: classes, colors, mean, std, arguments (num_classes, in_channels, ...).
        raw: the graph itself takes uint8 images and normalizes them.
        labels: the graph gives class ids in place of logits.
        device: where images should be and logits are.
        run: the graph alone: its input to its output, tensors on ``device``.
        precision: what it computes in, a key of `PRECISIONS`.
        network: what PyTorch runs; None for an exported file.
    """

    source: str
    backend: str
    config: dict[str, Any]
    raw: bool
    labels: bool
    device: torch.device
    run: Callable[[Tensor], Tensor]
    precision: str = "fp32"
    network: nn.Module | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Run the network.

        Args:
            images: (N, C, H, W) of values 0 to 255, uint8 or float (a ``raw`` graph gets them rounded).

        Returns:
            Logits (N, K, H, W), float32 unless a lower precision was asked for; labels (N, H, W) uint8 if ``labels``.

        Raises:
            InputError: images of another form, or on which the back-end fails.
        """
        channels = self.config["arguments"]["in_channels"]
        if images.ndim != 4 or images.shape[1] != channels:
            raise InputError(
                f"{self.source}: images of shape {tuple(images.shape)}: (N, {channels}, H, W) is what it takes"
            )
        if not self.raw:
            return self.run(normalize(images, self.config["mean"], self.config["std"]))
        return self.run(images if images.dtype == torch.uint8 else images.round().clamp(0, 255).to(torch.uint8))

    def ids(self, images: Tensor) -> Tensor:
        """Class ids (N, H, W) uint8 of images as in a call, whatever the graph ends in."""
        found = self(images)
        return found if self.labels else found.argmax(1).to(torch.uint8)

    def fingerprint(self) -> str:
        """64 hexadecimal digits of the weights of a network or an exported file, and of the precision."""
        digest = hashlib.sha256(b"" if self.precision == "fp32" else self.precision.encode())
        if self.network is not None:
            hash_weights(self.network, digest)
            return digest.hexdigest()
        for path in (Path(self.source), Path(self.source).with_suffix(".bin")):
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def need_logits(self, purpose: str) -> None:
        """Raise InputError if the graph ends in labels; ``purpose`` ("blending tiles", say) is what needs logits."""
        if self.labels:
            raise InputError(f"{self.source}: gives labels, and {purpose} needs logits: export it without --labels")


def hash_weights(network: nn.Module, digest: Any) -> None:
    """Add the names and values of a network's weights and buffers to a hash of hashlib."""
    for name, tensor in network.state_dict(keep_vars=True).items():  # a fused one gives no others
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def is_exported(source: Any) -> bool:
    """Whether ``source`` names an exported file that `load_runtime` hands to ONNX Runtime or OpenVINO."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in (*EXPORTED, ".pt2")


def pick_device(device: str | None = None) -> torch.device:
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


def load_runtime(
    source: nn.Module | str | Path,
    device: str | None = None,
    precision: str = "fp32",
    threads: int | None = None,
    cuda_graphs: bool = False,
) -> Runtime:
    """Make a network ready to run.

    Args:
        source: a network with ``config`` (left as it is: `pixalign.runtime.network`); FILE.onnx, run by ONNX Runtime;
            FILE.xml, run by OpenVINO on the CPU; or what `pixalign.load` takes.
        device: cpu or cuda; None or "auto" takes CUDA where the back-end has it.
        precision: fp32; bf16 or fp16 with PyTorch (autocast) and OpenVINO (whose own default is bf16 on CPUs that have
            it: 3e-2 from the float32 logits in place of 1e-5).
        threads: of the CPU; None leaves it to the back-end. With PyTorch it holds for the whole process.
        cuda_graphs: with PyTorch on a GPU, record the network once for each shape of images and repeat the recording
            (`pixalign.runtime.cuda_graphs`): for images of few sizes. Weights must not be moved afterwards.

    Raises:
        InputError: no such file, a broken one, one that does not say what it is, a back-end that is not installed, a
            device or precision that it does not have, CUDA graphs elsewhere than with PyTorch on a GPU.
    """
    device = None if device == "auto" else device
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: give 1 or more")
    if not is_exported(source):
        return _torch(source, device, precision, threads, cuda_graphs)
    path = Path(source)  # type: ignore[arg-type]
    if cuda_graphs:
        raise InputError(f"{path}: cuda_graphs are PyTorch's: leave them out, or give the model folder")
    if path.suffix.lower() == ".pt2":
        raise InputError(
            f"{path}: a .pt2 program is for torch.export.load in a program of your own: "
            "give pixalign the model, its .onnx or its .xml"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    load_file = _onnx if path.suffix.lower() == ".onnx" else _openvino
    return load_file(path, device, precision, threads)


def _torch(
    source: nn.Module | str | Path, device: str | None, precision: str, threads: int | None, cuda_graphs: bool
) -> Runtime:
    place = pick_device(device)
    if cuda_graphs and place.type != "cuda":
        raise InputError(f"cuda_graphs need a GPU, and the device is {place}: leave them out")
    model = ready(source if isinstance(source, nn.Module) else load(source, place), place)
    if threads:
        torch.set_num_threads(threads)
    name = type(source).__name__ if isinstance(source, nn.Module) else str(source)
    config: Any = model.config
    dtype, lower = PRECISIONS[precision], precision != "fp32"
    cached = not cuda_graphs  # a graph may not read a cast of the weights that lives outside of it

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(place.type, dtype, lower, cached):
            return model(images)

    call = CudaGraphs(run, name) if cuda_graphs else run

    def placed(images: Tensor) -> Tensor:
        return call(images.to(place, memory_format=torch.channels_last))

    return Runtime(name, "PyTorch", config, False, False, place, placed, precision, model)


def _onnx(path: Path, device: str | None, precision: str, threads: int | None) -> Runtime:
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(path, "ONNX Runtime") from error
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
    _check_shapes(path, config, [x.shape for x in inputs], [x.shape for x in outputs])

    def run(images: Tensor) -> Tensor:
        try:
            (found,) = session.run(None, {inputs[0].name: images.cpu().contiguous().numpy()})
        except Exception as error:
            raise _failed(path, images, error) from error
        return torch.from_numpy(found)

    return _exported(path, config, run)


def _openvino(path: Path, device: str | None, precision: str, threads: int | None) -> Runtime:
    try:
        import openvino
    except ImportError as error:
        raise _missing(path, "OpenVINO") from error
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
    _check_shapes(path, config, *shapes)
    try:
        compiled = core.compile_model(model, "CPU", options)
    except Exception as error:
        raise InputError(
            f"{path}: OpenVINO cannot run it with precision {precision} on this CPU ({first_line(error)}): use fp32"
        ) from error

    def run(images: Tensor) -> Tensor:
        try:
            found = compiled([images.cpu().contiguous().numpy()])[0]
        except Exception as error:
            raise _failed(path, images, error) from error
        return torch.from_numpy(found.copy())  # the next call writes to the same memory

    return _exported(path, config, run, precision)


def _exported(path: Path, config: dict[str, Any], run: Callable[[Tensor], Tensor], precision: str = "fp32") -> Runtime:
    raw, labels = config["input"] == "uint8", config["output"] == "labels"
    return Runtime(str(path), EXPORTED[path.suffix.lower()], config, raw, labels, torch.device("cpu"), run, precision)


def _check_shapes(path: Path, config: dict[str, Any], inputs: list[list[Any]], outputs: list[list[Any]]) -> None:
    """Raise InputError unless the graph has one image in, and one map of logits or labels out, as its manifest says."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, where one of each is expected: "
            "export the network without its auxiliary heads"
        )
    channels, classes = config["arguments"]["in_channels"], len(config["classes"])
    rank = 3 if config["output"] == "labels" else 4
    for what, shape, size, expected in (("input", inputs[0], 4, channels), ("output", outputs[0], rank, classes)):
        if len(shape) != size or (size == 4 and isinstance(shape[1], int) and shape[1] != expected):
            raise InputError(
                f"{path}: its {what} has the shape {shape}, which does not fit the {channels} channels and {classes} "
                f"classes ({config['output']}) of its description: export the model again, or correct the description"
            )


def _missing(path: Path, backend: str) -> InputError:
    return InputError(f"{path}: is run by {backend}, which is not installed: pip install 'pixalign[export]'")


def _failed(path: Path, images: Tensor, error: Exception) -> InputError:
    return InputError(
        f"{path}: fails on images of shape {tuple(images.shape)} ({first_line(error)}): "
        "give fewer or smaller ones, of at least 32 x 32, or export the model again"
    )
