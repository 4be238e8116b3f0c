"""Small networks with seeded random weights and norm statistics, whose flows move features by more than a pixel."""

import inspect
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from pixalign import create_model, list_models
from pixalign.aligners import ALIGNERS
from pixalign.aligners.dynamic_dual import PACE
from pixalign.models import MODELS
from pixalign.models.ifa import IFA


def _variants(name: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """A registered network; one that takes any aligner, once with each."""
    constructor = MODELS[name]
    fixed = getattr(constructor, "keywords", {})
    if "aligner" in inspect.signature(constructor).parameters and "aligner" not in fixed:
        return {f"{name}-{aligner}": (name, {"aligner": aligner}) for aligner in sorted(ALIGNERS)}
    return {name: (name, {})}


# id: (name, options) of every registered network and aligner
NETWORKS = {key: variant for name in list_models() for key, variant in _variants(name).items()}

# networks of other packages, where these are installed
PEERS = [
    *(["smp/unet", "smp/pspnet"] if find_spec("segmentation_models_pytorch") else []),
    *(["hf/segformer-b0"] if find_spec("transformers") else []),
]
CLASSES = 5


def network(key: str, encoder: str = "test_resnet", randomize: bool = True, **options: Any) -> nn.Module:
    """The network ``key`` of `NETWORKS` or `PEERS`, `randomized` unless told otherwise, in evaluation mode.

    Ours have 36 channels, as DDSM needs a square; SegFormer has an encoder of its own.
    """
    name, own = NETWORKS.get(key, (key, {}))
    if key in NETWORKS:
        own = {"channels": 36, **own}
    if not key.startswith("hf/"):
        own = {"encoder": encoder, **own}
    model = create_model(name, **{"num_classes": CLASSES, **own, **options})
    return (randomized(model) if randomize else model).eval()


def two_level_ifa(**options: Any) -> nn.Module:
    """`network` "ifa" on two of the encoder's levels, each of which it asks alike: half of a graph to capture."""
    levels = {"encoder_options": {"levels": (0, 3)}, "auxiliary": False}
    return randomized(IFA("test_resnet", CLASSES, 36, **levels, **options)).eval()


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill convolutions, norms and norm statistics with seeded random numbers; those of flows with larger ones."""
    generator = torch.Generator().manual_seed(seed)
    for name, x in module.state_dict().items():
        if not x.is_floating_point():
            continue
        if name.endswith("running_var") or (x.dim() == 1 and name.endswith("weight")):
            x.copy_(0.5 + torch.rand(x.shape, generator=generator))
        elif x.dim() <= 1:
            x.copy_(0.1 * torch.randn(x.shape, generator=generator))
        else:
            gain = 6 / pace(name) if "make_flow" in name else 1
            x.copy_(torch.randn(x.shape, generator=generator) * gain / x[0].numel() ** 0.5)
    return module


def pace(name: str) -> float:
    """How far a predicted value of 1 displaces, in the flow's unit."""
    return PACE if ".spatial.make_flow" in f".{name}" or ".channel.make_flow" in f".{name}" else 1.0


def image(height: int, width: int, batch: int = 1, channels: int = 3) -> Tensor:
    """A seeded image (batch, channels, height, width), the same for the same arguments."""
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(height * 4099 + width))


def displacements(model: nn.Module, x: Tensor, summary: Callable[[Tensor], Tensor] = torch.max) -> list[float]:
    """Largest (or mean) displacement, in the flow's unit, of each flow that the model predicts for ``x``."""
    found: list[float] = []

    def note(factor: float, module: nn.Module, arguments: Any, flow: Tensor) -> None:
        found.append(factor * float(summary(flow.abs())))

    hooks = [
        module.register_forward_hook(partial(note, pace(name)))
        for name, module in model.named_modules()
        if name.endswith("make_flow")
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found
