"""Graphs with 8-bit weights and activations, their ranges taken from calibration images.

ONNX: static quantization by ONNX Runtime in QDQ form, of convolutions and of products with constant weights, per output
channel. OpenVINO: post-training quantization by NNCF. In both these stay in float:

- the layers that say *where* features are sampled, with all arithmetic on positions: 8 bits over a width of 480 pixels
  are steps of 2 pixels;
- products of two computed matrices. One of the pooling to bins sums over an image, so its range grows with the image's
  size, and a range found at one size is far too wide at a smaller one.
"""

import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.data.folder import folder as folder_data
from pixalign.data.folder import splits
from pixalign.data.formats.recognize import recognize
from pixalign.data.images import find_images, read_image
from pixalign.data.normalization import normalize
from pixalign.errors import InputError, naming
from pixalign.exporting.graph import INPUT, save_onnx, save_openvino
from pixalign.limits import SMALLEST
from pixalign.metrics.confusion import confusion_matrix, summary
from pixalign.runtime import Runtime

MOST = 300  # images: ranges hardly change with more (NNCF's own default)
_SAMPLERS = {"GridSample", "GatherElements", "GatherND", "Gather"}  # their second input is where they read
_LAYERS = {"Conv", "ConvTranspose", "Gemm", "Convolution", "GroupConvolution", "MatMul"}
_SIZES = {"Shape", "ShapeOf"}  # numbers about features, not features


@dataclass
class Calibration:
    """Images, and their labels where there are some.

    Attributes:
        classes: names of the labels' classes; empty without labels.
        images: of each what to call it in a message, and a function that reads it: image (H, W, C) uint8 and labels
            (H, W) uint8 or None.
    """

    classes: list[str]
    images: list[tuple[str, Callable[[], tuple[np.ndarray, np.ndarray | None]]]]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for name, read in self.images:
            image, label = read()
            if min(image.shape[:2]) < SMALLEST:
                raise InputError(f"{name}: {image.shape[1]} x {image.shape[0]} pixels are too few to calibrate with")
            yield image, label

    def batches(self, prepare: Callable[[Tensor], Tensor]) -> Iterator[np.ndarray]:
        """What the graph takes for each image, a batch of one."""
        for image, _ in self:
            yield prepare(as_batch(image)).contiguous().numpy()


def as_batch(image: np.ndarray) -> Tensor:
    """An image (H, W, C) uint8 as a batch (1, C, H, W)."""
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def graph_input(config: dict[str, Any], raw: bool) -> Callable[[Tensor], Tensor]:
    """Return what turns images (N, C, H, W) uint8 into the graph's input."""
    return (lambda images: images) if raw else (lambda images: normalize(images, config["mean"], config["std"]))


def find_calibration(root: str | Path, channels: int) -> Calibration:
    """Find the calibration images in a folder; of more than `MOST`, as many evenly spread.

    Args:
        root: a folder of images (with sub-folders), or one of images and masks as `pixalign.data.folder` reads it, of
            which all splits are taken, with their labels.
        channels: of the images.

    Raises:
        InputError: no such folder, no image in it, or masks that do not go with the images.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder of calibration images: name one of a few dozen typical images")
    if recognize(root):
        parts = [folder_data(root, split, channels=channels) for split in splits(root) or ("train", "val")]
        pairs = _spread([(part, i) for part in parts for i in range(len(part))])
        return Calibration(parts[0].classes, [(part.where(i), partial(part.__getitem__, i)) for part, i in pairs])
    files = _spread([*find_images([root])])
    return Calibration([], [(str(file), partial(_unlabeled, file, channels)) for file in files])


def _unlabeled(file: Path, channels: int) -> tuple[np.ndarray, None]:
    return read_image(file, channels=channels), None


def quantize_onnx(source: Path, target: Path, inputs: Iterable[np.ndarray], manifest: str) -> list[str]:
    """Write the int8 form of an ONNX file; return the names of the layers that stay in float."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(inputs)

        def get_next(self) -> Any:
            x = next(self.rest, None)
            return None if x is None else {INPUT: x}

    kept, products = _float_nodes_onnx(onnx.load_model(source).graph)
    with _quiet():
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept + products,
        )
    save_onnx(onnx.load_model(target), target, manifest)
    return kept


