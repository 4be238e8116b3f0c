"""A device without float64, such as Apple's MPS, on any machine."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class NoFloat64(TorchDispatchMode):
    """Within the context, an operation that reads or makes a tensor of 64-bit floats fails, as on such a device.

    What runs on the host beside the network must do without them too, which is stricter than such a machine is: use it
    around what runs on the device.
    """

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for x in tree_leaves((args, kwargs, made)):
            if isinstance(x, torch.Tensor) and x.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{function} with a tensor of {x.dtype}, which this device does not have")
        return made
