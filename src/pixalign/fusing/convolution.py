"""Convolutions with what follows them in the same pass, and norms folded into their weights.

On a CPU, oneDNN computes a convolution, its bias, a map to be added and an activation in one pass over the output, and
writes a sum in place: that saves a new map per layer, which costs more than the arithmetic of the layer (fresh memory
is handed out page by page). PyTorch offers this to its compiler as ``torch.ops.mkldnn._convolution_pointwise``; where
the operator is absent, or a graph is being captured, the same is computed by common functions.

Which norm follows which convolution is found by running the model once: a norm is folded where its input is a
convolution's output that nothing else reads. That holds for any network, whatever its modules are called.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from pixalign.encoders.same_padding import EvenConv2d

Act = tuple[str, tuple[float, ...]]  # oneDNN's name of an activation, and its numbers
NO_ACT: Act = ("none", ())

_WIDE = 48  # channels from which on rows are summed: with fewer that is slower (benchmarks/rewrites.md)
_FEW = 20480  # numbers up to which torch itself leaves oneDNN out: bringing the weights into its order costs more
_FUNCTIONS: dict[str, Any] = {"relu": F.relu, "leaky_relu": F.leaky_relu, "swish": F.silu}


def quick(x: Tensor) -> bool:
    """Whether the forms for a CPU at inference may be used on ``x``: no graph, no gradient, float32 or bfloat16."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and not (x.requires_grad and torch.is_grad_enabled())
        and not torch.compiler.is_compiling()  # a graph must not depend on the values of sizes
    )


def summed(x: Tensor) -> bool:
    """Whether `quick` forms that sum rows are used on ``x`` (N, C, h, w): not on few channels.

    What to read is computed per pixel, whatever C is: for few channels, the operators that sample take less time.
    """
    return quick(x) and x.shape[1] >= _WIDE


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    act: Act = NO_ACT,
    onto: Tensor | None = None,
) -> Tensor:
    """Convolve x (N, C, h, w), add ``onto`` if it is given, apply ``act``.

    Args:
        x: features in any floating dtype; under autocast they are cast as autocast does.
        weight, bias, stride, padding, dilation, groups: as for `torch.nn.functional.conv2d`.
        act: the activation.
        onto: a map of the result's shape and dtype, which may be overwritten with the result.

    Returns:
        (N, D, H, W) in x's dtype, or autocast's.
    """
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    weight = weight.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype)
    name, numbers = act
    if quick(x) and x.numel() > _FEW and _has_fused(x.dtype):
        layout = (list(padding), list(stride), list(dilation), groups)
        operators = torch.ops.mkldnn
        if onto is None:
            return operators._convolution_pointwise(x, weight, bias, *layout, name, list(numbers), "")
        with_add = "relu" if name == "relu" else None  # no other activation goes with an addition
        result = operators._convolution_pointwise_.binary(
            onto, x, weight, bias, *layout, "add", 1.0, with_add, [], None
        )
        return result if name in ("none", "relu") else _FUNCTIONS[name](result, *numbers, inplace=True)
    result = F.conv2d(x, weight, bias, tuple(stride), tuple(padding), tuple(dilation), groups)
    if onto is not None:
        result = result + onto
    return result if name == "none" else _FUNCTIONS[name](result, *numbers)


def pointwise(weight: Tensor) -> Tensor:
    """A matrix (D, C) as the weight (D, C, 1, 1) of a 1x1 convolution."""
    return weight[:, :, None, None]


class Convolution(nn.Module):
    """A convolution with the norm and the activation that followed it; `convolve` does the work.

    Args:
        source: the convolution; "same" and "valid" as padding, and other paddings than zeros, are not taken
            (`can_replace`).
        norm: its batch norm, folded into weight and bias.
        act: its activation.
    """

    def __init__(self, source: nn.Conv2d, norm: nn.Module | None = None, act: Act = NO_ACT) -> None:
        super().__init__()
        self.weight: Tensor = source.weight
        self.bias: Tensor | None = source.bias
        if norm is not None:
            self.weight, self.bias = (nn.Parameter(x, False) for x in fold_norm(source, norm))
        self.stride, self.dilation, self.groups = source.stride, source.dilation, source.groups
        self.padding: Any = source.padding
        self.act = act

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """As `convolve`."""
        layout = (self.stride, self.padding, self.dilation, self.groups)
        return convolve(x, self.weight, self.bias, *layout, self.act, onto)

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, stride={self.stride}, padding={self.padding}, act={self.act[0]}"


