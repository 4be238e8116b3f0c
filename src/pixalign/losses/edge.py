"""Losses on class borders: that of an edge head, and edge-guided hard pixel mining.

They are BiAlignNet's (ICIP 2021, arXiv 2105.11651). Both take the logits of an edge map. In the release the first one
puts the sigmoid's result through another sigmoid: a defect, not a part of the method.

Open in the paper, our choice: a border is made of the labeled pixels that differ from one of their four neighbors,
one on each side; a pixel beside an unlabeled one is unlabeled as well, since the border may run there, unless it is a
border already. The edge map meets the labels at its own pixel centers, neither of them is resized.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.losses.cross_entropy import label_at
from pixalign.losses.ohem import ohem_cross_entropy
from pixalign.palette import IGNORE
from pixalign.sampling import grid_of

_RIM = 3  # pixels


def edge_labels(target: Tensor) -> Tensor:
    """Return where the classes of a label meet.

    Args:
        target: (N, H, W) integers, 255 is ignored.

    Returns:
        (N, H, W) int64: 1 at a labeled pixel one of whose four neighbors has another class, so that borders are 2
        pixels wide; 255 at a pixel that is ignored, or that is no border and has an ignored neighbor; else 0. The 3
        pixels at the image's rim are 0 where they are labeled (the release's choice).
    """
    ignored = target == IGNORE
    edge, unknown = torch.zeros_like(ignored), ignored.clone()
    for dim in (1, 2):
        length = target.shape[dim] - 1
        before, after = ignored.narrow(dim, 0, length), ignored.narrow(dim, 1, length)
        meet = (target.narrow(dim, 0, length) != target.narrow(dim, 1, length)) & ~before & ~after
        for start in (0, 1):
            edge.narrow(dim, start, length).logical_or_(meet)
        unknown.narrow(dim, 0, length).logical_or_(after)
        unknown.narrow(dim, 1, length).logical_or_(before)
    labels = edge.long().masked_fill_(unknown & ~edge, IGNORE)
    inside = torch.zeros_like(ignored)
    inside[:, _RIM:-_RIM, _RIM:-_RIM] = True
    return labels.masked_fill_(~inside & ~ignored, 0)


def edge_loss(
    edge_logits: Tensor,
    target: Tensor,
    mean_over_processes: Callable[[Tensor], Tensor] | None = None,
    update: Sequence[Tensor] = (),
) -> Tensor:
    """Class-balanced binary cross-entropy of an edge map (HED, ICCV 2015, arXiv 1504.06375, eq. 2).

    Over the labeled pixels of the batch, P of them border and Q not: the mean of Q / (P + Q) * -log p at borders and
    of P / (P + Q) * -log(1 - p) elsewhere. A batch without borders, or of nothing else, costs 0.

    Args:
        edge_logits: (N, 1, h, w) of any size, any float dtype; computed in float32, float64 is kept.
        target: (N, H, W) int64 class ids, 255 is ignored; `edge_labels` makes the borders of it, which are compared at
            the pixel centers of (h, w).
        mean_over_processes, update: as in `total_loss`; the result's mean over the processes and batches is then the
            loss of all of them.

    Returns:
        Scalar, at least 0, float32 (float64 for float64 logits), with a gradient of 0 at ignored pixels.

    Raises:
        ValueError: shapes that do not go together, or a target that is not int64.
    """
    _check(edge_logits, target)
    size = grid_of(edge_logits)
    labels = label_at(edge_labels(target), size)  # (N, h, w)
    labeled = labels != IGNORE
    values = edge_logits.squeeze(1)[labeled].to(torch.promote_types(edge_logits.dtype, torch.float32))  # (P + Q,)
    border = labels[labeled] == 1
    losses = torch.stack((-F.logsigmoid(values[border]).sum(), -F.logsigmoid(-values[~border]).sum()))
    each = [label_at(edge_labels(other), size) for other in update] or [labels]
    counts = torch.stack([torch.stack(((x == 1).sum(), (x == 0).sum())) for x in each]).to(losses.dtype).mean(0)
    counts = counts if mean_over_processes is None else mean_over_processes(counts)
    shares = counts / counts.sum().clamp(min=1e-12)
    return (losses * (shares.flip(0) / counts.sum().clamp(min=1e-12))).sum()


def edge_guided_loss(
    logits: Tensor,
    edge_logits: Tensor,
    target: Tensor,
    threshold: float = 0.8,
    min_kept: int = 5_000,
    probability: float = 0.7,
    weight: Tensor | None = None,
) -> Tensor:
    """Cross-entropy over the hard ones of the pixels that the network takes for borders: edge-guided hard pixel mining.

    `ohem_cross_entropy` over the labeled pixels whose predicted edge probability exceeds ``threshold``. The edge map
    chooses only: it gets no gradient.

    Args:
        logits: (N, K, H, W), as in `cross_entropy`.
        edge_logits: (N, 1, h, w) of any size over the same image; a pixel looks at the value under its center.
        target: (N, H, W) int64, 255 is ignored.
        threshold: edge probability, from 0 to below 1.
        min_kept: of these pixels, how many of the batch to keep at least; all of them, if there are fewer.
        probability: threshold of `ohem_cross_entropy`.
        weight: (K,) class weights.

    Returns:
        Scalar, at least 0, float32 (float64 for float64 logits); 0 with a gradient of 0 where no pixel is left.

    Raises:
        ValueError: shapes that do not go together, or a value out of range.
        IndexError: as `cross_entropy`, at the pixels that are left.
    """
    borders = at_predicted_edges(edge_logits, target, threshold)
    return ohem_at_labels(logits, borders, probability, min_kept, weight)


def at_predicted_edges(edge_logits: Tensor, target: Tensor, threshold: float = 0.8) -> Tensor:
    """Return target (N, H, W) with 255 wherever the predicted edge probability does not exceed ``threshold``."""
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold}: expected a probability from 0 to below 1")
    _check(edge_logits, target)
    likely = edge_logits.detach().squeeze(1).sigmoid() > threshold  # (N, h, w)
    return target.where(label_at(likely, grid_of(target)), IGNORE)


def ohem_at_labels(
    logits: Tensor, target: Tensor, threshold: float, min_kept: int, weight: Tensor | None = None
) -> Tensor:
    """Return `ohem_cross_entropy` by way of the labeled pixels alone: quick and small where they are few."""
    if logits.ndim == 4 and target.shape == (logits.shape[0], *logits.shape[2:]):  # else its error
        labeled = target != IGNORE
        logits = logits.movedim(1, -1)[labeled].T[None, :, :, None]  # (1, K, P, 1)
        target = target[labeled][None, :, None]  # (1, P, 1)
    return ohem_cross_entropy(logits, target, threshold, min_kept, weight)


def _check(edge_logits: Tensor, target: Tensor) -> None:
    if edge_logits.ndim != 4 or edge_logits.shape[1] != 1 or target.ndim != 3 or len(edge_logits) != len(target):
        raise ValueError(
            f"edge logits {tuple(edge_logits.shape)} and target {tuple(target.shape)} do not go together: "
            "expected (N, 1, h, w) and (N, H, W)"
        )
    if target.dtype != torch.int64:
        raise ValueError(f"target has dtype {target.dtype}: expected torch.int64 class ids")
