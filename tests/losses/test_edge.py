"""Class borders of a label and the two losses on them, each beside its definition written as a loop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixalign.losses import edge_guided_loss, edge_labels, edge_loss, label_at, ohem_cross_entropy
from pixalign.losses.edge import at_predicted_edges

laws = settings(max_examples=40, deadline=None, derandomize=True)


def example(seed: int = 0, size=(2, 24, 32), edge_size=(24, 32), num_classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, K, H, W) and edge logits (N, 1, h, w), float64, and a target (N, H, W) of blocks, some ignored."""
    generator = torch.Generator().manual_seed(seed)
    n, h, w = size
    blocks = torch.randint(0, num_classes, (n, h // 5 + 1, w // 5 + 1), generator=generator)
    target = blocks.repeat_interleave(5, 1).repeat_interleave(5, 2)[:, :h, :w].clone()
    target[torch.rand(size, generator=generator) < 0.05] = 255
    logits = torch.randn(n, num_classes, h, w, generator=generator, dtype=torch.float64)
    return logits, 2 * torch.randn(n, 1, *edge_size, generator=generator, dtype=torch.float64), target


# --- borders ----------------------------------------------------------------------------------------------------------


def brute_force_edges(target: np.ndarray) -> np.ndarray:
    """The definition of `edge_labels`, one pixel of (H, W) at a time."""
    height, width = target.shape
    result = np.zeros((height, width), np.int64)
    for i, j in np.ndindex(height, width):
        near = [(i + a, j + b) for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))]
        neighbors = [target[p] for p in near if 0 <= p[0] < height and 0 <= p[1] < width]
        if target[i, j] == 255:
            result[i, j] = 255
        elif min(i, j, height - 1 - i, width - 1 - j) < 3:
            result[i, j] = 0
        elif any(x not in (255, target[i, j]) for x in neighbors):
            result[i, j] = 1
        elif 255 in neighbors:
            result[i, j] = 255
    return result