def quantize_openvino(source: Path, target: Path, inputs: Iterable[np.ndarray], manifest: str) -> list[str]:
    """Write the int8 form of an OpenVINO file; return the names of the layers that stay in float."""
    os.environ.setdefault("NNCF_CI", "1")  # or NNCF would report its use to its makers, unasked
    import nncf
    import openvino

    model = openvino.Core().read_model(source)
    kept, ignored = _float_nodes_openvino(model)
    with _quiet():
        quantized = nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=MOST,
            ignored_scope=nncf.IgnoredScope(names=ignored, types=["GridSample"], validate=False),
        )
    save_openvino(quantized, target, manifest)
    return kept


def agreement(exact: Runtime, quantized: Runtime, calibration: Calibration) -> dict[str, Any]:
    """Compare an int8 graph with its float form on the calibration images.

    Returns:
        ``images``; ``labels_equal``, the share of pixels (0 to 1) with the same label; ``labels_equal_half``, that
        share with the images at half their size, which shows ranges that hold for one size only; with masks also
        ``miou`` and ``miou_float`` (0 to 1), at full size.
    """
    equal, pixels = np.zeros(2, np.int64), np.zeros(2, np.int64)
    count = len(calibration.classes)
    matrices = np.zeros((2, count, count), np.int64)
    for (image, label), (name, _) in zip(calibration, calibration.images):
        whole = as_batch(image)
        for i, batch in enumerate((whole, _halved(whole))):
            ids = [runtime.ids(batch)[0].numpy() for runtime in (exact, quantized)]
            equal[i] += (ids[0] == ids[1]).sum()
            pixels[i] += ids[0].size
            if i or label is None:
                continue
            with naming(name):
                matrices += [confusion_matrix(found, label, count) for found in ids]
    shares = (equal / pixels).tolist()
    result: dict[str, Any] = {
        "images": len(calibration.images),
        "labels_equal": shares[0],
        "labels_equal_half": shares[1],
    }
    if count:
        exact_miou, miou = (summary(matrix, calibration.classes)["miou"] for matrix in matrices)
        result |= {"miou": miou, "miou_float": exact_miou}
    return result


def _halved(images: Tensor) -> Tensor:
    """Images (N, C, H, W) uint8 at half their size, of at least 32 x 32."""
    size = [max(SMALLEST, side // 2) for side in images.shape[-2:]]
    halved = F.interpolate(images.float(), size=size, mode="bilinear", antialias=True)
    return halved.round().clamp(0, 255).to(torch.uint8)


def _float_nodes_onnx(graph: Any) -> tuple[list[str], list[str]]:
    """Names of the layers that predict where an ONNX graph samples, and of its products of two computed matrices."""
    producers = {name: node for node in graph.node for name in node.output if node.op_type != "Constant"}

    def parents(node: Any) -> list[Any]:
        return [producers[name] for name in node.input if name in producers]

    starts = [producers[n.input[1]] for n in graph.node if n.op_type in _SAMPLERS and n.input[1] in producers]
    found = _upstream(starts, parents, lambda n: n.op_type, lambda n: n.name)
    products = [n.name for n in graph.node if n.op_type == "MatMul" and len(parents(n)) == 2]
    return [n.name for n in found if n.op_type in _LAYERS], products


def _float_nodes_openvino(model: Any) -> tuple[list[str], list[str]]:
    """The layers that predict where an OpenVINO graph samples; and all that NNCF is to leave alone, these included."""

    def parents(node: Any) -> list[Any]:
        above = [value.get_node() for value in node.input_values()]
        return [node for node in above if node.get_type_name() != "Constant"]

    nodes = model.get_ordered_ops()
    starts = [parent for n in nodes if n.get_type_name() in _SAMPLERS for parent in parents(n)[1:2]]
    found = _upstream(starts, parents, lambda n: n.get_type_name(), lambda n: n.get_friendly_name())
    products = [n for n in nodes if n.get_type_name() == "MatMul" and len(parents(n)) == 2]
    layers = [n.get_friendly_name() for n in found if n.get_type_name() in _LAYERS]
    return layers, [n.get_friendly_name() for n in (*found, *products)]


def _upstream(
    starts: list[Any],
    parents: Callable[[Any], list[Any]],
    kind: Callable[[Any], str],
    name: Callable[[Any], str],
) -> list[Any]:
    """All nodes that ``starts`` are computed from, up to and with the nearest layers, which end the search."""
    found: dict[str, Any] = {}
    waiting = [*starts]
    while waiting:
        node = waiting.pop()
        if name(node) in found or kind(node) in _SIZES:
            continue
        found[name(node)] = node
        if kind(node) not in _LAYERS:
            waiting += parents(node)
    return [*found.values()]


def _spread(items: list[Any]) -> list[Any]:
    if len(items) <= MOST:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, MOST).round().astype(int)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress and the log lines, below errors, of the quantizers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
