"""What several processes must do together to compute what one would with the batch of all.

The statistics of batch norm are those of the whole batch, and a loss is a mean over the labeled pixels of the whole
batch, so a process whose crops hold no label neither waits nor counts.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn


def synchronize_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Let the batch norms of ``model`` take their statistics over all processes.

    On a GPU they become torch's SyncBatchNorm, which has no CPU form; on a CPU they get one of the same definition.
    Names and state stay: on a CPU the class alone is exchanged, so that whoever holds a norm or its tensors still does.
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
    """Return a function that gives the mean of a tensor over all processes, without gradient; None in a single one."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return None

    def mean(x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    return mean


class _GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over all processes, each with the same number of values."""

    def forward(self, x: Tensor) -> Tensor:
        return _normalize(self, x)


class _GlobalBatchNormAct(BatchNormAct2d):
    """The same with timm's dropout and activation after it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(_normalize(self, x)))


def _normalize(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalize x (N, C, H, W), in training by mean and variance over the values of all processes."""
    if not norm.training:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    weight = norm.weight if norm.affine else x.new_ones(norm.num_features, dtype=torch.float32)
    result, mean, variance = _GlobalNormalize.apply(x, weight, norm.bias, norm.eps)
    if norm.track_running_stats and norm.momentum is not None:
        count = x.numel() / x.shape[1] * dist.get_world_size()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * count / max(1, count - 1), norm.momentum)
        norm.num_batches_tracked.add_(1)
    return result


class _GlobalNormalize(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, in torch's kernels with one small exchange each way.

    Forward exchanges the processes' means and variances and joins them by the parallel form of the variance; backward
    exchanges the two sums over the values that a batch norm's gradient needs. Every process must have as many values.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        zeros = x.new_zeros(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))  # asks for float statistics
        own = torch.stack(torch.batch_norm_update_stats(x, zeros, zeros.clone(), 0.0))
        each = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(each, own)
        means, variances = torch.stack(each, 1)  # (processes, C)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, variance = ctx.saved_tensors
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )  # as if mean and variance were constants
        sums = torch.stack([of_weight, of_bias])
        dist.all_reduce(sums)
        over_weight, over_bias = sums / (x.numel() / x.shape[1] * dist.get_world_size())  # means over all values
        deviation = (variance + ctx.eps).rsqrt()
        slope = weight * deviation * deviation * over_weight
        offset = weight * deviation * over_bias - slope * mean
        of_x = torch.addcmul(of_x - offset.view(1, -1, 1, 1), x, slope.view(1, -1, 1, 1), value=-1)
        return of_x.to(x.dtype), of_weight, of_bias, None
