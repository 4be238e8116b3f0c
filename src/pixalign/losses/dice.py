"""Soft Dice loss over several classes, after V-Net (Milletari et al., 3DV 2016, arXiv 1606.04797)."""

from torch import Tensor

from pixalign.losses.cross_entropy import labeled_ids, log_probabilities, no_loss
from pixalign.palette import IGNORE


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient, averaged over the classes that are present in the batch.

    Per class, over all labeled pixels of the batch (not per image), with p the softmax and y the label as 0 or 1:
    dice = (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth). V-Net squares p and y in the denominator and has two
    classes; the plain sums, the batch as one set and the mean over present classes are our choice: a class without a
    pixel in the batch would only pull at ``smooth``, and what is wrongly given to it already lowers the true classes.

    Args:
        logits, target: as in `cross_entropy`.
        smooth: added to numerator and denominator, 0 or more.

    Returns:
        Scalar in [0, 1], float32 (float64 for float64 logits); 0 with a gradient of 0 where no pixel is labeled.

    Raises:
        ValueError: as `cross_entropy`.
        IndexError: an id outside 0..K-1 that is not 255.
    """
    probability = log_probabilities(logits, target).exp()
    labeled = target != IGNORE
    labels = labeled_ids(target, logits.shape[1])  # (P,)
    if len(labels) == 0:
        return no_loss(logits)
    predicted = (probability * labeled.unsqueeze(1)).sum((0, 2, 3))  # (K,)
    truth = labels.bincount(minlength=logits.shape[1])
    ids = target.where(labeled, 0)
    right = probability.gather(1, ids.unsqueeze(1)).squeeze(1) * labeled  # (N, H, W)
    rows = right.new_zeros(*right.shape[:2], logits.shape[1]).scatter_add(2, ids, right)  # (N, H, K)
    overlap = rows.sum((0, 1))  # from sums of rows: added one by one, millions of pixels would lose digits in float32
    dice = (2 * overlap + smooth) / (predicted + truth + smooth)
    return 1 - dice[truth > 0].mean()
