import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixalign.losses import cross_entropy, distillation_loss, total_loss
from pixalign.sampling import gather_nearest


def random(*shape, seed=0, **kwargs):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **kwargs)


def kullback_leibler(student, teacher):
    """The definition, over all pixels: sum over classes of q (log q - log p), averaged."""
    p, q = student.softmax(1), teacher.softmax(1)
    return (q * (q.log() - p.log())).sum(1).mean()


def test_it_is_the_divergence_at_every_fourth_pixel():
    student, teacher = random(2, 5, 16, 24).double(), random(2, 5, 16, 24, seed=1).double()
    expected = kullback_leibler(student[..., 2::4, 2::4], teacher[..., 2::4, 2::4])
    torch.testing.assert_close(distillation_loss(student, teacher), expected)


def test_at_points_it_reads_the_teacher_there():
    student, teacher = random(2, 5, 7, 1), random(2, 5, 9, 11, seed=1)
    points = torch.rand(2, 7, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1
    expected = kullback_leibler(student, gather_nearest(teacher, points)[0].unsqueeze(3))
    torch.testing.assert_close(distillation_loss(student, teacher, points), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 6), st.floats(0.1, 30))
def test_it_is_nought_for_equal_probabilities_and_positive_for_others(height, width, classes, scale):
    teacher = scale * random(1, classes, height, width)
    shifted = teacher + random(1, 1, height, width, seed=3)  # the same probabilities
    assert abs(distillation_loss(shifted, teacher).item()) < 1e-5
    other = teacher.roll(1, 1)
    assert distillation_loss(other, teacher) > 0


def test_only_the_student_gets_a_gradient_and_following_it_reaches_the_teacher():
    student, teacher = random(1, 4, 8, 8).requires_grad_(), random(1, 4, 8, 8, seed=1).requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        distillation_loss(student, teacher).backward()
        optimizer.step()
    assert teacher.grad is None
    read = (slice(None), slice(None), slice(2, None, 4), slice(2, None, 4))
    torch.testing.assert_close(student[read].softmax(1), teacher[read].softmax(1), atol=0.01, rtol=0)


def test_half_precision_is_computed_in_float():
    student, teacher = random(1, 4, 8, 8).bfloat16(), random(1, 4, 8, 8, seed=1).bfloat16()
    loss = distillation_loss(student, teacher)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, distillation_loss(student.float(), teacher.float()))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 4, 8, 8\).*\(1, 3, 8, 8\)"):
        distillation_loss(random(1, 4, 8, 8), random(1, 3, 8, 8))


def test_the_total_holds_it_times_its_factor_also_where_no_pixel_is_labeled():
    logits, teacher = random(1, 4, 8, 8), random(1, 4, 8, 8, seed=1)
    target = torch.randint(0, 4, (1, 8, 8), generator=torch.Generator().manual_seed(2))
    total, parts = total_loss({"logits": logits}, target, distill=3.0, teacher=teacher)
    torch.testing.assert_close(parts["distill"], distillation_loss(logits, teacher))
    torch.testing.assert_close(total, cross_entropy(logits, target) + 3 * parts["distill"])
    total, parts = total_loss({"logits": logits}, torch.full_like(target, 255), distill=3.0, teacher=teacher)
    torch.testing.assert_close(total, 3 * parts["distill"])
