"""Lovász-Softmax: a convex surrogate of the Jaccard index (Berman et al., CVPR 2018, arXiv 1705.08790)."""

import torch
from torch import Tensor

from pixalign.losses.cross_entropy import labeled_ids, log_probabilities, no_loss
from pixalign.palette import IGNORE


def lovasz_softmax(logits: Tensor, target: Tensor) -> Tensor:
    """Lovász extension of the Jaccard loss, averaged over the classes that are present in the batch.

    Per class c, over all labeled pixels of the batch: errors m = 1 - p_c where the label is c, p_c elsewhere; sorted
    from large to small, loss = sum of m_i * g_i with g the steps of the Jaccard loss as pixels enter the set of errors
    in that order (eq. 8 and 9 of the paper). For hard predictions this is 1 - IoU.

    The paper offers images or batches as the set and all or present classes; this is the batch and the present classes.
    Cost: one sort of the pixels per present class.

    Args:
        logits, target: as in `cross_entropy`.

    Returns:
        Scalar in [0, 1], float32 (float64 for float64 logits); 0 with a gradient of 0 where no pixel is labeled.

    Raises:
        ValueError: as `cross_entropy`.
        IndexError: an id outside 0..K-1 that is not 255.
    """
    log_prob = log_probabilities(logits, target)
    labeled = target != IGNORE
    labels = labeled_ids(target, logits.shape[1])  # (P,)
    if len(labels) == 0:
        return no_loss(logits)
    probability = log_prob.exp().movedim(1, 0)[:, labeled]  # (K, P)
    losses = []
    for c in labels.unique().tolist():
        truth = labels == c
        errors = torch.where(truth, 1 - probability[c], probability[c])
        errors, order = errors.sort(descending=True)
        losses.append((errors * jaccard_steps(truth[order], errors.dtype)).sum())
    return torch.stack(losses).mean()


def jaccard_steps(truth: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return by how much the Jaccard loss grows as each pixel joins the wrong ones, in the order given.

    With G true pixels, after i wrong ones the intersection is I_i = G - (true among them) and the union
    U_i = G + (others among them); the loss 1 - I/U grows by 1 / U_i at a true pixel and by I_i / (U_i (U_i - 1)) at
    another one. Written out rather than as differences of 1 - I/U, which are below float32's resolution for large sets.

    Args:
        truth: (P,) bool, at least one true.
        dtype: of the result; not every device has float64.

    Returns:
        (P,), at least 0, sum 1.
    """
    intersection = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (~truth).cumsum(0)
    numerator = intersection.to(dtype) / (union - 1).clamp(min=1)
    return numerator.masked_fill(truth, 1) / union
