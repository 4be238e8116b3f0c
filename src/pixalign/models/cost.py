"""What a module costs: parameters, and arithmetic counted without doing it."""

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode


def cost(module: nn.Module, *sizes: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of parameters of ``module``, and of floating-point operations of one call in evaluation mode.

    A multiplication and an addition are two operations. Convolutions, matrix products and attention are counted; what
    works pixel by pixel (norms, resizing, warping) is not. Tensors have sizes and no values, so that even large inputs
    need neither memory nor time.

    Args:
        sizes: the shapes of the inputs, such as (1, 3, 512, 1024).
    """
    parameters = sum(x.numel() for x in module.parameters())
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
            inputs: list[Tensor] = [torch.empty(size) for size in sizes]
            module(*inputs)
    finally:
        for part in training:
            part.training = True
    return parameters, counter.get_total_flops()
