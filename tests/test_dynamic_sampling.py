"""Dynamic sampling: equal to gathering every copy, without ever holding them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from graphs import export, onnx_runner, relative_error
from pixalign.sampling import dynamic_sampling, resize, warp

SIDE = st.integers(1, 9)
OUT = (40, 30)


def inputs(
    size: tuple[int, int], out: tuple[int, int], points: int, reach: float = 3.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, keys (6 channels), values (8 channels) and offsets of two images."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 6, *out), (2, 6, *size), (2, 8, *size), (2, points, 2, *out))
    query, keys, values, offsets = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return query, keys, values, reach * offsets


def gathered(query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The definition: all P copies (N, P, C, H, W) read by index, four corners each, in the convention ``pixel``."""
    height, width = query.shape[-2:]
    rows, columns = keys.shape[-2:]
    x = (torch.arange(width) + 0.5 + offsets[:, :, 0]) * columns / width - 0.5
    y = (torch.arange(height).view(-1, 1) + 0.5 + offsets[:, :, 1]) * rows / height - 0.5
    x, y = x.clamp(0, columns - 1), y.clamp(0, rows - 1)
    image = torch.arange(len(keys)).view(-1, 1, 1, 1)
    copies = []
    for source in (keys, values):
        read = torch.zeros((), dtype=source.dtype)
        for column in (x.floor().long(), x.floor().long() + 1):
            for row in (y.floor().long(), y.floor().long() + 1):
                share = (1 - (x - column).abs()) * (1 - (y - row).abs())
                corner = source.permute(0, 2, 3, 1)[image, row.clamp(max=rows - 1), column.clamp(max=columns - 1)]
                read = read + share.unsqueeze(-1) * corner  # (N, P, H, W, C)
        copies.append(read)
    affinity = (query.permute(0, 2, 3, 1).unsqueeze(1) * copies[0]).sum(-1).softmax(1)
    return (affinity.unsqueeze(-1) * copies[1]).sum(1).permute(0, 3, 1, 2), affinity


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.tuples(SIDE, SIDE), out=st.tuples(SIDE, SIDE), points=st.integers(1, 9), reach=st.floats(0, 6))
def test_dynamic_sampling_is_the_gathered_sum(size, out, points, reach):
    arguments = inputs(size, out, points, reach)
    for got, expected in zip(dynamic_sampling(*arguments), gathered(*arguments)):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


def test_affinity_sums_to_one_and_a_zero_query_takes_the_mean():
    query, keys, values, offsets = inputs((7, 5), (9, 8), 4)
    result, affinity = dynamic_sampling(torch.zeros_like(query), keys, values, offsets)
    torch.testing.assert_close(affinity, torch.full_like(affinity, 0.25))
    torch.testing.assert_close(result, sum(warp(values, flow) for flow in offsets.unbind(1)) / 4)
    _, affinity = dynamic_sampling(query, keys, values, offsets)
    torch.testing.assert_close(affinity.sum(1), torch.ones_like(affinity[:, 0]))


def test_one_position_that_is_not_displaced_is_the_resize():
    query, keys, values, offsets = inputs((7, 5), (9, 8), 1, reach=0)
    torch.testing.assert_close(dynamic_sampling(query, keys, values, offsets)[0], resize(values, (9, 8)))


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_exact(recompute):
    arguments = [x.requires_grad_() for x in inputs((3, 3), (3, 2), 3, reach=1.3)]
    assert arguments[3].abs().mean() > 1
    torch.autograd.gradcheck(lambda *x: dynamic_sampling(*x, recompute=recompute), arguments)


class LargestTensor(TorchDispatchMode):
    """Records how many elements the largest tensor has that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for x in made if isinstance(made, tuple | list) else (made,):
            if isinstance(x, Tensor):
                self.elements = max(self.elements, x.numel())
        return made


def large(points: int) -> list[Tensor]:
    """Maps so wide that the offsets are smaller than one map."""
    query, keys, values, offsets = inputs(OUT, OUT, points)
    return [x.repeat(1, 8, 1, 1).float().requires_grad_() for x in (query, keys, values)] + [offsets.float()]


def test_evaluation_makes_no_tensor_larger_than_one_map():
    arguments = large(9)
    with torch.no_grad(), LargestTensor() as largest:
        result, _ = dynamic_sampling(*arguments)
    assert largest.elements == result.numel()
    with torch.no_grad(), LargestTensor() as largest:
        gathered(*arguments)
    assert largest.elements == 9 * result.numel()


@pytest.mark.parametrize(("recompute", "maps"), [(False, 2 * 9), (True, 0)])
def test_training_keeps_the_sampled_maps_only_if_it_does_not_recompute(recompute, maps):
    arguments = large(9)
    given = {x.untyped_storage().data_ptr() for x in arguments}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in given and x.numel() >= arguments[0].numel():
            kept[x.untyped_storage().data_ptr()] = x.numel()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result, _ = dynamic_sampling(*arguments, recompute=recompute)
    assert len(kept) == maps
    result.sum().backward()


def test_recomputing_changes_no_gradient():
    gradients = []
    for recompute in (False, True):
        arguments = large(4)
        dynamic_sampling(*arguments, recompute=recompute)[0].square().sum().backward()
        gradients.append([x.grad for x in arguments[:3]])
    for kept, recomputed in zip(*gradients):
        assert relative_error(recomputed, kept) < 1e-5


def test_half_precision_features_are_matched_and_summed_in_float32():
    query, keys, values, offsets = inputs((6, 512), (6, 512), 9, dtype=torch.float32)
    query, keys, values = query.bfloat16(), keys.bfloat16(), values.bfloat16()
    expected, _ = dynamic_sampling(query.float(), keys.float(), values.float(), offsets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result, affinity = dynamic_sampling(query, keys, values, offsets)
    assert result.dtype == torch.bfloat16
    assert affinity.dtype == torch.float32
    torch.testing.assert_close(result, expected.bfloat16())


def test_an_unknown_convention_is_named_with_the_choices():
    with pytest.raises(ValueError, match="convention 'corner' is unknown: choose one of pixel"):
        dynamic_sampling(*inputs((3, 3), (3, 3), 1), "corner")


class Sampling(nn.Module):
    """The sum alone, with offsets (N, 2 P, H, W), so that only the channels of the inputs are fixed."""

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        return dynamic_sampling(query, keys, values, offsets.unflatten(1, (-1, 2)))[0]


def test_exported_graphs_sample_the_same_at_every_size():
    def arguments(size: tuple[int, int], out: tuple[int, int]) -> list[Tensor]:
        query, keys, values, offsets = inputs(size, out, 2, dtype=torch.float32)
        assert offsets.abs().mean() > 1
        return [query, keys, values, offsets.flatten(1, 2)]

    program = export(Sampling(), arguments((10, 14), (30, 28)))
    run = onnx_runner(program)
    for sizes in (((8, 12), (16, 24)), ((9, 13), (33, 47)), ((20, 6), (20, 6))):
        given = arguments(*sizes)
        expected = Sampling()(*given)
        assert relative_error(program.module()(*given), expected) < 1e-4
        assert relative_error(run(*given), expected) < 1e-4
