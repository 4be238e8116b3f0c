"""What every loss promises, and each loss beside its definition written as a loop."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixalign.losses import cross_entropy, dice_loss, edge_guided_loss, edge_loss, lovasz_softmax, ohem_cross_entropy
from pixalign.losses.lovasz import jaccard_steps

LOSSES = {
    "cross_entropy": cross_entropy,
    "ohem": ohem_cross_entropy,
    "ohem_threshold_alone": lambda x, y: ohem_cross_entropy(x, y, min_kept=0),
    "dice": dice_loss,
    "lovasz": lovasz_softmax,
    "edge_guided_everywhere": lambda x, y: edge_guided_loss(x, torch.full((len(x), 1, *x.shape[2:]), 9.0), y),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
laws = settings(max_examples=40, deadline=None, derandomize=True)


def example(seed: int = 0, num_classes: int = 4, ignored: float = 0.2, size=(2, 5, 6)) -> tuple[Tensor, Tensor]:
    """Logits float64 (N, K, H, W) and a target (N, H, W) with ignored pixels, at least one labeled."""
    generator = torch.Generator().manual_seed(seed)
    n, h, w = size
    target = torch.randint(0, num_classes, size, generator=generator)
    target[torch.rand(size, generator=generator) < ignored] = 255
    target[0, 0, 0] = num_classes - 1
    return 2 * torch.randn(n, num_classes, h, w, generator=generator, dtype=torch.float64), target


@st.composite
def examples(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    size = tuple(draw(st.integers(1, 6)) for _ in range(3))
    return example(draw(st.integers(0, 2**31)), draw(st.integers(1, 6)), draw(st.sampled_from([0.0, 0.3, 0.9])), size)


def pixels(logits: Tensor, target: Tensor) -> list[tuple[np.ndarray, int]]:
    """The labeled pixels as (probabilities of the classes, label)."""
    values = logits.detach().double().movedim(1, -1).reshape(-1, logits.shape[1]).numpy()
    exp = np.exp(values - values.max(axis=1, keepdims=True))
    shares = exp / exp.sum(axis=1, keepdims=True)
    return [(p, y) for p, y in zip(shares, target.reshape(-1).tolist()) if y != 255]


# --- every loss -------------------------------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_batch_without_labels_costs_nothing_and_keeps_its_graph(loss, dtype):
    logits = torch.randn(2, 3, 4, 5).to(dtype).requires_grad_()
    value = loss(logits, torch.full((2, 4, 5), 255))
    value.backward()
    assert value == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@every_loss
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_batch_without_labels_costs_nothing_even_where_logits_are_not_finite(loss, bad):
    logits = torch.full((1, 3, 4, 5), bad, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 5), 255))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


@every_loss
def test_nan_at_a_labeled_pixel_shows(loss):
    logits, target = example(ignored=0.0, size=(1, 4, 4))
    logits[0, :, 1, 1] = math.nan
    assert loss(logits, target).isnan()


@every_loss
@pytest.mark.parametrize(("given_", "computed"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_losses_are_computed_at_least_in_float32(loss, given_, computed):
    logits, target = example()
    logits = logits.to(given_).requires_grad_()
    value = loss(logits, target)
    assert value.dtype == computed
    assert value.shape == ()
    assert value.item() == pytest.approx(loss(logits.detach().double(), target).item(), rel=1e-5)
    value.backward()
    assert logits.grad.dtype == given_
    assert loss(logits, torch.full_like(target, 255)).dtype == computed


@every_loss
def test_autocast_changes_no_loss(loss):
    logits, target = example()
    logits = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value == loss(logits, target)


@every_loss
def test_the_memory_format_of_the_logits_changes_nothing(loss):
    logits, target = example()
    torch.testing.assert_close(loss(logits.to(memory_format=torch.channels_last), target), loss(logits, target))


@every_loss
@given(case=examples(), seed=st.integers(0, 1000))
@laws
def test_the_order_of_the_pixels_does_not_matter(loss, case, seed):
    logits, target = case
    n, k, h, w = logits.shape
    order = torch.randperm(n * h * w, generator=torch.Generator().manual_seed(seed))
    moved = logits.movedim(1, 0).reshape(k, -1)[:, order].reshape(k, n, h, w).movedim(0, 1)
    torch.testing.assert_close(loss(moved, target.reshape(-1)[order].reshape(n, h, w)), loss(logits, target))


@every_loss
@given(case=examples())
@laws
def test_what_the_network_says_at_ignored_pixels_does_not_matter(loss, case):
    logits, target = case
    ignored = (target == 255).unsqueeze(1)
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert (logits.grad.masked_select(ignored) == 0).all()
    torch.testing.assert_close(loss(logits.detach().masked_fill(ignored, 9.0), target), value.detach())


@every_loss
def test_gradients_are_those_of_finite_differences(loss):
    logits, target = example(size=(1, 3, 4))
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits.requires_grad_(),))


@every_loss
def test_a_right_and_certain_prediction_costs_nothing(loss):
    _, target = example()
    logits = 100 * F.one_hot(target.where(target != 255, 0), 4).movedim(-1, 1).double()
    assert loss(logits, target).item() == pytest.approx(0, abs=1e-9)


@every_loss
def test_shapes_and_dtypes_that_do_not_fit_are_refused_by_name(loss):
    with pytest.raises(ValueError, match=r"logits \(2, 3, 4, 5\) and target \(2, 5, 4\)"):
        loss(torch.zeros(2, 3, 4, 5), torch.zeros(2, 5, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"dtype torch.uint8: expected torch.int64"):
        loss(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8))


@every_loss
@pytest.mark.parametrize("label", [3, -1, 254, 256])
def test_a_label_outside_the_classes_is_an_error(loss, label):
    target = torch.zeros(2, 4, 5, dtype=torch.int64)
    target[0, 1, 2] = label
    with pytest.raises(IndexError, match=f"Target {label} is out of bounds"):
        loss(torch.zeros(2, 3, 4, 5), target)


# --- cross-entropy ----------------------------------------------------------------------------------------------------


@given(examples())
@laws
def test_cross_entropy_is_the_mean_over_labeled_pixels(case):
    logits, target = case
    expected = np.mean([-math.log(p[y]) for p, y in pixels(logits, target)])
    assert cross_entropy(logits, target).item() == pytest.approx(expected)


@given(examples())
@laws
def test_equal_class_weights_are_none(case):
    logits, target = case
    for weight in (1.0, 7.0):
        weights = torch.full((logits.shape[1],), weight)
        torch.testing.assert_close(cross_entropy(logits, target, weights), cross_entropy(logits, target))


def test_class_weights_weigh_the_mean():
    logits, target = example()
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0])
    terms = [(float(weight[y]), -math.log(p[y])) for p, y in pixels(logits, target)]
    expected = sum(w * x for w, x in terms) / sum(w for w, _ in terms)
    assert cross_entropy(logits, target, weight).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [cross_entropy, ohem_cross_entropy])
def test_a_batch_with_none_but_weightless_classes_costs_nothing(loss):
    logits = torch.randn(1, 3, 4, 5, requires_grad=True)
    value = loss(logits, torch.ones(1, 4, 5, dtype=torch.int64), weight=torch.tensor([1.0, 0.0, 1.0]))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


# --- online hard example mining ---------------------------------------------------------------------------------------


@given(examples(), st.sampled_from([0.001, 0.5, 0.7, 1.0]), st.integers(0, 20))
@laws
def test_ohem_is_the_mean_over_pixels_below_the_threshold_and_at_least_min_kept(case, threshold, min_kept):
    logits, target = case
    chances = sorted(p[y] for p, y in pixels(logits, target))
    kept = max(sum(p <= threshold for p in chances), min(min_kept, len(chances)))
    expected = np.mean([-math.log(p) for p in chances[:kept]]) if kept else 0.0
    assert ohem_cross_entropy(logits, target, threshold, min_kept).item() == pytest.approx(expected)


@given(examples(), st.sampled_from([(1.0, 0), (1.0, 10**6), (0.01, 10**6)]))
@laws
def test_ohem_that_keeps_every_pixel_is_cross_entropy(case, setting):
    logits, target = case
    weight = torch.arange(1.0, logits.shape[1] + 1)
    torch.testing.assert_close(ohem_cross_entropy(logits, target, *setting), cross_entropy(logits, target))
    torch.testing.assert_close(
        ohem_cross_entropy(logits, target, *setting, weight), cross_entropy(logits, target, weight)
    )


@pytest.mark.parametrize(
    ("threshold", "min_kept", "kept"), [(0.5, 0, 2), (0.5, 2, 2), (0.5, 3, 3), (0.1, 0, 0), (0.1, 1, 1), (0.1, 9, 4)]
)
def test_ohem_worked_by_hand(threshold, min_kept, kept):
    chances = [0.2, 0.4, 0.6, 0.8, 0.01]  # the last one is ignored
    logits = torch.tensor([[p, 1 - p] for p in chances], dtype=torch.float64).log().T.reshape(1, 2, 1, 5)
    target = torch.tensor([[[0, 0, 0, 0, 255]]])
    expected = -sum(math.log(p) for p in chances[:kept]) / max(1, kept)
    assert ohem_cross_entropy(logits, target, threshold, min_kept).item() == pytest.approx(expected)


def test_a_threshold_of_one_keeps_even_a_pixel_without_loss():
    logits = torch.tensor([[1000.0, 0.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)  # losses 0 and log 2
    target = torch.zeros(1, 1, 2, dtype=torch.int64)
    assert ohem_cross_entropy(logits, target, threshold=1.0, min_kept=0).item() == pytest.approx(math.log(2) / 2)


def test_ohem_gives_easy_pixels_no_gradient():
    logits, target = example(ignored=0.0)
    logits.requires_grad_()
    ohem_cross_entropy(logits, target, threshold=0.3, min_kept=0).backward()
    hard = logits.softmax(1).gather(1, target.unsqueeze(1)) <= 0.3
    assert torch.equal(logits.grad.abs().sum(1, keepdim=True) > 0, hard)


def test_ohem_without_a_hard_pixel_and_without_a_minimum_costs_nothing():
    logits, target = example()
    logits = (100 * F.one_hot(target.where(target != 255, 0), 4).movedim(-1, 1).double()).requires_grad_()
    value = ohem_cross_entropy(logits, target, min_kept=0)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_pixels_as_hard_as_the_last_one_kept_are_kept_with_it():
    logits, target = example(ignored=0.0, size=(1, 2, 3))
    logits = logits[:, :, :1, :1].expand(1, 4, 2, 3).clone().requires_grad_()
    target[:] = 1
    ohem_cross_entropy(logits, target, threshold=1e-9, min_kept=2).backward()
    assert (logits.grad != 0).all()


@pytest.mark.parametrize(("threshold", "min_kept"), [(0.0, 1), (1.5, 1), (math.nan, 1), (0.7, -1)])
def test_ohem_refuses_settings_that_mean_nothing(threshold, min_kept):
    with pytest.raises(ValueError, match="expected"):
        ohem_cross_entropy(*example(), threshold, min_kept)


# --- dice -------------------------------------------------------------------------------------------------------------


@given(examples(), st.sampled_from([0.0, 1.0, 100.0]))
@laws
def test_dice_is_its_definition_over_the_classes_present(case, smooth):
    logits, target = case
    labeled = pixels(logits, target)
    scores = []
    for c in {y for _, y in labeled}:
        overlap = sum(p[c] for p, y in labeled if y == c)
        sizes = sum(p[c] for p, _ in labeled) + sum(y == c for _, y in labeled)
        scores.append((2 * overlap + smooth) / (sizes + smooth))
    value = dice_loss(logits, target, smooth).item()
    assert value == pytest.approx(1 - np.mean(scores), abs=1e-9)
    assert -1e-12 <= value <= 1


# --- lovász -----------------------------------------------------------------------------------------------------------


def lovasz_by_hand(logits: Tensor, target: Tensor) -> float:
    """Mean over present classes of sum m_i (J(first i wrong) - J(first i - 1 wrong)), with J from sets of pixels."""
    labeled = pixels(logits, target)
    losses = []
    for c in {y for _, y in labeled}:
        errors = [1 - p[c] if y == c else p[c] for p, y in labeled]
        truth = {i for i, (_, y) in enumerate(labeled) if y == c}
        wrong: set[int] = set()
        loss = before = 0.0
        for i in sorted(range(len(errors)), key=lambda i: -errors[i]):
            wrong.add(i)
            jaccard = len(wrong) / len(truth | wrong)
            loss, before = loss + errors[i] * (jaccard - before), jaccard
        losses.append(loss)
    return float(np.mean(losses))


@given(examples())
@laws
def test_lovasz_is_its_definition_over_sets_of_pixels(case):
    logits, target = case
    assert lovasz_softmax(logits, target).item() == pytest.approx(lovasz_by_hand(logits, target), abs=1e-9)


@given(examples(), st.integers(0, 1000))
@laws
def test_lovasz_of_a_hard_prediction_is_one_minus_iou(case, seed):
    logits, target = case
    num_classes = logits.shape[1]
    prediction = torch.randint(0, num_classes, target.shape, generator=torch.Generator().manual_seed(seed))
    labeled = target != 255
    losses = []
    for c in target[labeled].unique():
        overlap = ((prediction == c) & (target == c)).sum()
        union = ((prediction == c) | (target == c))[labeled].sum()
        losses.append(1 - overlap.item() / union.item())
    hard = 1000 * F.one_hot(prediction, num_classes).movedim(-1, 1).double()
    assert lovasz_softmax(hard, target).item() == pytest.approx(np.mean(losses), abs=1e-9)


def test_the_steps_of_the_jaccard_loss_sum_to_one_over_millions_of_pixels():
    truth = torch.rand(3_000_000, generator=torch.Generator().manual_seed(0)) < 0.01
    for dtype, accuracy in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        steps = jaccard_steps(truth, dtype)
        assert steps.dtype == dtype
        assert (steps >= 0).all()
        assert steps.sum().item() == pytest.approx(1, abs=accuracy)
        torch.testing.assert_close(steps.double(), jaccard_steps(truth), rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", [dice_loss, lovasz_softmax, lambda x, y: edge_loss(x[:, :1], y)])
def test_sums_over_millions_of_pixels_in_float32_are_those_in_float64(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 512, 1024, generator=generator)
    target = torch.randint(0, 2, (1, 64, 128), generator=generator)
    target = target.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert loss(logits, target).item() == pytest.approx(loss(logits.double(), target).item(), rel=1e-6)
