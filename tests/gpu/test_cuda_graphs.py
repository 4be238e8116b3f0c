"""A network recorded as a CUDA graph gives what it gives without: at every size, call after call."""

import pytest
import torch

from graphs import relative_error
from networks import NETWORKS, network
from pixalign import Predictor, fuse
from pixalign.errors import InputError
from pixalign.runtime import open_runtime
from pixalign.runtime.cuda_graphs import CudaGraphs


def images(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, height, width), generator=generator, dtype=torch.uint8).to("cuda")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("key", NETWORKS)
def test_every_network_gives_its_logits_at_sizes_in_turn(key, precision):
    model = fuse(network(key).to("cuda"))
    plain, recorded = (open_runtime(model, backend, "cuda", precision) for backend in ("torch", "cuda_graphs"))
    for seed, size in enumerate(((64, 96), (65, 97), (64, 96))):
        x = images(*size, seed)
        assert relative_error(recorded.logits(x).float(), plain.logits(x).float()) < (
            1e-4 if precision == "fp32" else 1e-2
        )


def test_a_second_call_leaves_the_first_result_alone():
    runtime = open_runtime(network("sfnet"), "cuda_graphs", "cuda")
    first = runtime.logits(images(64, 96))
    kept = first.clone()
    runtime.logits(images(64, 96, seed=1))
    assert torch.equal(first, kept)


def test_predictions_are_those_without_graphs():
    model, picture = network("ddsm"), images(70, 90)[0].permute(1, 2, 0).cpu().numpy()
    recorded = Predictor(open_runtime(model, "cuda_graphs", "cuda"))
    assert (recorded(picture).ids == Predictor(model, "cuda")(picture).ids).mean() > 0.99


def test_what_waits_for_the_gpu_is_refused_in_one_line():
    graphs = CudaGraphs(lambda x: x * x.sum().item(), "waiting")
    with pytest.raises(
        InputError, match=r"waiting: cannot be recorded as a CUDA graph .*open it with another"
    ) as caught:
        graphs(torch.ones(1, 3, 8, 8, device="cuda"))
    assert "\n" not in str(caught.value)