@given(st.integers(1, 2), st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**31), st.sampled_from([0, 0.1, 0.5]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_edges_are_those_of_the_definition(n, height, width, seed, ignored):
    random = np.random.default_rng(seed)
    target = random.integers(0, 3, (n, height, width)) * random.integers(0, 2, (n, height, width))
    target[random.random(target.shape) < ignored] = 255
    got = edge_labels(torch.from_numpy(target))
    assert got.dtype == torch.int64
    np.testing.assert_array_equal(got, [brute_force_edges(x) for x in target])


def test_a_straight_border_is_two_pixels_wide_and_ends_three_pixels_before_the_rim():
    target = torch.zeros(1, 10, 12, dtype=torch.int64)
    target[..., 6:] = 1
    expected = torch.zeros(10, 12, dtype=torch.int64)
    expected[3:7, 5:7] = 1
    assert torch.equal(edge_labels(target)[0], expected)


def test_where_an_unlabeled_area_begins_is_unknown_and_no_border():
    target = torch.zeros(1, 12, 12, dtype=torch.int64)
    target[..., 6:] = 255
    edges = edge_labels(target)[0]
    assert (edges[3:9, 5:] == 255).all()
    assert (edges[:, :5] == 0).all()


@given(st.integers(0, 2**31))
@laws
def test_renaming_the_classes_and_mirroring_the_image_change_no_border(seed):
    _, _, target = example(seed)
    names = torch.tensor([3, 0, 2, 1, *range(4, 256)])
    assert torch.equal(edge_labels(names[target]), edge_labels(target))
    for dim in (1, 2):
        assert torch.equal(edge_labels(target.flip(dim)), edge_labels(target).flip(dim))


def test_the_target_is_left_as_it_is():
    _, _, target = example()
    before = target.clone()
    edge_labels(target)
    assert torch.equal(target, before)


# --- the edge head's loss ---------------------------------------------------------------------------------------------


def brute_force_edge_loss(edge_logits: Tensor, target: Tensor) -> float:
    labels = label_at(edge_labels(target), tuple(edge_logits.shape[-2:])).flatten().tolist()
    pairs = [(1 / (1 + math.exp(-x)), y) for x, y in zip(edge_logits.flatten().tolist(), labels) if y != 255]
    borders = sum(y for _, y in pairs)
    others = len(pairs) - borders
    terms = [-others / len(pairs) * math.log(p) if y else -borders / len(pairs) * math.log(1 - p) for p, y in pairs]
    return sum(terms) / len(pairs)


@pytest.mark.parametrize("edge_size", [(24, 32), (32, 40), (12, 16), (7, 9)])
def test_edge_loss_is_the_class_balanced_mean(edge_size):
    _, edges, target = example(edge_size=edge_size)
    assert edge_loss(edges, target).item() == pytest.approx(brute_force_edge_loss(edges, target))


def test_borders_and_the_rest_weigh_alike_together():
    _, edges, target = example()
    labels = edge_labels(target)
    zero = torch.zeros_like(edges)
    at_borders, elsewhere = zero.clone(), zero.clone()
    at_borders[labels.unsqueeze(1) == 1] = -50
    elsewhere[labels.unsqueeze(1) == 0] = 50
    torch.testing.assert_close(edge_loss(at_borders, target), edge_loss(elsewhere, target))


def test_a_right_and_certain_edge_map_costs_nothing_and_a_wrong_one_much():
    _, _, target = example()
    right = 100 * (2 * (edge_labels(target) == 1).double() - 1).unsqueeze(1)
    assert edge_loss(right, target).item() == pytest.approx(0, abs=1e-9)
    assert edge_loss(-right, target).item() > 1


@pytest.mark.parametrize(
    ("target", "size"),
    [(torch.full((2, 24, 32), 255), (24, 32)), (torch.ones(2, 24, 32, dtype=torch.int64), (24, 32))],
    ids=["no labels", "no borders"],
)
def test_without_labels_or_without_borders_the_edge_loss_is_zero_with_a_graph(target, size):
    edges = torch.randn(2, 1, *size, requires_grad=True)
    value = edge_loss(edges, target)
    value.backward()
    assert value == 0
    assert (edges.grad == 0).all()


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_an_edge_map_that_is_not_finite_costs_nothing_where_there_are_no_labels(bad):
    edges = torch.full((1, 1, 8, 8), bad, requires_grad=True)
    value = edge_loss(edges, torch.full((1, 8, 8), 255))
    value.backward()
    assert value == 0
    assert (edges.grad == 0).all()


def test_gradients_of_the_edge_loss_are_those_of_finite_differences_and_zero_at_ignored_pixels():
    _, edges, target = example(size=(1, 12, 12), edge_size=(12, 12))
    assert torch.autograd.gradcheck(lambda x: edge_loss(x, target), (edges.requires_grad_(),))
    edge_loss(edges, target).backward()
    assert torch.equal(edges.grad[:, 0] != 0, edge_labels(target) != 255)


@pytest.mark.parametrize(("given_", "computed"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_edge_loss_is_computed_at_least_in_float32(given_, computed):
    _, edges, target = example()
    edges = edges.to(given_).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = edge_loss(edges, target)
    value.backward()
    assert value.dtype == computed
    assert value.item() == pytest.approx(edge_loss(edges.detach().double(), target).item(), rel=1e-5)
    assert edges.grad.dtype == given_


def test_nan_at_a_labeled_pixel_shows_in_the_edge_loss():
    _, edges, target = example()
    edges[0, 0, 10, 10] = math.nan
    target[0, 7:14, 7:14] = 1
    assert edge_loss(edges, target).isnan()


def test_edge_losses_of_shares_average_to_the_loss_of_the_whole_batch():
    _, edges, target = example(size=(4, 24, 32))
    target[:2, :, 10:] = 255
    target[0] = 255
    shares = [slice(0, 2), slice(2, 4)]
    counts = []
    for share in shares:
        edge_loss(edges[share], target[share], lambda x: counts.append(x) or x)
    mean = torch.stack(counts).mean(0)
    losses = [edge_loss(edges[share], target[share], lambda x: mean) for share in shares]
    torch.testing.assert_close(torch.stack(losses).mean(), edge_loss(edges, target))


# --- edge-guided mining -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_size", [(24, 32), (32, 40), (12, 16)])
@pytest.mark.parametrize("min_kept", [0, 30, 5000])
def test_guided_mining_is_ohem_where_an_edge_is_predicted(edge_size, min_kept):
    logits, edges, target = example(edge_size=edge_size)
    kept = target.clone()
    for n, i, j in np.ndindex(*target.shape):
        row, column = (2 * i + 1) * edge_size[0] // 48, (2 * j + 1) * edge_size[1] // 64
        if 1 / (1 + math.exp(-float(edges[n, 0, row, column]))) <= 0.8:
            kept[n, i, j] = 255
    assert 30 < (kept != 255).sum() < target.numel() / 2
    expected = ohem_cross_entropy(logits, kept, 0.7, min_kept)
    torch.testing.assert_close(edge_guided_loss(logits, edges, target, min_kept=min_kept), expected)


def test_an_edge_everywhere_makes_guided_mining_plain_ohem():
    logits, edges, target = example()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    got = edge_guided_loss(logits, torch.full_like(edges, 9), target, min_kept=100, probability=0.4, weight=weight)
    torch.testing.assert_close(got, ohem_cross_entropy(logits, target, 0.4, 100, weight))


def test_a_higher_threshold_keeps_fewer_pixels():
    _, edges, target = example()
    kept = [(at_predicted_edges(edges, target, t) != 255).sum() for t in (0, 0.5, 0.8, 0.95)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == (target != 255).sum() > kept[3]


@pytest.mark.parametrize("case", ["no edges", "no labels"])
def test_without_edges_or_without_labels_guided_mining_is_zero_with_a_graph(case):
    logits, edges, target = example()
    edges = torch.full_like(edges, -9) if case == "no edges" else edges
    target = torch.full_like(target, 255) if case == "no labels" else target
    value = edge_guided_loss(logits.requires_grad_(), edges, target)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_guided_mining_teaches_the_logits_at_edges_alone_and_never_the_edge_map():
    logits, edges, target = example()
    edge_guided_loss(logits.requires_grad_(), edges.requires_grad_(), target).backward()
    assert edges.grad is None
    kept = at_predicted_edges(edges, target) != 255
    assert torch.equal((logits.grad != 0).any(1), kept)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "target"), [((1, 1, 4, 4), (2, 4, 4)), ((2, 2, 4, 4), (2, 4, 4)), ((2, 4, 4), (2, 4, 4))]
)
def test_shapes_that_do_not_fit_are_refused_by_name(size, target):
    target = torch.zeros(target, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"edge logits .* and target .* do not go together"):
        edge_loss(torch.zeros(size), target)
    with pytest.raises(ValueError, match=r"edge logits .* and target .* do not go together"):
        edge_guided_loss(torch.zeros(2, 3, 4, 4), torch.zeros(size), target)


def test_masks_that_are_not_int64_and_thresholds_out_of_range_are_refused():
    edges, target = torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"dtype torch.uint8: expected torch.int64"):
        edge_loss(edges, target.byte())
    for threshold in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"threshold is {threshold}: expected a probability from 0 to below 1"):
            edge_guided_loss(torch.zeros(1, 3, 4, 4), edges, target, threshold=threshold)
