"""Losses on logits (N, K, H, W) and labels (N, H, W), and how a model's outputs meet them.

Every loss is a function of logits and target, computed at least in float32 over the labeled pixels of the batch, and
gives 0 with a gradient of 0 where there is none.
"""

from pixalign.losses.cross_entropy import cross_entropy, label_at, label_at_points
from pixalign.losses.dice import dice_loss
from pixalign.losses.distillation import distillation_loss
from pixalign.losses.edge import edge_guided_loss, edge_labels, edge_loss
from pixalign.losses.lovasz import lovasz_softmax
from pixalign.losses.ohem import ohem_cross_entropy
from pixalign.losses.total import total_loss
from pixalign.losses.weights import class_weights

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
