import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pixalign.errors import InputError
from pixalign.losses import (
    cross_entropy,
    dice_loss,
    edge_guided_loss,
    edge_loss,
    label_at,
    lovasz_softmax,
    ohem_cross_entropy,
    total_loss,
)


def outputs(requires_grad: bool = False) -> tuple[dict, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 32, 48, generator=generator).requires_grad_(requires_grad)
    heads = [torch.randn(2, 4, *size, generator=generator).requires_grad_(requires_grad) for size in ((2, 3), (4, 6))]
    target = torch.randint(0, 4, (2, 32, 48), generator=generator)
    target[:, :5] = 255
    return {"logits": logits, "auxiliaries": heads}, target


def test_the_total_is_the_sum_of_its_parts_times_their_factors():
    out, target = outputs()
    total, parts = total_loss(out, target, auxiliary=0.3, dice=0.5, lovasz=2.0)
    first, second = out["auxiliaries"]
    expected = {
        "cross_entropy": cross_entropy(out["logits"], target),
        "auxiliary": cross_entropy(first, label_at(target, (2, 3))) + cross_entropy(second, label_at(target, (4, 6))),
        "dice": dice_loss(out["logits"], target),
        "lovasz": lovasz_softmax(out["logits"], target),
    }
    assert parts.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(parts[key], value)
    torch.testing.assert_close(
        total, parts["cross_entropy"] + 0.3 * parts["auxiliary"] + 0.5 * parts["dice"] + 2 * parts["lovasz"]
    )


def test_parts_are_detached_and_the_total_reaches_every_head():
    out, target = outputs(requires_grad=True)
    total, parts = total_loss(out, target)
    assert not any(part.requires_grad for part in parts.values())
    total.backward()
    assert all((x.grad != 0).any() for x in (out["logits"], *out["auxiliaries"]))


@pytest.mark.parametrize("heads", [{}, {"auxiliaries": []}, {"auxiliaries": None}])
def test_a_model_without_auxiliaries_has_its_main_loss_alone(heads):
    out, target = outputs()
    total, parts = total_loss({"logits": out["logits"], **heads}, target)
    assert parts.keys() == {"cross_entropy"}
    torch.testing.assert_close(total, cross_entropy(out["logits"], target))


def test_a_factor_of_zero_leaves_the_auxiliaries_out():
    out, target = outputs(requires_grad=True)
    total, parts = total_loss(out, target, auxiliary=0.0)
    total.backward()
    assert parts.keys() == {"cross_entropy"}
    assert out["auxiliaries"][0].grad is None


def test_ohem_mines_the_auxiliaries_by_their_share_of_the_pixels():
    out, target = outputs()
    total, parts = total_loss(out, target, name="ohem", threshold=0.01, min_kept=512)  # of 3072: 2 of 12, 8 of 48
    first, second = out["auxiliaries"]
    main = ohem_cross_entropy(out["logits"], target, 0.01, 512)
    heads = ohem_cross_entropy(first, label_at(target, (2, 3)), 0.01, 2)
    heads = heads + ohem_cross_entropy(second, label_at(target, (4, 6)), 0.01, 8)
    torch.testing.assert_close(parts, {"ohem": main, "auxiliary": heads})
    torch.testing.assert_close(total, main + 0.4 * heads)


