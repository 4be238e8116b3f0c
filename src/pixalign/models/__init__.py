"""Networks by name: `create_model` builds one, `list_models` names them.

A network is a module with ``forward(image, heads=False)``, ``encode(image)`` and ``decode(features, size=None)``, and
an attribute ``config``, a dictionary of plain values that rebuilds it (`pixalign.weights.save` writes it).
"""

import inspect
from functools import partial
from typing import Any

import timm
from torch import nn

from pixalign.errors import InputError
from pixalign.models.aligned_fpn import AlignedFPN
from pixalign.models.sfnet_lite import SFNetLite
from pixalign.palette import default_classes, default_colours
from pixalign.sampling import check_convention

MODELS: dict[str, Any] = {
    "aligned_fpn": AlignedFPN,
    "sfnet": partial(AlignedFPN, aligner="flow"),
    "sfnet_lite": SFNetLite,
}


def list_models() -> list[str]:
    """Names that `create_model` takes, sorted."""
    return sorted(MODELS)


def create_model(
    name: str,
    *,
    encoder: str = "resnet18",
    num_classes: int = 19,
    pretrained: bool | str = False,
    in_channels: int = 3,
    **options: Any,
) -> nn.Module:
    """Build a network.

    Args:
        name: one of `list_models`.
        encoder: a timm model name (`pixalign.list_encoders`).
        num_classes: number of classes K, from 1 to 255 (255 is the ignored label).
        pretrained: True loads timm's encoder weights, a path a .safetensors file of them.
        in_channels: channels of the image.
        options: arguments of the network's constructor, such as ``aligner``, ``channels`` or ``encoder_options``.

    Returns:
        The network in training mode; ``model.config`` describes it.

    Raises:
        InputError: an unknown name, encoder or option.
    """
    if name not in MODELS:
        raise InputError(f"model {name!r} is unknown: choose one of {', '.join(list_models())}")
    if not 1 <= num_classes <= 255:
        raise InputError(f"num_classes is {num_classes}: it must lie between 1 and 255 (255 is the ignored label)")
    constructor = MODELS[name]
    fixed = set(getattr(constructor, "keywords", {})) | {"self", "encoder", "num_classes", "pretrained", "in_channels"}
    allowed = [p for p in inspect.signature(constructor).parameters if p not in fixed]
    for option in options:
        if option not in allowed:
            raise InputError(f"model.options: {name} has no option {option!r}: choose from {', '.join(allowed)}")
    for option in options.get("encoder_options") or {}:
        if option in ("name", "pretrained", "in_channels"):
            raise InputError(f"model.options.encoder_options: {option!r} is set by the model: leave it out here")
    try:
        check_convention(options.get("convention", "pixel"))
    except ValueError as error:
        raise InputError(f"model.options: {error}") from error
    model = constructor(
        encoder=encoder, num_classes=num_classes, pretrained=pretrained, in_channels=in_channels, **options
    )
    model.config = {
        "architecture": name,
        "arguments": {"encoder": encoder, "num_classes": num_classes, "in_channels": in_channels, **options},
        "timm": timm.__version__,
        "classes": default_classes(num_classes),
        "colours": default_colours(num_classes),
        "mean": list(model.encoder.mean),
        "std": list(model.encoder.std),
    }
    return model
