"""What several processes must do together to compute what one would with the batch of all.

The statistics of batch norm are those of the whole batch, and a loss is a mean over the labelled pixels of the whole
batch, so a process whose crops hold no label neither waits nor counts.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn


def synchronise_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Let the batch norms of ``model`` take their statistics over all processes.

    On a GPU they become torch's SyncBatchNorm, which has no CPU form; on a CPU they get one of the same definition.
    Names and state stay.
    """
    if device.type == "cuda":
        return convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, BatchNormAct2d):
            module.__class__ = _GlobalBatchNormAct
        elif type(module) is nn.BatchNorm2d:
            module.__class__ = _GlobalBatchNorm
    return model


def mean_over_processes() -> Callable[[Tensor], Tensor] | None:
    """Return a function that gives the mean of a tensor over all processes, None in a single one."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return None

    return lambda x: _MeanOverProcesses.apply(x.detach())


class _MeanOverProcesses(torch.autograd.Function):
    """The mean of a tensor over all processes; each one's gradient is the mean of all gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    backward = staticmethod(lambda ctx, gradient: _MeanOverProcesses.forward(ctx, gradient))


class _GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over all processes, each with the same number of values."""

    def forward(self, x: Tensor) -> Tensor:
        return _normalise(self, x)


class _GlobalBatchNormAct(BatchNormAct2d):
    """The same with timm's dropout and activation after it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(_normalise(self, x)))


def _normalise(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalise x (N, C, H, W), in training by mean and variance over the values of all processes."""
    if not norm.training:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    values = x.float()
    mean = _MeanOverProcesses.apply(values.mean((0, 2, 3)))  # (C,)
    centred = values - mean.view(1, -1, 1, 1)
    variance = _MeanOverProcesses.apply(centred.square().mean((0, 2, 3)))
    if norm.track_running_stats and norm.momentum is not None:
        count = x.numel() / x.shape[1] * dist.get_world_size()
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)  # type: ignore[union-attr]
            norm.running_var.lerp_(variance * count / max(1, count - 1), norm.momentum)  # type: ignore[union-attr]
            norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
    result = centred * (variance + norm.eps).rsqrt().view(1, -1, 1, 1)
    if norm.affine:
        result = torch.addcmul(norm.bias.view(1, -1, 1, 1), result, norm.weight.view(1, -1, 1, 1))
    return result.to(x.dtype)
