"""Cross-entropy over labeled pixels, and what every loss here shares: the ignored label and the shape check."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.palette import IGNORE
from pixalign.sampling import Size, gather_nearest


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the labeled pixels of the batch.

    sum over labeled pixels of weight[y] * -log softmax(logits)[y], divided by the sum of their weights: torch's own
    definition. Where that sum of weights is 0 (no labeled pixel), the loss is 0 and its gradient is 0 everywhere.

    Args:
        logits: (N, K, H, W), any float dtype and memory format; computed in float32, float64 is kept.
        target: (N, H, W) int64, ids 0..K-1, 255 is ignored.
        weight: (K,) weight of each class, 1 if not given.

    Returns:
        Scalar, at least 0, float32 (float64 for float64 logits).

    Raises:
        ValueError: shapes that do not go together, or a target that is not int64.
        IndexError: an id outside 0..K-1 that is not 255 (on CPU; CUDA reports it as a device assertion).
    """
    log_prob = log_probabilities(logits, target)
    return mean_over_labels(log_prob, target, weight) if has_labels(target, weight) else no_loss(logits)


def log_probabilities(logits: Tensor, target: Tensor) -> Tensor:
    """Return log softmax(logits) over the classes, at least in float32, once logits and target are known to fit."""
    if logits.ndim != 4 or target.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            f"logits {tuple(logits.shape)} and target {tuple(target.shape)} do not go together: "
            "expected (N, K, H, W) and (N, H, W)"
        )
    if target.dtype != torch.int64:
        raise ValueError(f"target has dtype {target.dtype}: expected torch.int64 class ids")
    return F.log_softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))


def has_labels(target: Tensor, weight: Tensor | None = None) -> bool:
    """Whether the target (N, H, W) has a labeled pixel whose class weighs more than 0."""
    labeled = target != IGNORE
    if weight is not None:
        labeled = labeled & (weight.to(target.device)[target.clamp(0, len(weight) - 1)] > 0)
    return bool(labeled.any())


def mean_over_labels(log_prob: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of -log_prob (N, K, H, W) at the target's ids over the labeled pixels, weighted by class."""
    return F.nll_loss(log_prob, target, None if weight is None else weight.to(log_prob), ignore_index=IGNORE)


def labeled_ids(target: Tensor, num_classes: int) -> Tensor:
    """Return the ids (P,) of the labeled pixels of target (N, H, W); IndexError if one is outside the classes."""
    ids = target[target != IGNORE]
    outside = ids[(ids < 0) | (ids >= num_classes)]
    if len(outside):
        raise IndexError(f"Target {int(outside[0])} is out of bounds: expected 0 to {num_classes - 1}, or {IGNORE}")
    return ids


def label_at(target: Tensor, size: Size) -> Tensor:
    """Return the labels (N, h, w) at the pixel centers of a map of ``size`` (h, w) over the same image.

    Row i of h looks at the label row under (i + 1/2) / h of the height: floor((2i + 1) H / (2h)), in integers; this is
    interpolation in mode "nearest-exact". A center on the line between two labels takes the lower right one.

    Args:
        target: (N, H, W) integers, 255 among them is a label like any other here.
        size: (h, w), finer or coarser than the label.
    """
    rows, columns = (
        torch.arange(n, device=target.device).mul(2).add(1).mul(length).div(2 * n, rounding_mode="floor")
        for n, length in zip(size, target.shape[-2:])
    )
    return target[:, rows.unsqueeze(1), columns]


def label_at_points(target: Tensor, points: Tensor) -> Tensor:
    """Return the labels (N, P, 1) of the pixels in which points (N, P, 2) lie, x then y in [-1, 1] over the image.

    A point on the line between two pixels takes the even one, as the features do (`pixalign.sampling.nearest_cells`).
    """
    labels, _ = gather_nearest(target.unsqueeze(1), points)  # (N, 1, P)
    return labels.movedim(1, 2)


def no_loss(logits: Tensor) -> Tensor:
    """Return a 0 that keeps the graph of ``logits``; its gradient is 0, also where they are inf or nan."""
    return logits[:0].sum(dtype=torch.promote_types(logits.dtype, torch.float32))