def can_replace(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and not isinstance(module.padding, str) and module.padding_mode == "zeros"


def is_plain(module: nn.Module) -> bool:
    """Whether calling a module runs its class's ``forward`` and nothing more: no hooks, no forward of the instance."""
    hooks = (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks)
    return not any(hooks) and "forward" not in vars(module)


def is_norm(module: Any) -> bool:
    """Whether a module is a batch norm with fixed statistics: `scale_and_shift` says what it does."""
    return type(module) is nn.BatchNorm2d and module.running_mean is not None and not module.training


def fold_norm(source: nn.Conv2d, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm folded in."""
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    weight, bias = fuse_conv_bn_weights(source.weight, source.bias, *statistics)
    return weight.detach(), bias.detach()


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The (C,) numbers a, b with which norm(x) = a x + b in evaluation mode."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = torch.rsqrt(variance + norm.eps) * (1 if norm.weight is None else norm.weight)
    return scale.detach(), ((0 if norm.bias is None else norm.bias) - mean * scale).detach()


def fold(model: nn.Module, image: Tensor) -> int:
    """Replace the convolutions of ``model`` by `Convolution`, with the norms and activations that follow them.

    Args:
        model: a network in evaluation mode; it is changed in place.
        image: what it is run on to see which module reads what, (1, in_channels, H, W).

    Returns:
        The number of norms folded.
    """
    calls = _observe(model, image)
    norms = 0
    convolutions: list[Any] = [m for m in calls.of if type(m) in (nn.Conv2d, EvenConv2d) and is_plain(m)]
    for convolution in convolutions:
        norm = calls.reader(convolution, (nn.BatchNorm2d,))
        if norm is not None and not _can_fold(norm):
            norm = None
        follows = norm.act if isinstance(norm, BatchNormAct2d) else calls.reader(norm or convolution, (*_ACTIVATIONS,))
        if can_replace(convolution):
            act = _activation(follows)
            _put(model, convolution, Convolution(convolution, norm, act or NO_ACT))
            if act is not None:
                _put(model, follows, nn.Identity())
        elif norm is not None:
            convolution.weight, convolution.bias = (nn.Parameter(x, False) for x in fold_norm(convolution, norm))
        if norm is not None:
            _put(model, norm, nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity())
            norms += 1
    return norms


def _can_fold(norm: Any) -> bool:
    if type(norm) is BatchNormAct2d:
        return norm.running_mean is not None and not norm.training and all(map(is_plain, norm.modules()))
    return is_norm(norm) and is_plain(norm)


_ACTIVATIONS: dict[type, Any] = {
    nn.ReLU: lambda m: ("relu", ()),
    nn.LeakyReLU: lambda m: ("leaky_relu", (m.negative_slope,)),
    nn.SiLU: lambda m: ("swish", ()),
}


def _activation(module: nn.Module | None) -> Act | None:
    describe = _ACTIVATIONS.get(type(module))
    return describe(module) if describe and module is not None and is_plain(module) else None


def _has_fused(dtype: torch.dtype) -> bool:
    """Whether oneDNN's operators are there, and take this dtype on this processor: bfloat16 needs AVX-512."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_convolution_pointwise_"):
        return False
    return dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _put(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` in the place, or the places, of ``old``."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)


class _Calls(TorchFunctionMode):
    """Who made and who read each tensor; the tensors are kept, so that none takes another's identity."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: dict[int, int] = {}
        self.kept: list[Any] = []
        self.of: dict[nn.Module, list[tuple[Tensor, Tensor, int]]] = {}  # input, output, reads of the input before

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(x, Tensor) for x in tree_leaves(result)):
            for x in tree_leaves((args, kwargs)):
                if isinstance(x, Tensor):
                    self.reads[id(x)] = self.reads.get(id(x), 0) + 1
            self.kept.append((args, kwargs, result))
        return result

    def reader(self, maker: nn.Module, kinds: tuple[type, ...]) -> Any:
        """The module of one of ``kinds`` that alone reads what ``maker`` makes; both run once. None if there is none.

        An activation in place may be followed by more readers: they read its result.
        """
        if len(self.of[maker]) != 1:
            return None
        made = self.of[maker][0][1]
        for module, calls in self.of.items():
            if module is maker or not isinstance(module, kinds) or len(calls) != 1 or calls[0][0] is not made:
                continue
            alone = self.reads[id(made)] == 1 or (calls[0][1] is made and calls[0][2] == 0)
            return module if alone else None
        return None


def _observe(model: nn.Module, image: Tensor) -> _Calls:
    """Run ``model``, training heads included, and note what its convolutions, norms and activations read and make."""
    calls = _Calls()
    before: dict[nn.Module, int] = {}

    def note_input(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        before[module] = calls.reads.get(id(arguments[0]), 0)

    def note_output(module: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        calls.of.setdefault(module, []).append((arguments[0], result, before[module]))

    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.LeakyReLU | nn.SiLU):
            hooks += [module.register_forward_pre_hook(note_input), module.register_forward_hook(note_output)]
    with torch.no_grad(), calls:
        model(image, heads=True)
    for hook in hooks:
        hook.remove()
    return calls
