"""A network made ready for prediction, the caller's own left as it is."""

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork
from pixalign.text import first_line


def ready(model: SegmentationNetwork, device: torch.device | None = None) -> SegmentationNetwork:
    """The network in evaluation mode, with ``device`` also on that device and channels last.

    One that is so already is returned as it is, and sees what is done to its weights afterwards. Any other is copied,
    and stays as it was: the copy has the tensors that need no change in common with it, so that a network that only was
    in training mode takes no further memory. Of a network that is trained on, make it ready anew.

    Raises:
        InputError: it would have to be copied and cannot be.
    """
    known: dict[int, Any] = {id(x): _placed(x, device) for x in chain(model.parameters(), model.buffers())}
    same = all(id(x) == at for at, x in known.items())
    if same and not any(module.training for module in model.modules()):
        return model
    known[id(model.config)] = model.config
    try:
        copied = copy.deepcopy(model, known)
    except Exception as error:  # what hangs on a program's own network may raise anything
        remedy = "give it in evaluation mode" + (f", on {device} and in channels-last layout" if device else "")
        raise InputError(f"{type(model).__name__} cannot be copied ({first_line(error)}): {remedy}") from error
    return copied.eval()


def _placed(x: Tensor, device: torch.device | None) -> Tensor:
    """The tensor itself where it lies as it should, else one that does."""
    if device is None:
        return x
    there = x.device.type == device.type and device.index in (None, x.device.index)
    image_like = x.dim() == 4 and x.is_floating_point()
    if there and (not image_like or _is_channels_last(x)):
        return x
    moved = x.detach().to(device)
    if image_like:
        moved = torch.empty_like(moved, memory_format=torch.channels_last).copy_(moved)
    return nn.Parameter(moved, x.requires_grad) if isinstance(x, nn.Parameter) else moved


def _is_channels_last(x: Tensor) -> bool:
    """Whether the strides say so: those of a 1x1 kernel may say either, and its convolution's result follows them."""
    _, channels, height, width = x.shape
    return x.stride() == (height * width * channels, 1, width * channels, channels)
