"""The networks by name, ours and those of other packages."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import timm

from pixalign.encoders.packaged import weights_source
from pixalign.errors import InputError
from pixalign.models.aligned_fpn import AlignedFPN
from pixalign.models.alignseg import AlignSeg
from pixalign.models.bialignnet import BiAlignNet
from pixalign.models.ifa import IFA
from pixalign.models.network import NetworkConfig, SegmentationNetwork
from pixalign.models.sfnet_lite import SFNetLite
from pixalign.models.smp_adapter import peer
from pixalign.palette import default_classes, default_colors
from pixalign.sampling import check_convention

MODELS: dict[str, Callable[..., SegmentationNetwork]] = {
    "aligned_fpn": AlignedFPN,
    "alignseg": AlignSeg,
    "bialignnet": BiAlignNet,
    "ddsm": partial(AlignedFPN, aligner="dynamic_dual", channels=144),  # the square next to SFNet's 128
    "ifa": IFA,
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
) -> SegmentationNetwork:
    """Build a network.

    Args:
        name: one of `list_models`, or smp/ARCHITECTURE or hf/segformer-b0 to b5 (`pixalign.models.smp_adapter`).
        encoder: a timm model name (`pixalign.list_encoders`).
        num_classes: number of classes K, from 1 to 255 (255 is the ignored label).
        pretrained: True loads ImageNet weights of the encoder, from a package (`pixalign encoders --pretrained`) or
            timm's hub; a path a .safetensors file of them. ``model.config.encoder_weights`` says which.
        in_channels: channels of the image.
        options: arguments of the network's constructor, such as ``aligner``, ``channels`` or ``encoder_options``.

    Returns:
        The network in training mode; ``model.config`` describes it.

    Raises:
        InputError: an unknown name, encoder or option.
    """
    constructor = MODELS.get(name) or peer(name)
    if constructor is None:
        known = ", ".join(list_models())
        raise InputError(f"model {name!r} is unknown: choose one of {known}, smp/ARCHITECTURE or hf/segformer-b0 to b5")
    if not 1 <= num_classes <= 255:
        raise InputError(f"num_classes is {num_classes}: it must lie between 1 and 255 (255 is the ignored label)")
    fixed = {"self", "encoder", "num_classes", "pretrained", "in_channels"}
    fixed |= {"aligner"} & set(getattr(constructor, "keywords", {}))  # what a preset is; the rest are its defaults
    parameters = inspect.signature(constructor).parameters.values()
    allowed = [p.name for p in parameters if p.name not in fixed]
    for option in options:
        if option not in allowed and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            raise InputError(f"model.options: {name} has no option {option!r}: choose from {', '.join(allowed)}")
    for option in options.get("encoder_options") or {}:
        if option in ("name", "pretrained", "in_channels", "levels", "half"):
            raise InputError(f"model.options.encoder_options: {option!r} is set by the model: leave it out here")
    try:
        check_convention(options.get("convention", "pixel"))
    except ValueError as error:
        raise InputError(f"model.options: {error}") from error
    model = constructor(
        encoder=encoder, num_classes=num_classes, pretrained=pretrained, in_channels=in_channels, **options
    )
    mean, std = model.normalization()
    arguments = {"num_classes": num_classes, "in_channels": in_channels, **options}
    model.config = NetworkConfig(
        architecture=name,
        arguments={"encoder": getattr(model, "encoder_name", encoder), **arguments},
        timm=timm.__version__,
        classes=default_classes(num_classes),
        colors=default_colors(num_classes),
        mean=list(mean),
        std=list(std),
        encoder_weights=weights_source(encoder, pretrained) if pretrained else None,
    )
    return model
