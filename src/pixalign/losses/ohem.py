"""Cross-entropy over the hard pixels of a batch (online hard example mining).

The form of the SFNet, BiAlignNet and TorchSeg releases (``OhemCrossEntropy2d``), after Shrivastava et al., CVPR 2016,
arXiv 1604.03540, which mines regions. What differs here: mining reads the same log-probabilities as the loss, so there
is no second softmax, and a batch without labels costs 0.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.losses.cross_entropy import has_labels, log_probabilities, mean_over_labels, no_loss
from pixalign.palette import IGNORE


def ohem_cross_entropy(
    logits: Tensor, target: Tensor, threshold: float = 0.7, min_kept: int = 10_000, weight: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy over the labeled pixels of the batch that the network finds hard.

    With p the probability that a pixel's true class gets, the kept pixels are those with p <= max(threshold, p_m),
    where p_m is the ``min_kept``-th smallest p: all hard pixels, and at least ``min_kept`` of the labeled ones (all of
    them, if there are fewer). Mining ignores ``weight``; the mean over the kept pixels uses it.

    Args:
        logits, target, weight: as in `cross_entropy`.
        threshold: probability in (0, 1]; at 1 every labeled pixel is kept.
        min_kept: pixels of the batch to keep at least, 0 or more.

    Returns:
        Scalar, at least 0; 0 with a gradient of 0 where no pixel is labeled. Never a smaller one for nan: a nan logit
        counts as hard and shows in the loss.

    Raises:
        ValueError: a threshold or a min_kept out of range; otherwise as `cross_entropy`.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}: expected a probability in (0, 1]")
    if min_kept < 0:
        raise ValueError(f"min_kept is {min_kept}: expected 0 or more")
    log_prob = log_probabilities(logits, target)
    easy = _easy_pixels(log_prob.detach(), target, threshold, min_kept)
    hard = target.masked_fill(easy, IGNORE)
    return mean_over_labels(log_prob, hard, weight) if has_labels(hard, weight) else no_loss(logits)


def _easy_pixels(log_prob: Tensor, target: Tensor, threshold: float, min_kept: int) -> Tensor:
    """Return the mask (N, H, W) of the pixels that mining leaves out."""
    loss = F.nll_loss(log_prob, target, ignore_index=IGNORE, reduction="none")  # (N, H, W), = -log p
    limit = -math.log(threshold)
    if int((~(loss < limit) & (target != IGNORE)).sum()) >= min_kept:
        return loss < limit
    labeled = loss[target != IGNORE]
    if len(labeled) <= min_kept:
        return torch.zeros_like(target, dtype=torch.bool)
    return loss < labeled.kthvalue(len(labeled) - min_kept + 1).values
