"""The loss of a network's outputs: `total_loss` weighs those of the logits, the auxiliary heads and the edge head.

An auxiliary map is compared with the label at its own pixel centers (`label_at`). The papers resize its logits to the
label's size instead; that is a second full-size loss for a head that is thrown away after training, and a resized map
has no more free values than the map, so we keep its pixels and take one label for each.

With processes or accumulation a batch is a part of a larger one, and the losses are scaled such that their mean over
all parts is the loss of the larger batch:

- exactly for cross_entropy and edge, means over labeled pixels, and for distill, a mean over as many pixels in each
  part;
- ohem and edge_guided mine each part by itself and weigh it by its labeled pixels (edge_guided without accumulation by
  those that it mines from), since what the larger batch would keep is not known when the first part is done; each part
  keeps ``min_kept``;
- at random points each labeled point counts the same; their number is that of the parts at hand among processes, and
  the one expected from the labels in accumulation, since later points are not drawn yet;
- dice and lovasz are ratios over a batch: the mean of those of the parts is another loss.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.errors import InputError
from pixalign.losses.cross_entropy import cross_entropy, label_at, label_at_points, no_loss
from pixalign.losses.dice import dice_loss
from pixalign.losses.distillation import distillation_loss
from pixalign.losses.edge import at_predicted_edges, edge_loss, ohem_at_labels
from pixalign.losses.lovasz import lovasz_softmax
from pixalign.losses.ohem import ohem_cross_entropy
from pixalign.palette import IGNORE
from pixalign.sampling import grid_of

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

    Args:
        outputs: what a model returns with ``heads=True``: "logits" (N, K, H, W) at the label's size and "auxiliaries",
            a list of logits (N, K, h, w) of any size, or none of that key. Networks with an edge head give "edge",
            logits (N, 1, h, w) of any size. Networks that train at points give "points" (N, P, 2) and logits
            (N, K, P, 1), which meet the labels there (`label_at_points`). Other keys are not read.
        target: (N, H, W) int64, 255 is ignored.
        name: "cross_entropy" or "ohem", for the logits and the auxiliaries.
        weight: (K,) class weights of that loss.
        auxiliary, dice, lovasz, edge, edge_guided, distill: factors of the other losses; 0 leaves one out. The two of
            edges need an edge head (BiAlignNet: 25 and 1).
        teacher: logits (N, K, H, W) of another network for the same images, which `distillation_loss` draws near.
        threshold: of "ohem" and the edge-guided mining, which keeps at least 5,000 pixels of the batch.
        min_kept: of "ohem", in pixels of the batch at the label's size; None is 1/16 of them (the TorchSeg releases).
            For an auxiliary it is scaled by the ratio of the pixels.
        mean_over_processes: where several processes train together, gives the mean of a tensor over them.
        update: where gradients of several batches are accumulated for one update, the labels (N, H, W) of all of them,
            this one's among them, any integer dtype.

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
    if (edge or edge_guided) and outputs.get("edge") is None:
        key, factor = ("edge", edge) if edge else ("edge_guided", edge_guided)
        raise InputError(f"loss.{key} is {factor}, but the network has no edge head: set it to 0, or train bialignnet")
    factors = {name: 1.0, "auxiliary": auxiliary, "dice": dice, "lovasz": lovasz}
    factors |= {"edge": edge, "edge_guided": edge_guided, "distill": 0.0 if teacher is None else distill}
    whole = _Whole(update if len(update) > 1 else (), weight, mean_over_processes)
    parts = _parts(outputs, target, whole, factors, name, threshold, min_kept, teacher)
    first, *others = [factors[key] * part for key, part in parts.items()]
    if not edge and outputs.get("edge") is not None:
        others.append(no_loss(outputs["edge"]))  # several processes wait for a gradient of every parameter
    return sum(others, first), {key: part.detach() for key, part in parts.items()}


class _Whole(NamedTuple):
    """What a batch is a part of.

    Attributes:
        update: the labels of all batches of an update of several; else none.
        weight: of the classes.
        mean_over_processes: None in a single process.
    """

    update: Sequence[Tensor]
    weight: Tensor | None
    mean_over_processes: Callable[[Tensor], Tensor] | None

    def scaled(self, loss: Tensor, labels: Tensor, update: Sequence[Tensor], share: float = 1.0) -> Tensor:
        """A mean over ``labels`` as what it adds to the mean over all parts, of which ``share`` of ``update`` are."""
        if self.mean_over_processes is None and not update:
            return loss
        count = _label_weight(labels, self.weight)
        mean = share * torch.stack([_label_weight(x, self.weight) for x in update]).mean() if update else count
        mean = mean if self.mean_over_processes is None else self.mean_over_processes(mean)
        return loss * (count / mean.clamp(min=1e-12)).to(loss)


def _parts(
    outputs: Mapping[str, Any],
    target: Tensor,
    whole: _Whole,
    factors: Mapping[str, float],
    name: str,
    threshold: float,
    min_kept: int | None,
    teacher: Tensor | None,
) -> dict[str, Tensor]:
    """The losses whose factors are not 0."""

    def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
        if name == "cross_entropy":
            return cross_entropy(logits, labels, whole.weight)
        kept = labels.numel() // 16
        if min_kept is not None:
            kept = round(min_kept * labels.numel() / max(1, target.numel()))
        return ohem_cross_entropy(logits, labels, threshold, kept, whole.weight)

    def auxiliary_loss(logits: Tensor) -> Tensor:
        size = grid_of(logits)
        labels = label_at(target, size)
        return whole.scaled(pixel_loss(logits, labels), labels, [label_at(x, size) for x in whole.update])

    logits, points = outputs["logits"], outputs.get("points")
    labels = target if points is None else label_at_points(target, points)
    share = labels.numel() / max(1, target.numel())
    parts = {name: whole.scaled(pixel_loss(logits, labels), labels, whole.update, share)}
    if factors["auxiliary"] and outputs.get("auxiliaries"):
        parts["auxiliary"] = torch.stack([auxiliary_loss(x) for x in outputs["auxiliaries"]]).sum()
    if factors["dice"]:
        parts["dice"] = dice_loss(logits, labels)
    if factors["lovasz"]:
        parts["lovasz"] = lovasz_softmax(logits, labels)
    if factors["edge"]:
        parts["edge"] = edge_loss(outputs["edge"], target, whole.mean_over_processes, whole.update)
    if factors["edge_guided"]:
        borders = at_predicted_edges(outputs["edge"], target)
        guided = ohem_at_labels(logits, borders, threshold, 5_000, whole.weight)
        parts["edge_guided"] = whole.scaled(guided, target if whole.update else borders, whole.update)
    if factors["distill"] and teacher is not None:
        parts["distill"] = distillation_loss(logits, teacher, points)
    return parts


def _label_weight(target: Tensor, weight: Tensor | None) -> Tensor:
    """The sum, float32, of the class weights over the labeled pixels of target (N, H, W)."""
    if weight is None:
        return (target != IGNORE).sum().float()
    table = F.pad(weight.float(), (0, IGNORE + 1 - len(weight)))  # 0 for the ignored id
    return table[target.long()].sum()
