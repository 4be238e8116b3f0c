"""IFA against its definition, which builds the wide map that the network avoids; points, grids, training at points."""

from fractions import Fraction

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor, nn

from graphs import onnx_runner, relative_error
from networks import CLASSES, image, network, two_level_ifa
from pixalign.errors import InputError
from pixalign.losses import total_loss
from pixalign.losses.weights import adjust_logits
from pixalign.models import ifa
from pixalign.sampling import resize

TIES = (90, 7)  # a quarter of 360 x 25: at a 32nd, 12 cells, six queries lie midway between two
ENCODINGS = ("learnable", "sinusoidal", "raw", "none")
Reads = list[tuple[Tensor, Tensor, Tensor]]  # cells (P,), positions inside (P, 2) as y, x, shares (P,)


@pytest.fixture(scope="module")
def model():
    return network("ifa")


def pyramid(model: nn.Module, size: tuple[int, int], batch: int = 2) -> list[Tensor]:
    """Seeded encoder maps, the finest of ``size``."""
    generator = torch.Generator().manual_seed(0)
    sizes = [tuple(-(-side // 2**i) for side in size) for i in range(4)]
    return [torch.randn(batch, c, *s, generator=generator) for c, s in zip(model.encoder.channels, sizes)]


def plain(model: nn.Module, features: list[Tensor], reads: list[Reads]) -> Tensor:
    """Logits (N, K, P): [psi(d), z] of all levels side by side, then the MLP as it stands in the paper."""
    parts = []
    for x, lateral, encoding, level in zip(features, model.laterals, model.encodings, reads):
        z = lateral(x).flatten(2)
        part = sum(
            torch.cat((encoding(d).T.expand(len(x), -1, -1), z[:, :, cell]), 1) * share for cell, d, share in level
        )
        parts.append(part)
    wide = torch.cat(parts, 1).unsqueeze(-1)  # (N, 4 (E + C), P, 1)
    return model.classify(model.mlp(model.first(wide))).squeeze(-1)


def exact_axis(out: int, size: int) -> tuple[Tensor, Tensor]:
    """Nearest of ``size`` cells to ``out`` pixel centers, ties to even, and the positions inside, in half cells."""
    positions = [Fraction((2 * i + 1) * size, 2 * out) - Fraction(1, 2) for i in range(out)]
    cells = [round(p) for p in positions]
    return torch.tensor(cells), torch.tensor([float(2 * (p - c)) for p, c in zip(positions, cells)])


def sampled_axis(out: int, size: int) -> tuple[Tensor, Tensor]:
    """The same in float32 by `grid_sample`, which reads the cells' numbers and centers."""
    query, centers = ((-1 + 1 / n) + (2 / n) * torch.arange(n).float() for n in (out, size))
    query = (query + 1) - 1
    table = torch.stack((torch.arange(size).float(), centers)).view(1, 2, 1, size)
    points = torch.stack((query, torch.zeros(out)), -1).view(1, 1, out, 2)
    cell, center = F.grid_sample(table, points, mode="nearest", align_corners=False).view(2, out)
    return cell.long(), (query - center) * size


def grid_reads(features: list[Tensor], size: tuple[int, int], axis=exact_axis) -> list[Reads]:
    """What the pixel centers of a grid read in each level."""
    levels = []
    for x in features:
        (rows, dy), (columns, dx) = axis(size[0], x.shape[-2]), axis(size[1], x.shape[-1])
        cell = (rows.unsqueeze(1) * x.shape[-1] + columns).flatten()
        d = torch.stack(torch.broadcast_tensors(dy.unsqueeze(1), dx), -1).view(-1, 2)
        levels.append([(cell, d, torch.ones(len(cell)))])
    return levels


def surrounding(x: Tensor, points: Tensor) -> Reads:
    """The four cells around each point (P, 2), each with the area opposite to it as its share, one point at a time."""
    size = (x.shape[-2], x.shape[-1])
    reads: Reads = []
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        cells, offsets, shares = [], [], []
        for point in points.flip(-1).tolist():  # y, x
            position = [(p + 1) / 2 * n - 0.5 for p, n in zip(point, size)]
            lower = [int(p // 1) for p in position]
            cell = [min(max(low + c, 0), n - 1) for low, c, n in zip(lower, corner, size)]
            cells.append(cell[0] * size[1] + cell[1])
            offsets.append([2 * (p - c) for p, c in zip(position, cell)])
            opposite = [abs(p - low - (1 - c)) for p, low, c in zip(position, lower, corner)]
            shares.append(opposite[0] * opposite[1])
        reads.append((torch.tensor(cells), torch.tensor(offsets), torch.tensor(shares)))
    return reads


def centers(height: int, width: int, batch: int = 2) -> Tensor:
    y, x = ((2 * torch.arange(n) + 1) / n - 1 for n in (height, width))
    grid = torch.stack((x.expand(height, width), y.unsqueeze(1).expand(height, width)), -1)
    return grid.reshape(1, -1, 2).expand(batch, -1, -1)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("training", [False, True])
def test_the_split_first_layer_is_the_plain_one(encoding, training):
    ours, reference = (network("ifa", encoding=encoding, auxiliary=False).train(training) for _ in range(2))
    features = pyramid(ours, TIES)
    expected = plain(reference, features, grid_reads(features, TIES)).view(2, CLASSES, *TIES)
    with torch.no_grad():
        assert relative_error(ours.decode(features), expected) < 1e-5
    for (name, x), (_, y) in zip(ours.named_buffers(), reference.named_buffers()):  # norm statistics
        torch.testing.assert_close(x, y, msg=name)


def test_gradients_of_the_split_are_those_of_the_plain_form():
    ours, reference = (network("ifa", auxiliary=False).train() for _ in range(2))
    features = pyramid(ours, (21, 13))
    weight = torch.randn(2, CLASSES, 21 * 13, generator=torch.Generator().manual_seed(1))
    (ours.decode(features).flatten(2) * weight).sum().backward()
    (plain(reference, features, grid_reads(features, (21, 13))) * weight).sum().backward()
    for name in ("first.weight", "first.bias", "encodings.3.frequencies", "laterals.0.0.weight", "laterals.3.0.weight"):
        got, expected = ours.get_parameter(name).grad, reference.get_parameter(name).grad
        scale = ours.first.weight.grad.abs().max() if name == "first.bias" else expected.abs().max()  # 0 before a norm
        assert (got - expected).abs().max() < 1e-3 * scale, name


@pytest.mark.parametrize("size", [TIES, (45, 60), (31, 33)])
def test_a_published_convention_reads_what_grid_sample_reads(size):
    model = network("ifa", convention="sfnet")
    features = pyramid(model, size)
    with torch.no_grad():
        expected = plain(model, features, grid_reads(features, size, sampled_axis)).view(2, CLASSES, *size)
        assert relative_error(model.decode(features), expected) < 1e-5


def test_a_wrong_cell_at_the_ties_would_show(model):
    features = pyramid(model, TIES)
    with torch.no_grad():
        exact, sampled = (plain(model, features, grid_reads(features, TIES, a)) for a in (exact_axis, sampled_axis))
    assert relative_error(exact, sampled) > 0.05


@pytest.mark.parametrize("size", [(97, 50), (200, 160), (11, 9), (1, 1)])
def test_asked_at_pixels_any_resolution_is_answered_directly(size):
    model = network("ifa", queries="pixels")
    features = pyramid(model, (25, 17))
    with torch.no_grad():
        logits = model.decode(features, size)
        assert relative_error(logits, plain(model, features, grid_reads(features, size)).view(2, CLASSES, *size)) < 1e-5
        assert torch.equal(model(image(64, 32)), model.decode(model.encode(image(64, 32)), (64, 32)))


def test_asked_at_the_finest_map_logits_are_resized(model):
    features = pyramid(model, (25, 17))
    with torch.no_grad():
        assert torch.equal(model.decode(features, (97, 50)), resize(model.decode(features), (97, 50)))


SIDES = st.tuples(st.integers(1, 130), st.integers(1, 130))


@settings(max_examples=20, deadline=None)
@given(size=SIDES, finest=st.sampled_from([(25, 17), (8, 12)]), share=st.floats(0.01, 0.99))
def test_refined_pixels_are_those_of_decoding_everywhere_and_the_others_are_resized(model, size, finest, share):
    features = pyramid(model, finest)
    with torch.no_grad():
        refined, everywhere = (model.decode(features, size, refine=r) for r in (share, 1))
        coarse = model.decode(features)
    resized = resize(coarse, size)
    for i, (rows, columns) in enumerate(ifa.pixels_of(ifa.least_sure(coarse, share), size)):
        fine = torch.zeros(size, dtype=torch.bool)
        fine[rows, columns] = True
        assert torch.equal(refined[i, :, ~fine], resized[i, :, ~fine])
        torch.testing.assert_close(
            refined[i, :, fine], everywhere[i, :, fine], rtol=0, atol=1e-5 * everywhere.abs().max()
        )


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("queries", ["finest", "pixels"])
def test_refining_no_cell_or_all_of_them_is_what_queries_can_be(ensemble, queries):
    model = network("ifa", queries=queries, local_ensemble=ensemble)
    features = pyramid(model, (25, 17))
    with torch.no_grad():
        none, half, all_cells = (model.decode(features, (97, 50), refine=r) for r in (0, 0.5, 1))
        assert torch.equal(model.decode(features, (97, 50)), all_cells if queries == "pixels" else none)
        assert torch.equal(none, resize(model.decode(features), (97, 50)))
        nearly = model.decode(features, (97, 50), refine=0.9999)  # rounds to all
    assert relative_error(nearly, all_cells) < 1e-5
    assert 0.1 < (half == none).all(1).float().mean() < 0.9


def test_a_published_convention_refines_the_pixels_that_read_the_chosen_cells():
    model = network("ifa", convention="sfnet")
    features = pyramid(model, (25, 17), batch=1)
    with torch.no_grad():
        refined, everywhere = (model.decode(features, (90, 31), refine=r) for r in (0.4, 1))
        ((rows, columns),) = ifa.pixels_of(ifa.least_sure(model.decode(features), 0.4), (90, 31), "sfnet")
    assert relative_error(refined[0, :, rows, columns], everywhere[0, :, rows, columns]) < 1e-5


@settings(max_examples=30, deadline=None)
@given(
    size=SIDES, sides=st.tuples(st.integers(1, 5), st.integers(1, 5)), convention=st.sampled_from(["pixel", "sfnet"])
)
def test_each_pixel_belongs_to_one_cell(size, sides, convention):
    count = torch.zeros(size, dtype=torch.int64)
    for rows, columns in ifa.pixels_of(torch.eye(sides[0] * sides[1]).bool().unflatten(1, sides), size, convention):
        count[rows, columns] += 1
    assert bool((count == 1).all())


def test_the_least_sure_cells_are_those_on_both_sides_of_a_border():
    logits = torch.zeros(1, 3, 6, 8)
    logits[:, 0, :, :4], logits[:, 1, :, 4:] = 9, 9
    logits[0, 2, 1, 1] = 8  # unsure of itself, though no border runs there
    border = torch.zeros(6, 8, dtype=torch.bool)
    border[:, 3:5] = True
    assert torch.equal(ifa.least_sure(logits, 13 / 48)[0], border | (logits[0, 2] == 8))


@given(share=st.floats(0.001, 1), sides=st.tuples(st.integers(1, 9), st.integers(1, 9)), classes=st.integers(1, 4))
def test_a_share_chooses_as_many_cells_in_each_image_and_a_larger_one_more(share, sides, classes):
    logits = torch.randn(2, classes, *sides, generator=torch.Generator().manual_seed(0))
    cells = ifa.least_sure(logits, share)
    count = max(1, round(share * sides[0] * sides[1]))
    assert cells.flatten(1).sum(1).tolist() == [count, count]
    if classes > 1:  # with one class, all are as sure
        assert bool((cells <= ifa.least_sure(logits, min(1.0, 2 * share))).all())


@pytest.mark.parametrize("ensemble", [False, True])
def test_points_at_pixel_centers_have_the_grids_logits(ensemble):
    model = network("ifa", queries="pixels", local_ensemble=ensemble)
    features = pyramid(model, (25, 17))
    with torch.no_grad():
        at_points = model.decode(features, points=centers(101, 67))
        assert relative_error(at_points, model.decode(features, (101, 67)).flatten(2)) < 1e-4


def test_points_of_each_image_are_its_own(model):
    features = pyramid(model, (25, 17))
    points = 2 * torch.rand(2, 30, 2, generator=torch.Generator().manual_seed(0)) - 1
    with torch.no_grad():
        both = model.decode(features, points=points)
        assert both.shape == (2, CLASSES, 30)
        for i in (0, 1):
            alone = model.decode([x[i : i + 1] for x in features], points=points[i : i + 1])
            assert relative_error(both[i : i + 1], alone) < 1e-5
        swapped = model.decode(features, points=points.flip(-1))
    assert relative_error(both, swapped) > 0.1


def test_local_ensemble_weighs_the_four_cells_around_a_point_by_the_area_opposite():
    model = network("ifa", local_ensemble=True)
    features = pyramid(model, (12, 9), batch=1)
    points = 2 * torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(0)) - 1
    points[0, 0] = torch.tensor([-0.99, 0.99])  # beyond the outermost centers
    with torch.no_grad():
        expected = plain(model, features, [surrounding(x, points[0]) for x in features])
        assert relative_error(model.decode(features, points=points), expected) < 1e-4


def test_local_ensemble_without_encoding_is_the_mlp_of_resized_maps():
    model = network("ifa", local_ensemble=True, encoding="none", queries="pixels")
    features = pyramid(model, (12, 9))
    wide = torch.cat([resize(lateral(x), (50, 31)) for lateral, x in zip(model.laterals, features)], 1)
    with torch.no_grad():
        expected = model.classify(model.mlp(model.first(wide)))
        assert relative_error(model.decode(features, (50, 31)), expected) < 1e-5


@pytest.mark.parametrize("ensemble", [False, True])
def test_strips_change_nothing(monkeypatch, ensemble):
    model = network("ifa", queries="pixels", local_ensemble=ensemble)
    features, size = pyramid(model, (25, 17)), (97, 50)
    points = 2 * torch.rand(2, 301, 2, generator=torch.Generator().manual_seed(0)) - 1
    expected = model.decode(features, size), model.decode(features, points=points)  # with gradients: in one piece
    monkeypatch.setitem(ifa._STRIP, "cpu", 256)
    with torch.no_grad():
        got = model.decode(features, size), model.decode(features, points=points)
    for x, y in zip(got, expected):
        assert relative_error(x, y) < 1e-5


def test_answers_take_little_more_memory_than_themselves(model, monkeypatch):
    """The widest tensor is a strip, not a map of 2C channels at the queries' resolution."""
    monkeypatch.setitem(ifa._STRIP, "cpu", 512)
    widest = []
    model.mlp[0].register_forward_hook(lambda module, arguments, output: widest.append(output.numel()))
    with torch.no_grad():
        model._on_grid(pyramid(model, (25, 17)), (100, 64))
    assert len(widest) > 1
    assert max(widest) <= 512 * model.first.out_channels


def test_in_training_random_points_are_answered_and_meet_their_labels():
    model = network("ifa", train_points=300).train()
    x = image(64, 96, batch=2)
    target = torch.randint(0, CLASSES, (2, 64, 96), generator=torch.Generator().manual_seed(0))
    outputs = model(x, heads=True)
    assert outputs["logits"].shape == (2, CLASSES, 300, 1)
    assert outputs["points"].shape == (2, 300, 2)
    assert outputs["points"].abs().max() <= 1
    assert outputs["points"].amin() < -0.9
    assert not torch.equal(outputs["points"][0], outputs["points"][1])
    loss, _ = total_loss(outputs, target)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name  # the finest level's frequencies too
    assert model(x).shape == (2, CLASSES, 64, 96)
    assert model.eval()(x, heads=True)["logits"].shape == (2, CLASSES, 64, 96)


def test_learning_at_points_teaches_the_map():
    """A picture whose label is its brightness at the pixel: after training at points, the map is right."""
    torch.manual_seed(0)
    model = ifa.IFA("test_resnet", 2, channels=16, train_points=256, auxiliary=False, queries="pixels")
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        coarse = (torch.rand(4, 1, 4, 4) > 0.5).float()
        target = F.interpolate(coarse, scale_factor=16)
        optimizer.zero_grad()
        total_loss(model.train()(2 * target.expand(-1, 3, -1, -1) - 1, heads=True), target[:, 0].long())[0].backward()
        optimizer.step()
    with torch.no_grad():
        right = model.eval()(2 * target.expand(-1, 3, -1, -1) - 1).argmax(1) == target[:, 0]
    assert right.float().mean() > 0.85


def test_class_weights_are_taken_back_from_map_and_points(model):
    weight = torch.tensor([1.0, 2.0, 4.0, 0.5, 1.0])
    adjusted, features = adjust_logits(model, weight, 0.5), pyramid(model, (25, 17))
    for ask in ({"size": (64, 64)}, {"points": centers(9, 9)}):
        with torch.no_grad():
            change = model.decode(features, **ask) - adjusted.decode(features, **ask)
        expected = 0.5 * weight.log().view(-1, *[1] * (change.dim() - 2)).expand_as(change)
        torch.testing.assert_close(change, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"size": (0, 5)}, r"size is \(0, 5\): give a height and a width of 1 or more"),
        ({"points": torch.zeros(2, 0, 2)}, r"points have shape \(2, 0, 2\): give \(2, P, 2\)"),
        ({"points": torch.zeros(3, 4, 2)}, r"points have shape \(3, 4, 2\): give \(2, P, 2\)"),
        ({"points": torch.zeros(2, 2)}, r"points have shape \(2, 2\)"),
        ({"points": torch.full((2, 1, 2), 1.5)}, r"points are torch.float32 from 1.5 to 1.5: give floats from -1 to 1"),
        ({"points": torch.full((2, 1, 2), torch.nan)}, r"from nan to nan: give floats from -1 to 1"),
        ({"points": torch.zeros(2, 1, 2, dtype=torch.int64)}, r"points are torch.int64 from 0 to 0: give floats"),
        ({"points": torch.zeros(2, 1, 2), "size": (4, 4)}, r"size and points are both given"),
        (
            {"size": (4, 4), "refine": 1.5},
            r"refine is 1.5 at size \(4, 4\): give a share of the cells, 0 to 1, with a size",
        ),
        ({"size": (4, 4), "refine": float("nan")}, r"refine is nan at size"),
        ({"refine": 0.5}, r"refine is 0.5 at size None"),
    ],
)
def test_what_cannot_be_asked_is_refused(model, ask, message):
    with pytest.raises(InputError, match=message):
        model.decode(pyramid(model, (25, 17)), **ask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "cosine"}, r"encoding 'cosine' is unknown"),
        ({"queries": "all"}, r"queries 'all' is unknown: choose one of finest, pixels"),
        ({"train_points": -1}, r"train_points is -1"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        ifa.IFA("test_resnet", CLASSES, **options)


def test_bfloat16_weights_keep_positions_in_float32():
    model = network("ifa", queries="pixels")
    features = pyramid(model, (5, 64))
    with torch.no_grad():
        expected = model.decode(features, (5, 512))
        got = model.bfloat16().decode([x.bfloat16() for x in features], (5, 512))
    assert got.dtype == torch.bfloat16
    assert relative_error(got.float(), expected) < 0.1


class _Anywhere(nn.Module):
    """Logits at points, then at every pixel of twice the image's size."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        features = self.model.encode(x)
        twice = self.model.decode(features, (2 * x.shape[-2], 2 * x.shape[-1]))
        return torch.cat((self.model.decode(features, points=points), twice.flatten(2)), dim=2)


@pytest.mark.slow
def test_points_and_pixels_are_graphs_that_are_equal_at_every_size():
    module = _Anywhere(two_level_ifa(queries="pixels", convention="sfnet")).eval()
    generator = torch.Generator().manual_seed(0)
    inputs = [
        (image(*size, batch=batch), 2 * torch.rand(batch, points, 2, generator=generator) - 1)
        for size, batch, points in (((64, 96), 2, 7), ((33, 47), 1, 20), ((97, 129), 3, 50))
    ]
    dynamic = torch.export.Dim.DYNAMIC
    sizes = ({0: dynamic, 2: dynamic, 3: dynamic}, {0: dynamic, 1: dynamic})
    program = torch.export.export(module, inputs[0], dynamic_shapes=sizes)
    run = onnx_runner(program)
    with torch.no_grad():
        for x in inputs:
            expected = module(*x)
            for graph in (program.module(), run):
                assert relative_error(graph(*x), expected) < 1e-4
