"""Where training starts from: the tensors of another model, and the parts of a network that are trained."""

from collections.abc import Iterable

from torch import nn

from pixalign.errors import InputError
from pixalign.models.network import NetworkConfig, SegmentationNetwork
from pixalign.training.config import ModelConfig


def model_config(known: NetworkConfig) -> ModelConfig:
    """Describe a loaded model as the configuration of a network like it."""
    options = {k: v for k, v in known.arguments.items() if k not in ("encoder", "num_classes", "in_channels")}
    return ModelConfig(known.architecture, known.arguments["encoder"], False, known.in_channels, options)


def initialize(model: SegmentationNetwork, source: SegmentationNetwork) -> tuple[list[str], list[str]]:
    """Copy into ``model`` what fits of ``source``: tensors of the same name and shape.

    The layers that a network names as its `class_layers` hold a block of rows for each class, one row or several.
    Blocks go by class name, so that classes which both know start from what is known about them, in whatever order.

    Args:
        model: the network to start, with its ``config.classes``.
        source: a loaded model.

    Returns:
        What stays as it was initialized, each with the reason: whole tensors, and classes whose rows are new.
    """
    ours, theirs = model.config.classes, source.config.classes
    known = source.state_dict()
    shared = [(i, theirs.index(name)) for i, name in enumerate(ours) if name in theirs]
    layers = model.class_layers if ours != theirs else []
    modules = [(name, module) for name, module in model.named_modules() if module in layers]
    by_class = {f"{name}.{key}" for name, module in modules for key, _ in module.named_parameters()}
    left = []
    for name, tensor in model.state_dict().items():
        rows = len(tensor) // len(ours) if name in by_class else 0
        expected = (rows * len(theirs), *tensor.shape[1:]) if rows else tensor.shape
        if name not in known:
            left.append(f"{name} {tuple(tensor.shape)}: not in the model to start from")
        elif known[name].shape != expected:
            left.append(f"{name} {tuple(tensor.shape)}: has shape {tuple(known[name].shape)} there")
        elif rows:
            blocks, known_blocks = tensor.unflatten(0, (-1, rows)), known[name].unflatten(0, (-1, rows))
            for row, other in shared:
                blocks[row] = known_blocks[other]
        else:
            tensor.copy_(known[name])
    return left, [name for name in ours if name not in theirs]


def freeze(model: nn.Module, parts: str) -> list[nn.Module]:
    """Stop the gradients of the parts named, a comma between them; return their modules, to be kept in eval mode.

    Raises:
        InputError: a part that no parameter's name begins with, or nothing left to train.
    """
    names = [part.strip() for part in parts.split(",") if part.strip()]
    check_parts(model, names, "freeze")
    for name, parameter in model.named_parameters():
        if any(begins_with(name, part) for part in names):
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError(f"freeze is {parts!r}: nothing is left to train")
    return [module for name, module in model.named_modules() if any(begins_with(name, part) for part in names)]


def learning_rate_factor(name: str, parts: dict[str, float]) -> float:
    """The multiple of the learning rate for the parameter ``name``: that of the longest beginning in ``parts``."""
    fitting = [part for part in parts if begins_with(name, part)]
    return parts[max(fitting, key=len)] if fitting else 1.0


def check_parts(model: nn.Module, parts: Iterable[str], key: str = "optim.lr_parts") -> None:
    """Raise InputError, which begins with ``key``, for a part that no parameter's name begins with."""
    names = [name for name, _ in model.named_parameters()]
    for part in parts:
        if not any(begins_with(name, part) for name in names):
            there = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            raise InputError(f"{key}: no part {part!r} in the network: choose among {there}")


def begins_with(name: str, part: str) -> bool:
    """Whether a dotted name is ``part`` or lies in it."""
    return name == part or name.startswith(f"{part}.")
