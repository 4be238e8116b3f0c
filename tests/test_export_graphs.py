"""Networks as graphs: compiled, exported and as ONNX, one for every batch and size.

Weights and norm statistics are random and the flows reach beyond a pixel, so that a wrong position would show. A graph
takes as long as it has operations, most of all those whose sizes follow from the image's. So every network is captured
from the image to the logits, but with few sizes of pooling, and with its aligner in one of the merges that are alike
(the others are bilinear) or, without merges, with two levels; an aligner of no network in one merge of two maps.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphs import export, onnx_file, onnx_runtime, openvino_runtime, relative_error
from networks import CLASSES, NETWORKS, displacements, image, network, randomized, two_level_ifa
from pixalign.aligners import ALIGNERS, create_aligner
from pixalign.encoders import TimmEncoder
from pixalign.sampling import resize

SIZES = ((64, 96), (33, 47), (97, 129))
TOLERANCE = 1e-4  # largest difference over the largest logit
WHOLE = [key for key in NETWORKS if not key.startswith("aligned_fpn-")]
# `sfnet` and `ddsm` are the frame `aligned_fpn` with an aligner; where the others are captured: in their networks
IN_NETWORKS = {"flow": "sfnet", "dynamic_dual": "ddsm", "dual_flow": "alignseg", "gated_dual_flow": "sfnet_lite"}
MERGES = {f"a merge by {name}": name for name in ALIGNERS if name not in IN_NETWORKS}
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
    """The maps of an encoder, each brought to as many channels, their pixels side by side."""

    def __init__(self, encoder: str, **options: Any) -> None:
        super().__init__()
        self.encoder = TimmEncoder(encoder, **options)
        self.classify = nn.ModuleList(nn.Conv2d(channels, CLASSES, 1) for channels in self.encoder.channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([classify(y).flatten(2) for classify, y in zip(self.classify, self.encoder(x))], dim=2)


def small(key: str) -> nn.Module:
    """The network or merge ``key`` of `GRAPHS`, with few operations and random weights."""
    if key in MERGES:
        return randomized(Merge(MERGES[key])).eval()
    if key == "ifa":
        return two_level_ifa()
    options: dict[str, Any] = {}
    if key != "alignseg":  # which pools to one size
        options["bins"] = (1, 6) if key == "sfnet" else (6,)
    if key == "ddsm":  # a sum over several places is a graph in test_dynamic_sampling.py
        options["aligner_options"] = {"grid": 1}
    model = network(key, **options)
    for i in range(1, len(getattr(model, "aligners", ()))):
        model.aligners[i] = create_aligner("bilinear", 36)
    return model


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
@pytest.mark.parametrize(
    ("encoder", "options"), [("test_convnext", {}), ("test_vit", {}), ("test_efficientnet", {"pad_type": "same"})]
)
def test_exported_encoders_that_pad_are_equal_at_every_size(encoder, options):
    """Padding and cropping neither fix the graph to sizes that need none nor divide negatives, which ONNX truncates."""
    model = randomized(Maps(encoder, **options)).eval()
    assert model.encoder.multiple > 1
    check_exports(model)


@pytest.mark.parametrize(("aligner", "key"), IN_NETWORKS.items())
def test_aligners_that_are_captured_in_a_network_are_in_it(aligner, key):
    assert type(create_aligner(aligner, 36)) in {type(module) for module in small(key).modules()}


@pytest.mark.slow
@pytest.mark.parametrize("key", GRAPHS)
def test_network_compiles_to_a_whole_graph_that_is_equal_at_every_size(key):
    check_compiles(small(key), images(first=2))  # a batch of one is a graph of its own


def test_a_batch_of_one_compiles_as_well():
    check_compiles(randomized(Merge("flow")).eval(), [image(*size) for size in SIZES])


def check_compiles(model: nn.Module, inputs: list[Tensor]) -> None:
    torch.compiler.reset()
    # capture without code generation, which takes minutes per network; test_sampling.py generates code
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    with torch.no_grad():
        for x in inputs:
            assert relative_error(compiled(x), model(x)) < TOLERANCE