def test_ohem_keeps_a_sixteenth_of_the_pixels_unless_told():
    out, target = outputs()
    _, parts = total_loss(out, target, name="ohem", threshold=0.01)
    torch.testing.assert_close(parts["ohem"], ohem_cross_entropy(out["logits"], target, 0.01, 2 * 32 * 48 // 16))


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
def test_class_weights_reach_the_logits_and_the_auxiliaries(name):
    out, target = outputs()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    _, weighted = total_loss(out, target, name=name, weight=weight)
    _, plain = total_loss(out, target, name=name)
    assert weighted[name] != plain[name]
    assert weighted["auxiliary"] != plain["auxiliary"]


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
def test_a_batch_without_labels_costs_nothing_whatever_the_parts(name):
    out, target = outputs(requires_grad=True)
    total, parts = total_loss(out, torch.full_like(target, 255), name=name, dice=1.0, lovasz=1.0)
    total.backward()
    assert total == 0
    assert all(part == 0 for part in parts.values())
    assert all((x.grad == 0).all() for x in (out["logits"], *out["auxiliaries"]))


def test_an_unknown_loss_is_refused_with_the_known_ones():
    out, target = outputs()
    with pytest.raises(InputError, match="loss 'focal' is unknown: choose one of cross_entropy, ohem"):
        total_loss(out, target, name="focal")


def with_edge() -> tuple[dict, torch.Tensor]:
    """`outputs` with an edge map that exceeds the labels' size, and labels in two halves."""
    out, target = outputs(requires_grad=True)
    target[:, :, :24] = target[:, 10:11, :1].clone()
    target[:, :5] = 255
    edge = 3 * torch.randn(2, 1, 40, 56, generator=torch.Generator().manual_seed(1))
    return {**out, "edge": edge.requires_grad_()}, target


def test_edge_losses_join_the_total_by_their_factors():
    out, target = with_edge()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    total, parts = total_loss(out, target, weight=weight, edge=25.0, edge_guided=1.0, threshold=0.6)
    plain, _ = total_loss(out, target, weight=weight)
    guided = edge_guided_loss(out["logits"], out["edge"], target, probability=0.6, weight=weight)
    assert parts["edge"] > 0
    assert parts["edge_guided"] > 0
    torch.testing.assert_close(parts["edge"], edge_loss(out["edge"], target).detach())
    torch.testing.assert_close(parts["edge_guided"], guided.detach())
    torch.testing.assert_close(total, plain + 25 * parts["edge"] + parts["edge_guided"])


@pytest.mark.parametrize("factors", [{}, {"edge_guided": 1.0}])
def test_an_edge_map_that_no_loss_teaches_gets_a_gradient_of_zero(factors):
    out, target = with_edge()
    total, parts = total_loss(out, target, **factors)
    total.backward()
    assert "edge" not in parts
    assert (out["edge"].grad == 0).all()


@pytest.mark.parametrize("key", ["edge", "edge_guided"])
def test_an_edge_loss_without_an_edge_head_is_refused(key):
    out, target = outputs()
    with pytest.raises(InputError, match=f"loss.{key} is 2.0, but the network has no edge head: .* bialignnet"):
        total_loss(out, target, **{key: 2.0})


def test_a_batch_without_labels_costs_nothing_at_the_edges_either():
    out, target = with_edge()
    total, parts = total_loss(out, torch.full_like(target, 255), edge=25.0, edge_guided=1.0)
    total.backward()
    assert total == parts["edge"] == parts["edge_guided"] == 0
    assert (out["edge"].grad == 0).all()


def test_edge_losses_of_two_processes_average_to_those_of_one():
    out, target = with_edge()
    target[0, :, 30:] = 255  # the first process has fewer labels
    options = {"edge": 25.0, "edge_guided": 1.0, "threshold": 1.0}  # nothing is easy: what is mined is a plain mean
    shares = [({k: out[k][i : i + 1] for k in ("logits", "edge")}, target[i : i + 1]) for i in (0, 1)]
    asked = [[], []]
    for (part, labels), seen in zip(shares, asked):
        total_loss(part, labels, **options, mean_over_processes=lambda x, seen=seen: seen.append(x) or x)
    losses = []
    for part, labels in shares:
        answers = iter([torch.stack(pair).mean(0) for pair in zip(*asked)])
        losses.append(total_loss(part, labels, **options, mean_over_processes=lambda x, a=answers: next(a))[0])
    expected, _ = total_loss({k: out[k] for k in ("logits", "edge")}, target, **options)
    torch.testing.assert_close(torch.stack(losses).mean(), expected)


def accumulated(out: dict, target: torch.Tensor, parts: int, **options) -> torch.Tensor:
    """The mean loss of the images of a batch, taken ``parts`` of them at a time as one update."""
    size = len(target) // parts
    places = [slice(i * size, (i + 1) * size) for i in range(parts)]
    update = [target[place].byte() for place in places]
    teacher = options.pop("teacher", None)
    losses = []
    for place in places:
        part = {k: [x[place] for x in v] if isinstance(v, list) else v[place] for k, v in out.items()}
        taught = None if teacher is None else teacher[place]
        losses.append(total_loss(part, target[place], teacher=taught, update=update, **options)[0])
    return torch.stack(losses).mean()


def big_batch(seed: int, unlabeled: float) -> tuple[dict, torch.Tensor]:
    """Outputs for four images whose shares of labeled pixels are far apart."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 3, 24, 32, generator=generator).requires_grad_()
    heads = [torch.randn(4, 3, *size, generator=generator).requires_grad_() for size in ((2, 3), (5, 8))]
    edge = torch.randn(4, 1, 24, 32, generator=generator).requires_grad_()
    target = torch.randint(0, 3, (4, 4, 4), generator=generator).repeat_interleave(6, 1).repeat_interleave(8, 2)
    hidden = torch.rand(4, 24, 32, generator=generator) < torch.rand(4, 1, 1, generator=generator)
    target[hidden & (torch.rand(4, 1, 1, generator=generator) < unlabeled)] = 255
    return {"logits": logits, "auxiliaries": heads, "edge": edge}, target


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1, 2, 4]), st.booleans())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_accumulated_batches_have_loss_and_gradient_of_the_larger_batch(seed, unlabeled, parts, weighted):
    out, target = big_batch(seed, unlabeled)
    options = {"edge": 5.0, "distill": 0.5, "teacher": torch.randn_like(out["logits"])}
    options["weight"] = torch.tensor([1.0, 7.0, 0.3]) if weighted else None
    leaves = [out["logits"], *out["auxiliaries"], out["edge"]]
    whole = total_loss(out, target, **options)[0]
    wanted = torch.autograd.grad(whole, leaves)
    value = accumulated(out, target, parts, **options)
    torch.testing.assert_close(value, whole)
    for one, other in zip(torch.autograd.grad(value, leaves), wanted):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_a_lone_labeled_pixel_counts_as_every_other_of_its_update():
    logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
    target = torch.full((2, 8, 8), 255)
    target[0], target[1, 0, 0] = 0, 0
    accumulated({"logits": logits}, target, 2).backward()
    lone = logits.grad[1, :, 0, 0]
    assert lone.abs().sum() > 0
    torch.testing.assert_close(logits.grad[0], lone[:, None, None].expand(3, 8, 8))


def test_accumulated_hard_pixels_are_weighed_by_the_labels_of_their_batch():
    out, target = big_batch(3, 1.0)
    options = {"name": "ohem", "min_kept": 0}
    torch.testing.assert_close(  # nothing is easy: what is mined is a plain mean
        accumulated(out, target, 4, threshold=1.0, edge_guided=0.0, **options),
        total_loss(out, target, threshold=1.0, **options)[0],
    )
    labeled = [(t != 255).sum() for t in target]
    each = [ohem_cross_entropy(out["logits"][i : i + 1], target[i : i + 1], 0.3, 0) for i in range(4)]
    expected = sum(loss * count for loss, count in zip(each, labeled)) / sum(labeled)
    torch.testing.assert_close(accumulated(out, target, 4, threshold=0.3, auxiliary=0.0, **options), expected)


def test_accumulated_random_points_count_the_same_wherever_they_fell():
    target = torch.full((2, 16, 16), 255)
    target[0], target[1, :, :4] = 1, 1  # a quarter of the second image
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(2, 50, 2, generator=generator) - 1
    logits = torch.zeros(2, 3, 50, 1, requires_grad=True)
    accumulated({"logits": logits, "points": points}, target, 2).backward()
    sizes = logits.grad.abs().sum(1).flatten()
    assert 50 < (sizes > 0).sum() < 100
    torch.testing.assert_close(sizes[sizes > 0], sizes.max().expand(int((sizes > 0).sum())))
    one_pixel = 4 / 3 / (50 * 1.25)  # |p - y| summed over three classes, over the labeled points to be expected
    torch.testing.assert_close(sizes.max(), torch.tensor(one_pixel))


@given(*(st.integers(1, 40) for _ in range(4)))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_label_at_a_map_is_the_one_under_its_pixel_centers(height, width, h, w):
    target = torch.arange(height * width).reshape(1, height, width)
    rows = [int((i + 0.5) * height / h + 1e-9) for i in range(h)]
    columns = [int((j + 0.5) * width / w + 1e-9) for j in range(w)]
    assert label_at(target, (h, w))[0].tolist() == [[i * width + j for j in columns] for i in rows]


@pytest.mark.parametrize("size", [(23, 30), (22, 30), (90, 120), (360, 480), (500, 481)])
def test_the_label_at_a_map_is_interpolation_nearest_exact(size):
    target = torch.randint(0, 256, (2, 360, 480), generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(target.unsqueeze(1).double(), size, mode="nearest-exact").squeeze(1).long()
    assert torch.equal(label_at(target, size), expected)
