"""What a rewrite assumes of the modules that it takes apart: a module that is anything else keeps its own forward.

Programs replace norms (SyncBatchNorm, GroupNorm), activations and layers, put hooks and parametrizations on them; the
class of what holds them stays the same. So each rewrite asks of every layer whose weights it reads, or that it runs on
a part of a map, what that layer is.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

from pixalign.blocks import LevelFusion
from pixalign.fusing.convolution import NO_ACT, Act, Convolution, is_norm, is_plain

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)  # at inference
_ELEMENTWISE = (*NOTHING, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish, nn.ELU, nn.Tanh, nn.Sigmoid)


def untouched(module: nn.Module) -> bool:
    """Whether no hook, nor a forward put on an instance, lies on the module or below it, encoders left out."""
    return is_plain(module) and all(untouched(m) for name, m in module.named_children() if name != "encoder")


def convolves(module: Any, kernel: int, bias: bool | None = None, act: Act = NO_ACT) -> bool:
    """Whether a module is a convolution of this kernel, "same" zero padding, stride 1 and no groups, and ``act``.

    Args:
        module: any.
        kernel: the side.
        bias: whether it must have one; None: it may.
        act: what it does after; a convolution of PyTorch does nothing.
    """
    if type(module) not in (nn.Conv2d, Convolution) or getattr(module, "padding_mode", "zeros") != "zeros":
        return False
    layout = (module.weight.shape[-2:], module.stride, module.padding, module.dilation, module.groups)
    if layout != ((kernel, kernel), (1, 1), (kernel // 2, kernel // 2), (1, 1), 1):
        return False
    return getattr(module, "act", NO_ACT) == act and (bias is None or bias == (module.bias is not None))


def followed_by_nothing(layers: Any, kernel: int, act: Act) -> bool:
    """Whether layers in sequence are a `Convolution` as in `convolves`, its norm folded, and nothing besides."""
    if type(layers) not in (nn.Sequential, LevelFusion) or not len(layers):
        return False
    first, *others = layers
    return type(first) is Convolution and convolves(first, kernel, act=act) and are_nothing(others)


def are_nothing(modules: Iterable[nn.Module]) -> bool:
    """Whether modules do nothing at inference."""
    return all(type(m) in NOTHING for m in modules)


def pixelwise(module: Any) -> bool:
    """Whether what a module gives for a pixel depends on that pixel alone, so that it may be run on parts of a map."""
    if type(module) is nn.Sequential:
        return all(map(pixelwise, module))
    if type(module) in (nn.Conv2d, Convolution):
        return (module.weight.shape[-2:], module.stride, module.padding) == ((1, 1), (1, 1), (0, 0))
    return type(module) in _ELEMENTWISE or is_norm(module)


def leaky(module: Any, slope: float) -> bool:
    """Whether a module is a leaky ReLU of this slope."""
    return type(module) is nn.LeakyReLU and module.negative_slope == slope
