"""Where training starts from: the tensors of another model, and the parts of a network that are trained."""

import torch
from torch import Tensor, nn

from pixalign.errors import InputError
from pixalign.models import create_model
from pixalign.models.network import NetworkConfig, SegmentationNetwork
from pixalign.training.config import ModelConfig


def model_config(known: NetworkConfig) -> ModelConfig:
    """Describe a loaded model as the configuration of a network like it."""
    options = {k: v for k, v in known.arguments.items() if k not in ("encoder", "num_classes", "in_channels")}
    return ModelConfig(known.architecture, known.arguments["encoder"], False, known.in_channels, options)


def initialize(model: SegmentationNetwork, source: SegmentationNetwork) -> tuple[list[str], list[str]]:
    """Copy into ``model`` what fits of ``source``: tensors of the same name and shape.

    Tensors with rows per class (those whose first dimension grows with the number of classes) hold a block of rows for
    each class, one row or several. Blocks go by class name, so that classes which both know start from what is known
    about them, in whatever order.

    Args:
        model: the network to start, with its ``config.classes``.
        source: a loaded model.

    Returns:
        What stays as it was initialized, each with the reason: whole tensors, and classes whose rows are new.
    """
    ours, theirs = model.config.classes, source.config.classes
    known, target = source.state_dict(), model.state_dict()
    shared = [(i, theirs.index(name)) for i, name in enumerate(ours) if name in theirs]
    by_class = _class_tensors(model)
    left = []
    for name, tensor in target.items():
        rows = by_class.get(name)
        if name not in known:
            left.append(f"{name} {tuple(tensor.shape)}: not in the model to start from")
        elif name in by_class and ours != theirs:
            if rows is None:
                left.append(f"{name} {tuple(tensor.shape)}: depends on the classes, but has no rows for each")
            elif known[name].shape != (rows * len(theirs), *tensor.shape[1:]):
                left.append(f"{name} {tuple(tensor.shape)}: has shape {tuple(known[name].shape)} there")
            else:
                blocks, known_blocks = tensor.unflatten(0, (-1, rows)), known[name].unflatten(0, (-1, rows))
                for row, other in shared:
                    blocks[row] = known_blocks[other]
        elif tensor.shape == known[name].shape:
            tensor.copy_(known[name])
        else:
            left.append(f"{name} {tuple(tensor.shape)}: has shape {tuple(known[name].shape)} there")
    return left, [name for name in ours if name not in theirs]


def freeze(model: nn.Module, parts: str) -> list[nn.Module]:
    """Stop the gradients of the parts named, a comma between them; return their modules, to be kept in eval mode.

    Raises:
        InputError: a part that no parameter's name begins with, or nothing left to train.
    """
    names = [part.strip() for part in parts.split(",") if part.strip()]
    for part in names:
        found = [p for name, p in model.named_parameters() if begins_with(name, part)]
        if not found:
            raise InputError(f"freeze: no part {part!r} in the network: choose among {', '.join(_parts(model))}")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError(f"freeze is {parts!r}: nothing is left to train")
    return [module for name, module in model.named_modules() if any(begins_with(name, part) for part in names)]


def learning_rate_factor(name: str, parts: dict[str, float]) -> float:
    """The multiple of the learning rate for the parameter ``name``: that of the longest beginning in ``parts``."""
    fitting = [part for part in parts if begins_with(name, part)]
    return parts[max(fitting, key=len)] if fitting else 1.0


def check_parts(model: nn.Module, parts: dict[str, float]) -> None:
    """Raise InputError for a part that no parameter's name begins with."""
    for part in parts:
        if not any(begins_with(name, part) for name, _ in model.named_parameters()):
            raise InputError(
                f"optim.lr_parts: no part {part!r} in the network: choose among {', '.join(_parts(model))}"
            )


def begins_with(name: str, part: str) -> bool:
    """Whether a dotted name is ``part`` or lies in it."""
    return name == part or name.startswith(f"{part}.")


def _parts(model: nn.Module) -> list[str]:
    return list(dict.fromkeys(name.split(".")[0] for name, _ in model.named_parameters()))


def _class_tensors(model: SegmentationNetwork) -> dict[str, int | None]:
    """The tensors whose shape depends on the number of classes, told by building a network of one more.

    Returns:
        Name -> rows for each class, or None where not the first dimension, and nothing else, is as many times the
        number of classes in both networks.
    """
    count = len(model.config.classes)
    arguments = {**model.config.arguments, "num_classes": _another(count)}
    with torch.random.fork_rng(devices=[]):
        other: dict[str, Tensor] = create_model(model.config.architecture, **arguments).state_dict()
    found: dict[str, int | None] = {}
    for name, tensor in model.state_dict().items():
        if other[name].shape != tensor.shape:
            rows = tensor.shape[0] // count
            fits = tensor.shape[0] == rows * count and other[name].shape == (rows * _another(count), *tensor.shape[1:])
            found[name] = rows if fits else None
    return found


def _another(count: int) -> int:
    return count + 1 if count < 255 else count - 1
