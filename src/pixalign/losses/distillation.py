"""Distillation: a small network also learns the probabilities of a larger one (Hinton et al., arXiv 1503.02531).

The teacher sees the same augmented crops as the student, which is what makes a long training pay (Beyer et al., CVPR
2022, arXiv 2106.05237).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.sampling import gather_nearest

_STEP = 4


def distillation_loss(logits: Tensor, teacher: Tensor, points: Tensor | None = None) -> Tensor:
    """Mean Kullback-Leibler divergence of the student's probabilities from the teacher's, in nats per pixel.

    It is taken at every fourth pixel of each axis and not only at the labeled ones. Most networks decode at 1/4 and
    resize, so that the pixels between hold little more. The step and a temperature of 1 are our choice.

    Args:
        logits: of the student, (N, K, H, W) any float dtype, or (N, K, P, 1) at ``points``.
        teacher: logits of the teacher, (N, K, H, W), any float dtype; they take no gradient.
        points: (N, P, 2), x then y, in [-1, 1], where the student was asked; None if everywhere.

    Returns:
        Scalar, at least 0 up to rounding, float32 (float64 for float64 logits).

    Raises:
        ValueError: shapes that do not go together.
    """
    if points is not None:
        teacher = gather_nearest(teacher, points)[0].unsqueeze(3)
    if logits.shape != teacher.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and the teacher's {tuple(teacher.shape)} differ in shape")
    if points is None:
        rows, columns = (slice(min(_STEP, side) // 2, None, _STEP) for side in logits.shape[2:])
        logits, teacher = logits[..., rows, columns], teacher[..., rows, columns]
    dtype = torch.promote_types(logits.dtype, torch.float32)
    student = F.log_softmax(logits, 1, dtype=dtype)
    wanted = F.log_softmax(teacher.detach(), 1, dtype=dtype)
    return F.kl_div(student, wanted, reduction="none", log_target=True).sum(1).mean()
