"""Class weights from the pixel counts of a training split, and taking them back from a trained network."""

import copy

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork

SCHEMES = ("none", "median", "enet")


def adjust_logits(model: SegmentationNetwork, weight: Tensor, share: float) -> SegmentationNetwork:
    """Return a copy of ``model`` whose logits are lower by ``share * log(weight)``: logit adjustment after training.

    A network trained by weighted cross-entropy estimates probabilities multiplied by the weights (and normalized), so
    it sees rare classes too often. Subtracting the weights' logarithm takes that back (Menon et al., "Long-tail
    learning via logit adjustment", ICLR 2021, arXiv 2007.07314, section 4); taking back a part of it is our choice.

    Args:
        model: a network with a `class_layer`; it is left as it is.
        weight: (K,) class weights, above 0, on any device.
        share: 0 (nothing) to 1 (all of it).
    """
    adjusted = copy.deepcopy(model)
    adjusted.shift_logits(-share * weight.log())
    return adjusted


def class_weights(scheme: str, pixels: ArrayLike, image_pixels: ArrayLike) -> Tensor:
    """Return one weight per class for the cross-entropy.

    - ``none``: 1.
    - ``median``: median(f) / f[c] with f[c] = pixels[c] / image_pixels[c], the median over the classes that occur
      (median frequency balancing: Eigen and Fergus, ICCV 2015, arXiv 1411.4734; SegNet, arXiv 1511.00561).
    - ``enet``: 1 / ln(1.02 + pixels[c] / sum(pixels)), in [1.42, 50.5] (ENet, arXiv 1606.02147).

    A class that does not occur gets 1 in every scheme (our choice): no training pixel uses it, and an infinite or a
    largest weight would decide the loss of the first batch where one turns up after all.

    Args:
        scheme: one of `SCHEMES`.
        pixels: (K,) integers, pixels of each class in the split.
        image_pixels: (K,) integers, labeled pixels of all images in which the class occurs.

    Returns:
        (K,) float32, above 0.

    Raises:
        InputError: unknown scheme, or counts that cannot come from one split.
    """
    if scheme not in SCHEMES:
        raise InputError(f"class weights {scheme!r} are unknown: choose one of {', '.join(SCHEMES)}")
    counts, totals = np.asarray(pixels, dtype=np.int64), np.asarray(image_pixels, dtype=np.int64)
    if counts.ndim != 1 or counts.shape != totals.shape:
        raise InputError(f"pixels {counts.shape} and image_pixels {totals.shape}: expected one count per class in both")
    if (counts < 0).any() or (counts > totals).any():
        raise InputError(
            f"pixels {counts.tolist()} and image_pixels {totals.tolist()}: expected 0 <= pixels <= image_pixels"
        )
    weights = np.ones(len(counts))
    present = counts > 0
    if scheme == "median" and present.any():
        frequency = counts[present] / totals[present]
        weights[present] = np.median(frequency) / frequency
    elif scheme == "enet" and present.any():
        weights[present] = 1 / np.log(1.02 + counts[present] / counts.sum())
    return torch.from_numpy(weights.astype(np.float32))
