"""Networks as graphs: compiled, exported and as ONNX, one graph for every batch and size.

Weights and norm statistics are random and the flows reach beyond a pixel, so that a wrong position would show.
"""

import pytest
import torch

from graphs import export, onnx_runner, relative_error
from networks import NETWORKS, displacements, image, network

SIZES = ((64, 96), (33, 47), (97, 129))
TOLERANCE = 1e-4  # largest difference over the largest logit
# `sfnet` is the frame with the aligner `flow`, `ddsm` with `dynamic_dual`
GRAPHS = [key for key in NETWORKS if key not in ("aligned_fpn-flow", "aligned_fpn-dynamic_dual")]


def images() -> list[torch.Tensor]:
    return [image(*size, batch=1 + i) for i, size in enumerate(SIZES)]


@pytest.mark.parametrize(
    "key", [key for key in NETWORKS if key not in ("aligned_fpn-bilinear", "aligned_fpn-implicit", "ifa")]
)
def test_flows_of_the_tested_networks_move_features_by_more_than_a_pixel(key):
    for x in images():
        found = displacements(network(key), x)
        assert found
        assert min(found) > 1


def check_exports(model: torch.nn.Module) -> None:
    program = export(model, [image(64, 96, batch=2)])
    run = onnx_runner(program)
    with torch.no_grad():
        for x in images():
            expected = model(x)
            assert relative_error(program.module()(x), expected) < TOLERANCE
            assert relative_error(run(x), expected) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("key", GRAPHS)
def test_exported_network_is_equal_at_every_batch_and_size(key):
    check_exports(network(key))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["test_convnext", "test_vit", "tf_efficientnet_lite0"])
def test_exported_encoders_that_pad_are_equal_at_every_size(encoder):
    """Padding and cropping neither fix the graph to sizes that need none nor divide negatives, which ONNX truncates."""
    check_exports(network("sfnet_lite", encoder=encoder))


@pytest.mark.slow
@pytest.mark.parametrize("key", GRAPHS)
def test_network_compiles_to_a_whole_graph_that_is_equal_at_every_size(key):
    torch.compiler.reset()
    model = network(key)
    # capture without code generation, which takes minutes per network; test_sampling.py generates code
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    with torch.no_grad():
        for x in images():
            assert relative_error(compiled(x), model(x)) < TOLERANCE
