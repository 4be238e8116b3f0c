"""A GPU with numbers where there is none: tensors that say they lie on it hold CPU tensors and compute on the CPU.

What must fail on a GPU fails here: an operation on tensors of two devices, and reading a tensor as an array without
``.cpu()``. autograd's engine has no such device, so a training step gets gradients of 1 in place of a backward pass.
"""

from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)  # take tensors of two devices
_PINNING = (torch.ops.aten.pin_memory.default, torch.ops.aten._pin_memory.default)


class OnGpu(Tensor):
    """A tensor on the GPU that is none; ``held`` has its numbers."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        made = Tensor._make_wrapper_subclass(
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, device="cuda:0"
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def _computed(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operation gives, on the device where a GPU would have it."""
    if function in _PINNING:
        return args[0]
    if _is_composite(function):
        with _Mode():  # inside, what it consists of comes by
            return function.decompose(*args, **kwargs)
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    ours = [x for x in tensors if isinstance(x, OnGpu)]
    if ours and function not in _MOVES and any(x.dim() > 0 and not isinstance(x, OnGpu) for x in tensors):
        raise RuntimeError(f"{function}: Expected all tensors to be on the same device, but found cuda:0 and cpu")
    device = kwargs.get("device")
    if function is torch.ops.aten.copy_.default:
        on_gpu = isinstance(args[0], OnGpu)
    else:
        on_gpu = torch.device(device).type == "cuda" if device is not None else bool(ours)
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, OnGpu) else x, (args, kwargs))
    made = function(*args, **kwargs)
    if not on_gpu:
        return made
    known = {id(x.held): x for x in ours}  # what is changed in place stays the same tensor
    return tree_map(lambda x: known[id(x)] if id(x) in known else OnGpu(x) if isinstance(x, Tensor) else x, made)


@cache
def _is_composite(function: Any) -> bool:
    """Whether an operation is made of others: in inference mode these come in whole."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd")


class _Mode(TorchDispatchMode):
    """Makes tensors on the GPU; torch takes it for fake tensors' mode, and so does not look for a driver."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


class _Generator(torch.Generator):
    def __new__(cls, device: Any = "cpu") -> "_Generator":
        return super().__new__(cls, "cpu")


def _backward(self: Accelerator, loss: Tensor) -> None:
    assert loss.device.type == "cuda"
    if self.scaler is not None:
        self.scaler.scale(loss)
    for model in self._models:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.ones_like(parameter)


@contextmanager
def fake_gpu(monkeypatch: Any):
    """There is one GPU, as long as the block lasts."""
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "is_bf16_supported": lambda **_: True,
        "get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": lambda *_: None,
        "manual_seed_all": lambda seed: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "Generator", _Generator)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(Accelerator, "backward", _backward)
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda") moves what it made by an operation
    torch._C._ensureCUDADeviceGuardSet()
    try:
        with torch.backends.cudnn.flags(enabled=False), _Mode():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_swap_module_params_on_conversion(before)
