"""Losses on logits (N, K, H, W) and labels (N, H, W), and how a model's outputs meet them.

Every loss is a function of logits and target, computed at least in float32 over the labeled pixels of the batch, and
gives 0 with a gradient of 0 where there is none.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.errors import InputError
from pixalign.losses.cross_entropy import cross_entropy, label_at, label_at_points, no_loss
from pixalign.losses.dice import dice_loss
from pixalign.losses.distillation import distillation_loss
from pixalign.losses.edge import at_predicted_edges, edge_guided_loss, edge_labels, edge_loss, ohem_at_labels
from pixalign.losses.lovasz import lovasz_softmax
from pixalign.losses.ohem import ohem_cross_entropy
from pixalign.losses.weights import class_weights
from pixalign.palette import IGNORE

__all__ = [
    "class_weights",
    "cross_entropy",
    "dice_loss",
    "distillation_loss",
    "edge_guided_loss",
    "edge_labels",
    "edge_loss",
    "label_at",
    "label_at_points",
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
    edge: float = 0.0,
    edge_guided: float = 0.0,
    distill: float = 0.0,
    teacher: Tensor | None = None,
    threshold: float = 0.7,
    min_kept: int | None = None,
    mean_over_processes: Callable[[Tensor], Tensor] | None = None,
    update: Sequence[Tensor] = (),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a model's outputs, and its parts.

    total = loss(logits) + auxiliary * sum of loss(auxiliary logits) + dice * Dice + lovasz * Lovász-Softmax
    + edge * edge loss + edge_guided * edge-guided mining (`pixalign.losses.edge`) + distill * distillation.

    An auxiliary map is compared with the label at its own pixel centers (`label_at`). The papers resize its logits to
    the label's size instead; that is a second full-size loss for a head that is thrown away after training, and a
    resized map has no more free values than the map, so we keep its pixels and take one label for each.

    Args:
        outputs: what a model returns with ``heads=True``: "logits" (N, K, H, W) at the label's size and "auxiliaries",
            a list of logits (N, K, h, w) of any size, or none of that key. Networks with an edge head give "edge",
            logits (N, 1, h, w) of any size. Networks that train at points give "points" (N, P, 2) and logits
            (N, K, P, 1), which meet the labels there (`label_at_points`). Other keys are not read.
        target: (N, H, W) int64, 255 is ignored.
        name: "cross_entropy" or "ohem", for the logits and the auxiliaries.
        weight: (K,) class weights of that loss.
        auxiliary: factor of the auxiliaries; 0 leaves them out.
        dice, lovasz: factors of the two region losses on the logits; 0 leaves them out.
        distill: factor of `distillation_loss`, towards ``teacher``; 0 leaves it out.
        teacher: logits (N, K, H, W) of another network for the same images.
        edge, edge_guided: factors of the two losses that need an edge head (BiAlignNet: 25 and 1); 0 leaves them out.
        threshold: of "ohem" and the edge-guided mining, which keeps at least 5,000 pixels of the batch.
        min_kept: of "ohem", in pixels of the batch at the label's size; None is 1/16 of them (the TorchSeg releases).
            For an auxiliary it is scaled by the ratio of the pixels.
        mean_over_processes: where several processes train together, gives the mean of a tensor over them.
        update: where gradients of several batches are accumulated for one update, the labels (N, H, W) of all of them,
            this one's among them, any integer dtype.

    With processes or accumulation a batch is a part of a larger one, and the losses are scaled such that their mean
    over all parts is the loss of the larger batch:

    - exactly for cross_entropy and edge, means over labeled pixels, and for distill, a mean over as many pixels in
      each part;
    - ohem and edge_guided mine each part by itself and weigh it by its labeled pixels (edge_guided without
      accumulation by those that it mines from), since what the larger batch would keep is not known when the first part
      is done; each part keeps ``min_kept``;
    - at random points each labeled point counts the same; their number is that of the parts at hand among processes,
      and the one expected from the labels in accumulation, since later points are not drawn yet;
    - dice and lovasz are ratios over a batch: the mean of those of the parts is another loss.

    Returns:
        total: scalar with graph.
        parts: detached scalars, each before its factor: ``name``, and "auxiliary" (the sum over the heads), "dice",
            "lovasz", "edge", "edge_guided", "distill" where they count.

    Raises:
        InputError: an unknown name, or an edge loss for a network without an edge head.
        ValueError, IndexError: as `cross_entropy` and `ohem_cross_entropy`.
    """
    if name not in LOSSES:
        raise InputError(f"loss {name!r} is unknown: choose one of {', '.join(LOSSES)}")
    edge_map: Any = outputs.get("edge")
    if edge_map is None and (edge or edge_guided):
        key, factor = ("edge", edge) if edge else ("edge_guided", edge_guided)
        raise InputError(f"loss.{key} is {factor}, but the network has no edge head: set it to 0, or train bialignnet")
    others = update if len(update) > 1 else ()

    def pixel_loss(logits: Tensor, at: Callable[[Tensor], Tensor]) -> Tensor:
        """The loss over the labels that ``at`` makes of the target."""
        labels = at(target)
        return scaled(local_loss(logits, labels), labels, [at(other) for other in others])

    def scaled(loss: Tensor, labels: Tensor, others: Sequence[Tensor], share: float = 1.0) -> Tensor:
        """A mean over ``labels`` as what it adds to the mean over all parts, of which ``share`` of ``others`` are."""
        if mean_over_processes is None and not others:
            return loss
        count = _label_weight(labels, weight)
        mean = share * torch.stack([_label_weight(other, weight) for other in others]).mean() if others else count
        mean = mean if mean_over_processes is None else mean_over_processes(mean)
        return loss * (count / mean.clamp(min=1e-12)).to(loss)

    def local_loss(logits: Tensor, labels: Tensor) -> Tensor:
        if name == "cross_entropy":
            return cross_entropy(logits, labels, weight)
        if min_kept is None:
            kept = labels.numel() // 16
        else:
            kept = round(min_kept * labels.numel() / max(1, target.numel()))
        return ohem_cross_entropy(logits, labels, threshold, kept, weight)

    logits, labels = outputs["logits"], target
    if "points" in outputs:
        labels = label_at_points(target, outputs["points"])
        total = scaled(local_loss(logits, labels), labels, others, labels.numel() / target.numel())
    else:
        total = pixel_loss(logits, lambda labels: labels)
    parts = {name: total}
    auxiliaries = outputs.get("auxiliaries") or []
    if auxiliary and auxiliaries:
        sizes = [(x.shape[-2], x.shape[-1]) for x in auxiliaries]
        losses = [pixel_loss(x, partial(label_at, size=size)) for x, size in zip(auxiliaries, sizes)]
        parts["auxiliary"] = torch.stack(losses).sum()
        total = total + auxiliary * parts["auxiliary"]
    if dice:
        parts["dice"] = dice_loss(logits, labels)
        total = total + dice * parts["dice"]
    if lovasz:
        parts["lovasz"] = lovasz_softmax(logits, labels)
        total = total + lovasz * parts["lovasz"]
    if edge:
        parts["edge"] = edge_loss(edge_map, target, mean_over_processes, others)
        total = total + edge * parts["edge"]
    elif edge_map is not None:
        total = total + no_loss(edge_map)  # several processes wait for a gradient of every parameter
    if edge_guided:
        borders = at_predicted_edges(edge_map, target)
        guided = ohem_at_labels(logits, borders, threshold, 5_000, weight)
        parts["edge_guided"] = scaled(guided, target if others else borders, others)
        total = total + edge_guided * parts["edge_guided"]
    if distill and teacher is not None:
        parts["distill"] = distillation_loss(logits, teacher, outputs.get("points"))
        total = total + distill * parts["distill"]
    return total, {key: value.detach() for key, value in parts.items()}


def _label_weight(target: Tensor, weight: Tensor | None) -> Tensor:
    """The sum, float32, of the class weights over the labeled pixels of target (N, H, W)."""
    if weight is None:
        return (target != IGNORE).sum().float()
    table = F.pad(weight.float(), (0, IGNORE + 1 - len(weight)))  # 0 for the ignored id
    return table[target.long()].sum()
