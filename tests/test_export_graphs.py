"""Networks as graphs: compiled, exported and as ONNX, one for every batch and size.

Weights and norm statistics are random and the flows reach beyond a pixel, so that a wrong position would show. A graph
takes as long as it has operations: every network is captured whole, with two sizes of pooling and one place for a query
of DDSM, and every aligner in one merge of two maps, whose sizes follow from the image's as in a network.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphs import export, onnx_file, onnx_runtime, openvino_runtime, relative_error
from networks import CLASSES, NETWORKS, displacements, image, network, randomized
from pixalign.aligners import ALIGNERS, create_aligner
from pixalign.encoders import TimmEncoder
from pixalign.sampling import resize

SIZES = ((64, 96), (33, 47), (97, 129))
TOLERANCE = 1e-4  # largest difference over the largest logit
MERGES = {f"a merge by {name}": name for name in ALIGNERS}
# the frame `aligned_fpn` is captured with `flow`, as `sfnet`, and with `dynamic_dual`, as `ddsm`
WHOLE = [key for key in NETWORKS if not key.startswith("aligned_fpn-")]
GRAPHS = [*WHOLE, *MERGES]
WITHOUT_FLOWS = ("bilinear", "implicit", "ifa")


class Merge(nn.Module):
    """An image's maps at 1/4 and 1/8 merged by one aligner: logits at the image's size."""

    def __init__(self, aligner: str, channels: int = 36, **options: Any) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, channels, 7, stride=4, padding=3)
        self.coarse = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.aligner = create_aligner(aligner, channels, "pixel", **options)
        self.classify = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x).relu()
        merged = self.aligner(fine, self.coarse(fine).relu())
        return resize(self.classify(merged), (x.shape[-2], x.shape[-1]))


class Maps(nn.Module):
    """The maps of an encoder, each with its part of the logits at the image's size."""

    def __init__(self, encoder: str) -> None:
        super().__init__()
        self.encoder = TimmEncoder(encoder)
        self.classify = nn.ModuleList(nn.Conv2d(channels, CLASSES, 1) for channels in self.encoder.channels)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        parts = [resize(classify(y), size) for classify, y in zip(self.classify, self.encoder(x))]
        return torch.stack(parts).sum(0)


def small(key: str, **options: Any) -> nn.Module:
    """The network or merge ``key`` of `GRAPHS`, with few operations and random weights."""
    if key in MERGES:
        narrow = {"grid": 2} if MERGES[key] == "dynamic_dual" else {}
        return randomized(Merge(MERGES[key], **narrow)).eval()
    if key == "ddsm":
        options["aligner_options"] = {"grid": 1}
    if key not in ("alignseg", "ifa"):  # these pool at no or at one size
        options["bins"] = (1, 6)
    return network(key, **options)


def images(first: int = 1) -> list[Tensor]:
    return [image(*size, batch=first + i) for i, size in enumerate(SIZES)]


@pytest.mark.parametrize("key", [key for key in NETWORKS if not key.endswith(WITHOUT_FLOWS)])
def test_flows_of_the_tested_networks_move_features_by_more_than_a_pixel(key):
    for x in images():
        check_displaced(network(key), x)


@pytest.mark.parametrize("key", [key for key in GRAPHS if not key.endswith(WITHOUT_FLOWS)])
def test_flows_of_the_captured_graphs_move_features_by_more_than_a_pixel(key):
    for x in images():
        check_displaced(small(key), x)


def check_displaced(model: nn.Module, x: Tensor) -> None:
    found = displacements(model, x)
    assert found
    assert min(found) > 1


def check_exports(model: nn.Module, *, in_openvino: bool = False) -> None:
    program = export(model, [image(64, 96, batch=2)])
    file = onnx_file(program)
    graphs = [program.module(), onnx_runtime(file), *([openvino_runtime(file)] if in_openvino else [])]
    with torch.no_grad():
        for graph in graphs:
            for x in images():
                assert relative_error(graph(x), model(x)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("key", GRAPHS)
def test_exported_network_is_equal_at_every_batch_and_size(key):
    check_exports(small(key), in_openvino=key in ("bialignnet", "ddsm"))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["test_convnext", "test_vit", "tf_efficientnet_lite0"])
def test_exported_encoders_that_pad_are_equal_at_every_size(encoder):
    """Padding and cropping neither fix the graph to sizes that need none nor divide negatives, which ONNX truncates."""
    check_exports(randomized(Maps(encoder)).eval())


@pytest.mark.slow
@pytest.mark.parametrize("key", GRAPHS)
def test_network_compiles_to_a_whole_graph_that_is_equal_at_every_size(key):
    check_compiles(small(key), images(first=2))  # a batch of one is a graph of its own


@pytest.mark.slow
def test_a_batch_of_one_compiles_as_well():
    check_compiles(small("sfnet_lite"), [image(*size) for size in SIZES])


def check_compiles(model: nn.Module, inputs: list[Tensor]) -> None:
    torch.compiler.reset()
    # capture without code generation, which takes minutes per network; test_sampling.py generates code
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    with torch.no_grad():
        for x in inputs:
            assert relative_error(compiled(x), model(x)) < TOLERANCE
