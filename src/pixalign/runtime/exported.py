"""What the back-ends of exported files share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixalign.errors import InputError
from pixalign.models.network import NetworkConfig
from pixalign.runtime.runtime import Runtime
from pixalign.text import first_line


def exported(
    path: Path, backend: str, known: dict[str, Any], run: Callable[[Tensor], Tensor], precision: str = "fp32"
) -> Runtime:
    """The runtime of a file, as its manifest describes it."""
    raw, labels = known["input"] == "uint8", known["output"] == "labels"
    config, device = NetworkConfig.from_json(known), torch.device("cpu")
    return Runtime(str(path), backend, config, device, run, precision, raw, labels)


def check_shapes(path: Path, known: dict[str, Any], inputs: list[list[Any]], outputs: list[list[Any]]) -> None:
    """Raise InputError unless the graph has one image in, and one map of logits or labels out, as its manifest says."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, where one of each is expected: "
            "export the network without its auxiliary heads"
        )
    channels, classes = known["arguments"]["in_channels"], len(known["classes"])
    rank = 3 if known["output"] == "labels" else 4
    for what, shape, size, expected in (("input", inputs[0], 4, channels), ("output", outputs[0], rank, classes)):
        if len(shape) != size or (size == 4 and isinstance(shape[1], int) and shape[1] != expected):
            raise InputError(
                f"{path}: its {what} has the shape {shape}, which does not fit the {channels} channels and {classes} "
                f"classes ({known['output']}) of its description: export the model again, or correct the description"
            )


def missing(path: Path, backend: str) -> InputError:
    """The error of a package that is not installed."""
    return InputError(f"{path}: is run by {backend}, which is not installed: pip install 'pixalign[export]'")


def failed(path: Path, images: Tensor, error: Exception) -> InputError:
    """The error of a call."""
    return InputError(
        f"{path}: fails on images of shape {tuple(images.shape)} ({first_line(error)}): "
        "give fewer or smaller ones, of at least 32 x 32, or export the model again"
    )
