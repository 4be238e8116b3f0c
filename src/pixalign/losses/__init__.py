"""Losses on logits (N, K, H, W) and labels (N, H, W), and how a model's outputs meet them.

Every loss is a function of logits and target, computed at least in float32 over the labelled pixels of the batch, and
gives 0 with a gradient of 0 where there is none.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pixalign.errors import InputError
from pixalign.losses.cross_entropy import IGNORE, cross_entropy
from pixalign.losses.dice import dice_loss
from pixalign.losses.lovasz import lovasz_softmax
from pixalign.losses.ohem import ohem_cross_entropy
from pixalign.losses.weights import class_weights

__all__ = [
    "class_weights",
    "cross_entropy",
    "dice_loss",
    "label_at",
    "lovasz_softmax",
    "ohem_cross_entropy",
    "total_loss",
]

LOSSES = ("cross_entropy", "ohem")


def total_loss(
    outputs: Mapping[str, Any],
    target: Tensor,
    *,
    name: str = "cross_entropy",
    weight: Tensor | None = None,
    auxiliary: float = 0.4,
    dice: float = 0.0,
    lovasz: float = 0.0,
    threshold: float = 0.7,
    min_kept: int | None = None,
    mean_over_processes: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a model's outputs, and its parts.

    total = loss(logits) + auxiliary * sum of loss(auxiliary logits) + dice * Dice + lovasz * Lovász-Softmax.

    An auxiliary map is compared with the label at its own pixel centres (`label_at`). The papers resize its logits to
    the label's size instead; that is a second full-size loss for a head that is thrown away after training, and a
    resized map has no more free values than the map, so we keep its pixels and take one label for each.

    Args:
        outputs: what a model returns with ``heads=True``: "logits" (N, K, H, W) at the label's size and "auxiliaries",
            a list of logits (N, K, h, w) of any size, or none of that key. Other keys are not read.
        target: (N, H, W) int64, 255 is ignored.
        name: "cross_entropy" or "ohem", for the logits and the auxiliaries.
        weight: (K,) class weights of that loss.
        auxiliary: factor of the auxiliaries; 0 leaves them out.
        dice, lovasz: factors of the two region losses on the logits; 0 leaves them out.
        threshold: of "ohem".
        min_kept: of "ohem", in pixels of the batch at the label's size; None is 1/16 of them (the TorchSeg releases).
            For an auxiliary it is scaled by the ratio of the pixels.
        mean_over_processes: where several processes train together, gives the mean of a tensor over them; the pixel
            losses are then scaled such that their mean over the processes is the mean over the labelled pixels of all
            (exactly so for cross_entropy; ohem scales by labelled, not by kept pixels).

    Returns:
        total: scalar with graph.
        parts: detached scalars, each before its factor: ``name``, and "auxiliary" (the sum over the heads), "dice",
            "lovasz" where they count.

    Raises:
        InputError: an unknown name.
        ValueError, IndexError: as `cross_entropy` and `ohem_cross_entropy`.
    """
    if name not in LOSSES:
        raise InputError(f"loss {name!r} is unknown: choose one of {', '.join(LOSSES)}")

    def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
        loss = local_loss(logits, labels)
        if mean_over_processes is None:
            return loss
        count = _label_weight(labels, weight)
        return loss * (count / mean_over_processes(count).clamp(min=1e-12)).to(loss)

    def local_loss(logits: Tensor, labels: Tensor) -> Tensor:
        if name == "cross_entropy":
            return cross_entropy(logits, labels, weight)
        if min_kept is None:
            kept = labels.numel() // 16
        else:
            kept = round(min_kept * labels.numel() / max(1, target.numel()))
        return ohem_cross_entropy(logits, labels, threshold, kept, weight)

    logits = outputs["logits"]
    total = pixel_loss(logits, target)
    parts = {name: total}
    auxiliaries = outputs.get("auxiliaries") or []
    if auxiliary and auxiliaries:
        sizes = [(x.shape[-2], x.shape[-1]) for x in auxiliaries]
        losses = [pixel_loss(x, label_at(target, size)) for x, size in zip(auxiliaries, sizes)]
        parts["auxiliary"] = torch.stack(losses).sum()
        total = total + auxiliary * parts["auxiliary"]
    if dice:
        parts["dice"] = dice_loss(logits, target)
        total = total + dice * parts["dice"]
    if lovasz:
        parts["lovasz"] = lovasz_softmax(logits, target)
        total = total + lovasz * parts["lovasz"]
    return total, {key: value.detach() for key, value in parts.items()}


def _label_weight(target: Tensor, weight: Tensor | None) -> Tensor:
    """The sum, float64, of the class weights over the labelled pixels of target (N, H, W)."""
    ids = target[target != IGNORE]
    return (torch.ones_like(ids) if weight is None else weight[ids]).sum(dtype=torch.float64)


def label_at(target: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the labels (N, h, w) at the pixel centres of a map of ``size`` (h, w) over the same image.

    Row i of h looks at the label row under (i + 1/2) / h of the height: floor((2i + 1) H / (2h)), in integers; this is
    interpolation in mode "nearest-exact". A centre on the line between two labels takes the lower right one.

    Args:
        target: (N, H, W) integers, 255 among them is a label like any other here.
        size: (h, w), finer or coarser than the label.
    """
    rows, columns = (
        torch.arange(n, device=target.device).mul(2).add(1).mul(length).div(2 * n, rounding_mode="floor")
        for n, length in zip(size, target.shape[-2:])
    )
    return target[:, rows.unsqueeze(1), columns]
